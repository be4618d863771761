"""Whether a value has characters that do not belong into it."""

from __future__ import annotations

import unicodedata

from integrations.kit.contract import Choice
from integrations.kit.job_settings import FIELDS, choice, choices_of, fields, integer, text
from integrations.kit.jobs import JobKind, JobManifest, JobSetting, QualityCheck, Values
from integrations.kit.judging import value_check

_NAME_SIGNS = frozenset(" '’ʼ`´-‐‑–.,·")
_TEXT_SIGNS = frozenset(" \t\r\n'’‘“”\"-‐‑–—.,;:·!?¿¡&@#%+*/\\()[]_=<>|~^°§€$£¥«»…")
_ALLOW = JobSetting(
    "allow",
    "Allowed",
    "choice",
    default="name",
    help="Letters of every script and their accents are always allowed.",
    choices=(
        Choice("name", "As in names: letters, spaces, ' - . ,"),
        Choice("text", "As in texts: letters, digits, punctuation"),
        Choice("letters", "Letters and spaces only"),
        Choice("digits", "Digits only"),
    ),
)


def _compile(values: Values) -> QualityCheck:
    allow = choice(values, "allow", choices_of(_ALLOW), "name")
    also = frozenset(text(values, "also"))
    most = integer(values, "most", 0, 100, 0) or 0
    signs = {"name": _NAME_SIGNS, "text": _TEXT_SIGNS, "letters": frozenset(" "), "digits": frozenset[str]()}[allow]
    groups = {"digits": "N", "text": "LMN"}.get(allow, "LM")

    def wrong(value: str) -> str:
        odd = 0
        for sign in value:
            if sign not in signs and sign not in also and unicodedata.category(sign)[0] not in groups:
                odd += 1
                if odd > most:
                    return "has characters that do not belong into it."
        return ""

    return QualityCheck(value_check(fields(values), wrong, empty_fails=False))


KIND = JobKind(
    JobManifest(
        slug="unusual_characters",
        name="Unusual characters",
        summary="Fails a lead with characters that do not belong into a value, such as § in a name.",
        tab="quality",
        former_names=("Non standard characters",),
        settings=(
            FIELDS,
            _ALLOW,
            JobSetting("also", "Also allowed", required=False, help="Further signs, one behind the other, such as +/."),
            JobSetting("most", "How many may be there", "integer", False, "Usually none.", 0, least=0, most=100),
        ),
        help="What can't be seen, such as signs that turn the direction of writing around, is allowed nowhere.",
    ),
    _compile,
)
