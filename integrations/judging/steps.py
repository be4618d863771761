"""Jobs as they are configured, compiled into steps that judge a lead. What a campaign has is read in job_sets.py.

A job that can't be compiled, or whose kind or field is gone, stays in its step and says why: the leads that it should have judged
wait for a person, and its neighbours judge as ever.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from integrations.judging.rule_mirrors import settings_mirrored
from integrations.kit.conditions import BadCondition, Holds, condition_compile, conditions_fields
from integrations.kit.job_registry import job_kinds
from integrations.kit.jobs import Asks, BadSetting, Enriching, JobLead, JobManifest, QualityCheck

logger = logging.getLogger(__name__)

OUR_FAULT = "Our own software failed on it. Reprocess the lead later, or switch the job off."
MOST_COMPILED = 2_000


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
