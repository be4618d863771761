"""Whether a lead is as several conditions say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrations.kit.conditions import BadCondition, conditions_compile, conditions_fields, conditions_words
from integrations.kit.contract import Choice
from integrations.kit.job_settings import choice, choices_of, text
from integrations.kit.jobs import BadSetting, Failed, JobKind, JobLead, JobManifest, JobSetting, QualityCheck, Values

_REASON_CHARS = 280
_WANTED = JobSetting(
    "wanted",
    "A lead passes",
    "choice",
    default="holds",
    help="Whether the conditions say what is wanted, or what is not.",
    choices=(Choice("holds", "If the conditions hold"), Choice("not", "If they do not hold")),
)


def _compile(values: Values) -> QualityCheck:
    given = values.get("conditions")
    try:
        holds = conditions_compile(given)
    except BadCondition as problem:
        raise BadSetting("conditions", str(problem)) from None
    wanted = choice(values, "wanted", choices_of(_WANTED), "holds") == "holds"
    own, begins = text(values, "reason"), "Does not meet the condition" if wanted else "Not wanted"
    about = conditions_fields(given)[0]

    def judge(lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        if holds(lead) is wanted:
            return None
        reason = own or f"{begins}: {conditions_words(given, lead.labels)}."
        return Failed(reason if len(reason) <= _REASON_CHARS else reason[: _REASON_CHARS - 1] + "…", about)

    return QualityCheck(judge)


KIND = JobKind(
    JobManifest(
        slug="conditional",
        name="Conditional",
        summary="Fails a lead that is not as several conditions say.",
        tab="quality",
        settings=(
            JobSetting(
                "conditions", "Conditions", "conditions", help="Sections of conditions: all or any have to hold."
            ),
            _WANTED,
            JobSetting(
                "reason",
                "Reason",
                required=False,
                help="What is said of a lead that fails. Empty: the conditions in words.",
            ),
        ),
        fields=lambda values: conditions_fields(values.get("conditions")),
    ),
    _compile,
)
