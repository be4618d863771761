"""Rules of audiences and computed traits, and what they come to for one person. Pure functions: no database, no clock.

An audience's rule:  {"match": "all" | "any", "items": [condition or group, ...]}   a group is such a rule inside another
An event condition:  {"kind": "event", "type": "track", "event": name, "how": ..., "times": n, "days": n or None, "where": [...]}
A trait condition:   {"kind": "trait", "path": ..., "test": ..., "value": ...}
A computed trait:    {"compute": ..., "type": ..., "event": ..., "property": path, "days": n or None, "where": [...]}
`where` is a list of {"path", "test", "value"}, all of which must hold; a path is one of the event's properties, or of its
context where it begins with "context.".

"In the last N days" is: later than N days before now. What happened before leaves at a moment that is known beforehand, so
that each answer says when it may change though nothing happens.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from leads.rule_values import all_pass, number_of, passes, text_of, values_at

Rule = Mapping[str, Any]

HOWS = ("at_least", "at_most", "exactly", "never")
COMPUTES = ("count", "sum", "first", "last", "most_frequent", "unique_list")
# With a property each but the count, which counts events.
NEEDS_PROPERTY = frozenset(COMPUTES) - {"count"}
# Of one person no more events than these of a name are looked at, the newest: whoever sends them by the million is no person.
MOST_EVENTS = 5_000
MOST_LISTED, MOST_TEXT = 100, 500


class Selector(NamedTuple):
    """Which events a condition is about; of pages and screens "" is any."""

    type: str
    name: str


class Window(NamedTuple):
    """Which events a rule needs: since so many days (None: ever), with what they say or without."""

    days: int | None
    said: bool


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of a person. `said` is its message as JSON, where the rule asks for it."""

    at: dt.datetime
    said: str | bytes = b"{}"

    @property
    def message(self) -> Mapping[str, Any]:
        try:
            found = orjson.loads(self.said)
        except ValueError:
            # One message that can't be read holds up nobody.
            return {}
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a person: traits, and events by selector, each the newest first."""

    traits: Mapping[str, Any]
    events: Mapping[Selector, Sequence[Happening]] = field(default_factory=dict)


class Answer(NamedTuple):
    """What a rule comes to. A trait without a value is no member. `next_change_at`: when it may change by time alone."""

    member: bool
    value: Any
    next_change_at: dt.datetime | None


def selector_of(asked: Rule) -> Selector:
    return Selector(str(asked.get("type") or "track"), str(asked.get("event") or ""))


def conditions_of(rule: Rule) -> Iterator[Rule]:
    """All conditions of a rule, those of groups too; a computed trait is one itself."""
    if "compute" in rule:
        yield rule
        return
    for item in rule.get("items", ()):
        if "items" in item:
            yield from conditions_of(item)
        else:
            yield item


def windows_of(rule: Rule) -> dict[Selector, Window]:
    """Which events must be known to answer a rule."""
    found: dict[Selector, Window] = {}
    for asked in conditions_of(rule):
        if asked.get("kind") == "trait":
            continue
        selector, days = selector_of(asked), asked.get("days")
        said = bool(asked.get("where")) or asked.get("compute", "count") != "count"
        other = found.get(selector)
        if other is not None:
            days = None if days is None or other.days is None else max(days, other.days)
            said = said or other.said
        found[selector] = Window(days, said)
    return found


def answer(rule: Rule, facts: Facts, now: dt.datetime) -> Answer:
    """What a rule comes to for a person at this time."""
    if "compute" in rule:
        return _computed(rule, facts, now)
    member, change = _holds(rule, facts, now)
    return Answer(member, member, change)


# --- audiences ----------------------------------------------------------------------------------------------


def _holds(rule: Rule, facts: Facts, now: dt.datetime) -> tuple[bool, dt.datetime | None]:
    answers = [_item(item, facts, now) for item in rule["items"]]
    together = all if rule.get("match") != "any" else any
    changes = [change for _, change in answers if change is not None]
    return bool(answers) and together(met for met, _ in answers), min(changes, default=None)


def _item(item: Rule, facts: Facts, now: dt.datetime) -> tuple[bool, dt.datetime | None]:
    if "items" in item:
        return _holds(item, facts, now)
    if item["kind"] == "trait":
        return passes(facts.traits, item["path"], item["test"], item.get("value", "")), None
    return _did(item, facts, now)


def _did(asked: Rule, facts: Facts, now: dt.datetime) -> tuple[bool, dt.datetime | None]:
    """Only the newest that decide are looked at: the Nth keeps "at least N" true until it leaves, one more ends "at most N"."""
    how = asked["how"]
    times = 0 if how == "never" else int(asked.get("times") or 0)
    enough = times if how == "at_least" else times + 1
    found: list[dt.datetime] = []
    for happening in _matching(asked, facts, now):
        if len(found) >= enough:
            break
        found.append(happening.at)
    count, days = len(found), asked.get("days")
    met = {"at_least": count >= times, "exactly": count == times}.get(how, count <= times)
    decides = count >= enough if how != "exactly" else count >= times > 0 or count == enough
    return met, _leaves(found[-1], days) if decides and found else None


def _matching(asked: Rule, facts: Facts, now: dt.datetime) -> Iterator[Happening]:
    days, where = asked.get("days"), asked.get("where") or ()
    since = _since(now, days)
    for happening in facts.events.get(selector_of(asked), ())[:MOST_EVENTS]:
        if since is not None and happening.at <= since:
            return
        if not where or all(_where(happening, each) for each in where):
            yield happening


def _where(happening: Happening, asked: Rule) -> bool:
    message, path = happening.message, asked["path"]
    return all_pass(_root(message, path), [{**asked, "path": _inside(path)}])


def _root(message: Mapping[str, Any], path: str) -> Any:
    return message.get("context" if path.startswith("context.") else "properties")


def _inside(path: str) -> str:
    return path.removeprefix("context.")


def _since(now: dt.datetime, days: int | None) -> dt.datetime | None:
    return None if days is None else now - dt.timedelta(days=days)


def _leaves(at: dt.datetime, days: int | None) -> dt.datetime | None:
    if days is None:
        return None
    try:
        return at + dt.timedelta(days=days)
    except OverflowError:
        return None


# --- computed traits ----------------------------------------------------------------------------------------


def _computed(rule: Rule, facts: Facts, now: dt.datetime) -> Answer:
    compute = rule["compute"]
    found: list[tuple[dt.datetime, list[Any]]] = []
    for happening in _matching(rule, facts, now):
        path = rule.get("property") or ""
        values = [] if compute == "count" else _single(values_at(_root(happening.message, path), _inside(path)))
        if compute == "sum":
            values = [number for value in values if (number := number_of(value)) is not None]
        if values or compute == "count":
            found.append((happening.at, values))
            if compute == "last":
                break
    if not found:
        return Answer(False, None, None)
    value = _value(compute, found)
    leaving = found[0][0] if compute == "last" else found[-1][0]
    return Answer(value is not None, value, _leaves(leaving, rule.get("days")))


def _single(values: Sequence[Any]) -> list[Any]:
    """Texts, numbers and yes or no: what destinations can be told. Long texts are cut."""
    return [
        value[:MOST_TEXT] if isinstance(value, str) else value
        for value in values
        if isinstance(value, bool | str) or number_of(value) is not None
    ]


def _value(compute: str, found: Sequence[tuple[dt.datetime, Sequence[Any]]]) -> Any:
    """The value of what was found, the newest first, none of it empty."""
    if compute == "count":
        return len(found)
    if compute == "last":
        return found[0][1][0]
    if compute == "first":
        return found[-1][1][0]
    if compute == "sum":
        try:
            total = math.fsum(number for _, numbers in found for number in numbers)
        except OverflowError:
            return None
        return int(total) if total.is_integer() and abs(total) < 2**53 else total
    counted = Counter(_told_apart(value) for _, values in found for value in values)
    # As it was written the last time.
    written = {_told_apart(value): value for _, values in reversed(found) for value in values}
    if compute == "most_frequent":
        top = max(counted.values())
        return written[min(key for key, count in counted.items() if count == top)]
    return [written[key] for key in sorted(counted)[:MOST_LISTED]]


def _told_apart(value: Any) -> tuple[str, str]:
    """By what values are the same: 1, 1.0 and "1" are; true and "true" are not."""
    return ("boolean" if isinstance(value, bool) else "text", text_of(value))
