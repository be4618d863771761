"""First and last name of a whole one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.kit.job_settings import FIELD, field, new_name
from integrations.kit.jobs import BadSetting, Enriching, JobKind, JobLead, JobManifest, JobSetting, Values

# What belongs to the last name behind it.
_PARTICLES = frozenset(
    [
        "af",
        "al",
        "bin",
        "da",
        "das",
        "de",
        "degli",
        "del",
        "della",
        "den",
        "der",
        "des",
        "di",
        "do",
        "dos",
        "du",
        "el",
        "ibn",
        "la",
        "le",
        "lo",
        "mac",
        "san",
        "st.",
        "ter",
        "ten",
        "van",
        "vom",
        "von",
        "y",
        "zu",
        "zum",
        "zur",
    ]
)


def name_split(name: str) -> tuple[str, str]:
    """First names and last name; the last is empty where there is one word only. “Lovelace, Ada” is turned around."""
    before, comma, behind = name.partition(",")
    if comma and before.strip() and behind.strip():
        return " ".join(behind.split()), " ".join(before.split())
    words = name.replace(",", " ").split()
    begins = max(len(words) - 1, 1)
    while begins > 1 and words[begins - 1].casefold() in _PARTICLES:
        begins -= 1
    return " ".join(words[:begins]), " ".join(words[begins:])


def _compile(values: Values) -> Enriching:
    key, first, last = field(values), new_name(values, "first"), new_name(values, "last")
    if first == last:
        raise BadSetting("last", "First and last name need two names.")

    def enrich(lead: JobLead, _answers: Sequence[Any]) -> Mapping[str, str]:
        made = zip((first, last), name_split(lead.value(key)), strict=True)
        return {name: part for name, part in made if part}

    return Enriching(enrich, (first, last))


KIND = JobKind(
    JobManifest(
        slug="split_name",
        name="Split name",
        summary="Adds first and last name made of a whole one: Ludwig van Beethoven becomes Ludwig and van Beethoven.",
        tab="enrichment",
        settings=(
            FIELD,
            JobSetting("first", "Name of the first name", help="Letters, digits and _. It can be mapped like a field."),
            JobSetting("last", "Name of the last name", help="Letters, digits and _. It can be mapped like a field."),
        ),
        help="The last word is the last name, with van, de and the like before it.",
    ),
    _compile,
)
