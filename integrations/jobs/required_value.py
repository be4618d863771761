"""Whether a lead has a value where one is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrations.kit.contract import Choice
from integrations.kit.job_settings import FIELDS, choice, choices_of, fields
from integrations.kit.jobs import Failed, JobKind, JobLead, JobManifest, JobSetting, QualityCheck, Values

_NEED = JobSetting(
    "need",
    "Needed",
    "choice",
    default="all",
    help="Whether each field needs a value, or one of them is enough.",
    choices=(Choice("all", "A value in each of the fields"), Choice("any", "A value in one of the fields")),
)


def _compile(values: Values) -> QualityCheck:
    keys = fields(values)
    need = choice(values, "need", choices_of(_NEED), "all")

    def judge(lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        missing = [key for key in keys if not lead.value(key)]
        if not missing or (need == "any" and len(missing) < len(keys)):
            return None
        if need == "any":
            return Failed(
                f"A value is needed in one of {', '.join(map(lead.label, keys))}, and none is there.", keys[0]
            )
        return Failed(f"Required values are empty or missing: {', '.join(map(lead.label, missing))}.", missing[0])

    return QualityCheck(judge)


KIND = JobKind(
    JobManifest(
        slug="required_value",
        name="Required value",
        summary="Fails a lead that has no value in a field where one is needed.",
        tab="quality",
        former_names=("Multiple empty fields",),
        settings=(FIELDS, _NEED),
        help="For what a form can't require of everybody, such as either a telephone number or a mobile number.",
    ),
    _compile,
)
