"""What a campaign's jobs made of its leads: by job, publisher and day, with the words of the reasons; and the overview's chart."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from integrations.admin.judging.rows import Numbers
from integrations.judging.arranging import job_tab
from integrations.judging.tallies import job_reasons, job_tallies
from integrations.models import Job
from leads.admin.charts import Chart, Series, Share, last_days
from leads.admin.filters import number
from leads.models import Campaign, Publisher

PERIODS = (7, 14, 30)
DAYS = 14
REASONS_SHOWN = 25
NAMED_JOBS = 3
# Of the jobs that turned down most, in this order; what is left shares the last one.
JOB_TONES = ("bad", "wait", "test", "busy")


def campaign_days(campaign: Campaign, count: int) -> list[dt.date]:
    """So many days up to today of the campaign's time zone, as jobs count them."""
    return last_days(timezone.now().astimezone(ZoneInfo(campaign.time_zone)).date(), count)


def judgements_page(model_admin: Any, request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """Passed and failed by job, publisher and day, and the reasons; all of it, or of one job or one publisher."""
    if not request.user.has_perm("leads.view_lead"):
        raise PermissionDenied
    jobs = {job.pk: job for job in Job.objects.filter(campaign=campaign) if job_tab(job) == "quality"}
    publishers = dict(Publisher.objects.filter(contracts__campaign=campaign).order_by("name").values_list("pk", "name"))
    days = _asked(request, "days", PERIODS) or DAYS
    job_id, publisher_id = _asked(request, "job", jobs), _asked(request, "publisher", publishers)
    spread = campaign_days(campaign, days)
    wanted = [job_id] if job_id else list(jobs)
    counted = partial(job_tallies, wanted, since=spread[0], publisher_id=publisher_id)
    by_job = {tally.job_id: Numbers.of(tally) for tally in counted(by=("job",))}
    by_publisher = {tally.publisher_id: Numbers.of(tally) for tally in counted(by=("publisher",))}
    by_day = {tally.day: Numbers.of(tally) for tally in counted(by=("day",))}
    reasons = job_reasons(wanted, since=spread[0], publisher_id=publisher_id, most=REASONS_SHOWN)
    here = {"days": days, "job": job_id or "", "publisher": publisher_id or ""}
    context = {
        "page": "judgements",
        "asked": here,
        "periods": [(each, _query(here, days=each), each == days) for each in PERIODS],
        "jobs": sorted(((pk, job.name) for pk, job in jobs.items()), key=lambda pair: pair[1].casefold()),
        "publishers": publishers.items(),
        "by_job": _shares(by_job, {pk: job.name for pk, job in jobs.items()}, "job", here),
        "by_publisher": _shares(by_publisher, publishers, "publisher", here),
        # A lead that meets five jobs counts five times.
        "publisher_note": "" if job_id else "judgements of all jobs, not leads",
        "reasons": [
            (jobs[pk].name, reason, count, _leads(campaign, pk)) for pk, reason, count in reasons if pk in jobs
        ],
        "charts": [_by_day(spread, by_day)],
        "back": reverse("admin:leads_campaign_jobs", args=[campaign.pk, "quality-assurance"]),
    }
    return model_admin.tab(request, campaign, "processr", context)  # type: ignore[no-any-return]


def _asked(request: HttpRequest, name: str, known: Any) -> int | None:
    asked = number(request.GET.get(name, ""))
    return asked if asked in known else None


def _query(here: Mapping[str, Any], **changes: Any) -> str:
    return urlencode({name: value for name, value in {**here, **changes}.items() if value})


def _leads(campaign: Campaign, job_id: int) -> str:
    query = urlencode({"campaign__id__exact": campaign.pk, "failed_job": job_id})
    return f"{reverse('admin:leads_lead_changelist')}?{query}"


def _shares(
    found: Mapping[int | None, Numbers], names: Mapping[int, str], key: str, here: Mapping[str, Any]
) -> list[tuple[Share, Numbers]]:
    """A row for each, those that turned down most first."""
    order = sorted((pk for pk in names if pk in found), key=lambda pk: (-found[pk].failed, names[pk].casefold()))
    rows = []
    for pk in order:
        numbers = found[pk]
        share = Share(names[pk], numbers.passed, numbers.judged, link=f"?{_query(here, **{key: pk})}")
        rows.append((share, numbers))
    return rows


def _by_day(days: Sequence[dt.date], found: Mapping[dt.date | None, Numbers]) -> Chart:
    numbers = [found.get(day, Numbers()) for day in days]
    series = [
        Series("Passed", "good", [each.passed for each in numbers]),
        Series("Failed", "bad", [each.failed for each in numbers]),
        Series("Could not be judged", "wait", [each.unjudged for each in numbers]),
    ]
    note = "Each judgement of each job counts; days are those of the campaign’s time zone."
    return Chart(
        "judgements", "Judgements by day", days, series, note=note, empty="No job judged a lead in these days."
    )


def failures_chart(campaign: Campaign) -> Chart | None:
    """Of a campaign's overview: which jobs turned leads down, day by day. None where it has no quality job."""
    jobs = {job.pk: job.name for job in Job.objects.filter(campaign=campaign) if job_tab(job) == "quality"}
    if not jobs:
        return None
    days = campaign_days(campaign, DAYS)
    counted: dict[int, Counter[dt.date]] = defaultdict(Counter)
    for tally in job_tallies(list(jobs), since=days[0], by=("job", "day")):
        if tally.failed and tally.job_id is not None and tally.day is not None:
            counted[tally.job_id][tally.day] = tally.failed
    order = sorted(counted, key=lambda pk: -counted[pk].total())
    named = order if len(order) <= len(JOB_TONES) else order[:NAMED_JOBS]
    series = [
        Series(jobs[pk], tone, [counted[pk][day] for day in days]) for pk, tone in zip(named, JOB_TONES, strict=False)
    ]
    if others := order[len(named) :]:
        left = [sum(counted[pk][day] for pk in others) for day in days]
        series.append(Series(f"{len(others)} other jobs", JOB_TONES[-1], left))
    return Chart("failed", "Turned down by jobs", days, series, empty="No job turned a lead down in these 14 days.")
