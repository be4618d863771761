"""Reads a job's settings, and has the boxes that many kinds share. BadSetting says what to mend, at its box."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping
from typing import Any

from integrations.kit.contract import Choice
from integrations.kit.countries import country_code
from integrations.kit.jobs import BadSetting, JobLead, JobSetting, Values
from integrations.kit.lists import LIST_KINDS
from integrations.kit.telephones import known_country
from integrations.kit.text_map import pairs_of

MOST_LINES, MOST_LINE_CHARS, MOST_FIELDS = 200, 500, 20
# As a field of a form may be called, so that what is added can be mapped and named in templates.
_NAME = re.compile(r"[A-Za-z]\w{0,63}\Z", re.ASCII)

FIELD = JobSetting("field", "Field", "field", help="The field that is looked at.")
FIELDS = JobSetting("fields", "Fields", "fields", help="The fields that are looked at, each by itself.")
EMPTY = JobSetting(
    "empty",
    "A lead without a value",
    "choice",
    required=False,
    help="Whether a value is required at all is better asked by the job Required value.",
    default="passes",
    choices=(Choice("passes", "Passes"), Choice("fails", "Fails")),
)
COUNTRY = JobSetting(
    "country",
    "Country",
    required=False,
    help="Two letters, as in GB: for telephone numbers without a country code.",
)
COUNTRY_FIELD = JobSetting(
    "country_field",
    "Country from field",
    "field",
    required=False,
    help="A field with the country's name or code, for numbers without a country code. It wins over the country above.",
)
EXPRESSION = JobSetting(
    "expression", "Expression", help="A regular expression, such as ^[A-Z]{2}\\d{4}. One that may never end is refused."
)
IGNORE_CASE = JobSetting("ignore_case", "Ignore letter case", "boolean", False, "ABC fits abc.", True)
SENDERS_SCOPE = JobSetting(
    "scope",
    "Compared with leads of",
    "choice",
    required=False,
    default="campaign",
    help="Whose earlier leads count.",
    choices=(Choice("campaign", "This campaign"), Choice("instance", "All campaigns")),
)
ADDS = JobSetting(
    "adds",
    "Name of the new value",
    help="Letters, digits and _. It stands beside what was posted, and can be mapped and judged like a field.",
)


def text(values: Values, name: str, default: str = "") -> str:
    """A text, trimmed."""
    value = values.get(name, default)
    if value is None or isinstance(value, bool | Mapping | list):
        return default
    return str(value).strip()


def field(values: Values, name: str = "field") -> str:
    """The input key that a box names."""
    key = text(values, name)
    if not key:
        raise BadSetting(name, "Choose a field.")
    return key


def fields(values: Values, name: str = "fields") -> tuple[str, ...]:
    """The input keys that a box names, at least one."""
    given = values.get(name)
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, list | tuple):
        listed = []
    keys = tuple(dict.fromkeys(key.strip() for key in listed if isinstance(key, str) and key.strip()))
    if not keys:
        raise BadSetting(name, "Choose at least one field.")
    if len(keys) > MOST_FIELDS:
        raise BadSetting(name, f"Choose {MOST_FIELDS} fields at the most.")
    return keys


def integer(values: Values, name: str, least: int, most: int, default: int | None = None) -> int | None:
    """A whole number between bounds; the default where the box is empty."""
    value = values.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,12}\s*", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadSetting(name, f"Enter a whole number from {least:,} to {most:,}.")
    return value


def boolean(values: Values, name: str, default: bool = False) -> bool:
    """A tick."""
    value = values.get(name, default)
    return value.strip().lower() in ("1", "true", "on", "yes") if isinstance(value, str) else bool(value)


def choice(values: Values, name: str, known: Collection[str], default: str) -> str:
    """One of the known values."""
    value = text(values, name) or default
    if value not in known:
        raise BadSetting(name, f"Choose one of: {', '.join(known)}.")
    return value


def choices_of(setting: JobSetting) -> tuple[str, ...]:
    """The values that a choice may have."""
    return tuple(each.value for each in setting.choices)


def lines(values: Values, name: str, most: int = MOST_LINES) -> tuple[str, ...]:
    """The entries of a text with one on each line, or of a list; empty and repeated ones are left out."""
    given = values.get(name)
    listed = given.splitlines() if isinstance(given, str) else given
    if not isinstance(listed, list | tuple):
        listed = []
    found = tuple(dict.fromkeys(entry for each in listed if (entry := str(each).strip())))
    if len(found) > most:
        raise BadSetting(name, f"These are {len(found):,} lines; {most:,} are the most. Use a list of values instead.")
    if any(len(entry) > MOST_LINE_CHARS for entry in found):
        raise BadSetting(name, f"A line is longer than {MOST_LINE_CHARS} characters. Shorten it.")
    return found


def pairs(values: Values, name: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a map."""
    return tuple(pairs_of(values.get(name)))


def identifier(value: Any) -> int:
    """An id as JSON or a form has it; 0 where there is none."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def list_id(values: Values, name: str = "list", *, required: bool = True) -> int:
    """The id of the list that a box names; 0 where it may be empty and is."""
    found = identifier(values.get(name))
    if not found and required:
        raise BadSetting(name, "Choose a list.")
    return found


def date(values: Values, name: str) -> dt.date | None:
    """A day, or None where the box is empty."""
    value = text(values, name)
    if not value:
        return None
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise BadSetting(name, "Write the date as in 2026-11-30.") from None


def country(values: Values, name: str = "country") -> str:
    """Two letters of a country that has telephone numbers, or nothing."""
    code = text(values, name).upper()
    if code and not known_country(code):
        raise BadSetting(name, f"“{code[:20]}” is no country code. Write two letters, as in GB.")
    return code


def new_name(values: Values, name: str = "adds") -> str:
    """The name of a value that enrichment adds."""
    given = text(values, name)
    if not given:
        raise BadSetting(name, "Give the new value a name.")
    if not _NAME.match(given):
        raise BadSetting(name, "Start with a letter; then letters, digits and _ only, 64 characters at the most.")
    return given


def list_setting(
    kind: str, label: str, help: str, *, name: str = "list", required: bool = True, others: tuple[str, ...] = ()
) -> JobSetting:
    """A box for a list of this kind."""
    assert all(each in LIST_KINDS for each in (kind, *others))
    return JobSetting(name, label, "list", required, help, lists=(kind, *others))


def country_here(lead: JobLead, country_key: str, otherwise: str) -> str:
    """The country that a lead names in a field, where it has telephone numbers; else the one that is set."""
    here = country_code(lead.value(country_key)) if country_key else ""
    return here if here and known_country(here) else otherwise
