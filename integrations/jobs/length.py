"""How long a value is."""

from __future__ import annotations

from integrations.kit.job_settings import EMPTY, FIELDS, choice, choices_of, fields, integer
from integrations.kit.jobs import BadSetting, JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import value_check

MOST = 10_000


def _compile(values: Values) -> QualityCheck:
    least, most = integer(values, "least", 1, MOST), integer(values, "most", 1, MOST)
    if least is None and most is None:
        raise BadSetting("least", "Enter the shortest or the longest length.")
    if least is not None and most is not None and most < least:
        raise BadSetting("most", "The longest is shorter than the shortest.")

    def wrong(value: str) -> str:
        if least is not None and len(value) < least:
            return f"is shorter than {least:,} characters."
        if most is not None and len(value) > most:
            return f"is longer than {most:,} characters."
        return ""

    empty_fails = choice(values, "empty", choices_of(EMPTY), "passes") == "fails"
    return QualityCheck(value_check(fields(values), wrong, empty_fails=empty_fails))


KIND = JobKind(
    JobManifest(
        slug="length",
        name="Length",
        summary="Fails a lead with a value that is too short or too long.",
        tab="quality",
        former_names=("Length check", "Short values", "Name length"),
        settings=(
            FIELDS,
            JobSetting("least", "Shortest", "integer", False, "Characters, without spaces around.", least=1, most=MOST),
            JobSetting("most", "Longest", "integer", False, "Characters, without spaces around.", least=1, most=MOST),
            EMPTY,
        ),
    ),
    _compile,
)
