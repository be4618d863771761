"""What a job reads and adds, and what keeps it from judging: its kind is gone, its settings make no sense, or a field, a list
or a client's rule that it goes by was removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db.models import F

from integrations.judging.rule_mirrors import rule_of
from integrations.judging.steps import job_compile, job_reads
from integrations.kit.job_registry import job_kinds
from integrations.kit.jobs import Enriching, JobKind
from integrations.models import ClientRule, Job, ValueList
from leads.models import Field


def campaigns_inputs(campaign_ids: Collection[int]) -> Mapping[int, dict[str, str]]:
    """The inputs of each campaign's forms, key to what people call it; one query, however many campaigns."""
    found: dict[int, dict[str, str]] = {pk: {} for pk in campaign_ids}
    rows = Field.objects.filter(form__campaigns__in=list(campaign_ids), enabled=True)
    for entry in rows.annotate(campaign=F("form__campaigns")).order_by("form_id", "position", "id"):
        of_campaign = found[entry.campaign]
        for key in entry.inputs:
            part = f" ({key.rpartition('.')[2]})" if key != entry.name else ""
            of_campaign.setdefault(key, f"{entry.label or entry.name}{part}")
    return found


def job_adds(job: Job) -> tuple[str, ...]:
    """The names of the values that an enrichment job adds."""
    kind = job_kinds().get(job.kind)
    if kind is None or kind.manifest.tab != "enrichment":
        return ()
    check = job_compile(job.kind, job.settings).check
    return check.adds if isinstance(check, Enriching) else ()


def inputs_before(job: Job, jobs: Iterable[Job], own: Mapping[str, str]) -> dict[str, str]:
    """What a job may read: the inputs of the campaign's forms, and what is added before it is its turn.

    Enrichment runs in its order, and all of it before any quality job.
    """
    kind = job_kinds().get(job.kind)
    judges = kind is None or kind.manifest.tab == "quality"
    offered = dict(own)
    for other in jobs:
        if other.pk == job.pk or not (judges or (other.position, other.pk or 0) < (job.position, job.pk or 0)):
            continue
        for name in job_adds(other):
            offered.setdefault(name, f"{name} (added by {other.name})")
    return offered


def job_lists(kind: JobKind, settings: Mapping[str, Any]) -> tuple[int, ...]:
    """The ids of the lists that a job looks values up in."""
    values = (settings.get(box.name) for box in kind.manifest.settings if box.type == "list")
    return tuple(value for value in values if isinstance(value, int) and not isinstance(value, bool) and value > 0)


def jobs_problems(jobs: Sequence[Job]) -> Mapping[int, str]:
    """Job to what a person has to mend before it can judge, in words; three or four queries, however many jobs and campaigns."""
    by_campaign: dict[int, list[Job]] = defaultdict(list)
    for job in jobs:
        by_campaign[job.campaign_id].append(job)
    if not by_campaign:
        return {}
    inputs = campaigns_inputs(by_campaign.keys())
    neighbours: dict[int, list[Job]] = defaultdict(list)
    for job in Job.objects.filter(campaign__in=list(by_campaign)):
        neighbours[job.campaign_id].append(job)
    kinds = job_kinds()
    wanted = {pk for job in jobs if job.kind in kinds for pk in job_lists(kinds[job.kind], job.settings)}
    lists = set(ValueList.objects.filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()
    rules = _rules_of(jobs)
    found = {}
    for campaign_id, its_jobs in by_campaign.items():
        for job in its_jobs:
            known = inputs_before(job, neighbours[campaign_id], inputs[campaign_id])
            if words := job_problem(job, known, lists) or _rule_problem(job, rules):
                found[job.pk] = words
    return found


def _rules_of(jobs: Sequence[Job]) -> Mapping[int, ClientRule]:
    """The clients' rules that jobs go by: one query, where any does."""
    kinds = job_kinds()
    wanted = {rule_of(kinds[job.kind].manifest, job.settings) for job in jobs if job.kind in kinds} - {0}
    return ClientRule.objects.in_bulk(list(wanted)) if wanted else {}


def _rule_problem(job: Job, rules: Mapping[int, ClientRule]) -> str:
    """Why a job that goes by a client's rule can judge nobody."""
    kind = job_kinds().get(job.kind)
    pk = rule_of(kind.manifest, job.settings) if kind is not None else 0
    if not pk:
        return ""
    if (rule := rules.get(pk)) is None:
        return "The client's rule that it goes by was removed. Choose another one."
    # Copied within a minute, unless something is in the way.
    if not rule.copied_version and (rule.problem or rule.gone):
        return f"The client's rule could not be copied. {rule.problem or 'They do not show it any more.'}"
    return ""


def job_problem(job: Job, inputs: Collection[str], lists: Collection[int]) -> str:
    """What is to be mended before this job can judge; "" where nothing is. `inputs` and `lists` are those that there are."""
    kind = job_kinds().get(job.kind)
    if kind is None:
        return f"This portal has no kind of job “{job.kind}” any more. Remove it."
    if (bad := job_compile(job.kind, job.settings).bad) is not None:
        labels = {box.name: box.label for box in kind.manifest.settings}
        label = labels.get(bad.name, "")
        return f"{label}: {bad.words}" if label else bad.words
    reads = [*job_reads(kind.manifest, job.settings), *([job.when_field] if job.group_id and job.when_field else [])]
    if gone := [key for key in dict.fromkeys(reads) if key not in inputs]:
        names = " and ".join(f"“{key}”" for key in gone[:3])
        one = len(gone) == 1
        return (
            f"The field{'' if one else 's'} {names} {'is' if one else 'are'} no longer on the campaign’s forms. "
            "Choose another one, or put it back on the form."
        )
    if any(pk not in lists for pk in job_lists(kind, job.settings)):
        return "The list that it looks values up in was removed. Choose another one."
    return ""
