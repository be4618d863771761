"""Whether a value is as a regular expression says."""

from __future__ import annotations

from integrations.kit.contract import Choice
from integrations.kit.job_settings import (
    EMPTY,
    EXPRESSION,
    FIELD,
    IGNORE_CASE,
    boolean,
    choice,
    choices_of,
    field,
    text,
)
from integrations.kit.jobs import JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import value_check
from integrations.kit.patterns import found, pattern_compile

_WANTED = JobSetting(
    "wanted",
    "A value passes",
    "choice",
    default="fits",
    help="Whether the expression says what is wanted, or what is not.",
    choices=(Choice("fits", "If it fits"), Choice("not", "If it does not fit")),
)


def _compile(values: Values) -> QualityCheck:
    key = field(values)
    pattern = pattern_compile(
        text(values, "expression"), "expression", ignore_case=boolean(values, "ignore_case", True)
    )
    whole = boolean(values, "whole")
    wanted = choice(values, "wanted", choices_of(_WANTED), "fits") == "fits"
    words = "is not written as is expected." if wanted else "is written as is not wanted."
    empty_fails = choice(values, "empty", choices_of(EMPTY), "passes") == "fails"

    def wrong(value: str) -> str:
        return "" if found(pattern, value, whole=whole) is wanted else words

    return QualityCheck(value_check((key,), wrong, empty_fails=empty_fails))


KIND = JobKind(
    JobManifest(
        slug="pattern",
        name="Regular expression",
        summary="Fails a lead whose value is not written as an expression says.",
        tab="quality",
        former_names=("Regex",),
        settings=(
            FIELD,
            EXPRESSION,
            JobSetting("whole", "The whole value", "boolean", False, "It has to fit from beginning to end.", False),
            IGNORE_CASE,
            _WANTED,
            EMPTY,
        ),
    ),
    _compile,
)
