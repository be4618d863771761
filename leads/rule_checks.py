"""What people put into a rule, made sure of: each condition says what is wrong with it, in words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from leads.audience_rules import COMPUTES, HOWS, NEEDS_PROPERTY
from leads.models.event import NAME_CHARS
from leads.rule_values import BARE_TESTS, TESTS, choices_of, is_comparable

MOST_CONDITIONS, MOST_GROUPS, MOST_WHERES = 20, 10, 10
MOST_TIMES, MOST_DAYS = 1_000, 3_650
PATH_CHARS, VALUE_CHARS = 200, 1_000
_TYPES = ("track", "page", "screen")
_THING = {"track": "event", "page": "page", "screen": "screen"}

Errors = dict[str, str]
"""Where in the rule (as in "1.0": the first item of the second) to what is wrong there; "" for the rule as a whole."""


def snake_case(name: str) -> str:
    """A name as destinations are told it: `Order Completed last 30days` is order_completed_last_30days."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")


def rule_checked(rule: Mapping[str, Any]) -> tuple[dict[str, Any], Errors]:
    """A rule in its clean form and what is wrong with it; where that is nothing, it can be computed."""
    errors: Errors = {}
    if "compute" in rule:
        return _computed(rule, errors), errors
    clean = _group(rule, "", errors, depth=0)
    count = sum(len(item.get("items", [item])) for item in clean["items"])
    if not count:
        errors[""] = "Add a condition: who is meant?"
    elif count > MOST_CONDITIONS:
        errors[""] = f"A rule has {MOST_CONDITIONS} conditions at most; this one has {count}."
    return clean, errors


def _group(rule: Mapping[str, Any], place: str, errors: Errors, *, depth: int) -> dict[str, Any]:
    items = []
    for number, item in enumerate(list(rule.get("items") or ())[: MOST_CONDITIONS + MOST_GROUPS]):
        here = f"{place}.{number}" if place else str(number)
        if "items" in item and depth == 0:
            group = _group(item, here, errors, depth=1)
            if not group["items"]:
                errors[here] = "This group is empty: add a condition to it, or remove it."
            items.append(group)
        else:
            items.append(_trait(item, here, errors) if item.get("kind") == "trait" else _event(item, here, errors))
    return {"match": "any" if rule.get("match") == "any" else "all", "items": items}


def _event(item: Mapping[str, Any], here: str, errors: Errors) -> dict[str, Any]:
    clean = {"kind": "event", **_events(item, here, errors)}
    how = item.get("how")
    clean["how"] = how if how in HOWS else "at_least"
    if clean["how"] != "never":
        clean["times"] = _whole(item.get("times"), 0 if clean["how"] != "at_least" else 1, MOST_TIMES)
        if clean["times"] is None:
            _note(errors, here, f"How many times? Give a whole number up to {MOST_TIMES:,}.")
    return clean


def _events(item: Mapping[str, Any], here: str, errors: Errors) -> dict[str, Any]:
    """What conditions and computed traits have in common: which events, where, in which time."""
    kind = next((each for each in _TYPES if each == item.get("type")), "track")
    name = str(item.get("event") or "").strip()
    if not name and kind == "track":
        _note(errors, here, "Which event? Choose one, or write its name as it is tracked.")
    if len(name) > NAME_CHARS:
        _note(errors, here, f"The name of {_THING[kind]}s has {NAME_CHARS} letters at most.")
    days = item.get("days")
    window = None
    if days not in (None, ""):
        window = _whole(days, 1, MOST_DAYS)
        if window is None:
            _note(errors, here, f"In the last how many days? Give a whole number up to {MOST_DAYS:,}.")
    where = [_where(each, here, errors) for each in list(item.get("where") or ())[:MOST_WHERES]]
    return {"type": kind, "event": name[:NAME_CHARS], "days": window, "where": where}


def _trait(item: Mapping[str, Any], here: str, errors: Errors) -> dict[str, Any]:
    return {"kind": "trait", **_where(item, here, errors, thing="trait")}


def _where(item: Mapping[str, Any], here: str, errors: Errors, *, thing: str = "property") -> dict[str, str]:
    path, test = str(item.get("path") or "").strip(), str(item.get("test") or "")
    value = str(item.get("value") or "").strip()
    if test not in TESTS:
        test = "equals"
    if not _is_path(path):
        _note(errors, here, f"Which {thing}? Write its name, with full stops for what is inside, as in address.city.")
    elif test in BARE_TESTS:
        value = ""
    elif not value or (test == "one_of" and not choices_of(value)):
        _note(errors, here, f"{path} {TESTS[test]} what? Give a value.")
    elif test in ("greater", "less") and not is_comparable(value):
        _note(errors, here, f"{path} {TESTS[test]} what? Give a number, or a date as in 2026-11-30.")
    elif len(value) > VALUE_CHARS:
        _note(errors, here, f"A value has {VALUE_CHARS:,} letters at most.")
    return {"path": path[:PATH_CHARS], "test": test, "value": value[:VALUE_CHARS]}


def _computed(rule: Mapping[str, Any], errors: Errors) -> dict[str, Any]:
    compute = rule["compute"] if rule["compute"] in COMPUTES else "count"
    path = str(rule.get("property") or "").strip()
    clean = {"compute": compute, **_events(rule, "", errors)}
    if compute in NEEDS_PROPERTY:
        clean["property"] = path[:PATH_CHARS]
        if not _is_path(path):
            _note(
                errors, "", "Of which property? Write its name, with full stops for what is inside, as in address.city."
            )
    return clean


def _is_path(path: str) -> bool:
    return bool(path) and len(path) <= PATH_CHARS and all(path.split(".")) and path != "context."


def _whole(value: Any, least: int, most: int) -> int | None:
    text = str(value if value is not None else "").strip()
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        return None
    return int(text) if least <= int(text) <= most else None


def _note(errors: Errors, here: str, words: str) -> None:
    errors[here] = f"{errors[here]} {words}" if here in errors else words
