"""Several values as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.kit.job_settings import ADDS, fields, new_name
from integrations.kit.jobs import Enriching, JobKind, JobLead, JobManifest, JobSetting, Values


def _compile(values: Values) -> Enriching:
    keys, adds = fields(values), new_name(values)
    given = values.get("between", " ")
    # Not trimmed: a space between is what is meant most often.
    between = given[:20] if isinstance(given, str) else " "

    def enrich(lead: JobLead, _answers: Sequence[Any]) -> Mapping[str, str]:
        made = between.join(value for key in keys if (value := lead.value(key)))
        return {adds: made} if made else {}

    return Enriching(enrich, (adds,))


KIND = JobKind(
    JobManifest(
        slug="combine",
        name="Combine",
        summary="Adds one value made of several: Ada and Lovelace become Ada Lovelace.",
        tab="enrichment",
        former_names=("Concatenate",),
        settings=(
            JobSetting("fields", "Fields", "fields", help="In this order. Those without a value are left out."),
            JobSetting(
                "between", "Between them", required=False, help="A space, unless you write something else.", default=" "
            ),
            ADDS,
        ),
    ),
    _compile,
)
