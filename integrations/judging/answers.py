"""Answers to what jobs ask about a whole batch of leads: one statement for each kind of question, however many jobs there are.

Of leads of the same batch that were judged before there are no rows yet, or those of an earlier judgement; `Neighbours` knows
them as they stand by this one.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection

from integrations.judging.lead_keys import GOOD, KeyRow, Kinds, Place, places_asked, spaces_asked, spaces_lock
from integrations.kit.jobs import CannotJudge, JobLead, Listed, PostsBefore, Question, SeenBefore
from leads.models import Flag, Held, Status

LIST_GONE = "The list that it looks values up in is gone. Choose another one."
# Whoever asks how many came before wants to know whether it is one, or a few hundred.
MOST_POSTS = 100_001
_ROWS = 2_000
_FIRST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
_ANY_ID = 2**62

# As leads stand now, whoever changed them since they were judged.
_STANDS = {
    "all": "",
    "valid": """ AND k.good AND EXISTS (SELECT 1 FROM leads_lead AS l WHERE l.id = k.lead_id
        AND (l.flag = 'valid' OR (l.flag = '' AND l.status = 'valid')))""",
    "billable": """ AND k.good AND EXISTS (SELECT 1 FROM leads_lead AS l WHERE l.id = k.lead_id AND l.held = ''
        AND l.billable IS NOT FALSE AND l.flag IN ('', 'valid') AND l.status IN ('valid', 'caution'))""",
}
_RANGE = "k.kind_id = q.kind AND k.digest = q.digest AND k.received_at BETWEEN q.since AND q.until"
_OTHERS = "k.lead_id <> q.self AND k.lead_id < q.below{mates}"
_NO_MATES = " AND k.lead_id NOT IN (SELECT id FROM mates)"
_NEWEST = f"""SELECT q.n, (SELECT k.lead_id FROM leads_leadkey AS k WHERE {_RANGE} AND {_OTHERS}{{stands}}
    ORDER BY k.received_at DESC, k.lead_id DESC LIMIT 1) FROM q"""  # noqa: S608  words of our own
_HOW_MANY = f"""SELECT q.n, (SELECT count(*) FROM (SELECT 1 FROM leads_leadkey AS k WHERE {_RANGE} AND {_OTHERS}
    LIMIT {MOST_POSTS}) AS these) FROM q"""  # noqa: S608
_KEYS = (
    ("n", "bigint"), ("kind", "smallint"), ("digest", "bigint"), ("since", "timestamptz"), ("until", "timestamptz"),
    ("self", "bigint"), ("below", "bigint"),
)  # fmt: skip
_LISTED = """SELECT q.n, l.id, i.key, i.value FROM q LEFT JOIN integrations_valuelist AS l ON l.id = q.list
    LEFT JOIN integrations_valuelistitem AS i ON i.list_id = l.id AND i.generation = l.generation AND i.key = q.key"""
_ENTRIES = (("n", "bigint"), ("list", "bigint"), ("key", "text"))


class Asked(NamedTuple):
    """A question, and the lead that it is about."""

    lead: JobLead
    question: Question


class Bounds(NamedTuple):
    """Which other leads count for a question: when they were received, and below which id."""

    since: dt.datetime
    until: dt.datetime
    below: int


def bounds(asked: Asked, *, again: bool) -> Bounds:
    """What the question's times come to.

    A lead that is judged for the first time is compared with all that were judged before it, so that of two that come at once
    the second fails, in whichever order workers take them. With `again` it is compared with earlier ones alone: later ones
    may be what was compared with it.
    """
    lead, question = asked
    if isinstance(question, PostsBefore):
        span = dt.timedelta(seconds=question.seconds)
        since, until = lead.received_at - span, lead.received_at + span
    else:
        assert isinstance(question, SeenBefore)
        since, until = question.since or _FIRST, question.until or _LAST
    return Bounds(since, min(until, lead.received_at), lead.id) if again else Bounds(since, until, _ANY_ID)


def answers_find(asked: Sequence[Asked], kinds: Kinds, *, again: bool, mates: Collection[int] = ()) -> list[Any]:
    """The answers in the order of the questions (integrations/kit/jobs.py); CannotJudge itself where there can be none.

    `mates` are leads that are left out: those of the same batch, of which the tables have what an earlier judgement made of them.
    """
    answers: list[Any] = [None] * len(asked)
    lookups: dict[str, list[tuple[Any, ...]]] = {}
    entries: list[tuple[Any, ...]] = []
    for n, (lead, question) in enumerate(asked):
        if isinstance(question, Listed):
            answers[n] = CannotJudge(LIST_GONE)
            entries.append((n, question.list_id, question.key.replace("\x00", "")))
            continue
        answers[n] = 0
        try:
            places = places_asked(question, lead, kinds)
        except CannotJudge as cannot:
            answers[n] = cannot
            continue
        since, until, below = bounds(asked[n], again=again)
        kind: str = "posts" if isinstance(question, PostsBefore) else question.against
        lookups.setdefault(kind, []).extend((n, *place, since, until, lead.id, below) for place in places)
    for kind, rows in lookups.items():
        left_out = _NO_MATES if mates else ""
        sql = (_HOW_MANY if kind == "posts" else _NEWEST).format(stands=_STANDS.get(kind, ""), mates=left_out)
        for n, found in _ask(sql, _KEYS, rows, mates):
            answers[n] = max(answers[n], found or 0)
    for n, list_id, key, value in _ask(_LISTED, _ENTRIES, entries):
        if list_id is not None:
            answers[n] = value if key is not None else None
    return answers


def questions_lock(asked: Sequence[Asked], kinds: Kinds, also: Collection[int] = ()) -> None:
    """Make sure that nobody else answers the same questions until this transaction has written what they are about.

    `also` are the spaces of what it writes (spaces_kept).
    """
    spaces = set(also)
    for lead, question in asked:
        if not isinstance(question, Listed):
            try:
                spaces |= spaces_asked(question, lead, kinds)
            except CannotJudge:
                continue
    spaces_lock(spaces)


def _ask(
    sql: str, columns: Sequence[tuple[str, str]], rows: Sequence[tuple[Any, ...]], mates: Collection[int] = ()
) -> list[tuple[Any, ...]]:
    """Run a query over a table q of these rows, and one of the ids of `mates` where there are any."""
    found: list[tuple[Any, ...]] = []
    postgres = connection.vendor == "postgresql"
    more, their_ids = "", list[Any]()
    if mates:
        ids = "SELECT unnest(%s::bigint[])" if postgres else "SELECT value FROM json_each(%s)"
        more, their_ids = f", mates(id) AS ({ids})", [list(mates) if postgres else json.dumps(list(mates))]
    names = ", ".join(name for name, _ in columns)
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        params: list[Any]
        if postgres:
            arrays = ", ".join(f"%s::{kind}[]" for _, kind in columns)
            source = f"SELECT * FROM unnest({arrays})"  # noqa: S608
            params = [list(column) for column in zip(*part, strict=True)]
        else:
            one = f"({', '.join(['%s'] * len(columns))})"
            source = f"VALUES {', '.join([one] * len(part))}"
            adapt = connection.ops.adapt_datetimefield_value
            params = [adapt(value) if isinstance(value, dt.datetime) else value for row in part for value in row]
        with connection.cursor() as cursor:
            cursor.execute(f"WITH q({names}) AS ({source}){more} {sql}", params + their_ids)
            found += cursor.fetchall()
    return found


class _Known(NamedTuple):
    lead_id: int
    received_at: dt.datetime
    status: str
    flag: str
    held: str
    billable: bool | None


@dataclass(slots=True)
class Neighbours:
    """Leads of a batch that were judged already, by their keys."""

    again: bool = False
    _known: dict[Place, list[_Known]] = field(default_factory=dict)

    def add(self, keys: Sequence[KeyRow], status: str, flag: str, held: str, billable: bool | None) -> None:
        """A lead stands so, and has these keys."""
        for key in keys:
            entry = _Known(key.lead, key.received_at, status, flag, held, billable)
            self._known.setdefault(Place(key.kind, key.digest), []).append(entry)

    def answer(self, asked: Asked, kinds: Kinds, found: Any) -> Any:
        """The answer from the tables, with what is known of this batch."""
        question = asked.question
        if isinstance(question, Listed) or isinstance(found, CannotJudge) or not self._known:
            return found
        since, until, below = bounds(asked, again=self.again)
        near = [
            entry
            for place in places_asked(question, asked.lead, kinds)
            for entry in self._known.get(place, ())
            if since <= entry.received_at <= until and entry.lead_id < below
        ]
        if isinstance(question, PostsBefore):
            return found + len(near)
        return found or next((entry.lead_id for entry in reversed(near) if _counts(question.against, entry)), 0)


def _counts(against: str, entry: _Known) -> bool:
    match against:
        case "valid":
            return (entry.flag or entry.status) == Status.VALID
        case "billable":
            not_denied = entry.flag in ("", Flag.VALID)
            return not_denied and entry.status in GOOD and entry.held == Held.NO and entry.billable is not False
    return True


def merged(kinds: Sequence[Mapping[tuple[str, str], int]]) -> dict[tuple[str, str], int]:
    """The kinds of keys that several campaigns know."""
    return {name: pk for each in kinds for name, pk in each.items()}
