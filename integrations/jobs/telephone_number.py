"""Whether a telephone number can be one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import phonenumbers

from integrations.kit.contract import Choice
from integrations.kit.job_settings import (
    COUNTRY,
    COUNTRY_FIELD,
    EMPTY,
    FIELD,
    choice,
    choices_of,
    country,
    country_here,
    field,
    text,
)
from integrations.kit.jobs import Failed, JobKind, JobLead, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.telephones import is_possible, is_valid, number_read

_Kind = phonenumbers.PhoneNumberType
# In some countries nothing tells a mobile number from a landline's: such a number passes as either.
_LINES = {
    "mobile": ({_Kind.MOBILE, _Kind.FIXED_LINE_OR_MOBILE}, "is no mobile number."),
    "landline": ({_Kind.FIXED_LINE, _Kind.FIXED_LINE_OR_MOBILE}, "is no landline number."),
    "persons": (
        {_Kind.MOBILE, _Kind.FIXED_LINE, _Kind.FIXED_LINE_OR_MOBILE, _Kind.VOIP, _Kind.PERSONAL_NUMBER},
        "is a service number, such as a free or an expensive one, and no person's.",
    ),
}
_CHECK = JobSetting(
    "check",
    "Checked for",
    "choice",
    default="valid",
    help="Valid: its country gives out such numbers. That somebody answers is not tried.",
    choices=(Choice("valid", "A valid number"), Choice("possible", "The right count of digits")),
)
_LINE = JobSetting(
    "line",
    "Kind of line",
    "choice",
    required=False,
    default="any",
    help="Numbers that may be of either kind pass as both.",
    choices=(
        Choice("any", "Any"),
        Choice("persons", "No service numbers"),
        Choice("mobile", "Mobile"),
        Choice("landline", "Landline"),
    ),
)


def _compile(values: Values) -> QualityCheck:
    key, region, region_key = field(values), country(values), text(values, "country_field")
    valid = choice(values, "check", choices_of(_CHECK), "valid") == "valid"
    line = choice(values, "line", choices_of(_LINE), "any")
    empty_fails = choice(values, "empty", choices_of(EMPTY), "passes") == "fails"

    def wrong(lead: JobLead, value: str) -> str:
        here = country_here(lead, region_key, region)
        number = number_read(value, here)
        if number is None:
            return "is no telephone number" + ("." if here else " with a country code.")
        if not is_possible(number):
            return "is no telephone number: it has too few or too many digits."
        if valid and not is_valid(number):
            return "is no telephone number that its country gives out."
        if line != "any":
            kinds, words = _LINES[line]
            return "" if phonenumbers.number_type(number) in kinds else words
        return ""

    def judge(lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        value = lead.value(key)
        why = wrong(lead, value) if value else ("is empty or missing." if empty_fails else "")
        return Failed(f"{lead.label(key)} {why}", key) if why else None

    return QualityCheck(judge)


KIND = JobKind(
    JobManifest(
        slug="telephone_number",
        name="Telephone number",
        summary="Fails a lead whose telephone number can be none, or is of another kind than wanted.",
        tab="quality",
        former_names=("Telephone format",),
        settings=(FIELD, COUNTRY, COUNTRY_FIELD, _CHECK, _LINE, EMPTY),
    ),
    _compile,
)
