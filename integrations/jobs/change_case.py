"""A value in other letter case."""

from __future__ import annotations

from integrations.kit.contract import Choice
from integrations.kit.job_settings import ADDS, FIELD, choice, choices_of, field, new_name
from integrations.kit.jobs import Enriching, JobKind, JobManifest, JobSetting, Values
from integrations.kit.judging import transformed

_CASE = JobSetting(
    "case",
    "Written as",
    "choice",
    default="title",
    help="How the letters are written.",
    choices=(Choice("title", "Title Case, as names are"), Choice("upper", "UPPER CASE"), Choice("lower", "lower case")),
)


def _compile(values: Values) -> Enriching:
    return transformed(field(values), new_name(values), {"name": choice(values, "case", choices_of(_CASE), "title")})


KIND = JobKind(
    JobManifest(
        slug="change_case",
        name="Letter case",
        summary="Adds a value in other letter case: ADA becomes Ada.",
        tab="enrichment",
        former_names=("Casing",),
        settings=(FIELD, _CASE, ADDS),
    ),
    _compile,
)
