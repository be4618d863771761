"""Incidents that people are told of: raised once, ended once, in the transaction of whoever finds them.

Here rows are written and nobody is told; telling.py makes the messages. Nothing here sends or changes deliveries, so every
stage may raise a notice.
"""

from __future__ import annotations

import datetime as dt

from django.db import IntegrityError, transaction
from django.utils import timezone

from integrations.models import Integration, Notice, NoticeKind, NoticeStep
from integrations.webhooks.delivery_events import notice_told
from leads.rights import without_personal
from leads.wake import wake

TELL_TASK = "integrations.tell_notices"

# Of these an integration has one at a time: each says why leads do not go out now.
SENDING = (NoticeKind.SWITCHED_OFF, NoticeKind.STOPPED, NoticeKind.CHANGED, NoticeKind.FAILING)
What = NoticeStep.What


def notice_raise(integration_id: int, kind: NoticeKind, words: str, *, percent: int = 0) -> bool:
    """Tell of an incident of an integration: its start, or that it goes on, once for each larger `percent`.

    True when something is told. One that is open already only takes the newer words. Another one of those that say why
    leads do not go out ends without a word: the new one says more. In the caller's transaction, where there is one.
    """
    if not Integration.objects.filter(pk=integration_id).exists():
        return False
    told = notice_open(f"integration:{integration_id}", kind, words, integration_id=integration_id, percent=percent)
    if kind in SENDING:
        others = [other for other in SENDING if other != kind]
        Notice.objects.filter(integration=integration_id, kind__in=others, ended_at=None).update(
            ended_at=timezone.now()
        )
    return told


def notice_end(integration_id: int, kind: NoticeKind, words: str = "") -> bool:
    """Tell that an incident of an integration is over; True when it was open."""
    return notice_close(f"integration:{integration_id}", kind, words)


def notice_open(
    about: str,
    kind: NoticeKind,
    words: str,
    *,
    integration_id: int | None = None,
    campaign_id: int | None = None,
    percent: int = 0,
    since: dt.datetime | None = None,
) -> bool:
    """As notice_raise, for anything: `about` names it, as in "campaign:3". `since`: when it started, if that is known."""
    words = plain(words)
    with transaction.atomic():
        notice = _open(about, kind)
        if notice is None:
            try:
                with transaction.atomic():
                    notice = Notice.objects.create(
                        about=about,
                        kind=kind,
                        words=words,
                        integration_id=integration_id,
                        campaign_id=campaign_id,
                        percent=percent,
                        started_at=since or timezone.now(),
                    )
            except IntegrityError:
                # Another worker was first: it tells.
                return False
            what = What.START
        elif percent > notice.percent:
            Notice.objects.filter(pk=notice.pk).update(percent=percent, words=words)
            what = What.STILL
        else:
            if words != notice.words:
                Notice.objects.filter(pk=notice.pk).update(words=words)
            return False
        _tell(notice, what, words)
    return True


def notice_close(about: str, kind: NoticeKind, words: str = "", *, told: bool = True) -> bool:
    """As notice_end, for anything. Without `told` it ends and nobody hears of it."""
    with transaction.atomic():
        notice = _open(about, kind)
        if notice is None:
            return False
        notice.ended_at = timezone.now()
        Notice.objects.filter(pk=notice.pk).update(ended_at=notice.ended_at)
        if told:
            _tell(notice, What.END, words)
    return True


def plain(words: str) -> str:
    """A cause as it may leave the portal: clients' words may name people."""
    return without_personal(words, {})


def _open(about: str, kind: NoticeKind) -> Notice | None:
    return Notice.objects.select_for_update().filter(about=about, kind=kind, ended_at=None).first()


def _tell(notice: Notice, what: NoticeStep.What, words: str) -> None:
    NoticeStep.objects.create(notice=notice, what=what, words=words, at=timezone.now())
    wake(TELL_TASK)
    if notice.kind in SENDING and what != What.STILL:
        notice_told(notice, words)
