"""A campaign's jobs, read and compiled once for each version of its Processr (Campaign.processr_version).

What judges is in steps.py; here is which jobs, groups and keys a campaign has.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from integrations.judging.steps import GroupSpec, JobSpec, Step, job_compile, steps_compile
from integrations.kit.jobs import Asks, Enriching
from integrations.models import Job, JobGroup, KeyBuild
from leads.models import Campaign, CampaignPublisher, Field, Form, KeyKind

MOST_SETS = 1_000
UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class KeyWriter:
    """A job that leads of this campaign have keys for: one of its own, or one of another campaign that compares with them."""

    asks: Asks
    campaign_id: int


@dataclass(frozen=True, slots=True)
class JobSet:
    """All that judges a campaign's leads."""

    campaign_id: int
    inputs: frozenset[str] = frozenset()
    """The keys under which values of the campaign's forms are kept."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the forms call them."""
    enrichment: tuple[Step, ...] = ()
    quality: tuple[Step, ...] = ()
    writers: tuple[KeyWriter, ...] = ()
    kinds: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Kinds of keys by scope and fields (leads/models/lead_key.py)."""
    advertiser_id: int = 0
    zone: ZoneInfo = UTC
    lets_out_caution: bool = False
    releases_held: bool = True
    capped: frozenset[int] = frozenset()
    """Publishers with a cap."""

    @property
    def has_jobs(self) -> bool:
        return bool(self.enrichment or self.quality)


# --- of a campaign, kept by its version ----------------------------------------------------------------------

_kept: dict[int, tuple[int, Mapping[int, int], JobSet]] = {}


def job_set(campaign_id: int, version: int, forms: Mapping[int, int]) -> JobSet:
    """A campaign's jobs. `forms` are the versions of forms that its leads came with: a newer one than known is looked at."""
    kept = _kept.get(campaign_id)
    if (
        kept is not None
        and kept[0] == version
        and all(number <= kept[1].get(pk, number) for pk, number in forms.items())
    ):
        return kept[2]
    if len(_kept) >= MOST_SETS:
        _kept.clear()
    known = dict(Form.objects.filter(pk__in=forms).values_list("pk", "version")) if forms else {}
    made = _load(Campaign.objects.get(pk=campaign_id))
    of_forms = Form.objects.filter(campaigns=campaign_id).values_list("pk", "version")
    _kept[campaign_id] = (version, {**known, **dict(of_forms)}, made)
    return made


def job_sets_forget() -> None:
    """Read everything anew at the next question."""
    global _wide
    _kept.clear()
    _wide = None


_wide: tuple[float, bool] | None = None


def wide_jobs() -> bool:
    """Whether any job compares with leads of other campaigns: those have keys for it, also of a campaign that is new and has
    no jobs. Known from CATALOG_MAX_AGE_SECONDS ago at most."""
    global _wide
    known = _wide
    if known is None or time.monotonic() - known[0] > settings.CATALOG_MAX_AGE_SECONDS:
        known = _wide = (time.monotonic(), KeyBuild.objects.filter(wide=True).exists())
    return known[1]


def _load(campaign: Campaign) -> JobSet:
    specs, groups = job_specs(campaign.pk), group_specs(campaign.pk)
    waiting = set(KeyBuild.objects.filter(job__campaign=campaign.pk, finished_at=None).values_list("job_id", flat=True))
    return job_set_compile(campaign, specs, groups, waiting)


def job_set_compile(
    campaign: Campaign, specs: Sequence[JobSpec], groups: Sequence[GroupSpec], waiting: Collection[int] = ()
) -> JobSet:
    """The jobs of a campaign compiled from what is given; `waiting` are those for which keys are still being made."""
    labels = campaign_labels(campaign.pk)
    inputs = frozenset(labels)
    enrichment, quality = steps_compile(specs, groups, inputs, waiting)
    contracts = CampaignPublisher.objects.filter(campaign=campaign.pk).exclude(
        cap_day=None, cap_week=None, cap_month=None, cap_total=None
    )
    return JobSet(
        campaign_id=campaign.pk,
        inputs=inputs,
        labels=labels,
        enrichment=enrichment,
        quality=quality,
        writers=tuple(_writers(campaign, specs)),
        kinds={(scope, fields): pk for pk, scope, fields in KeyKind.objects.values_list("pk", "scope", "fields")},
        advertiser_id=campaign.advertiser_id,
        zone=ZoneInfo(campaign.time_zone),
        lets_out_caution=campaign.lets_out == Campaign.LetsOut.CAUTION,
        releases_held=campaign.releases_held,
        capped=frozenset(contracts.values_list("publisher_id", flat=True)),
    )


def _writers(campaign: Campaign, specs: Sequence[JobSpec]) -> Iterable[KeyWriter]:
    """Jobs for which leads of this campaign have keys: its own, on or not, and wide ones of others."""
    for spec in specs:
        if (asks := job_compile(spec.kind, spec.settings).asks) is not None:
            yield KeyWriter(asks, campaign.pk)
    others = KeyBuild.objects.filter(wide=True).exclude(job__campaign=campaign.pk).select_related("job__campaign")
    for build in others:
        if reaches(build.reach, campaign, build.job.campaign):
            spec = job_spec(build.job)
            if (asks := job_compile(spec.kind, spec.settings).asks) is not None:
                yield KeyWriter(asks, build.job.campaign_id)


def reaches(reach: Iterable[Mapping[str, Any]], campaign: Campaign, whose: Campaign) -> bool:
    """Whether a job of the campaign `whose` compares its leads with those of `campaign`."""
    return any(
        entry["scope"] in ("instance", "publisher")
        or (entry["scope"] == "advertiser" and campaign.advertiser_id == whose.advertiser_id)
        or campaign.pk in entry["campaigns"]
        for entry in reach
    )


def campaign_inputs(campaign_id: int) -> frozenset[str]:
    """The inputs of a campaign's forms: the keys under which posted values are kept."""
    return frozenset(campaign_labels(campaign_id))


def campaign_labels(campaign_id: int) -> dict[str, str]:
    """The inputs of a campaign's forms and what people call them; where forms differ, the first one's label."""
    fields = Field.objects.filter(form__campaigns=campaign_id, enabled=True).order_by("form_id", "position", "pk")
    labels: dict[str, str] = {}
    for entry in fields:
        for key in entry.inputs:
            label = f"{entry.label} ({key.rpartition('.')[2]})" if entry.label and key != entry.name else entry.label
            labels[key] = labels.get(key) or label
    return labels


def campaign_enriched_names(campaign_id: int) -> tuple[str, ...]:
    """The names that a campaign's enrichment adds, in the order of its jobs, each once."""
    made = (job_compile(spec.kind, spec.settings) for spec in job_specs(campaign_id) if spec.enabled)
    return tuple(dict.fromkeys(name for each in made if isinstance(each.check, Enriching) for name in each.check.adds))


def job_spec(job: Job) -> JobSpec:
    """A stored job as it is configured."""
    return JobSpec(job.pk, **{name: getattr(job, name) for name in _COLUMNS})


_COLUMNS = (
    "kind", "name", "settings", "enabled", "score", "hard_fail", "position", "group_id", "when_field", "when_values",
)  # fmt: skip


def job_specs(campaign_id: int) -> list[JobSpec]:
    """All jobs of a campaign, on or not, in their order."""
    rows = Job.objects.filter(campaign=campaign_id).order_by("position", "id")
    return [JobSpec(*row) for row in rows.values_list("pk", *_COLUMNS)]


def group_specs(campaign_id: int) -> list[GroupSpec]:
    """All groups of a campaign."""
    rows = JobGroup.objects.filter(campaign=campaign_id).order_by("position", "id")
    return [GroupSpec(*row) for row in rows.values_list("pk", "name", "score", "position")]
