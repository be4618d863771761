"""A campaign's Processr as people arrange it: jobs and groups are added, changed, switched, moved and removed.

Each change is put in force in its transaction; see processr_changes.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

from django.db import IntegrityError, transaction
from django.db.models import Max

from integrations.judging.changes import processr_changed
from integrations.judging.key_builds import job_removed
from integrations.kit.job_registry import job_kinds
from integrations.kit.jobs import JobManifest, Tab
from integrations.kit.lists import STARTING
from integrations.models import Job, JobGroup, ValueList
from leads.models import Campaign

NAME_CHARS = 200
Unit: TypeAlias = Job | JobGroup


def job_tab(job: Job) -> Tab:
    """Under which tab a job stands; what is left of a kind that is gone judges nothing, under quality."""
    kind = job_kinds().get(job.kind)
    return kind.manifest.tab if kind is not None else "quality"


def processr_units(campaign_id: int, tab: Tab) -> list[Unit]:
    """What stands under a tab, in its order: jobs outside of groups, and groups. Only quality jobs are grouped."""
    jobs = Job.objects.filter(campaign=campaign_id, group=None)
    units: list[Unit] = [job for job in jobs if job_tab(job) == tab]
    if tab == "quality":
        units += JobGroup.objects.filter(campaign=campaign_id).prefetch_related("jobs")
    return sorted(units, key=lambda unit: (unit.position, unit.pk))


def _last(campaign_id: int) -> int:
    rows: Sequence[Any] = (Job.objects, JobGroup.objects)
    return max(each.filter(campaign=campaign_id).aggregate(last=Max("position"))["last"] or 0 for each in rows)


def name_free(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind where it is taken."""
    name = name[: NAME_CHARS - 5]
    return next(
        each
        for number in range(1, len(taken) + 2)
        if (each := name if number == 1 else f"{name} {number}") not in taken
    )


def job_add(campaign: Campaign, slug: str) -> Job:
    """A new job under its kind's name, last in the campaign's order and not on yet. KeyError: there is no such kind."""
    manifest = job_kinds()[slug].manifest
    settings = {box.name: box.default for box in manifest.settings if box.default not in ("", None)}
    settings |= _only_lists(manifest)
    while True:
        taken = set(Job.objects.filter(campaign=campaign).values_list("name", flat=True))
        made = Job(
            campaign=campaign, kind=slug, name=name_free(manifest.name, taken), settings=settings, enabled=False,
            hard_fail=manifest.hard_fail, position=_last(campaign.pk) + 1,
        )  # fmt: skip
        try:
            with transaction.atomic():
                made.save(force_insert=True)
        except IntegrityError:
            continue  # somebody else took the name in this moment
        return made


def _only_lists(manifest: JobManifest) -> dict[str, int]:
    """For each box that wants a list of a kind that an instance starts with: that list, where there is one alone."""
    found = {}
    for box in manifest.settings:
        if box.type == "list" and box.lists[0] in STARTING:
            lists = list(ValueList.objects.filter(kind=box.lists[0]).values_list("pk", flat=True)[:2])
            if len(lists) == 1:
                found[box.name] = lists[0]
    return found


def job_store(job: Job) -> None:
    """Save a job that was changed; from its next batch on the campaign is judged by it."""
    with transaction.atomic():
        job.save()
        processr_changed(job.campaign_id)


def job_switch(job: Job, on: bool) -> None:
    """Let a job judge, or let it rest."""
    job.enabled = on
    job_store(job)


def job_remove(job: Job) -> None:
    """Remove a job with what it was counted for. What it said of leads stays on them."""
    with transaction.atomic():
        campaign_id = job.campaign_id
        job_removed(job)
        job.delete()
        processr_changed(campaign_id)


def group_store(group: JobGroup) -> None:
    """Save a group that is new or was changed."""
    with transaction.atomic():
        if group.pk is None:
            group.position = _last(group.campaign_id) + 1
        group.save()
        processr_changed(group.campaign_id)


def group_fill(group: JobGroup, members: Sequence[tuple[Job, str, str]]) -> None:
    """Put these jobs into a group, each with the input and the values that it runs for, in this order; those that were in it
    and are no longer stand behind it, and run for all leads."""
    with transaction.atomic():
        left = Job.objects.filter(group=group).exclude(pk__in=[job.pk for job, _, _ in members])
        left.update(group=None, when_field="", when_values="", position=group.position)
        for position, (job, field, values) in enumerate(members):
            Job.objects.filter(pk=job.pk, campaign=group.campaign_id).update(
                group=group, when_field=field, when_values=values, position=position
            )
        processr_changed(group.campaign_id)


def group_remove(group: JobGroup) -> None:
    """Dissolve a group: its jobs take its place, and each of them runs for all leads."""
    group_fill(group, ())
    group.delete()


def unit_move(unit: Unit, by: int) -> bool:
    """Move a job or a group up (-1) or down (1) among its neighbours; whether there was room."""
    with transaction.atomic():
        if isinstance(unit, Job) and unit.group_id is not None:
            units: list[Unit] = list(Job.objects.filter(group=unit.group_id).order_by("position", "id"))
        else:
            units = processr_units(unit.campaign_id, job_tab(unit) if isinstance(unit, Job) else "quality")
        at = units.index(unit)
        if not 0 <= at + by < len(units):
            return False
        units[at], units[at + by] = units[at + by], units[at]
        for position, each in enumerate(units, 1):
            if each.position != position:
                type(each).objects.filter(pk=each.pk).update(position=position)
        processr_changed(unit.campaign_id)
    return True


def lets_out_change(campaign: Campaign, lets_out: str) -> None:
    """Which leads go out by themselves. Raises ValueError for a word that is none of Campaign.LetsOut."""
    campaign.lets_out = Campaign.LetsOut(lets_out)
    with transaction.atomic():
        campaign.save(update_fields=["lets_out"])
        processr_changed(campaign.pk)
