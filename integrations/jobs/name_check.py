"""Whether a name can be a person's."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from integrations.kit.job_settings import boolean, field, integer, text
from integrations.kit.jobs import Failed, JobKind, JobLead, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.normal_forms import folded

_VOWELS = frozenset("aeiouyæøœıəɛɔ")
# Ng and Krč are names.
_ASKED_FOR_VOWELS = 4


def _has_no_vowel(name: str) -> bool:
    """Whether a word of letters that have vowels among them has none."""
    letters = [sign for sign in unicodedata.normalize("NFD", name.casefold()) if sign.isalpha()]
    latin = [sign for sign in letters if "LATIN" in unicodedata.name(sign, "")]
    return len(letters) >= _ASKED_FOR_VOWELS and latin == letters and not _VOWELS & set(letters)


def _compile(values: Values) -> QualityCheck:
    first, last = field(values, "first"), text(values, "last")
    same, vowels, digits = (
        boolean(values, "same", True),
        boolean(values, "vowels", True),
        boolean(values, "digits", True),
    )
    least, most = integer(values, "least", 1, 100, 1) or 1, integer(values, "most", 1, 1_000, 100) or 100

    def wrong(name: str) -> str:
        if len(name) < least:
            return f"is shorter than {least} characters."
        if len(name) > most:
            return f"is longer than {most} characters."
        if not any(sign.isalpha() for sign in name):
            return "has no letter in it."
        if digits and any(sign.isdigit() for sign in name):
            return "has digits in it."
        if vowels and _has_no_vowel(name):
            return "has no vowel in it."
        return ""

    def judge(lead: JobLead, _answers: Sequence[Any]) -> Failed | None:
        for key in filter(None, (first, last)):
            name = lead.value(key)
            if name and (why := wrong(name)):
                return Failed(f"{lead.label(key)} {why}", key)
        if same and last and lead.value(first) and folded(lead.value(first)) == folded(lead.value(last)):
            return Failed(f"{lead.label(first)} and {lead.label(last)} are the same.", first)
        return None

    return QualityCheck(judge)


KIND = JobKind(
    JobManifest(
        slug="name_check",
        name="Name check",
        summary="Fails a lead with a name that nobody has.",
        tab="quality",
        former_names=("Invalid name", "First last name match", "Vowel"),
        settings=(
            JobSetting("first", "First name", "field", help="The field of the first name, or of the whole name."),
            JobSetting("last", "Last name", "field", False, "The field of the last name, where there is one."),
            JobSetting("same", "First and last name differ", "boolean", False, "Joe Joe fails.", True),
            JobSetting("digits", "No digits", "boolean", False, "J0e fails.", True),
            JobSetting(
                "vowels",
                "A vowel",
                "boolean",
                False,
                "A name of four or more Latin letters has a vowel: sdfg fails.",
                True,
            ),
            JobSetting("least", "Shortest", "integer", False, "Characters of a name.", 1, least=1, most=100),
            JobSetting("most", "Longest", "integer", False, "Characters of a name.", 100, least=1, most=1_000),
        ),
        help="A name that is not there passes: the job Required value asks for one.",
    ),
    _compile,
)
