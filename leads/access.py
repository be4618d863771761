"""Keys and tokens: who may come in (facts, section 1). All of it but digest() reads or writes the database."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from leads.models import AccessToken, ApiKey, Campaign, Publisher, User

# A refresh token stays good for this long and is not exchanged for a new one: a client whose answer got lost is not
# locked out, and it ends with the key, the user or the publisher that it was given to.
REFRESH_DAYS = 14
USED_EVERY = dt.timedelta(minutes=1)


def digest(key: str) -> str:
    """What is kept of a key or token."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def api_key_issue(
    *, publisher: Publisher | None = None, campaign: Campaign | None = None, key: str | None = None
) -> str:
    """Give a publisher or a campaign an API key; return it in clear, the only time that this can be done.

    With `key` that one is taken, and giving the same one to the same owner again makes it good again. Raises ValueError
    when it is another's.
    """
    if (publisher is None) == (campaign is None):
        raise ValueError("an API key has one owner: a publisher or a campaign")
    key = secrets.token_hex(20) if key is None else key
    if len(key) < 8:
        raise ValueError("an API key has at least 8 characters")
    with transaction.atomic():
        row, created = ApiKey.objects.get_or_create(
            digest=digest(key), defaults={"publisher": publisher, "campaign": campaign, "ending": key[-4:]}
        )
        if (row.publisher, row.campaign) != (publisher, campaign):
            raise ValueError("this API key is another owner's already")
        if not created and row.expires_at is not None:
            row.expires_at = None
            row.save(update_fields=["expires_at"])
    return key


def api_key_rotate(owner: Publisher | Campaign, overlap_hours: float = 24) -> str:
    """Give the owner a new key and let its others end after the overlap; return the new one in clear."""
    ends = timezone.now() + dt.timedelta(hours=overlap_hours)
    with transaction.atomic():
        owner.api_keys.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=ends)).update(expires_at=ends)
        if isinstance(owner, Publisher):
            return api_key_issue(publisher=owner)
        return api_key_issue(campaign=owner)


def api_keys_good(owner: Publisher | Campaign) -> list[ApiKey]:
    """An owner's keys that open something now, the oldest first. Reads `api_keys`: prefetch them for many owners."""
    now = timezone.now()
    found = [key for key in owner.api_keys.all() if key.expires_at is None or key.expires_at > now]
    return sorted(found, key=lambda key: key.pk)


def api_key_used(said: str) -> None:
    """Write down, at most once a minute, that the key of this digest was used."""
    row = ApiKey.objects.filter(digest=said).first()
    if row is not None:
        _used(row)


def _used(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or key.last_used_at <= now - USED_EVERY:
        unused = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
        ApiKey.objects.filter(unused, pk=key.pk).update(last_used_at=now)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a log-in hands out, in clear."""

    access_token: str
    refresh_token: str
    user_id: int | None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a bearer token speaks for: a publisher, or a user of the instance's own."""

    publisher_id: int | None
    user_id: int | None
    staff: bool
    expires_at: dt.datetime

    @property
    def limit_key(self) -> str:
        return f"user:{self.user_id}" if self.publisher_id is None else f"publisher:{self.publisher_id}"


def tokens_for_api_key(api_key: str) -> Tokens | None:
    """Log a publisher in by its API key; None where the key is not good."""
    row = (
        ApiKey.objects.filter(digest=digest(api_key), publisher__active=True)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()))
        .first()
    )
    if row is None:
        return None
    _used(row)
    return _issue(AccessToken(publisher_id=row.publisher_id, api_key=row))


def tokens_for_password(username: str, password: str) -> Tokens | None:
    """Log a user in by name or e-mail address; None where it fails. A password check takes a tenth of a second."""
    if "\x00" in username + password:
        return None
    user = User.objects.select_related("publisher").filter(username=username).first()
    if user is None:
        by_email = list(User.objects.select_related("publisher").filter(email__iexact=username)[:2])
        user = by_email[0] if username and len(by_email) == 1 else None
    if user is None:
        make_password(password)  # takes as long as a check, so that the time does not tell who exists
        return None
    if not user.check_password(password) or not _may_come_in(user):
        return None
    return _issue(AccessToken(publisher=user.publisher, user=user))


def _may_come_in(user: User) -> bool:
    if user.publisher is not None:
        return user.is_active and user.publisher.active
    return user.is_active and user.is_staff


def tokens_for_refresh(refresh_token: str) -> Tokens | None:
    """A new access token beside the same refresh token; None where that is not good."""
    row = _token(AccessToken.Kind.REFRESH, refresh_token)
    if row is None:
        return None
    issued = AccessToken(publisher_id=row.publisher_id, user_id=row.user_id, api_key_id=row.api_key_id)
    return _issue(issued, refresh_token=refresh_token)


def principal(token: str) -> Principal | None:
    """Who an access token speaks for; None where it is unknown, has ended, or its owner was shut out."""
    row = _token(AccessToken.Kind.ACCESS, token)
    if row is None:
        return None
    staff = row.user is not None and row.user.is_staff and row.publisher_id is None
    expires_at = row.expires_at
    if row.api_key is not None and row.api_key.expires_at is not None:
        expires_at = min(expires_at, row.api_key.expires_at)
    return Principal(row.publisher_id, row.user_id, staff, expires_at)


def _token(kind: AccessToken.Kind, token: str) -> AccessToken | None:
    now = timezone.now()
    row = (
        AccessToken.objects.select_related("publisher", "user__publisher", "api_key")
        .filter(kind=kind, digest=digest(token), expires_at__gt=now)
        .first()
    )
    if row is None or (row.publisher is not None and not row.publisher.active):
        return None
    if row.user is not None and (not _may_come_in(row.user) or row.user.publisher_id != row.publisher_id):
        return None
    if row.api_key is not None:
        if row.api_key.expires_at is not None and row.api_key.expires_at <= now:
            return None
        _used(row.api_key)
    return row


def _issue(template: AccessToken, refresh_token: str | None = None) -> Tokens:
    now = timezone.now()
    owner = {
        "publisher_id": template.publisher_id,
        "user_id": template.user_id,
        "api_key_id": template.api_key_id,
    }
    access = secrets.token_urlsafe(32)
    rows = [
        AccessToken(
            kind=AccessToken.Kind.ACCESS,
            digest=digest(access),
            expires_at=now + dt.timedelta(seconds=settings.OAUTH_TOKEN_SECONDS),
            **owner,
        )
    ]
    if refresh_token is None:
        refresh_token = secrets.token_urlsafe(32)
        ends = now + dt.timedelta(days=REFRESH_DAYS)
        rows.append(AccessToken(kind=AccessToken.Kind.REFRESH, digest=digest(refresh_token), expires_at=ends, **owner))
    with transaction.atomic():
        # Ended tokens go when new ones come, so that nothing else has to tidy up.
        AccessToken.objects.filter(expires_at__lt=now).delete()
        AccessToken.objects.bulk_create(rows)
    return Tokens(access, refresh_token, template.user_id)
