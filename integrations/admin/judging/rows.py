"""The jobs of a campaign as the Processr's tabs list them: how each stands, what it counted today, and its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from integrations.admin.adding import offer
from integrations.admin.jobs import Standing, listed
from integrations.judging.arranging import job_tab, processr_units
from integrations.judging.problems import job_adds, jobs_problems
from integrations.judging.tallies import Tally, job_tallies
from integrations.kit.job_registry import job_kinds
from integrations.kit.jobs import Tab
from integrations.models import Job, JobGroup, KeyBuild
from leads.admin.charts import percent
from leads.models import Campaign


@dataclass(frozen=True, slots=True)
class Numbers:
    """What a job made of leads; `unjudged` are those that it could not judge, which are in Caution."""

    passed: int = 0
    failed: int = 0
    unjudged: int = 0

    @classmethod
    def of(cls, tally: Tally) -> Numbers:
        return cls(tally.passed, tally.failed, tally.unjudged)

    @property
    def judged(self) -> int:
        return self.passed + self.failed + self.unjudged

    @property
    def share(self) -> int | None:
        """Of a hundred leads, so many passed."""
        return percent(self.passed, self.judged)


def numbers_today(campaign: Campaign, jobs: Sequence[Job]) -> Mapping[int, Numbers]:
    """What each job counted on this day of the campaign's time zone, of all publishers; one query."""
    today = timezone.now().astimezone(ZoneInfo(campaign.time_zone)).date()
    found = job_tallies([job.pk for job in jobs], since=today, until=today)
    return {tally.job_id: Numbers.of(tally) for tally in found if tally.job_id is not None}


def job_standings(jobs: Sequence[Job]) -> Mapping[int, Standing]:
    """How these jobs stand; a constant number of queries, also for jobs of many campaigns."""
    problems = jobs_problems(jobs)
    builds = KeyBuild.objects.filter(job__in=[job.pk for job in jobs], finished_at__isnull=True)
    building = {build.job_id: build for build in builds}
    return {job.pk: _standing(job, problems.get(job.pk, ""), building.get(job.pk)) for job in jobs}


def _standing(job: Job, problem: str, build: KeyBuild | None) -> Standing:
    if problem and job.enabled:
        return Standing("needs_a_look", "Needs a look", "bad", f"{problem} Until then leads land in Caution.")
    if problem:
        return Standing("needs_setup", "Needs setup", "off", problem)
    if not job.enabled:
        word = "it adds nothing" if job_tab(job) == "enrichment" else "it judges no lead"
        return Standing("paused", "Paused", "wait", f"While it is paused {word}.")
    if build is not None:
        share = min(100, 100 * build.done_to // build.up_to) if build.up_to else 0
        return Standing("on", "On", "busy", f"The leads before are being made comparable: {share} % are done.")
    return Standing("on", "On", "good")


def job_rows(campaign: Campaign, tab: Tab) -> list[dict[str, Any]]:
    """What stands under a tab, in its order: rows of jobs, and groups with their rows.

    A group has a `hole` where none of its jobs that are on is for all other leads: those land in Caution.
    """
    units = processr_units(campaign.pk, tab)
    grouped = [job for unit in units if isinstance(unit, JobGroup) for job in unit.jobs.all()]
    jobs = [*(unit for unit in units if isinstance(unit, Job)), *grouped]
    standings, numbers = job_standings(jobs), numbers_today(campaign, jobs)

    def row(job: Job, at: int, of: int) -> dict[str, Any]:
        kind = job_kinds().get(job.kind)
        return {
            "row": job,
            "offer": offer(kind.manifest) if kind else None,
            "standing": standings[job.pk],
            "numbers": numbers.get(job.pk, Numbers()),
            "adds": listed(job_adds(job)),
            "when": when_words(job),
            "first": at == 0,
            "last": at == of - 1,
        }

    found: list[dict[str, Any]] = []
    for at, unit in enumerate(units):
        if isinstance(unit, Job):
            found.append({"job": row(unit, at, len(units))})
            continue
        members = sorted(unit.jobs.all(), key=lambda job: (job.position, job.pk))
        inside = [row(job, place, len(members)) for place, job in enumerate(members)]
        first, last = at == 0, at == len(units) - 1
        on = [job for job in members if job.enabled]
        hole = bool(on) and all(job.when_field for job in on)
        found.append({"group": unit, "rows": inside, "first": first, "last": last, "hole": hole})
    return found


def when_words(job: Job) -> str:
    """For which leads a job of a group runs, in words; "" outside of groups."""
    if job.group_id is None:
        return ""
    if not job.when_field:
        return "for all other leads"
    values = [value for each in job.when_values.split(";") if (value := each.strip())]
    return (
        f"where {job.when_field} is {' or '.join(values[:4])}{f' or {len(values) - 4} more' if len(values) > 4 else ''}"
    )


def reachable(units: Sequence[Mapping[str, Any]]) -> int:
    """What a lead can score at most with the jobs that are on; of a group one counts, with the group's score."""
    return sum(
        unit["group"].score * any(each["row"].enabled for each in unit["rows"])
        if "group" in unit
        else unit["job"]["row"].score * unit["job"]["row"].enabled
        for unit in units
    )
