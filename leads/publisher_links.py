"""Links to a publisher's own page for people without an account: signed, ended by time, taken back by an account manager."""

from __future__ import annotations

import datetime as dt
import uuid

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from leads.models import Publisher, PublisherLink

DAYS = (7, 30, 90)
USED_EVERY = dt.timedelta(minutes=1)
_signer = Signer(salt="leads.publisher_links")


def link_make(publisher: Publisher, *, name: str, days: int, by: str) -> PublisherLink:
    """A link that opens the publisher's page for so many days. ValueError for a span that is not offered."""
    if days not in DAYS:
        raise ValueError("this is not one of the spans that are offered")
    return PublisherLink.objects.create(
        publisher=publisher,
        name=name.strip()[:200] or "Somebody",
        made_by=by[:200],
        expires_at=timezone.now() + dt.timedelta(days=days),
    )


def link_address(link: PublisherLink) -> str:
    """The whole address to hand on. Whoever has it sees what the publisher sees, so it is as good as a key."""
    path = reverse("publisher:link", args=[_signer.sign(link.number.hex)])
    return f"{settings.INSTANCE_URL}{path}"


def link_revoke(link: PublisherLink) -> None:
    """From now on the link opens nothing, also for those who have opened it already."""
    PublisherLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=timezone.now())


def link_opened(signed: str) -> PublisherLink | None:
    """The link of an address that is opened; None where it is not ours, has ended, or was taken back."""
    try:
        number = uuid.UUID(hex=_signer.unsign(signed))
    except (BadSignature, ValueError):
        return None
    return _good().filter(number=number).first()


def link_good(link_id: int) -> PublisherLink | None:
    """A link that was opened before, as long as it is good. Its use is written down once a minute."""
    link = _good().filter(pk=link_id).first()
    now = timezone.now()
    if link is not None and (link.last_used_at is None or link.last_used_at <= now - USED_EVERY):
        PublisherLink.objects.filter(pk=link.pk).update(last_used_at=now)
    return link


def _good() -> QuerySet[PublisherLink]:
    good = Q(expires_at__gt=timezone.now(), revoked_at=None, publisher__active=True)
    return PublisherLink.objects.filter(good).select_related("publisher")
