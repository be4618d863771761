"""Whether a lead is somebody's whose leads are not wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from integrations.kit.job_settings import COUNTRY, FIELDS, country, fields, list_id, list_setting
from integrations.kit.jobs import Failed, JobKind, JobLead, JobManifest, Listed, QualityCheck, Values
from integrations.kit.lists import SUPPRESSION, suppression_lookups


def _compile(values: Values) -> QualityCheck:
    keys, listed, region = fields(values), list_id(values), country(values)

    def asked(lead: JobLead) -> list[tuple[str, str]]:
        return [(key, hashed) for key in keys for hashed in suppression_lookups(lead.value(key), region)]

    def asks(lead: JobLead) -> Sequence[Listed]:
        return [Listed(listed, hashed) for _, hashed in asked(lead)]

    def judge(lead: JobLead, answers: Sequence[Any]) -> Failed | None:
        for (key, _), answer in zip(asked(lead), answers, strict=False):
            if answer is not None:
                return Failed(f"{lead.label(key)} is on the suppression list.", key)
        return None

    return QualityCheck(judge, asks)


KIND = JobKind(
    JobManifest(
        slug="suppression_list",
        name="Suppression list",
        summary="Fails a lead of somebody whose leads are not wanted.",
        tab="quality",
        hard_fail=True,
        settings=(
            FIELDS,
            list_setting(SUPPRESSION, "List", "The list of e-mail addresses or telephone numbers, kept as hashes."),
            COUNTRY,
        ),
        help="Letter case, outer spaces and how a telephone number is written make no difference.",
    ),
    _compile,
)
