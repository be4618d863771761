"""Keys of leads: by what a question about earlier leads is answered, whichever leads are meant (leads/models/lead_key.py).

The owner of a scope (this campaign, this publisher) goes into the digest with the normal forms. So one range of an index answers
a question, whatever else was ever posted, and its cost grows with the logarithm of the keys kept.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from django.db import connection

from integrations.judging.job_sets import JobSet
from integrations.kit.jobs import CannotJudge, JobLead, PostsBefore, SeenBefore
from leads.database import insert_rows
from leads.models import Flag, LeadKey, Status

Kinds = Mapping[tuple[str, str], int]
# What can ever count as valid or billable.
GOOD = frozenset({Status.VALID, Status.CAUTION})
MOST_FIELDS_CHARS = 1_000
NO_KEYS = "Its keys were never made. Save the job again."


def may_count(status: str, flag: str) -> bool:
    """Whether a lead that stands so may count as valid or billable: what its keys say of it (LeadKey.good)."""
    return status in GOOD or flag == Flag.VALID


class Place(NamedTuple):
    """Where keys of the same values lie: a kind of keys and a digest."""

    kind_id: int
    digest: int


class KeyRow(NamedTuple):
    """A key to be written; its fields are columns of LeadKey."""

    kind: int
    digest: int
    received_at: dt.datetime
    lead: int
    good: bool


def kind_of(question: SeenBefore | PostsBefore) -> tuple[str, str]:
    """Which kind of keys answers a question: its scope, and its fields as the table has them.

    Named campaigns are looked up one by one, by the keys of each.
    """
    return kind_named(question.scope, () if isinstance(question, PostsBefore) else question.fields)


@lru_cache(maxsize=1_000)
def kind_named(scope: str, fields: tuple[str, ...]) -> tuple[str, str]:
    """Scope and fields as KeyKind keeps them; no fields: the address that a lead was sent from."""
    text = json.dumps(list(fields)) if fields else ""
    if len(text) > MOST_FIELDS_CHARS:
        text = hashlib.sha256(text.encode()).hexdigest()
    return "campaign" if scope == "campaigns" else scope, text


def digest(owner: Sequence[int], values: Sequence[str]) -> int:
    """64 bits of whose and what; the same in every process and every version."""
    said = json.dumps([list(owner), list(values)]).encode("ascii")
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big", signed=True)


def _owner(scope: str, lead: JobLead) -> tuple[int, ...]:
    match scope:
        case "publisher_campaign":
            return (lead.campaign_id, lead.publisher_id)
        case "campaign":
            return (lead.campaign_id,)
        case "publisher":
            return (lead.publisher_id,)
        case "advertiser":
            return (lead.advertiser_id,)
    return ()


def _kind_id(question: SeenBefore | PostsBefore, kinds: Kinds) -> int:
    try:
        return kinds[kind_of(question)]
    except KeyError:
        raise CannotJudge(NO_KEYS) from None


def places_asked(question: SeenBefore | PostsBefore, lead: JobLead, kinds: Kinds) -> list[Place]:
    """Where to look for earlier leads. CannotJudge where such keys were never made."""
    kind_id = _kind_id(question, kinds)
    if isinstance(question, PostsBefore):
        return [Place(kind_id, digest(_owner(question.scope, lead), [question.ip]))] if question.ip else []
    if question.scope == "campaigns":
        return [Place(kind_id, digest((campaign_id,), question.normal)) for campaign_id in question.campaigns]
    return [Place(kind_id, digest(_owner(question.scope, lead), question.normal))]


def spaces_asked(question: SeenBefore | PostsBefore, lead: JobLead, kinds: Kinds) -> set[int]:
    """What two judgements that ask this have to share, as numbers for locks: all keys of that kind and owner."""
    kind_id = _kind_id(question, kinds)
    if isinstance(question, SeenBefore) and question.scope == "campaigns":
        return {digest((kind_id, campaign_id), ["lock"]) for campaign_id in question.campaigns}
    return {digest((kind_id, *_owner(question.scope, lead)), ["lock"])}


def spaces_kept(kept: Iterable[SeenBefore | PostsBefore], lead: JobLead, kinds: Kinds) -> set[int]:
    """The same of the questions that a lead's keys answer: who asks them must not be told before those are written.

    Two leads of campaigns whose jobs name only each other ask for different keys, and each writes what the other asks for.
    """
    return {digest((kinds[kind], *_owner(kind[0], lead)), ["lock"]) for kind in map(kind_of, kept)}


def questions_kept(lead: JobLead, jobs: JobSet) -> Iterator[SeenBefore | PostsBefore]:
    """What is to be answered by this lead for others after it: to its campaign's own jobs and to those of others that compare
    with it. A kind that fails on it wants nothing of it."""
    for writer in jobs.writers:
        try:
            questions = list(writer.asks(lead))
        except Exception:  # noqa: BLE001, S112  the job itself says so where it judges
            continue
        own = writer.campaign_id == lead.campaign_id
        for question in questions:
            if not isinstance(question, SeenBefore | PostsBefore) or kind_of(question) not in jobs.kinds:
                continue
            if _meant(question, lead, own):
                yield question


def keys_of(lead: JobLead, kept: Iterable[SeenBefore | PostsBefore], kinds: Kinds, good: bool) -> Iterator[KeyRow]:
    """The keys of a lead by which these questions are answered (questions_kept)."""
    seen: set[Place] = set()
    for question in kept:
        values = [question.ip] if isinstance(question, PostsBefore) else question.normal
        place = Place(kinds[kind_of(question)], digest(_owner(kind_of(question)[0], lead), values))
        if place not in seen and all(values):
            seen.add(place)
            yield KeyRow(*place, lead.received_at, lead.id, good)


def _meant(question: SeenBefore | PostsBefore, lead: JobLead, own: bool) -> bool:
    if isinstance(question, SeenBefore) and question.scope == "campaigns":
        return lead.campaign_id in question.campaigns
    return own or question.scope not in ("campaign", "publisher_campaign")


def keys_write(rows: Iterable[KeyRow]) -> None:
    """Write keys in the caller's transaction; what is there stays."""
    ordered = sorted(rows)
    for start in range(0, len(ordered), 2_000):
        insert_rows(LeadKey, KeyRow._fields, ordered[start : start + 2_000], on_conflict="DO NOTHING")


def keys_rewrite(lead_ids: Sequence[int], rows: Iterable[KeyRow]) -> None:
    """Write the keys of leads that are judged once more, instead of those that they had."""
    LeadKey.objects.filter(lead__in=lead_ids).delete()
    keys_write(rows)


def spaces_lock(spaces: Iterable[int]) -> None:
    """Let nobody else judge by these keys until the transaction ends; in one order, so that nobody waits in a circle.

    SQLite has one writer at a time, and its transactions begin as writers.
    """
    numbers = sorted(set(spaces))
    if numbers and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(s.n) FROM (SELECT n FROM unnest(%s::bigint[]) AS n ORDER BY n) AS s",
                [numbers],
            )
