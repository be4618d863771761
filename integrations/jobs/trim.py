"""A value without spaces around it."""

from __future__ import annotations

from integrations.kit.job_settings import ADDS, FIELD, field, new_name
from integrations.kit.jobs import Enriching, JobKind, JobManifest, Values
from integrations.kit.judging import transformed


def _compile(values: Values) -> Enriching:
    return transformed(field(values), new_name(values), {"name": "trim"})


KIND = JobKind(
    JobManifest(
        slug="trim",
        name="Trim",
        summary="Adds a value without spaces around it and double ones inside.",
        tab="enrichment",
        settings=(FIELD, ADDS),
    ),
    _compile,
)
