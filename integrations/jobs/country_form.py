"""A country as somebody wants it written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import phonenumbers

from integrations.kit.contract import Choice
from integrations.kit.countries import country_code, country_of
from integrations.kit.job_settings import ADDS, FIELD, choice, choices_of, field, new_name
from integrations.kit.jobs import Enriching, JobKind, JobLead, JobManifest, JobSetting, Values

_FORM = JobSetting(
    "form",
    "Written as",
    "choice",
    default="alpha_2",
    help="What is added of the country.",
    choices=(
        Choice("alpha_2", "Two letters: DE"),
        Choice("alpha_3", "Three letters: DEU"),
        Choice("name", "Its English name: Germany"),
        Choice("dial_code", "Its dial code: +49"),
    ),
)


def country_written(code: str, form: str) -> str:
    """A country (two letters) in one of the forms; "" where it has none."""
    if form == "dial_code":
        dial = phonenumbers.country_code_for_region(code)
        return f"+{dial}" if dial else ""
    found = country_of(code)
    if form == "name":
        return str(getattr(found, "common_name", "") or getattr(found, "name", ""))
    return str(getattr(found, form, ""))


def _compile(values: Values) -> Enriching:
    key, adds = field(values), new_name(values)
    form = choice(values, "form", choices_of(_FORM), "alpha_2")

    def enrich(lead: JobLead, _answers: Sequence[Any]) -> Mapping[str, str]:
        code = country_code(lead.value(key))
        made = country_written(code, form) if code else ""
        return {adds: made} if made else {}

    return Enriching(enrich, (adds,))


KIND = JobKind(
    JobManifest(
        slug="country_form",
        name="Country",
        summary="Adds a country written in another way, or its dial code: Germany becomes DE or +49.",
        tab="enrichment",
        former_names=("Dial code",),
        settings=(FIELD, _FORM, ADDS),
        help="It is read by its English name, or by two or three letters. Nothing is added where it is no country.",
    ),
    _compile,
)
