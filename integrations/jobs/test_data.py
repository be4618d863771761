"""Whether somebody tried the form out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from integrations.kit.job_settings import FIELDS, boolean, fields, list_id, list_setting
from integrations.kit.jobs import Failed, JobKind, JobLead, JobManifest, JobSetting, Listed, QualityCheck, Values
from integrations.kit.lists import TEST_WORDS
from integrations.kit.normal_forms import folded, normal_text

# RFC 2606 keeps these for examples.
_EXAMPLE_DOMAINS = ("example.com", "example.net", "example.org", "example.edu")
_EXAMPLE_ENDINGS = (".example", ".test", ".invalid", ".localhost")
_LEAST_REPEATED = 3


def _words(value: str) -> list[str]:
    """What of a value may be a test word: all of it, and of an address both sides of the @."""
    plain = folded(value)
    local, at, domain = plain.rpartition("@")
    return list(dict.fromkeys(word for word in (plain, local, domain.partition(".")[0] if at else "") if word))


def _is_example(value: str) -> bool:
    _, at, domain = folded(value).rpartition("@")
    named = any(domain == each or domain.endswith(f".{each}") for each in _EXAMPLE_DOMAINS)
    return bool(at) and (named or f".{domain}".endswith(_EXAMPLE_ENDINGS))


def _is_one_sign(value: str) -> bool:
    signs = [sign for sign in folded(value) if sign.isalnum()]
    return len(signs) >= _LEAST_REPEATED and len(set(signs)) == 1


def _compile(values: Values) -> QualityCheck:
    keys, listed = fields(values), list_id(values, required=False)
    examples, repeated = boolean(values, "examples", True), boolean(values, "repeated", True)

    def words(lead: JobLead) -> Iterator[tuple[str, str]]:
        for key in keys:
            for word in _words(lead.value(key)):
                yield key, word

    def asks(lead: JobLead) -> Sequence[Listed]:
        return [Listed(listed, normal_text(word)) for _, word in words(lead)]

    def judge(lead: JobLead, answers: Sequence[Any]) -> Failed | None:
        for key in keys:
            value = lead.value(key)
            if examples and _is_example(value):
                return Failed(f"{lead.label(key)} has a domain that is kept for examples.", key)
            if repeated and _is_one_sign(value):
                return Failed(f"{lead.label(key)} is one and the same character.", key)
        for (key, _), answer in zip(words(lead), answers, strict=False):
            if answer is not None:
                return Failed(f"{lead.label(key)} is what people type to try a form out.", key)
        return None

    return QualityCheck(judge, asks if listed else None)


KIND = JobKind(
    JobManifest(
        slug="test_data",
        name="Test data",
        summary="Fails a lead with which somebody tried the form out: asdf, test, example.com.",
        tab="quality",
        settings=(
            FIELDS,
            list_setting(TEST_WORDS, "Test words", "A list of such words. None: not asked.", required=False),
            JobSetting(
                "examples",
                "Example domains",
                "boolean",
                False,
                "E-mail addresses at example.com and the like fail.",
                True,
            ),
            JobSetting("repeated", "One character only", "boolean", False, "Values such as xxx and 00000 fail.", True),
        ),
        help="A value is compared as a whole: Test Valley Ltd passes. Leads that are posted as tests are judged too.",
    ),
    _compile,
)
