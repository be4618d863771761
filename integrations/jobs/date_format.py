"""A date as somebody wants it written."""

from __future__ import annotations

from integrations.kit.job_settings import ADDS, FIELD, field, new_name, text
from integrations.kit.jobs import BadSetting, Enriching, JobKind, JobManifest, JobSetting, Values
from integrations.kit.judging import transformed
from integrations.kit.transforms import BadParameter, date_pattern


def _compile(values: Values) -> Enriching:
    written = {name: text(values, name) or default for name, default in (("from", "iso"), ("to", "DD/MM/YYYY"))}
    for name, each in written.items():
        try:
            date_pattern(each)
        except BadParameter as problem:
            raise BadSetting(name, str(problem)) from None
    return transformed(field(values), new_name(values), {"name": "date_format", **written})


KIND = JobKind(
    JobManifest(
        slug="date_format",
        name="Date format",
        summary="Adds a date written in another way: 2026-03-04 becomes 04/03/2026.",
        tab="enrichment",
        settings=(
            FIELD,
            JobSetting("from", "Posted as", help="As in DD/MM/YYYY; iso is 2026-03-04.", default="iso"),
            JobSetting("to", "Written as", help="As in MM/DD/YYYY or DD MMM YYYY.", default="DD/MM/YYYY"),
            ADDS,
        ),
        help="Nothing is added where the value is no date that is written so.",
    ),
    _compile,
)
