"""Plays a case through a kind of job: data in, differences out. docs/adding-a-job.md has the format."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from integrations.kit.jobs import BadSetting, CannotJudge, JobCase, JobKind, JobLead, QualityCheck

EXPECTED = ("passes", "fails", "adds", "cannot_judge", "bad_setting")
_LEAD_KEYS = frozenset(entry.name for entry in fields(JobLead)) - {"values"}


class BadJobCase(Exception):
    """A case that is not written as cases are. Says what is wrong with it."""


def job_cases(file: Path) -> list[JobCase]:
    """The cases of a kind's file; BadJobCase names the case that can't be read."""
    try:
        listed = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise BadJobCase(f"{file.name}: {error}") from error
    if not isinstance(listed, list):
        raise BadJobCase(f"{file.name} is a list of cases.")
    return [_case(file.name, place, data) for place, data in enumerate(listed, 1)]


def _case(file: str, place: int, data: Any) -> JobCase:
    where = f"{file}, case {place}"
    if not isinstance(data, dict):
        raise BadJobCase(f"{where}: a case is an object.")
    if strange := set(data) - set(JobCase.__dataclass_fields__):
        raise BadJobCase(f"{where}: unknown keys: {', '.join(sorted(strange))}.")
    for key in ("title", "why", "settings"):
        if not data.get(key) and key not in data:
            raise BadJobCase(f"{where}: “{key}” is missing.")
    expect = data.get("expect")
    if not isinstance(expect, dict) or len(set(EXPECTED) & set(expect)) != 1 or set(expect) - {*EXPECTED, "asks"}:
        raise BadJobCase(f"{where}: expect says one of {', '.join(EXPECTED)}, and it may say asks.")
    if strange := set(data.get("lead", {})) - _LEAD_KEYS:
        raise BadJobCase(f"{where}: a lead has no {', '.join(sorted(strange))}.")
    return JobCase(**data)


def job_lead(case: JobCase) -> JobLead:
    """The lead of a case."""
    about = dict(case.lead)
    if "received_at" in about:
        about["received_at"] = dt.datetime.fromisoformat(about["received_at"])
    return JobLead(case.values, **about)


def job_play(kind: JobKind, case: JobCase) -> list[str]:
    """How what a job makes of a case differs from what it expects, in words; empty where it does not."""
    actual = _played(kind, case)
    return [
        f"{key}: expected {wanted!r}, was {actual.get(key)!r}"
        for key, wanted in case.expect.items()
        if actual.get(key) != wanted
    ] or ([f"was {actual!r}"] if not set(EXPECTED) & set(actual) & set(case.expect) else [])


def _played(kind: JobKind, case: JobCase) -> Mapping[str, Any]:
    try:
        made = kind.compile(case.settings)
    except BadSetting as problem:
        return {"bad_setting": {"name": problem.name, "words": problem.words}}
    lead = job_lead(case)
    asked = list(made.asks(lead)) if made.asks is not None else []
    actual: dict[str, Any] = {"asks": [_as_data(question) for question in asked]}
    if len(case.answers) != len(asked):
        return {**actual, "answers": f"the job asks {len(asked)} questions, the case answers {len(case.answers)}"}
    try:
        if isinstance(made, QualityCheck):
            failed = made.judge(lead, case.answers)
            return {**actual, "passes": True} if failed is None else {**actual, "fails": _as_data(failed)}
        return {**actual, "adds": dict(made.enrich(lead, case.answers))}
    except CannotJudge as problem:
        return {**actual, "cannot_judge": str(problem)}


def _as_data(value: Any) -> Any:
    """A question or a reason as JSON has it; a question says its kind, and what is left at its default is left out."""
    data = {key: each for key, each in asdict(value).items() if each not in ("", None, ()) or key == "key"}
    data = json.loads(json.dumps(data, default=lambda each: each.isoformat()))
    return data if "reason" in data else {"question": type(value).__name__, **data}
