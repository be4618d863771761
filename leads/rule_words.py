"""A rule read back as a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leads.rule_values import BARE_TESTS, TESTS, choices_of

# What people do, by the type of the call.
_DEEDS = {"track": ("did", "did not do"), "page": ("saw the page", "did not see the page")}
_DEEDS["screen"] = ("saw the screen", "did not see the screen")
_ANY = {"page": ("saw any page", "saw no page"), "screen": ("saw any screen", "saw no screen")}
# What is still to be filled in.
_UNSAID = "…"
_THINGS = {"track": "", "page": "the page ", "screen": "the screen "}
COMPUTE_WORDS: Mapping[str, str] = {
    "count": "How often",
    "sum": "Sum of a property",
    "first": "First value of a property",
    "last": "Last value of a property",
    "most_frequent": "Most frequent value of a property",
    "unique_list": "List of all values of a property",
}


def rule_words(rule: Mapping[str, Any]) -> str:
    """The whole rule as one sentence."""
    if "compute" in rule:
        return f"{_computed(rule)}."
    items = rule.get("items") or ()
    return f"People who {_joined(items, rule.get('match'))}." if items else "No conditions yet."


def _joined(items: Sequence[Mapping[str, Any]], match: Any) -> str:
    said = [f"({_joined(item['items'], item.get('match'))})" if "items" in item else _condition(item) for item in items]
    return (" or " if match == "any" else " and ").join(said)


def _condition(asked: Mapping[str, Any]) -> str:
    if asked["kind"] == "trait":
        return f"have a trait {_where(asked)}"
    kind, name, how, times = asked["type"], asked.get("event"), asked["how"], asked.get("times")
    did, did_not = _DEEDS[kind]
    if not name and kind == "track":
        name = _UNSAID
    said, denied = (f"{did} “{name}”", f"{did_not} “{name}”") if name else _ANY[kind]
    if how == "never":
        return f"{denied}{_wheres(asked)}{_window(asked)}"
    amount = {"at_least": "at least ", "at_most": "at most ", "exactly": "exactly "}[how] + _times(times)
    if how == "at_least" and times == 1:
        amount = ""
    return f"{said}{' ' if amount else ''}{amount}{_wheres(asked)}{_window(asked)}"


def _computed(rule: Mapping[str, Any]) -> str:
    kind, name, path = rule["type"], rule.get("event"), rule.get("property") or _UNSAID
    if not name and kind == "track":
        name = _UNSAID
    of = f"“{name}”" if name else f"any {kind}"
    of = f"{_THINGS[kind]}{of}" if name else of
    start = {
        "count": f"How often a person did {of}" if kind == "track" else f"How often a person saw {of}",
        "sum": f"The sum of {path} over {of}",
        "first": f"The first {path} of {of}",
        "last": f"The last {path} of {of}",
        "most_frequent": f"The most frequent {path} of {of}",
        "unique_list": f"Every {path} of {of}, each once",
    }[rule["compute"]]
    return f"{start}{_wheres(rule)}{_window(rule)}"


def _where(asked: Mapping[str, Any]) -> str:
    test, value, path = asked["test"], str(asked.get("value", "")) or _UNSAID, asked["path"] or _UNSAID
    said = f"{path} that {TESTS[test]}" if asked.get("kind") == "trait" else f"{path} {TESTS[test]}"
    if test in BARE_TESTS:
        return said
    if test == "one_of":
        return f"{said} {', '.join(f'“{each}”' for each in choices_of(value))}"
    return f"{said} “{value}”"


def _wheres(asked: Mapping[str, Any]) -> str:
    said = " and ".join(_where(each) for each in asked.get("where") or ())
    return f", where {said}," if said else ""


def _window(asked: Mapping[str, Any]) -> str:
    days = asked.get("days")
    if days is None:
        return " at any time" if asked.get("how") != "never" and "compute" not in asked else ""
    return " in the last day" if days == 1 else f" in the last {days} days"


def _times(times: int | None) -> str:
    if times is None:
        return f"{_UNSAID} times"
    return {1: "once", 2: "twice"}.get(times, f"{times:,} times")
