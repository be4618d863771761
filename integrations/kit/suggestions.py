"""Which of our fields may go into which of the client's: same names match by themselves, near ones are suggested."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from integrations.kit.contract import RemoteField

SAME_NAME = "same name"
_SEPARATORS = re.compile(r"[\s_\-.\[\]]+")
_WRAPPED = re.compile(r"[^\[\]]*((?:\[[^\[\]]*\])+)\Z")
# What different forms call the same thing.
_SYNONYMS = (
    ("firstname", "forename", "givenname", "fname"),
    ("lastname", "surname", "familyname", "lname"),
    ("email", "emailaddress", "mail"),
    ("telephone", "phone", "phonenumber", "telephonenumber", "tel", "mobile", "mobilephone"),
    ("postcode", "zip", "zipcode", "postalcode"),
    ("company", "companyname", "organisation", "organization", "employer"),
    ("jobtitle", "position", "role", "title"),
    ("country", "countrycode"),
    ("city", "town"),
    ("address", "address1", "addressline1", "street"),
    ("birthdate", "dateofbirth", "birthday"),
)
_MEANING = {name: names[0] for names in _SYNONYMS for name in names}
_TELLING_TYPES = ("email", "telephone", "date")


@dataclass(frozen=True, slots=True)
class OwnField:
    """One input of our forms. `name` is the key under which a lead keeps its value."""

    name: str
    label: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Our field `name` may go into the client's `remote_key`. A `reason` other than SAME_NAME is for a person to take."""

    remote_key: str
    name: str
    reason: str


def bare_name(remote_key: str) -> str:
    """The name inside a posted key: form[firstName] is firstName, form[optin][terms] is optin.terms."""
    wrapped = _WRAPPED.match(remote_key)
    if wrapped is None:
        return remote_key
    return ".".join(part for part in wrapped[1][1:-1].split("][") if part)


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()


def suggest(remote: Iterable[RemoteField], own: Iterable[OwnField | str]) -> list[Suggestion]:
    """At most one of our fields for each of the client's, in the client's order; the surest reason first.

    Same name (ignoring case, _ and -), same label, near name (a synonym), or the only field of a telling type on both sides.
    The engine's own inputs (sync) get none.
    """
    ours = [OwnField(entry) if isinstance(entry, str) else entry for entry in own]
    theirs = [entry for entry in remote if not entry.sync]
    by_name = _first_of((_plain(entry.name), entry) for entry in ours)
    by_label = _first_of((_plain(entry.label), entry) for entry in ours if entry.label)
    by_meaning = _first_of((_MEANING[_plain(entry.name)], entry) for entry in ours if _plain(entry.name) in _MEANING)
    found = []
    for entry in theirs:
        name, label = _plain(bare_name(entry.key)), _plain(entry.label)
        candidates = (
            (by_name.get(name), SAME_NAME),
            (by_label.get(label) if label else None, "same label"),
            (by_meaning.get(_MEANING.get(name, "")), "near name"),
            (_only_of_type(entry, theirs, ours), f"the only {entry.type} field"),
        )
        found += [Suggestion(entry.key, match.name, reason) for match, reason in candidates if match is not None][:1]
    return found


def _first_of(pairs: Iterable[tuple[str, OwnField]]) -> dict[str, OwnField]:
    first: dict[str, OwnField] = {}
    for key, entry in pairs:
        first.setdefault(key, entry)
    return first


def _only_of_type(entry: RemoteField, theirs: Sequence[RemoteField], ours: Sequence[OwnField]) -> OwnField | None:
    if entry.type not in _TELLING_TYPES:
        return None
    same = [each for each in ours if each.type == entry.type]
    return same[0] if len(same) == 1 and sum(each.type == entry.type for each in theirs) == 1 else None
