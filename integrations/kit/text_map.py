"""A setting that is a map of texts: an own name to theirs, several lines of it, in their order.

It is kept as a list of {"key", "value"}, for a database keeps the order of a list and not that of an object. Settings that come
from elsewhere may be an object, or a list that holds plain names, which stand for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MOST_PAIRS = 1_000


def pairs_of(value: Any) -> list[tuple[str, str]]:
    """The pairs of a map however it is written; what is malformed is passed over."""
    if isinstance(value, str):
        return text_to_pairs(value)
    if isinstance(value, Mapping):
        entries: Iterable[Any] = ({"key": key, "value": each} for key, each in value.items())
    else:
        entries = value if isinstance(value, list | tuple) else ()
    found = []
    for entry in entries:
        if isinstance(entry, Mapping):
            left, right = entry.get("key"), entry.get("value")
        else:
            left = right = entry
        if isinstance(left, str) and isinstance(right, str) and left.strip() and right.strip():
            found.append((left, right))
    return found[:MOST_PAIRS]


def map_kept(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Pairs as they are kept."""
    return [{"key": left, "value": right} for left, right in pairs]


def map_text(value: Any) -> str:
    """A map as lines that a person reads and writes."""
    return "\n".join(f"{left} = {right}" for left, right in pairs_of(value))


def setting_text(value: Any) -> str:
    """Any setting as text: a map by its lines, what is empty as nothing."""
    return map_text(value) if isinstance(value, list | tuple | Mapping) else str(value or "")


def bad_lines(text: str) -> list[str]:
    """The lines of a map as it is typed that lack one of their two sides."""
    return [line.strip() for line in text.splitlines() if line.strip() and not text_to_pairs(line)]


def text_to_pairs(text: str) -> list[tuple[str, str]]:
    """The pairs in lines of "own = theirs"; a line without "=" stands for itself. What lacks a side is left out."""
    found = []
    for line in text.splitlines():
        # With spaces around it first, so that "a=b = c" keeps its left side whole.
        left, equals, right = line.partition(" = ")
        if not equals:
            left, equals, right = line.partition("=")
        pair = (left.strip(), right.strip() if equals else left.strip())
        if all(pair):
            found.append(pair)
    return found[:MOST_PAIRS]
