"""Changed jobs tried on leads of the past: who would have been judged otherwise, and why. Nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import OuterRef, Subquery

from integrations.judging.job_sets import JobSet, group_specs, job_set_compile, job_specs
from integrations.judging.judgements import leads_to_judge
from integrations.judging.key_builds import job_reach
from integrations.judging.lead_keys import kind_named
from integrations.judging.steps import GroupSpec, JobSpec
from integrations.judging.weighing import Judged, leads_weigh
from integrations.models import KeyBuild
from leads.models import Campaign, Lead, LeadChange, Status

MOST_LEADS = 5_000
MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Otherwise:
    """A lead that would have been judged otherwise: what it was, what it would be, and why then and now."""

    lead_id: int
    was: Status
    would: Status
    was_because: tuple[str, ...]
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """What changed jobs would have made of the last leads. `was` and `would` count them by status; `otherwise` has the newest
    of those that would differ, `differ` how many there are. `among_themselves`: a job compares what no keys are kept of yet,
    so these leads were compared with each other alone."""

    leads: int = 0
    differ: int = 0
    otherwise: Sequence[Otherwise] = ()
    was: Mapping[Status, int] = field(default_factory=dict)
    would: Mapping[Status, int] = field(default_factory=dict)
    among_themselves: bool = False


def jobs_try(
    campaign: Campaign,
    changed: Iterable[JobSpec] = (),
    *,
    last: int = 1_000,
    removed: Collection[int] = (),
    groups: Sequence[GroupSpec] | None = None,
) -> Tried:
    """Put the last leads of a campaign to its jobs as they would be: `changed` ones replace those with their id, or are new
    (an id below 1, each its own), `removed` ones are left out. `groups` None: as they are.

    At most MOST_LEADS leads; those that are pending, tests or erased are left out. A lead was judged as the Processr last
    judged it, whatever people made of it since.
    """
    specs, known = _specs(campaign, changed, removed), group_specs(campaign.pk) if groups is None else groups
    jobs, among_themselves = _with_kinds(campaign, job_set_compile(campaign, specs, known), specs)
    leads = _leads(campaign, min(max(last, 1), MOST_LEADS))
    judged = leads_weigh(leads, {campaign.pk: jobs}, again=True, lock=False)
    was = {lead.pk: _was(lead) for lead in leads}
    differ = [lead for lead in leads if judged[lead.pk].status != was[lead.pk]]
    return Tried(
        leads=len(leads),
        differ=len(differ),
        otherwise=[_otherwise(lead, was[lead.pk], judged[lead.pk]) for lead in differ[::-1][:MOST_SHOWN]],
        was=Counter(was.values()),
        would=Counter(found.status for found in judged.values()),
        among_themselves=among_themselves,
    )


def leads_preview(campaign: Campaign, spec: JobSpec, *, last: int = 10) -> list[tuple[Lead, Judged]]:
    """The newest leads of a campaign, each with what this one job makes of it, after the enrichment that comes before."""
    before = [
        other
        for other in job_specs(campaign.pk)
        if other.enabled and other.id != spec.id and (other.position, other.id) < (spec.position, spec.id or 2**62)
    ]
    alone = replace(spec, group_id=None, enabled=True)
    compiled = job_set_compile(campaign, [*before, alone], group_specs(campaign.pk))
    jobs, _ = _with_kinds(campaign, compiled, [alone])
    jobs = replace(jobs, quality=tuple(step for step in jobs.quality if step.jobs[0].spec.id == spec.id))
    leads = _leads(campaign, last)
    judged = leads_weigh(leads, {campaign.pk: jobs}, again=True, lock=False, alone=True)
    return [(lead, judged[lead.pk]) for lead in reversed(leads)]


def _specs(campaign: Campaign, changed: Iterable[JobSpec], removed: Collection[int]) -> list[JobSpec]:
    specs = {spec.id: spec for spec in job_specs(campaign.pk) if spec.id not in removed}
    for spec in changed:
        specs[spec.id] = spec
    return list(specs.values())


def _leads(campaign: Campaign, last: int) -> list[Lead]:
    """The last leads that were judged, oldest first, each with what the Processr last said of it."""
    found = Lead.objects.filter(campaign=campaign.pk, processed_at__isnull=False, erased_at__isnull=True)
    ids = found.exclude(status=Status.TEST).order_by("-pk").values_list("pk", flat=True)[:last]
    judged = LeadChange.objects.filter(lead=OuterRef("pk"), kind=LeadChange.Kind.JUDGED, via="processr").order_by("-pk")
    said: Any = Subquery(judged.values("status")[:1])
    return list(leads_to_judge(list(ids), "failed_jobs").annotate(said=said))


def _was(lead: Lead) -> Status:
    return Status(getattr(lead, "said", None) or lead.status)


def _otherwise(lead: Lead, was: Status, judged: Judged) -> Otherwise:
    because = tuple(entry["reason"] for entry in judged.failed)
    return Otherwise(lead.pk, was, judged.status, tuple(lead.failed_words), because)


def _with_kinds(campaign: Campaign, jobs: JobSet, specs: Iterable[JobSpec]) -> tuple[JobSet, bool]:
    """The jobs with kinds of keys that are not kept yet; whether any compares by keys that leads before do not have. They are
    no rows: nothing is found by them but what is compared here and now."""
    kinds, reach = dict(jobs.kinds), [entry for spec in specs for entry in job_reach(spec)]
    for entry in reach:
        kinds.setdefault(kind_named(entry["scope"], tuple(entry["fields"])), -1 - len(kinds))
    builds = KeyBuild.objects.filter(finished_at__isnull=False).values_list("job__campaign", "reach")
    kept = [
        entry
        for campaign_id, kept_reach in builds
        for entry in kept_reach
        if campaign_id == campaign.pk or entry["scope"] in ("instance", "publisher")
    ]
    return replace(jobs, kinds=kinds), any(entry not in kept for entry in reach)
