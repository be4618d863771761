"""Kinds of lists of values: what each is for, and in which form its keys are kept and looked up."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from integrations.kit.normal_forms import normal_domain, normal_text, normal_value

_HASHED = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{64})\Z")


def hashed(text: str) -> str:
    """SHA-256 as hexadecimal digits; surrogates, which can't be encoded, count as question marks."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def hashed_md5(text: str) -> str:
    """MD5 as hexadecimal digits: for lists that were hashed so by others, not for keeping secrets."""
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def suppression_key(text: str) -> str:
    """What is kept of a suppressed value: its SHA-256, or itself where it is a SHA-256 or an MD5 already."""
    plain = text.strip().lower()
    if _HASHED.match(plain):
        return plain
    normal = normal_value(text)
    return hashed(normal) if normal else ""


def suppression_lookups(text: str, country: str = "") -> tuple[str, ...]:
    """The keys under which a value may stand on a suppression list: hashed in normal form, by SHA-256 and by MD5.

    Lists that others have hashed have telephone numbers with and without the plus sign, so both are looked for.
    """
    normal = normal_value(text, country)
    forms = dict.fromkeys((normal, normal.removeprefix("+"), text.strip()))
    return tuple(dict.fromkeys(key for form in forms if form for key in (hashed(form), hashed_md5(form))))


@dataclass(frozen=True, slots=True)
class ListKind:
    """A kind of list. `key` makes an entry's key of what was written ("" where that is no entry).

    `has_value`: each key has a value beside it. `hashed`: nothing is kept in clear.
    """

    name: str
    label: str
    help: str
    key: Callable[[str], str] = normal_text
    has_value: bool = False
    hashed: bool = False
    mirrored: bool = False
    """Kept as a client has it: people look at it and change nothing."""


VALUES, LOOK_UP, SUPPRESSION = "values", "look_up", "suppression"
DOMAINS, ROLES, PROFANITY, TEST_WORDS = "domains", "roles", "profanity", "test_words"
CLIENTS = "clients"
# An instance starts with a list of each of these kinds (integrations/value_lists/starting_lists/).
STARTING = (DOMAINS, ROLES, PROFANITY, TEST_WORDS)

LIST_KINDS: Mapping[str, ListKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ListKind(VALUES, "Values", "Values that a field may have, or may not have: a job says which."),
            ListKind(
                LOOK_UP, "Look-up table", "A value for each key, such as a region for each postcode.", has_value=True
            ),
            ListKind(
                SUPPRESSION,
                "Suppression list",
                "People whose leads are not wanted: e-mail addresses or telephone numbers, kept as hashes only.",
                suppression_key,
                hashed=True,
            ),
            ListKind(DOMAINS, "Disposable domains", "Domains of e-mail addresses that are thrown away.", normal_domain),
            ListKind(ROLES, "Role names", "What stands before the @ of a mailbox that is no person's, such as info."),
            ListKind(PROFANITY, "Profanity", "Words that nobody has for a name."),
            ListKind(TEST_WORDS, "Test words", "What people type to try a form out, such as asdf."),
            ListKind(
                CLIENTS, "A client's list", "Kept as the client has it, for the job that checks by it.", mirrored=True
            ),
        )
    }
)
