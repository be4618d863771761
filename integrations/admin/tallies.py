"""What charts, figures and lists count. Each is one query over an index made for it, bounded by 14 days."""

from __future__ import annotations

import datetime as dt
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import CharField, Count, F, Func, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from integrations.models import Delivery, DeliveryState, Integration, StatusUpdate, VerdictState
from integrations.selections import JUDGED_VERDICTS
from leads.models import Campaign, Lead

DAYS = 14
# Times are the medians of a sample of about so many: reading each lead of 14 days would take longer than it tells.
SAMPLE = 1_000


class Day(Func):
    """The day of a moment in UTC, as text: cheaper by far than a date for the databases that count by it."""

    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template="substr(%(expressions)s, 1, 10)", **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        return super().as_sql(compiler, connection, template=template, **context)


class Word(Func):
    """A word that stands in the SQL itself: SQLite uses a partial index only where it sees the words of its condition."""

    def __init__(self, word: str) -> None:
        super().__init__(template=f"'{word}'", output_field=CharField())


TROUBLE = (DeliveryState.HELD, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED)


def in_trouble() -> QuerySet[Delivery]:
    """Deliveries that wait for a person."""
    return Delivery.objects.filter(state__in=[Word(state) for state in TROUBLE])


def midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time.min, dt.UTC)


def _integrations(campaign_id: int | None) -> QuerySet[Integration]:
    rows = Integration.objects.filter(managed=False).order_by()
    return rows if campaign_id is None else rows.filter(campaign=campaign_id)


def _since(since: dt.date) -> dt.datetime:
    return midnight(since)


def leads_by_day(since: dt.date, campaign_id: int | None = None) -> Counter[tuple[str, str]]:
    """(day, status) to how many leads came; tests are not counted."""
    campaigns = Campaign.objects.order_by()
    if campaign_id is not None:
        campaigns = campaigns.filter(pk=campaign_id)
    rows = (
        Lead.objects.filter(campaign__in=campaigns.values("pk"), created_at__gte=_since(since))
        .order_by()
        .values_list(Day("created_at"), "status")
        .annotate(count=Count("*"))
    )
    return Counter({(day, status): count for day, status, count in rows if status != "test"})


def delivered_by_day(since: dt.date, campaign_id: int | None = None) -> Counter[str]:
    """Day to how many leads were delivered."""
    rows = (
        Delivery.objects.filter(
            integration__in=_integrations(campaign_id).values("pk"), delivered_at__gte=_since(since), test=False
        )
        .order_by()
        .values_list(Day("delivered_at"))
        .annotate(count=Count("*"))
    )
    return Counter(dict(rows))


@dataclass(slots=True)
class Verdicts:
    """What clients decided: by day, and by integration."""

    by_day: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_integration: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def between(self, first: dt.date, last: dt.date) -> tuple[int, int]:
        """Of these days: how many valid, of how many."""
        days = [(day, state, n) for (day, state), n in self.by_day.items() if f"{first}" <= day <= f"{last}"]
        return sum(n for _, state, n in days if state == VerdictState.VALID), sum(n for *_, n in days)


def verdicts(since: dt.date, campaign_id: int | None = None) -> Verdicts:
    """What clients decided since that day, of leads that were no tests."""
    found = Verdicts()
    rows = (
        Delivery.objects.filter(
            integration__in=_integrations(campaign_id).values("pk"), decided_at__gte=_since(since), test=False
        )
        .order_by()
        .values_list("integration_id", Day("decided_at"), "verdict")
        .annotate(count=Count("*"))
    )
    for integration_id, day, verdict, count in rows:
        if verdict in JUDGED_VERDICTS:
            found.by_day[day, verdict] += count
            found.by_integration[integration_id][verdict] += count
    return found


@dataclass(slots=True)
class Waits:
    """Day to the median of seconds from a lead's arrival."""

    to_delivery: dict[str, float] = field(default_factory=dict)
    to_verdict: dict[str, float] = field(default_factory=dict)


def waits_by_day(since: dt.date, total: int, campaign_id: int | None = None) -> Waits:
    """How long leads that were delivered since that day took from arrival to delivery, and to the client's verdict.

    `total` is about how many there are: of more than a sample's worth, every n-th is read.
    """
    rows = Delivery.objects.filter(
        integration__in=_integrations(campaign_id).values("pk"), test=False, delivered_at__gte=_since(since)
    ).order_by()
    if total > 2 * SAMPLE:
        rows = rows.annotate(place=F("id") % (total // SAMPLE)).filter(place=0)
    delivery: dict[str, list[float]] = defaultdict(list)
    verdict: dict[str, list[float]] = defaultdict(list)
    for delivered_at, decided_at, came in rows.values_list("delivered_at", "decided_at", "lead__created_at")[
        : 3 * SAMPLE
    ]:
        if came is None or delivered_at is None:
            continue
        delivery[f"{delivered_at:%Y-%m-%d}"].append(max((delivered_at - came).total_seconds(), 0))
        if decided_at is not None:
            verdict[f"{decided_at:%Y-%m-%d}"].append(max((decided_at - came).total_seconds(), 0))
    return Waits(_medians(delivery), _medians(verdict))


def _medians(found: Mapping[str, list[float]]) -> dict[str, float]:
    return {day: statistics.median(seconds) for day, seconds in found.items()}


@dataclass(slots=True)
class JobNumbers:
    """What an integration has done and what waits for it."""

    delivered_today: int = 0
    queued: int = 0
    held: int = 0
    valid: int = 0
    judged: int = 0
    last_verdict: dt.datetime | None = None

    @property
    def waiting(self) -> int:
        return self.queued + self.held


def job_numbers(integration_ids: Collection[int]) -> Mapping[int, JobNumbers]:
    """For the integrations of one campaign: five queries, however many there are."""
    found = {pk: JobNumbers() for pk in integration_ids}
    of_them = Delivery.objects.filter(integration__in=list(integration_ids)).order_by()
    today = timezone.localdate()
    for pk, count in _counted(of_them.filter(delivered_at__gte=midnight(today), test=False)):
        found[pk].delivered_today = count
    for pk, count in _counted(of_them.filter(state=DeliveryState.QUEUED)):
        found[pk].queued = count
    for pk, count in _counted(of_them.filter(state=DeliveryState.HELD)):
        found[pk].held = count
    decided = of_them.filter(decided_at__gte=midnight(today - dt.timedelta(days=DAYS - 1)), test=False)
    shares = decided.values_list("integration_id").annotate(
        valid=Count("pk", filter=Q(verdict=VerdictState.VALID)),
        judged=Count("pk", filter=Q(verdict__in=JUDGED_VERDICTS)),
    )
    for pk, valid, judged in shares:
        found[pk].valid, found[pk].judged = valid, judged
    newest = Delivery.objects.filter(integration=OuterRef("pk"), decided_at__isnull=False).order_by("-decided_at")
    rows = Integration.objects.filter(pk__in=list(integration_ids)).order_by()
    for pk, last in rows.values_list("pk").annotate(last=Subquery(newest.values("decided_at")[:1])):
        found[pk].last_verdict = last
    return found


def _counted(rows: QuerySet[Delivery]) -> list[tuple[int, int]]:
    return list(rows.values_list("integration_id").annotate(count=Count("*")))


def conflicts(since: dt.date) -> int:
    """Verdicts of these days that contradict what was known here."""
    return StatusUpdate.objects.filter(state=StatusUpdate.State.CONFLICTING, received_at__gte=_since(since)).count()
