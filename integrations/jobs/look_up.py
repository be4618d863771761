"""What a table has for a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.kit.job_settings import ADDS, FIELD, field, list_id, list_setting, new_name, text
from integrations.kit.jobs import Enriching, JobKind, JobLead, JobManifest, JobSetting, Listed, Values
from integrations.kit.lists import LOOK_UP
from integrations.kit.normal_forms import normal_text


def _compile(values: Values) -> Enriching:
    key, adds, listed, otherwise = field(values), new_name(values), list_id(values), text(values, "otherwise")

    def asks(lead: JobLead) -> Sequence[Listed]:
        wanted = normal_text(lead.value(key))
        return (Listed(listed, wanted),) if wanted else ()

    def enrich(_lead: JobLead, answers: Sequence[Any]) -> Mapping[str, str]:
        found = next((answer for answer in answers if answer), "") or otherwise
        return {adds: str(found)} if found else {}

    return Enriching(enrich, (adds,), asks)


KIND = JobKind(
    JobManifest(
        slug="look_up",
        name="Look-up table",
        summary="Adds what a table has for a value, such as the region of a postcode.",
        tab="enrichment",
        former_names=("Transforms",),
        settings=(
            FIELD,
            list_setting(LOOK_UP, "Table", "The table that the value is looked up in."),
            JobSetting("otherwise", "Otherwise", required=False, help="What is added where the table has nothing."),
            ADDS,
        ),
        help="Letter case and outer spaces make no difference.",
    ),
    _compile,
)
