"""Ways of judging and enriching that several kinds of jobs have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from integrations.kit.conditions import BadCondition, condition_compile, conditions_words
from integrations.kit.jobs import BadSetting, CannotJudge, Enriching, Failed, JobLead, Listed, PostsBefore, QualityCheck
from integrations.kit.normal_forms import normal_text
from integrations.kit.transforms import BadParameter, CannotMake, compile_transform

_MOST_PARTS = 500


def value_check(
    keys: Sequence[str], wrong: Callable[[str], str], *, empty_fails: bool
) -> Callable[[JobLead, Sequence[Any]], Failed | None]:
    """Judges values of fields one by one: `wrong(value)` is why one does not pass, as the end of “<field> …”, or "".

    The first field that does not pass is the reason.
    """

    def judge(lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        for key in keys:
            value = lead.value(key)
            why = wrong(value) if value else ("is empty or missing." if empty_fails else "")
            if why:
                return Failed(f"{lead.label(key)} {why}", key)
        return None

    return judge


def list_check(key: str, listed: int, wanted: bool, several: bool, empty_fails: bool) -> QualityCheck:
    """Passes a value whose parts are all on a list, or (not `wanted`) none of them."""

    def parts(lead: JobLead) -> list[str]:
        value = lead.value(key)
        split = value.split(",") if several else [value]
        return list(dict.fromkeys(normal for part in split if (normal := normal_text(part))))

    def asks(lead: JobLead) -> Sequence[Listed]:
        return [Listed(listed, part) for part in parts(lead)[:_MOST_PARTS]]

    def judge(lead: JobLead, answers: Sequence[Any]) -> Failed | None:
        found = parts(lead)
        if not found:
            return Failed(f"{lead.label(key)} is empty or missing.", key) if empty_fails else None
        if len(found) > _MOST_PARTS:
            return Failed(f"{lead.label(key)} has more than {_MOST_PARTS} values.", key)
        if all((answer is not None) is wanted for answer in answers):
            return None
        return Failed(
            f"{lead.label(key)} has a value that is {'not on the list' if wanted else 'on the list of unwanted ones'}.",
            key,
        )

    return QualityCheck(judge, asks)


def posts_check(seconds: float, allowed: int, scope: str, reason: str) -> QualityCheck:
    """Fails a lead before which more than `allowed` came from its address in so many seconds. Without an address it passes."""

    def asks(lead: JobLead) -> Sequence[PostsBefore]:
        return (PostsBefore(lead.ip, seconds, "instance" if scope == "instance" else "campaign"),) if lead.ip else ()

    def judge(_lead: JobLead, answers: Sequence[Any]) -> Failed | None:
        return Failed(reason) if any((answer or 0) > allowed for answer in answers) else None

    return QualityCheck(judge, asks)


def condition_check(key: str, operator: str, values: Sequence[str], *, box: str = "values") -> QualityCheck:
    """Passes what one condition holds of. BadSetting at `box` where it makes no sense."""
    try:
        holds = condition_compile(key, operator, values)
    except BadCondition as problem:
        raise BadSetting(box, str(problem)) from None
    said = {"sections": [{"conditions": [{"field": key, "operator": operator, "values": list(values)}]}]}

    def judge(lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        if holds(lead):
            return None
        return Failed(f"Does not meet the condition: {conditions_words(said, lead.labels)}.", key)

    return QualityCheck(judge)


def transformed(key: str, adds: str, spec: Mapping[str, str]) -> Enriching:
    """Adds what a transform of kit/transforms.py makes of a field; nothing where it can make nothing of it.

    BadSetting where the transform is set up wrongly.
    """
    try:
        change = compile_transform(spec)
    except BadParameter as problem:
        raise BadSetting("adds", str(problem)) from None

    def enrich(lead: JobLead, _answers: Sequence[Any]) -> Mapping[str, str]:
        try:
            made = change(lead.value(key))
        except CannotMake:
            return {}
        return {adds: made} if made else {}

    return Enriching(enrich, (adds,))


def cannot_yet(words: str) -> QualityCheck:
    """Judges nobody: what it needs is not there yet, and each lead says so."""

    def judge(_lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        raise CannotJudge(words)

    return QualityCheck(judge)
