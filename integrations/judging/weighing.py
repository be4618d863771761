"""Leads put to the jobs of their campaigns: enrichment in its order, then quality; nothing is written here.

The rule of scores is the platform's (facts, section 8): all of the reachable score is valid, over 80 % of it caution, less invalid,
and a failed hard fail invalid whatever the score. A job that can't judge a lead takes no part in its score, and the lead waits in
Caution with the reason. A test lead is judged and stays a test.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from integrations.judging.answers import Asked, Neighbours, answers_find, questions_lock
from integrations.judging.job_sets import JobSet
from integrations.judging.lead_keys import GOOD, KeyRow, keys_of, may_count, questions_kept, spaces_kept
from integrations.judging.steps import OUR_FAULT, ReadyJob, Step
from integrations.kit.jobs import CannotJudge, Enriching, Failed, JobLead, PostsBefore, QualityCheck, SeenBefore
from leads.models import Held, Lead
from leads.models.lead import Status

logger = logging.getLogger(__name__)

CAUTION_ABOVE_PERCENT = 80
MOST_CHARS = 10_000
MOST_REASON_CHARS = 1_000
KEYS_MISSING = (
    "The leads before it are still being read, so it can’t be told whether it came before. Reprocess it later."
)

Outcome: TypeAlias = Literal["passed", "failed", "unjudged"]
# Whether a lead that may go out does so: why and until when it is held, and whether it is billed.
Gate: TypeAlias = Callable[[Lead], tuple[Held, Any, bool | None]]


@dataclass(slots=True)
class Judged:
    """What the jobs made of a lead."""

    status: Status
    score: int = 0
    max_score: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)
    """As Lead.failed_jobs has them."""
    enriched: dict[str, str] | None = None
    outcomes: list[tuple[int, Outcome]] = field(default_factory=list)
    held: Held = Held.NO
    held_until: Any = None
    billable: bool | None = None
    keys: Sequence[KeyRow] = ()


@dataclass(slots=True)
class _Run:
    """One step of quality on one lead: the job that runs, what it asks, and the answers."""

    step: Step
    job: ReadyJob | None
    asked: list[Asked] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    problem: str = ""
    """Why it can't judge this lead."""


@dataclass(slots=True)
class _Case:
    """A lead while it is judged. `values` is what `seen` looks at: it grows by what enrichment adds."""

    lead: Lead
    jobs: JobSet
    seen: JobLead
    values: dict[str, str]
    judged: Judged
    runs: list[_Run] = field(default_factory=list)
    kept: list[SeenBefore | PostsBefore] = field(default_factory=list)
    """What its keys answer for leads after it."""

    def fail(self, job: ReadyJob | None, failed: Failed, *, group: str = "", unjudged: bool = False) -> None:
        self.judged.failed.append(
            {
                "job": job.spec.id if job is not None else None,
                "name": job.spec.name if job is not None else group,
                "reason": failed.reason[:MOST_REASON_CHARS],
                "field": failed.field,
                "hard": job is not None and job.spec.hard_fail and not unjudged,
                "unjudged": unjudged,
            }
        )
        if job is not None:
            self.judged.outcomes.append((job.spec.id, "unjudged" if unjudged else "failed"))


def leads_weigh(
    leads: Sequence[Lead],
    sets: Mapping[int, JobSet],
    gate: Gate | None = None,
    *,
    again: bool = False,
    lock: bool = True,
    alone: bool = False,
) -> dict[int, Judged]:
    """Judge leads by the jobs of their campaigns (campaign id to jobs), in the order of their ids; lead id to what it came to.

    Of each lead it wants values, created_at, ip, status, campaign, publisher and, as `channel`, its link's. `gate` decides of
    those that may go out. With `again` they were judged before, and are compared with earlier leads alone. `lock` keeps
    others from judging by the same keys until the transaction ends. `alone`: these are but some of the jobs, so each lead
    counts for those after it as it stands, and not by this judgement.
    """
    cases = [_case(lead, sets[lead.campaign_id]) for lead in sorted(leads, key=lambda lead: lead.pk)]
    kinds = {name: pk for jobs in sets.values() for name, pk in jobs.kinds.items()}
    for place in range(max((len(case.jobs.enrichment) for case in cases), default=0)):
        _enrich([case for case in cases if place < len(case.jobs.enrichment)], place, kinds, again)
    for case in cases:
        case.runs = [_run(step, case.seen) for step in case.jobs.quality]
        case.kept = list(questions_kept(case.seen, case.jobs)) if case.lead.status != Status.TEST else []
    asked = [each for case in cases for run in case.runs for each in run.asked]
    if lock:
        # Whoever asks nothing may pass beside others in any order.
        comparing = [case for case in cases if any(map(_compares, case.runs))]
        questions_lock(
            asked, kinds, {n for case in comparing for n in spaces_kept(case.kept, case.seen, case.jobs.kinds)}
        )
    answers = iter(answers_find(asked, kinds, again=again, mates=[case.lead.pk for case in cases] if again else ()))
    neighbours = Neighbours(again)
    for case in cases:
        for run in case.runs:
            run.answers = [neighbours.answer(each, kinds, next(answers)) for each in run.asked]
            _judge(case, run)
        _conclude(case, gate)
        if case.kept:
            judged = case.judged
            good = may_count(judged.status, case.lead.flag)
            judged.keys = list(keys_of(case.seen, case.kept, case.jobs.kinds, good))
            stands = case.lead if alone else judged
            neighbours.add(judged.keys, stands.status, case.lead.flag, stands.held, stands.billable)
    return {case.lead.pk: case.judged for case in cases}


def job_lead(lead: Lead, jobs: JobSet, values: Mapping[str, str]) -> JobLead:
    """A lead as jobs see it."""
    return JobLead(
        values=values,
        id=lead.pk,
        campaign_id=lead.campaign_id,
        publisher_id=lead.publisher_id,
        advertiser_id=jobs.advertiser_id,
        received_at=lead.created_at,
        ip=lead.ip or "",
        channel=getattr(lead, "channel", "") or "",
        zone=jobs.zone.key,
        labels=jobs.labels,
    )


def _case(lead: Lead, jobs: JobSet) -> _Case:
    values = dict(lead.values)
    return _Case(lead, jobs, job_lead(lead, jobs, values), values, Judged(Status.VALID))


def _run(step: Step, lead: JobLead) -> _Run:
    """Which job of a step runs for this lead, and what it asks."""
    run = _Run(step, None)
    try:
        run.job = step.chosen(lead)
        if run.job is None:
            run.problem = f"No job of the group “{step.group}” is for this lead. Add one for all others."
        else:
            run.problem = run.job.cannot(lead)
            if not run.problem and run.job.check is not None and run.job.check.asks is not None:
                run.asked = [Asked(lead, question) for question in run.job.check.asks(lead)]
    except CannotJudge as cannot:
        run.problem = str(cannot) or OUR_FAULT
    except Exception as error:  # noqa: BLE001  one job that fails never fails the lead's others
        run.problem = _our_fault(error, run.job, lead)
    return run


def _enrich(cases: Sequence[_Case], place: int, kinds: Mapping[tuple[str, str], int], again: bool) -> None:
    """Run the step of enrichment at this place for all leads, their questions answered together."""
    runs = [(case, _run(case.jobs.enrichment[place], case.seen)) for case in cases]
    answers = iter(answers_find([each for _, run in runs for each in run.asked], kinds, again=again))
    for case, run in runs:
        run.answers = [next(answers) for _ in run.asked]
        if run.job is None and run.step.group:
            # A group of enrichment that has nothing for a lead adds nothing.
            continue
        _answered(run)
        added: Mapping[str, str] = {}
        if not run.problem and run.job is not None and isinstance(run.job.check, Enriching):
            try:
                added = run.job.check.enrich(case.seen, run.answers)
            except CannotJudge as cannot:
                run.problem = str(cannot) or OUR_FAULT
            except Exception as error:  # noqa: BLE001
                run.problem = _our_fault(error, run.job, case.seen)
        if run.problem:
            case.fail(run.job, Failed(run.problem), group=run.step.group, unjudged=True)
            continue
        if run.job is not None:
            case.judged.outcomes.append((run.job.spec.id, "passed"))
        _take(case, added)


def _take(case: _Case, added: Mapping[str, str]) -> None:
    """Put added values beside the posted ones, which are never replaced."""
    for name, value in added.items():
        if name not in case.lead.values and isinstance(value, str) and value:
            text = value.replace("\x00", "")[:MOST_CHARS]
            case.judged.enriched = {**(case.judged.enriched or {}), name: text}
            case.values[name] = text


def _answered(run: _Run) -> None:
    """A question that can't be answered: the job can't judge."""
    cannot = next((answer for answer in run.answers if isinstance(answer, CannotJudge)), None)
    if cannot is not None:
        run.problem = run.problem or str(cannot)


def _judge(case: _Case, run: _Run) -> None:
    _answered(run)
    failed: Failed | None = None
    if not run.problem and run.job is not None and isinstance(run.job.check, QualityCheck):
        try:
            failed = run.job.check.judge(case.seen, run.answers)
        except CannotJudge as cannot:
            run.problem = str(cannot) or OUR_FAULT
        except Exception as error:  # noqa: BLE001
            run.problem = _our_fault(error, run.job, case.seen)
    if not run.problem and failed is None and run.job is not None and not run.job.keys_ready and _compares(run):
        # What was found is sure; that nothing was found is not.
        run.problem = KEYS_MISSING
    if run.problem:
        case.fail(run.job, Failed(run.problem), group=run.step.group, unjudged=True)
        return
    assert run.job is not None
    case.judged.max_score += run.step.score
    if failed is not None:
        case.fail(run.job, failed)
        return
    case.judged.score += run.step.score
    case.judged.outcomes.append((run.job.spec.id, "passed"))


def _compares(run: _Run) -> bool:
    return any(isinstance(each.question, SeenBefore | PostsBefore) for each in run.asked)


def _conclude(case: _Case, gate: Gate | None) -> None:
    """Status by the rule of scores, and whether it goes out."""
    judged = case.judged
    if case.lead.status == Status.TEST:
        judged.status = Status.TEST
        return
    judged.status = status_of(judged.score, judged.max_score, judged.failed)
    if judged.status == Status.CAUTION and not case.jobs.lets_out_caution:
        judged.held = Held.CAUTION
    elif judged.status in GOOD and gate is not None:
        judged.held, judged.held_until, judged.billable = gate(case.lead)


def status_of(score: int, max_score: int, failed: Iterable[Mapping[str, Any]]) -> Status:
    """The rule of scores. `failed` are entries as Lead.failed_jobs has them."""
    failed = list(failed)
    if any(entry["hard"] for entry in failed):
        return Status.INVALID
    if score < max_score:
        status = Status.CAUTION if score * 100 > max_score * CAUTION_ABOVE_PERCENT else Status.INVALID
    else:
        status = Status.VALID
    if status == Status.VALID and any(entry["unjudged"] for entry in failed):
        return Status.CAUTION
    return status


def _our_fault(error: Exception, job: ReadyJob | None, lead: JobLead) -> str:
    # Without the error's own words: they may name what was posted.
    logger.error("job %s failed on lead %s: %s", job.spec.id if job else None, lead.id, type(error).__name__)
    return OUR_FAULT
