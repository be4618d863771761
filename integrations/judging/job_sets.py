"""A campaign's jobs, read and compiled once for each version of its Processr (Campaign.processr_version).

A job that can't be compiled, or whose kind or field is gone, stays in the set and says why: the leads that it should have judged
wait for a person, and its neighbours judge as ever.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from integrations.judging.rule_mirrors import settings_mirrored
from integrations.kit.conditions import BadCondition, Holds, condition_compile, conditions_fields
from integrations.kit.job_registry import job_kinds
from integrations.kit.jobs import Asks, BadSetting, Enriching, JobLead, JobManifest, QualityCheck
from integrations.models import Job, JobGroup, KeyBuild
from leads.models import Campaign, CampaignPublisher, Field, Form, KeyKind

logger = logging.getLogger(__name__)

OUR_FAULT = "Our own software failed on it. Reprocess the lead later, or switch the job off."
MOST_SETS, MOST_COMPILED = 1_000, 2_000
UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job as it is configured, stored or not yet: the columns of the model that matter for judging."""

    id: int
    kind: str
    name: str
    settings: Mapping[str, Any]
    enabled: bool = True
    score: int = 10
    hard_fail: bool = False
    position: int = 0
    group_id: int | None = None
    when_field: str = ""
    when_values: str = ""


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A group of jobs as it is configured."""

    id: int
    name: str
    score: int = 10
    position: int = 0


@dataclass(frozen=True, slots=True)
class ReadyJob:
    """A job, ready to judge. `problem` says why it can judge nobody; `gone` are inputs it reads that there are no more."""

    spec: JobSpec
    check: QualityCheck | Enriching | None
    problem: str = ""
    gone: frozenset[str] = frozenset()
    runs: Holds | None = None
    """In a group: for which leads. None: for all others."""
    keys_ready: bool = True
    """Whether the leads before have their keys; until then “nothing found” is no answer."""

    def cannot(self, lead: JobLead) -> str:
        """Why it can't judge this lead, in words; empty where it can."""
        if self.problem:
            return self.problem
        missing = [key for key in self.gone if key not in lead.values]
        if missing:
            return f"It reads {' and '.join(sorted(missing))}, which no form of the campaign has any more. Configure it anew."
        return ""


@dataclass(frozen=True, slots=True)
class Step:
    """What runs as one: a job, or the one job of a group whose condition holds. `score` is what passing it is worth."""

    jobs: tuple[ReadyJob, ...]
    score: int = 0
    group: str = ""

    def chosen(self, lead: JobLead) -> ReadyJob | None:
        """The job that runs for this lead; None where no job of the group is for it."""
        if not self.group:
            return self.jobs[0]
        return next((job for job in self.jobs if job.runs is None or job.runs(lead)), None)


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


# --- compiled ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a job's settings come to: its check, or why there is none; `bad` where one of its settings makes no sense."""

    manifest: JobManifest | None
    check: QualityCheck | Enriching | None
    problem: str = ""
    bad: BadSetting | None = None

    @property
    def asks(self) -> Asks | None:
        return self.check.asks if self.check is not None else None


def job_compile(kind: str, settings: Mapping[str, Any]) -> Compiled:
    """Read a job's settings; never raises. Kept, for expressions are tried out as they are compiled."""
    return _compiled(kind, json.dumps(settings_mirrored(kind, settings), sort_keys=True))


@lru_cache(maxsize=MOST_COMPILED)
def _compiled(slug: str, settings: str) -> Compiled:
    kind = job_kinds().get(slug)
    if kind is None:
        return Compiled(None, None, f"There is no job “{slug}” in this portal any more. Remove it.")
    try:
        return Compiled(kind.manifest, kind.compile(json.loads(settings)))
    except BadSetting as bad:
        return Compiled(kind.manifest, None, f"It is not set up: {bad.words}", bad.with_traceback(None))
    except Exception as error:  # noqa: BLE001  whatever a kind raises: its neighbours go on judging
        logger.error("a job of the kind %s can't be compiled: %s", slug, type(error).__name__)
        return Compiled(kind.manifest, None, OUR_FAULT)


def job_reads(manifest: JobManifest, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The input keys that a job of this kind with these settings reads."""
    if manifest.fields is not None:
        return tuple(manifest.fields(settings))
    found: list[str] = []
    for box in manifest.settings:
        value = settings.get(box.name)
        if box.type == "field" and isinstance(value, str) and value:
            found.append(value)
        elif box.type == "fields" and isinstance(value, list | tuple):
            found += [key for key in value if isinstance(key, str) and key]
        elif box.type == "conditions":
            found += conditions_fields(value)
    return tuple(dict.fromkeys(found))


def steps_compile(
    specs: Sequence[JobSpec], groups: Sequence[GroupSpec], inputs: Collection[str], waiting: Collection[int] = ()
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Enrichment and quality, each in its order. `inputs` are those of the campaign's forms."""
    known_groups = {group.id: group for group in groups}
    compiled = {spec.id: job_compile(spec.kind, spec.settings) for spec in specs if spec.enabled}
    placed: dict[tuple[str, int, int, int], list[JobSpec]] = {}
    for spec in sorted((spec for spec in specs if spec.enabled), key=lambda spec: (spec.position, spec.id)):
        manifest = compiled[spec.id].manifest
        tab: str = manifest.tab if manifest is not None else "quality"
        group = known_groups.get(spec.group_id or 0)
        place = (group.position, 0, group.id) if group is not None else (spec.position, 1, spec.id)
        placed.setdefault((tab, *place), []).append(spec)
    known = set(inputs)
    made: dict[str, list[Step]] = {"enrichment": [], "quality": []}
    # Enrichment first: what it adds is there for quality jobs.
    for (tab, *_), members in sorted(placed.items()):
        group = known_groups.get(members[0].group_id or 0)
        jobs = [_ready(spec, compiled[spec.id], known, spec.id not in waiting, group is not None) for spec in members]
        # Those for all others are asked last, wherever they stand.
        jobs.sort(key=lambda job: job.runs is None)
        for job in jobs:
            if isinstance(job.check, Enriching):
                known.update(job.check.adds)
        score = group.score if group is not None else members[0].score
        made[tab].append(Step(tuple(jobs), score if tab == "quality" else 0, group.name if group is not None else ""))
    return tuple(made["enrichment"]), tuple(made["quality"])


def _ready(spec: JobSpec, compiled: Compiled, known: Collection[str], keys_ready: bool, grouped: bool) -> ReadyJob:
    problem, runs = compiled.problem, None
    reads: tuple[str, ...] = ()
    if compiled.manifest is not None:
        reads = job_reads(compiled.manifest, spec.settings)
    if grouped and spec.when_field:
        reads = (*reads, spec.when_field)
        try:
            runs = condition_compile(spec.when_field, "equal", spec.when_values.split(";"))
        except BadCondition as bad:
            problem = problem or f"When it runs is not set up: {bad}"
    return ReadyJob(spec, compiled.check, problem, frozenset(reads) - set(known), runs, keys_ready)
