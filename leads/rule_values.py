"""Values of events and traits, found by a dotted path and compared with what a person typed. Pure functions.

What was typed is text. It is compared with a number as a number, with yes or no as such, and with a text without regard to
letter case and outer spaces. Of a list each entry is asked.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MOST_LIST = 1_000
_YES, _NO = frozenset(["true", "yes"]), frozenset(["false", "no"])

# Each test, and how it is read in a sentence.
TESTS: Mapping[str, str] = {
    "equals": "is",
    "not_equals": "is not",
    "contains": "contains",
    "starts_with": "starts with",
    "one_of": "is one of",
    "greater": "is more than",
    "less": "is less than",
    "exists": "is given",
    "not_exists": "is not given",
}
# These ask for no value.
BARE_TESTS = frozenset(["exists", "not_exists"])


def values_at(root: Any, path: str) -> list[Any]:
    """What stands at a dotted path: no value, one, or those of all entries where there is a list on the way.

    A name that has full stops itself is found too. Null is no value.
    """
    found: list[Any] = []
    _gather(root, path, found)
    return found


def _gather(root: Any, path: str, found: list[Any]) -> None:
    if isinstance(root, list):
        for entry in root[:MOST_LIST]:
            _gather(entry, path, found)
    elif not path:
        if root is not None:
            found.append(root)
    elif isinstance(root, Mapping):
        if path in root:
            _gather(root[path], "", found)
            return
        head, _, rest = path.partition(".")
        while rest:
            if head in root:
                _gather(root[head], rest, found)
                return
            more, _, rest = rest.partition(".")
            head = f"{head}.{more}"


def passes(root: Any, path: str, test: str, typed: str) -> bool:
    """Whether what stands at the path is as was asked; where nothing stands there, only "is not" and "is not given" hold."""
    values = values_at(root, path)
    if test == "exists":
        return bool(values)
    if test == "not_exists":
        return not values
    if test == "not_equals":
        return not any(_equal(value, typed) for value in values)
    if test == "one_of":
        choices = choices_of(typed)
        return any(_equal(value, each) for value in values for each in choices)
    holds = _HOLDS[test]
    return any(holds(value, typed) for value in values)


def choices_of(typed: str) -> list[str]:
    """What was typed as a list with commas between."""
    return [each for part in typed.split(",") if (each := part.strip())]


def number_of(value: Any) -> float | None:
    """A number, also one that was sent as a text; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def text_of(value: Any) -> str:
    """A value as a person would type it; "" for what is no single value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    return value if isinstance(value, str) else ""


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _equal(value: Any, typed: str) -> bool:
    if isinstance(value, bool):
        return _folded(typed) in (_YES if value else _NO)
    number, wanted = number_of(value), number_of(typed)
    if number is not None and wanted is not None:
        return number == wanted
    return isinstance(value, str) and _folded(value) == _folded(typed)


def _contains(value: Any, typed: str) -> bool:
    return _folded(typed) in _folded(text_of(value))


def _starts(value: Any, typed: str) -> bool:
    return _folded(text_of(value)).startswith(_folded(typed))


def _compared(value: Any, typed: str) -> int | None:
    """-1, 0 or 1 as the value is less, equal or more; numbers with numbers, dates with dates, else None."""
    number, wanted = number_of(value), number_of(typed)
    if number is not None and wanted is not None:
        return (number > wanted) - (number < wanted)
    moment, since = _moment(value), _moment(typed)
    if moment is not None and since is not None:
        return (moment > since) - (moment < since)
    return None


def _moment(value: Any) -> dt.datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = dt.datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def is_comparable(typed: str) -> bool:
    """Whether "more than" and "less than" make sense with this: a number, or a date as 2026-11-30."""
    return number_of(typed) is not None or _moment(typed) is not None


_HOLDS: Mapping[str, Callable[[Any, str], bool]] = {
    "equals": _equal,
    "contains": _contains,
    "starts_with": _starts,
    "greater": lambda value, typed: _compared(value, typed) == 1,
    "less": lambda value, typed: _compared(value, typed) == -1,
}


def all_pass(root: Any, where: Sequence[Mapping[str, str]]) -> bool:
    """Whether all conditions, {path, test, value}, hold."""
    return all(passes(root, each["path"], each["test"], each.get("value", "")) for each in where)
