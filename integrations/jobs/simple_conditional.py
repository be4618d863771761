"""Whether a value is as one condition says."""

from __future__ import annotations

from integrations.kit.conditions import OPERATORS
from integrations.kit.contract import Choice
from integrations.kit.job_settings import FIELD, choice, choices_of, field, lines
from integrations.kit.jobs import JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import condition_check

_OPERATOR = JobSetting(
    "operator",
    "Operator",
    "choice",
    default="equal",
    help="How the value is compared.",
    choices=tuple(Choice(each.name, each.label) for each in OPERATORS.values()),
)


def _compile(values: Values) -> QualityCheck:
    return condition_check(
        field(values), choice(values, "operator", choices_of(_OPERATOR), "equal"), lines(values, "values")
    )


KIND = JobKind(
    JobManifest(
        slug="simple_conditional",
        name="Simple conditional",
        summary="Fails a lead whose value is not as one condition says.",
        tab="quality",
        showable=True,
        settings=(
            FIELD,
            _OPERATOR,
            JobSetting(
                "values",
                "Values",
                "lines",
                required=False,
                help="One on each line, 200 at the most: one of them has to fit. Dates as 2026-11-30.",
            ),
        ),
        help="A field without a value fits nothing: with “is equal to” it fails, with “is not equal to” it passes.",
    ),
    _compile,
)
