"""Who may see, take along and erase personal data, and what is shown in its place to those who may not see it.

Every page that shows a lead asks here. Rights are permissions on leads; the groups that have them are in portal/roles.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from leads.models import Field, FieldType
from leads.personal import tells_of_person

SEE = "leads.see_personal_data"
EXPORT = "leads.export_lead"
ERASE = "leads.erase_lead"

MASK = "•••"
# What was chosen from a list says nothing of who chose it. All else that people type may: unknown is masked.
OPEN_TYPES = frozenset([FieldType.CHOICE, FieldType.CHECKBOX, FieldType.OPTIN])
SHORTEST_HIDDEN = 3

_EMAIL = re.compile(r"[^\s@<>\"'(),;:=\[\]]+@[^\s@<>\"'(),;:=\[\]]+")


def may_see_personal_data(user: Any) -> bool:
    """Whether names, e-mail addresses, telephone numbers and what else was posted are shown to this person in clear."""
    return bool(user.has_perm(SEE))


def may_export(user: Any) -> bool:
    """Whether this person may take leads along as a file. Without the right to see them, the file is masked too."""
    return bool(user.has_perm(EXPORT))


def may_erase(user: Any) -> bool:
    """Whether this person may erase the personal data of leads for good."""
    return bool(user.has_perm(ERASE))


def masked(value: str) -> str:
    """The first character and nothing else: enough to tell two people of a short list apart."""
    return f"{value[0]}{MASK}" if value.strip() else value


def masked_contact(value: str) -> str:
    """An e-mail address or a telephone number masked; any other text as it is."""
    if not tells_of_person(value):
        return value
    return masked_email(value) if "@" in value else masked(value)


def masked_email(value: str) -> str:
    """ada@example.test becomes a•••@e•••.test."""
    local, at, domain = value.rpartition("@")
    if not at or not local or not domain:
        return masked(value)
    name, dot, last = domain.rpartition(".")
    return f"{masked(local)}@{masked(name)}.{last}" if dot and name else f"{masked(local)}@{MASK}"


def masked_telephone(value: str) -> str:
    """The last two digits alone."""
    digits = [character for character in value if character.isdigit()]
    return f"{MASK}{''.join(digits[-2:])}" if len(digits) > 4 else masked(value)


def masked_ip(value: str) -> str:
    """The network's first half."""
    separator = ":" if ":" in value else "."
    return separator.join([*value.split(separator)[:2], MASK])


def open_keys(fields: Iterable[Field]) -> frozenset[str]:
    """Of a form's inputs those whose values are nobody's personal data."""
    return frozenset(key for field in fields if field.type in OPEN_TYPES for key in field.inputs)


def masked_values(values: Mapping[str, Any], fields: Iterable[Field]) -> dict[str, str]:
    """A lead's values as they are shown to who may not see personal data; `fields` are those of its form."""
    types = {key: field.type for field in fields for key in field.inputs}
    return {key: _masked(str(value), types.get(key, "")) for key, value in values.items()}


def without_personal(text: str, values: Mapping[str, Any], open_to_all: Collection[str] = ()) -> str:
    """A sentence (a comment, a client's answer) with what the lead posted, and every e-mail address, masked.

    `open_to_all` names inputs whose values may stay.
    """
    text = _EMAIL.sub(lambda found: masked_email(found[0]), text)
    hidden = {str(value).strip() for key, value in values.items() if key not in open_to_all}
    hidden |= {part for value in hidden for part in value.split() if "@" not in part}
    words = sorted((word for word in hidden if len(word) >= SHORTEST_HIDDEN), key=len, reverse=True)
    if words:
        pattern = "|".join(re.escape(word) for word in words)
        text = re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", lambda found: _masked(found[0], ""), text, flags=re.IGNORECASE)
    return text


def _masked(value: str, kind: str) -> str:
    if kind in OPEN_TYPES:
        return value
    if kind == FieldType.TELEPHONE:
        return masked_telephone(value)
    return masked_email(value) if kind == FieldType.EMAIL or "@" in value else masked(value)
