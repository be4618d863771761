"""What jobs made of leads, counted by job, publisher and day: written with the judgements, read by pages."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Sum

from integrations.judging.job_sets import JobSet
from integrations.judging.weighing import Judged
from integrations.models import JobReason, JobTally
from integrations.models.job import REASON_CHARS
from leads.database import insert_rows
from leads.models import Lead
from leads.personal import personal_values, without

MOST_REASONS = 50
OTHERS = "Other reasons"

_TALLY = ("job", "day", "publisher", "passed", "failed", "unjudged")
_ADD_TALLY = "(job_id, day, publisher_id) DO UPDATE SET " + ", ".join(
    f"{name} = integrations_jobtally.{name} + EXCLUDED.{name}" for name in _TALLY[3:]
)
_REASON = ("job", "day", "publisher", "reason", "times")
_ADD_REASON = "(job_id, day, publisher_id, reason) DO UPDATE SET times = integrations_jobreason.times + EXCLUDED.times"


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of leads at a job. `job_id`, `publisher_id` and `day` are None where they were added up."""

    job_id: int | None
    publisher_id: int | None
    day: dt.date | None
    passed: int
    failed: int
    unjudged: int

    @property
    def share(self) -> float | None:
        """How many of those that it judged passed, 0 to 1; None where it judged none."""
        judged = self.passed + self.failed
        return self.passed / judged if judged else None


def tallies_add(
    judged: Mapping[int, Judged], leads: Iterable[Lead], sets: Mapping[int, JobSet], now: dt.datetime
) -> None:
    """Count a batch of judgements in the transaction that writes them. Test leads do not count."""
    outcomes: Counter[tuple[int, dt.date, int, str]] = Counter()
    reasons: Counter[tuple[int, dt.date, int, str]] = Counter()
    days = {campaign_id: now.astimezone(jobs.zone).date() for campaign_id, jobs in sets.items()}
    for lead in leads:
        found = judged[lead.pk]
        if lead.is_test:
            continue
        day = days[lead.campaign_id]
        for job_id, outcome in found.outcomes:
            outcomes[job_id, day, lead.publisher_id, outcome] += 1
        if found.failed:
            # Reasons name fields, and "email" may also be how somebody wants to be reached.
            names = {key.casefold() for key in sets[lead.campaign_id].inputs}
            posted = personal_values(lead.values, lead.ip or "", *(found.enriched or {}).values())
            personal = [value for value in posted if value.casefold() not in names]
            for entry in found.failed:
                if entry["job"] is not None:
                    reason = without(entry["reason"], personal)[:REASON_CHARS]
                    reasons[entry["job"], day, lead.publisher_id, reason] += 1
    keys = sorted({key[:3] for key in outcomes})
    rows = [key + tuple(outcomes[(*key, outcome)] for outcome in _TALLY[3:]) for key in keys]
    insert_rows(JobTally, _TALLY, rows, on_conflict=_ADD_TALLY)
    _reasons_add(reasons)


def _reasons_add(reasons: Counter[tuple[int, dt.date, int, str]]) -> None:
    if not reasons:
        return
    known: dict[tuple[int, dt.date, int], set[str]] = {}
    kept = JobReason.objects.filter(
        job__in={key[0] for key in reasons},
        day__in={key[1] for key in reasons},
        publisher__in={key[2] for key in reasons},
    )
    for job_id, day, publisher_id, reason in kept.values_list(*_REASON[:4]):
        known.setdefault((job_id, day, publisher_id), set()).add(reason)
    bounded: Counter[tuple[int, dt.date, int, str]] = Counter()
    for (job_id, day, publisher_id, reason), times in sorted(reasons.items(), key=lambda entry: -entry[1]):
        there = known.setdefault((job_id, day, publisher_id), set())
        if reason not in there and len(there) >= MOST_REASONS:
            reason = OTHERS
        there.add(reason)
        bounded[job_id, day, publisher_id, reason] += times
    rows = [(*key, times) for key, times in sorted(bounded.items())]
    insert_rows(JobReason, _REASON, rows, on_conflict=_ADD_REASON)


# --- read ----------------------------------------------------------------------------------------------------


def job_tallies(
    job_ids: Collection[int],
    *,
    since: dt.date | None = None,
    until: dt.date | None = None,
    publisher_id: int | None = None,
    by: Collection[str] = ("job",),
) -> list[Tally]:
    """What became of leads (of one publisher, if given) at these jobs in these days, both included, added up but `by` job,
    publisher, day."""
    rows = _within(JobTally.objects.filter(job__in=job_ids), since, until, publisher_id)
    names = [name for name in ("job", "publisher", "day") if name in by]
    sums = {name: Sum(name) for name in _TALLY[3:]}
    found = rows.order_by(*names).values(*names).annotate(**sums) if names else [rows.aggregate(**sums)]
    return [
        Tally(row.get("job"), row.get("publisher"), row.get("day"), *(row[name] or 0 for name in _TALLY[3:]))
        for row in found
    ]


def job_reasons(
    job_ids: Collection[int],
    *,
    since: dt.date | None = None,
    until: dt.date | None = None,
    publisher_id: int | None = None,
    most: int = 20,
) -> list[tuple[int, str, int]]:
    """The commonest reasons of these jobs: (job, words, how often), without what was posted."""
    rows = _within(JobReason.objects.filter(job__in=job_ids), since, until, publisher_id)
    found = rows.order_by().values_list("job", "reason").annotate(sum=Sum("times")).order_by("-sum", "job", "reason")
    return [(job_id, reason, times) for job_id, reason, times in found[:most]]


def _within(
    rows: QuerySet[Any], since: dt.date | None, until: dt.date | None, publisher_id: int | None
) -> QuerySet[Any]:
    if publisher_id is not None:
        rows = rows.filter(publisher=publisher_id)
    if since is not None:
        rows = rows.filter(day__gte=since)
    return rows.filter(day__lte=until) if until is not None else rows
