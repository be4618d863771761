"""A value in which what an expression finds is replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from integrations.kit.job_settings import ADDS, EXPRESSION, FIELD, IGNORE_CASE, boolean, field, new_name, text
from integrations.kit.jobs import BadSetting, Enriching, JobKind, JobLead, JobManifest, JobSetting, Values
from integrations.kit.patterns import pattern_compile, replaced, replacement_compile

_MOST_CHARS, _MOST_REPLACEMENT = 10_000, 500


def _compile(values: Values) -> Enriching:
    key, adds = field(values), new_name(values)
    pattern = pattern_compile(
        text(values, "expression"), "expression", ignore_case=boolean(values, "ignore_case", True)
    )
    given = values.get("replacement")
    written = given if isinstance(given, str) else ""
    if len(written) > _MOST_REPLACEMENT:
        raise BadSetting("replacement", f"This is longer than {_MOST_REPLACEMENT} characters.")
    replacement = replacement_compile(written, "replacement", pattern)

    def enrich(lead: JobLead, _answers: Sequence[Any]) -> Mapping[str, str]:
        made = replaced(pattern, replacement, lead.value(key)).strip()
        return {adds: made} if made and len(made) <= _MOST_CHARS else {}

    return Enriching(enrich, (adds,))


KIND = JobKind(
    JobManifest(
        slug="find_replace",
        name="Find and replace",
        summary="Adds a value in which what a regular expression finds is replaced.",
        tab="enrichment",
        former_names=("Regex find and replace",),
        settings=(
            FIELD,
            EXPRESSION,
            JobSetting(
                "replacement",
                "Replacement",
                required=False,
                help="What stands in its place: \\1 is the first group. Empty: it is taken out.",
            ),
            IGNORE_CASE,
            ADDS,
        ),
    ),
    _compile,
)
