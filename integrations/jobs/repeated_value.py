"""Whether the same was entered into several fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrations.kit.job_settings import fields
from integrations.kit.jobs import BadSetting, Failed, JobKind, JobLead, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.normal_forms import folded


def _compile(values: Values) -> QualityCheck:
    keys = fields(values)
    if len(keys) < 2:
        raise BadSetting("fields", "Choose at least two fields.")

    def judge(lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        seen: dict[str, str] = {}
        for key in keys:
            value = folded(lead.value(key))
            if value and value in seen:
                return Failed(f"{lead.label(seen[value])} and {lead.label(key)} are the same.", key)
            seen[value] = key
        return None

    return QualityCheck(judge)


KIND = JobKind(
    JobManifest(
        slug="repeated_value",
        name="Repeated value",
        summary="Fails a lead that has the same value in two fields.",
        tab="quality",
        settings=(JobSetting("fields", "Fields", "fields", help="Those of which no two may be the same."),),
    ),
    _compile,
)
