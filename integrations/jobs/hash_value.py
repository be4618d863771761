"""A value as a hash, for those who match people without being told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.kit.contract import Choice
from integrations.kit.job_settings import ADDS, COUNTRY, FIELD, choice, choices_of, country, field, new_name
from integrations.kit.jobs import Enriching, JobKind, JobLead, JobManifest, JobSetting, Values
from integrations.kit.lists import hashed, hashed_md5
from integrations.kit.normal_forms import normal_value

_ALGORITHM = JobSetting(
    "algorithm",
    "Hash",
    "choice",
    default="sha256",
    help="As lower-case hexadecimal digits.",
    choices=(Choice("sha256", "SHA-256"), Choice("md5", "MD5")),
)
_FORM = JobSetting(
    "form",
    "Hashed as",
    "choice",
    default="normal",
    help="In normal form an e-mail address is in lower case, and a telephone number as +447123456789.",
    choices=(
        Choice("normal", "In normal form"),
        Choice("digits", "In normal form, telephone numbers without +"),
        Choice("posted", "As it was posted"),
    ),
)


def _compile(values: Values) -> Enriching:
    key, adds, region = field(values), new_name(values), country(values)
    make = {"sha256": hashed, "md5": hashed_md5}[choice(values, "algorithm", choices_of(_ALGORITHM), "sha256")]
    form = choice(values, "form", choices_of(_FORM), "normal")

    def enrich(lead: JobLead, _answers: Sequence[Any]) -> Mapping[str, str]:
        value = lead.value(key)
        if form == "posted":
            value = lead.values[key].strip() if value else ""
        else:
            value = normal_value(value, region)
        if form == "digits":
            value = value.removeprefix("+")
        return {adds: make(value)} if value else {}

    return Enriching(enrich, (adds,))


KIND = JobKind(
    JobManifest(
        slug="hash_value",
        name="Hash",
        summary="Adds the hash of a value, for partners who match people by it.",
        tab="enrichment",
        former_names=("Hashing",),
        settings=(FIELD, _ALGORITHM, _FORM, COUNTRY, ADDS),
        help="A hash of an e-mail address is still personal data: whoever has the address can make it too.",
    ),
    _compile,
)
