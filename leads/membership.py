"""Who is in which audience, kept up as events come and as time passes (docs/audiences.md, "How it is computed").

Only persons are looked at to whom something happened (Touched), or whose answer may change by time alone
(Membership.next_change_at), or who have not been looked at since the rule was changed (Audience.built_to). Each is then looked
at by their own events, read by an index. One transaction that changes members runs at a time.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Q

from leads import clock
from leads.audience_rules import answer
from leads.database import insert_rows
from leads.models import Audience, AudienceCount, Membership, Person, Touched
from leads.person_facts import Known, persons_known
from leads.wake import wake

# The stage that works what waits here; named, never imported.
AUDIENCE_TASK = "integrations.update_audiences"
BATCH = 500
REMOVE_BATCH = 5_000
# A worker lets others have their turn after this.
SLICE_SECONDS = 5.0
COUNT_EVERY = dt.timedelta(minutes=15)
_ARRIVALS = 50
# Of PostgreSQL's advisory locks, the one of this stage.
_LOCK = 0x6D65_6D62_6572

_COLUMNS = (
    "audience",
    "generation",
    "person",
    "member",
    "value",
    "user_id",
    "devices",
    "since",
    "next_change_at",
    "turn",
)
_REPLACED = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[3:])


def persons_touch(campaign_id: int, person_ids: Iterable[int]) -> None:
    """Let audiences look at these persons, in the transaction in which something happened to them.

    Also where there is no audience: one may be made in another transaction that does not see these persons yet.
    """
    ids = sorted(set(person_ids))
    if not ids:
        return
    insert_rows(Touched, ("campaign", "person_ids"), [(campaign_id, ids)])
    if Audience.objects.filter(campaign=campaign_id, enabled=True).exists():
        wake(AUDIENCE_TASK)


def memberships_due(now: dt.datetime | None = None) -> bool:
    """Whether anybody waits to be looked at."""
    now = now or clock.now()
    return (
        Touched.objects.exists()
        or Membership.objects.filter(next_change_at__lte=now).exists()
        or _at_work().exists()
        or _uncounted(now).exists()
    )


def memberships_update(now: dt.datetime | None = None, *, slice_s: float | None = SLICE_SECONDS) -> int:
    """Look at all who wait, a batch in a transaction; how many looks that were.

    `now` is for tests and previews of time: members are as they are then. After `slice_s` seconds others have their turn.
    """
    total, turn, until = 0, 0, time.monotonic() + slice_s if slice_s is not None else None
    while (count := _batch(now or clock.now(), turn)) is not None:
        total, turn = total + count, turn + 1
        if until is not None and time.monotonic() > until:
            wake(AUDIENCE_TASK)
            break
    return total


def membership_locked(*, wait: bool = False) -> bool:
    """Keep others from changing members until this transaction ends; False where one is at it and we do not wait."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            return True
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _batch(now: dt.datetime, turn: int = 0) -> int | None:
    """One batch of whatever waits; None where nothing does, or another worker is at it.

    Each kind of work is the first in its turn: however many events come, a changed rule is computed beside them.
    """
    with transaction.atomic():
        if not membership_locked():
            return None
        steps: tuple[Callable[[dt.datetime], int | None], ...] = (_touched, _due, _build, _leftovers, _count)
        begin = turn % len(steps)
        in_turn = steps[begin:] + steps[:begin]
        return next((count for step in in_turn if (count := step(now)) is not None), None)


# --- who waits ----------------------------------------------------------------------------------------------


def _touched(now: dt.datetime) -> int | None:
    rows = list(Touched.objects.order_by("pk")[:_ARRIVALS])
    if not rows:
        return None
    campaign_id = rows[0].campaign_id
    taken: list[int] = []
    ids: set[int] = set()
    for row in rows:
        if row.campaign_id == campaign_id and (not ids or len(ids) + len(row.person_ids) <= BATCH):
            taken.append(row.pk)
            ids |= set(row.person_ids)
    audiences = list(Audience.objects.filter(campaign=campaign_id, enabled=True))
    people = sorted(ids)
    for start in range(0, len(people), BATCH):
        _look(audiences, people[start : start + BATCH], now)
    Touched.objects.filter(pk__in=taken).delete()
    return len(ids)


def _due(now: dt.datetime) -> int | None:
    rows = list(
        Membership.objects.filter(next_change_at__lte=now)
        .order_by("next_change_at")
        .values_list("pk", "audience_id", "generation", "person_id")[:BATCH]
    )
    if not rows:
        return None
    audiences = {row.pk: row for row in Audience.objects.filter(pk__in={row[1] for row in rows}, enabled=True)}
    people: dict[int, set[int]] = {}
    idle = []
    for pk, audience_id, generation, person_id in rows:
        kept_up = audiences[audience_id].generations() if audience_id in audiences else []
        if generation in dict(kept_up):
            people.setdefault(audience_id, set()).add(person_id)
        else:
            idle.append(pk)
    for audience_id, ids in people.items():
        _look([audiences[audience_id]], sorted(ids), now)
    # Nobody keeps these up: they do not wait any more.
    Membership.objects.filter(pk__in=idle).update(next_change_at=None)
    return len(rows)


def _at_work() -> Any:
    return Audience.objects.filter(Q(enabled=True, building__isnull=False) | Q(leftovers=True))


def _build(now: dt.datetime) -> int | None:
    audience = Audience.objects.filter(enabled=True, building__isnull=False).order_by("built", "pk").first()
    if audience is None or audience.building is None:
        return None
    persons = Person.objects.filter(
        campaign=audience.campaign_id, pk__gt=audience.built_to, pk__lte=audience.build_until
    )
    ids = list(persons.order_by("pk").values_list("pk", flat=True)[:BATCH])
    if ids:
        _look([audience], ids, now, only=audience.building)
        Audience.objects.filter(pk=audience.pk).update(built_to=ids[-1], built=audience.built + len(ids))
        return len(ids)
    Audience.objects.filter(pk=audience.pk).update(
        generation=audience.building,
        rule_in_force=audience.rule,
        computed_at=now,
        building=None,
        leftovers=True,
        counted_at=None,
    )
    return 0


def _leftovers(now: dt.datetime) -> int | None:
    audience = Audience.objects.filter(leftovers=True).first()
    if audience is None:
        return None
    kept = [generation for generation, _ in audience.generations()]
    rows = Membership.objects.filter(audience=audience).exclude(generation__in=kept).values("pk")[:REMOVE_BATCH]
    if not Membership.objects.filter(pk__in=list(rows.values_list("pk", flat=True))).delete()[0]:
        Audience.objects.filter(pk=audience.pk).update(leftovers=False)
    return 0


# --- looking at persons -------------------------------------------------------------------------------------


class _Row(NamedTuple):
    member: bool
    value: Any
    user_id: str
    devices: int
    since: dt.datetime
    next_change_at: dt.datetime | None


def _look(audiences: Sequence[Audience], ids: Sequence[int], now: dt.datetime, *, only: int | None = None) -> None:
    """Answer the audiences' rules for these persons and write what is new; of all generations kept up, or one only."""
    rules = [
        (audience, generation, rule)
        for audience in audiences
        for generation, rule in audience.generations()
        if only in (None, generation)
    ]
    if not rules:
        return
    people = persons_known(ids, [rule for _, _, rule in rules], now)
    if len(people) < len(ids):
        Membership.objects.filter(person__in=set(ids) - set(people)).delete()
    before = _before(audiences, people)
    for audience in audiences:
        rows: list[tuple[Any, ...]] = []
        for _, generation, rule in (each for each in rules if each[0] is audience):
            for person_id, known in people.items():
                was = before.get((audience.pk, generation, person_id))
                other = None if was else before.get((audience.pk, audience.generation, person_id))
                row = _answered(rule, known, was, other, now)
                if row is None or row == was:
                    continue
                news = was is None or row[:4] != was[:4]
                turn = audience.turn + 1 if news else None
                rows.append((audience.pk, generation, person_id, *row, turn))
        _write(audience, rows)


def _before(audiences: Sequence[Audience], people: Collection[int]) -> dict[tuple[int, int, int], _Row]:
    rows = Membership.objects.filter(audience__in=audiences, person__in=people).values_list(
        "audience_id", "generation", "person_id", *_COLUMNS[3:9]
    )
    return {(row[0], row[1], row[2]): _Row(*row[3:]) for row in rows}


def _answered(rule: Any, known: Known, was: _Row | None, other: _Row | None, now: dt.datetime) -> _Row | None:
    """The person's row; None where none is needed. `was`: their row until now; `other`: that of the generation in force.

    Who was in once keeps a row, so that those who were told of it are told that it is over.
    """
    found = answer(rule, known.facts, now)
    former = was or other
    if former is None and not found.member and found.next_change_at is None:
        return None
    same = former is not None and (former.member, former.value) == (found.member, found.value)
    since = former.since if same and former is not None else now
    return _Row(found.member, found.value, known.user_id, known.devices, since, found.next_change_at)


def _write(audience: Audience, rows: Sequence[tuple[Any, ...]]) -> None:
    if not rows:
        return
    news = [row for row in rows if row[-1] is not None]
    rest = [row for row in rows if row[-1] is None]
    if news:
        audience.turn += 1
        Audience.objects.filter(pk=audience.pk).update(turn=audience.turn)
        insert_rows(
            Membership,
            _COLUMNS,
            news,
            on_conflict=f"(audience_id, generation, person_id) DO UPDATE SET {_REPLACED}",
        )
    if rest:
        # Nothing that anybody is told: only when they are to be looked at next.
        insert_rows(
            Membership,
            _COLUMNS,
            [(*row[:-1], 0) for row in rest],
            on_conflict=(
                "(audience_id, generation, person_id) DO UPDATE SET "
                "next_change_at = excluded.next_change_at, since = excluded.since"
            ),
        )


# --- how many -----------------------------------------------------------------------------------------------


def members_count(audience: Audience) -> int:
    """How many are in an audience, or have a value, now."""
    return Membership.objects.filter(audience=audience, generation=audience.generation, member=True).count()


def _uncounted(now: dt.datetime) -> Any:
    late = Q(counted_at__isnull=True) | Q(counted_at__lt=now - COUNT_EVERY)
    return Audience.objects.filter(late, enabled=True, generation__gt=0)


def _count(now: dt.datetime) -> int | None:
    audience = _uncounted(now).first()
    if audience is None:
        return None
    insert_rows(
        AudienceCount,
        ("audience", "day", "members"),
        [(audience.pk, now.date(), members_count(audience))],
        on_conflict="(audience_id, day) DO UPDATE SET members = excluded.members",
    )
    Audience.objects.filter(pk=audience.pk).update(counted_at=now)
    return 0
