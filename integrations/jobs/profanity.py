"""Whether a value has a word that nobody has for a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from integrations.kit.job_settings import FIELDS, fields, list_id, list_setting
from integrations.kit.jobs import Failed, JobKind, JobLead, JobManifest, Listed, QualityCheck, Values
from integrations.kit.lists import PROFANITY
from integrations.kit.normal_forms import folded, normal_text

_WORD = re.compile(r"[^\W_]+")
_MOST_WORDS, _LOOKED_AT = 50, 2_000


def _compile(values: Values) -> QualityCheck:
    keys, listed = fields(values), list_id(values)

    def words(lead: JobLead) -> Iterator[tuple[str, str]]:
        for key in keys:
            found = dict.fromkeys(normal_text(word) for word in _WORD.findall(folded(lead.value(key)[:_LOOKED_AT])))
            for word in list(found)[:_MOST_WORDS]:
                yield key, word

    def asks(lead: JobLead) -> Sequence[Listed]:
        return [Listed(listed, word) for _, word in words(lead)]

    def judge(lead: JobLead, answers: Sequence[Any]) -> Failed | None:
        for (key, _), answer in zip(words(lead), answers, strict=False):
            if answer is not None:
                return Failed(f"{lead.label(key)} has a word that is not wanted.", key)
        return None

    return QualityCheck(judge, asks)


KIND = JobKind(
    JobManifest(
        slug="profanity",
        name="Profanity",
        summary="Fails a lead with a word that is not wanted.",
        tab="quality",
        settings=(FIELDS, list_setting(PROFANITY, "Words", "The list of words that are not wanted.")),
        help="Whole words are compared, so that a name which has such a word inside it passes.",
    ),
    _compile,
)
