"""What Convertro is told of a message: the rules that browser.js and the server mode share (README.md, "Rules").

Pure functions over plain JSON. browser.js says the same in JavaScript; browser_cases.json holds both to one table of cases. Numbers in
comments are those of the facts' list for the browser mode.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from integrations.kit.text_map import pairs_of

# What JavaScript calls white space. Python's own list is another one.
_SPACE = re.compile("[\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff]")
_SEPARATOR = re.compile(r"[_.-]")
# Letters beyond ASCII are parts of words.
_BETWEEN_WORDS = re.compile("[^A-Za-z0-9\u0080-\U0010ffff]+")
_CAMEL = re.compile(r"(.)([A-Z]+)")

_ORDER = (
    re.compile(r"[ _]?order[ _]?completed[ _]?\Z", re.IGNORECASE | re.ASCII),
    re.compile(r"[ _]?completed[ _]?order[ _]?", re.IGNORECASE | re.ASCII),
)
_IDS = ("id", "orderid")

# A sum of money: a sign, a currency before or behind, and digits in one of the ways that they are grouped.
_CURRENCY = "(?:[$\u00a3\u00a5\u20ac\u20b9]|[A-Z]{2,3}[$]?)"
_MONEY = re.compile(rf"([+-]?)\s*{_CURRENCY}?\s*([+-]?)\s*([0-9.,'\s]*[0-9][.]?)\s*{_CURRENCY}?")
_POINT = re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,3}(?:['\s][0-9]{3})+)?(?:[.][0-9]*)?")
_COMMA = re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:[.'\s][0-9]{3})+),[0-9]{1,2}")


def is_on(value: Any, otherwise: bool = False) -> bool:
    """A switch as settings hold it: a boolean, or its word."""
    if value is None or value == "":
        return otherwise
    return value is True or str(value).strip().lower() in ("true", "1", "on", "yes")


def normal_form(name: str) -> str:
    """The form in which event names are compared (9)."""
    if _SPACE.search(name):
        return name.lower()
    if _SEPARATOR.search(name):
        return _BETWEEN_WORDS.sub(lambda run: " " if run.end() < len(name) else "", name).lower()
    return _CAMEL.sub(lambda hump: f"{hump[1]} {' '.join(hump[2])}", name).lower()


def is_order(name: str) -> bool:
    """Whether an event is a completed order (5)."""
    return any(pattern.match(name) for pattern in _ORDER)


def mapped(name: str, events: Any) -> list[str]:
    """The names that Convertro knows an event by, in the order of the map (4)."""
    wanted = normal_form(name)
    return [theirs for own, theirs in pairs_of(events) if normal_form(own) == wanted]


def found(properties: Any, name: str) -> Iterator[Any]:
    """The values of a property, its name without case and punctuation; those that are null are left out."""
    if isinstance(properties, Mapping):
        for key, value in properties.items():
            if value is not None and _BETWEEN_WORDS.sub("", str(key)).lower() == name:
                yield value


def order_id(properties: Any) -> str | int | float | None:
    """The first of id, order_id and orderId that is set to a text or a number (7)."""
    for name in _IDS:
        for value in found(properties, name):
            if isinstance(value, str) and value.strip():
                return value
            if isinstance(value, int | float) and not isinstance(value, bool):
                return value
    return None


def money(value: Any) -> float | None:
    """A number, or the number in a text such as "$1,234.50"; None for what is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    parts = _MONEY.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= 60 else None
    if parts is None or (parts[1] and parts[2]):
        return None
    digits = parts[3].strip()
    if _COMMA.fullmatch(digits):
        digits = re.sub(r"[.'\s]", "", digits).replace(",", ".")
    elif _POINT.fullmatch(digits):
        digits = re.sub(r"[,'\s]", "", digits)
    else:
        return None
    number = float(digits)
    return -number if "-" in (parts[1], parts[2]) else number


def sum_of(properties: Any, name: str) -> float | None:
    """The money in a property; None where it is not given, or is no number."""
    return next((number for value in found(properties, name) if (number := money(value)) is not None), None)


def amount(properties: Any) -> float | None:
    """The amount of a browser's call: total, or revenue where total is missing, empty or zero; never zero (8)."""
    return sum_of(properties, "total") or sum_of(properties, "revenue") or None


def sale_types(properties: Any, hybrid: bool) -> list[str]:
    """What a completed order is called: sale, sale.new or sale.repeat, and in the hybrid model sale as well (6)."""
    repeat = next(found(properties, "repeat"), None)
    if not isinstance(repeat, bool):
        return ["sale"]
    specific = "sale.repeat" if repeat else "sale.new"
    return [specific, "sale"] if hybrid else [specific]
