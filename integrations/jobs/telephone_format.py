"""A telephone number as somebody wants it written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from integrations.kit.contract import Choice
from integrations.kit.job_settings import (
    ADDS,
    COUNTRY,
    COUNTRY_FIELD,
    FIELD,
    choice,
    choices_of,
    country,
    country_here,
    field,
    new_name,
    text,
)
from integrations.kit.jobs import Enriching, JobKind, JobLead, JobManifest, JobSetting, Values
from integrations.kit.judging import transformed
from integrations.kit.transforms import TRANSFORMS

_FORMAT = JobSetting(
    "format",
    "Format",
    "choice",
    default="e164",
    help="How the number is written.",
    choices=tuple(Choice(*each) for each in TRANSFORMS["telephone"].params[1].choices),
)


def _compile(values: Values) -> Enriching:
    key, adds, region, region_key = field(values), new_name(values), country(values), text(values, "country_field")
    written = choice(values, "format", choices_of(_FORMAT), "e164")

    @cache
    def made_for(here: str) -> Enriching:
        return transformed(key, adds, {"name": "telephone", "country": here, "format": written})

    def enrich(lead: JobLead, answers: Sequence[Any]) -> Mapping[str, str]:
        return made_for(country_here(lead, region_key, region)).enrich(lead, answers)

    return Enriching(enrich, (adds,))


KIND = JobKind(
    JobManifest(
        slug="telephone_format",
        name="Telephone format",
        summary="Adds a telephone number written in another way.",
        tab="enrichment",
        settings=(FIELD, COUNTRY, COUNTRY_FIELD, _FORMAT, ADDS),
        help="Nothing is added where the value is no telephone number.",
    ),
    _compile,
)
