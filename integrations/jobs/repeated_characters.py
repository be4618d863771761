"""Whether a character is repeated as in no word."""

from __future__ import annotations

from itertools import groupby

from integrations.kit.job_settings import FIELDS, fields, integer
from integrations.kit.jobs import JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import value_check


def _compile(values: Values) -> QualityCheck:
    most = integer(values, "most", 1, 100, 3) or 3

    def wrong(value: str) -> str:
        runs = (sum(1 for _ in run) for _, run in groupby(value.casefold()))
        return f"has the same character more than {most} times in a row." if any(run > most for run in runs) else ""

    return QualityCheck(value_check(fields(values), wrong, empty_fails=False))


KIND = JobKind(
    JobManifest(
        slug="repeated_characters",
        name="Repeated characters",
        summary="Fails a lead with a character that is repeated as in no word: Joooooe.",
        tab="quality",
        former_names=("Repeat character",),
        settings=(
            FIELDS,
            JobSetting("most", "Times in a row", "integer", False, "So often it may be there.", 3, least=1, most=100),
        ),
    ),
    _compile,
)
