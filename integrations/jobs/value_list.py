"""Whether a value stands on a list."""

from __future__ import annotations

from integrations.kit.contract import Choice
from integrations.kit.job_settings import EMPTY, FIELD, boolean, choice, choices_of, field, list_id, list_setting
from integrations.kit.jobs import JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import list_check
from integrations.kit.lists import LOOK_UP, VALUES

_WANTED = JobSetting(
    "wanted",
    "A value passes",
    "choice",
    default="listed",
    help="Whether the list has what is wanted, or what is not.",
    choices=(Choice("listed", "If it is on the list"), Choice("not_listed", "If it is not on the list")),
)
SEVERAL = JobSetting(
    "several",
    "Several values",
    "boolean",
    required=False,
    help="A value with commas is looked up part by part, as a choice of several is posted.",
    default=False,
)


def _compile(values: Values) -> QualityCheck:
    return list_check(
        field(values),
        list_id(values),
        choice(values, "wanted", choices_of(_WANTED), "listed") == "listed",
        boolean(values, "several"),
        choice(values, "empty", choices_of(EMPTY), "passes") == "fails",
    )


KIND = JobKind(
    JobManifest(
        slug="value_list",
        name="Value list",
        summary="Fails a lead whose value is not on a list, or is on it.",
        tab="quality",
        former_names=("Validation List",),
        showable=True,
        settings=(
            FIELD,
            list_setting(VALUES, "List", "The list that the value is looked up in.", others=(LOOK_UP,)),
            _WANTED,
            SEVERAL,
            EMPTY,
        ),
        help="Letter case and outer spaces make no difference.",
    ),
    _compile,
)
