"""Keys of the partner API: made, rotated, ended, and what they open. Reads and writes the database."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from leads.access import digest
from leads.models import Campaign, Lead, PartnerKey, Publisher

R = TypeVar("R", bound=Model)

SCOPES: Mapping[str, str] = {
    "leads:write": "Send leads in",
    "leads:read": "Read leads, with what people typed",
    "forms:read": "Read campaigns and what their forms take",
    "verdicts:write": "Say what became of leads",
    "imports:write": "Bring files of leads",
    "exports:read": "Take leads along as files",
    "webhooks:write": "Be told by webhooks",
    "integrations:read": "See how integrations do",
    "integrations:write": "Pause, resume and check integrations",
    "keys:write": "Make keys that may no more than itself",
}
"""What a key may be allowed to do, and that in words."""

READS_LEADS = "leads:read"
BEGINNING = "cp_live_"
# What is shown of a key: enough to find it, too little to guess the rest, which has 184 bits.
PREFIX_CHARS = len(BEGINNING) + 8
MOST_KEY_CHARS = 200
OVERLAP = dt.timedelta(hours=24)
USED_EVERY = dt.timedelta(minutes=1)


class KeyProblem(Exception):
    """A key can't be made or changed so: the field it is about, and why, in words."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field
        self.words = words


@dataclass(frozen=True, slots=True)
class Partner:
    """Who calls: a key, what it may do and whose rows it sees. None: of all publishers, of all campaigns."""

    key_id: int
    name: str
    scopes: frozenset[str]
    publisher_id: int | None
    campaign_id: int | None
    expires_at: dt.datetime | None
    replaced: bool = False
    """It came with the secret before, which works for a while beside the new one."""
    is_authenticated: bool = True

    @property
    def limit_key(self) -> str:
        return f"partner:{self.key_id}"

    def sees(self, *, campaign_id: int | None = None, publisher_id: int | None = None) -> bool:
        """Whether rows of this campaign and this publisher (where one is given) are any of its business."""
        if campaign_id is not None and self.campaign_id not in (None, campaign_id):
            return False
        return publisher_id is None or self.publisher_id in (None, publisher_id)

    def bound(
        self, rows: QuerySet[R], *, campaign: str = "campaign", publisher: str | None = "publisher"
    ) -> QuerySet[R]:
        """Those of these rows that it sees, by the fields that name their campaign and publisher.

        `publisher` None: they are no publisher's business, and a publisher's key sees none.
        """
        if self.campaign_id is not None:
            rows = rows.filter(**{campaign: self.campaign_id})
        if self.publisher_id is None:
            return rows
        return rows.none() if publisher is None else rows.filter(**{publisher: self.publisher_id})

    def campaigns(self) -> QuerySet[Campaign]:
        """The campaigns that it sees."""
        found = Campaign.objects.all()
        if self.publisher_id is not None:
            # Each publisher is in a campaign once: no row comes twice.
            found = found.filter(contracts__publisher=self.publisher_id, contracts__active=True)
        return found if self.campaign_id is None else found.filter(pk=self.campaign_id)

    def leads(self) -> QuerySet[Lead]:
        """The leads that it sees."""
        return self.bound(Lead.objects.all())

    def keys(self) -> QuerySet[PartnerKey]:
        """Itself, and the keys that are bound as closely as it is and may no more than it."""
        found = self.bound(PartnerKey.objects.all())
        within = [row.pk for row in found.only("scopes") if set(row.scopes) <= self.scopes]
        return PartnerKey.objects.filter(pk__in=within)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and its secret, in clear: the only time that this can be had."""

    row: PartnerKey
    secret: str


def partner(token: str) -> Partner | None:
    """Who a bearer token speaks for; None where it is unknown, has ended, or its publisher was switched off.

    Writes down that it was used, at most once a minute.
    """
    if not token.startswith(BEGINNING) or len(token) > MOST_KEY_CHARS:
        return None
    now, said = timezone.now(), digest(token)
    row = (
        PartnerKey.objects.filter(Q(digest=said) | Q(earlier_digest=said, earlier_until__gt=now))
        .filter(Q(expires_at=None) | Q(expires_at__gt=now))
        .filter(Q(publisher=None) | Q(publisher__active=True))
        .first()
    )
    if row is None:
        return None
    if row.last_used_at is None or row.last_used_at <= now - USED_EVERY:
        unused = Q(last_used_at=None) | Q(last_used_at__lte=now - USED_EVERY)
        PartnerKey.objects.filter(unused, pk=row.pk).update(last_used_at=now)
    replaced = row.digest != said
    ends = [each for each in (row.expires_at, row.earlier_until if replaced else None) if each]
    return Partner(
        key_id=row.pk,
        name=row.name,
        scopes=frozenset(row.scopes),
        publisher_id=row.publisher_id,
        campaign_id=row.campaign_id,
        expires_at=min(ends, default=None),
        replaced=replaced,
    )


def key_issue(
    *,
    name: str,
    scopes: Collection[str],
    made_by: str,
    publisher: Publisher | None = None,
    campaign: Campaign | None = None,
    expires_at: dt.datetime | None = None,
) -> NewKey:
    """Make a key. Raises KeyProblem."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise KeyProblem("scopes", f"There is no scope “{unknown[0]}”. Take some of: {', '.join(SCOPES)}.")
    if not scopes:
        raise KeyProblem("scopes", "Say what the key may do: at least one scope.")
    if expires_at is not None and expires_at <= timezone.now():
        raise KeyProblem("expires_at", "This time has passed already.")
    secret = _new_secret()
    row = PartnerKey.objects.create(
        name=name,
        prefix=secret[:PREFIX_CHARS],
        digest=digest(secret),
        scopes=[scope for scope in SCOPES if scope in scopes],
        publisher=publisher,
        campaign=campaign,
        made_by=made_by[:200],
        expires_at=expires_at,
    )
    return NewKey(row, secret)


def key_issue_by(
    maker: Partner,
    *,
    name: str,
    scopes: Collection[str],
    publisher_id: int | None = None,
    campaign_id: int | None = None,
    expires_at: dt.datetime | None = None,
) -> NewKey:
    """Make a key on behalf of another, that may no more than that one: its scopes, its rows, its end. Raises KeyProblem."""
    more = [scope for scope in scopes if scope in SCOPES and scope not in maker.scopes]
    if more:
        raise KeyProblem("scopes", f"This key has no scope “{more[0]}” itself, so it can’t give it.")
    publisher_id = maker.publisher_id if publisher_id is None else publisher_id
    campaign_id = maker.campaign_id if campaign_id is None else campaign_id
    publisher = Publisher.objects.filter(pk=publisher_id).first() if publisher_id is not None else None
    campaign = maker.campaigns().filter(pk=campaign_id).first() if campaign_id is not None else None
    if publisher_id is not None and (publisher is None or not maker.sees(publisher_id=publisher_id)):
        raise KeyProblem("publisher", "There is no such publisher.")
    if campaign_id is not None and campaign is None:
        raise KeyProblem("campaign", "There is no such campaign.")
    if _outlives(maker, expires_at):
        raise KeyProblem("expires_at", "The new key can’t work for longer than the one that makes it.")
    return key_issue(
        name=name,
        scopes=scopes,
        made_by=f"The key {maker.name}",
        publisher=publisher,
        campaign=campaign,
        expires_at=expires_at,
    )


def key_rotate(key: PartnerKey, overlap: dt.timedelta = OVERLAP) -> NewKey:
    """Give a key a new secret; the one before works until the overlap has passed, one that was being replaced no more."""
    secret = _new_secret()
    key.earlier_prefix, key.earlier_digest, key.earlier_until = key.prefix, key.digest, timezone.now() + overlap
    key.prefix, key.digest = secret[:PREFIX_CHARS], digest(secret)
    key.save(update_fields=["prefix", "digest", "earlier_prefix", "earlier_digest", "earlier_until"])
    return NewKey(key, secret)


def key_rotate_by(maker: Partner, key: PartnerKey) -> NewKey:
    """Rotate one of the keys that another sees (`maker.keys()`), and give it the new secret. Raises KeyProblem.

    A secret that is being replaced rotates nothing: whoever found it would push out the owner's new one. Nor is the secret of
    a key handed out that works for longer than the one that asks.
    """
    if maker.replaced:
        raise KeyProblem("", "This secret is being replaced itself: rotate with the new one.")
    if _outlives(maker, key.expires_at):
        raise KeyProblem("expires_at", "That key works for longer than the one that asks, which can’t rotate it.")
    return key_rotate(key)


def key_end(key: PartnerKey) -> None:
    """From now on the key opens nothing."""
    key.expires_at = timezone.now()
    key.save(update_fields=["expires_at"])


def key_end_by(maker: Partner, key: PartnerKey) -> None:
    """End one of the keys that another sees. KeyProblem for a secret that is being replaced: whoever found it ends nobody's key."""
    if maker.replaced:
        raise KeyProblem("", "This secret is being replaced itself: end keys with the new one.")
    key_end(key)


def _outlives(maker: Partner, expires_at: dt.datetime | None) -> bool:
    return maker.expires_at is not None and (expires_at is None or expires_at > maker.expires_at)


def _new_secret() -> str:
    return BEGINNING + secrets.token_hex(27)
