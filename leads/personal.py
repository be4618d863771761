"""Texts without what is personal in them: pure functions, used where data is erased or must not go along."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "•••"
# Of a text, values shorter than this are no trace of a person: "DE" is in every other word.
_SHORTEST = 4


def personal_values(values: Mapping[str, str], *more: str) -> tuple[str, ...]:
    """What of a lead's values must not be found again in any text, the longest first."""
    found = {value for value in (*values.values(), *more) if len(value) >= _SHORTEST}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def without(text: str, values: Iterable[str]) -> str:
    """The text with these values cut out of it, in any letter case."""
    if not text:
        return text
    lowered = text.lower()
    for value in values:
        if value.lower() in lowered:
            text = re.sub(re.escape(value), MASK, text, flags=re.IGNORECASE)
            lowered = text.lower()
    return text


def json_without(value: Any, values: Iterable[str]) -> Any:
    """A JSON value with these values cut out of every text in it."""
    values = tuple(values)
    if isinstance(value, str):
        return without(value, values)
    if isinstance(value, Mapping):
        return {name: json_without(each, values) for name, each in value.items()}
    if isinstance(value, list):
        return [json_without(each, values) for each in value]
    return value


def tells_of_person(value: str) -> bool:
    """Whether a value alone says who it is: an e-mail address, or as many digits as a telephone number has."""
    return "@" in value or sum(map(str.isdigit, value)) > 6
