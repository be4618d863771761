"""Audiences and computed traits computed slowly and plainly: over all events in memory, anew each time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Told(NamedTuple):
    """An event as its sender told it, in the order in which it came."""

    number: int
    type: str
    name: str
    at: dt.datetime
    properties: Mapping[str, Any]


def reach(thing: Any, path: str) -> list[Any]:
    """Values under a dotted path of plain names."""
    things = [thing]
    for name in path.split("."):
        inner = []
        for each in things:
            for one in each if isinstance(each, list) else [each]:
                if isinstance(one, dict) and name in one:
                    inner.append(one[name])
        things = inner
    return [one for each in things for one in (each if isinstance(each, list) else [each]) if one is not None]


def as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def same(value: Any, typed: str) -> bool:
    if isinstance(value, bool):
        return typed.lower() == ("true" if value else "false")
    if as_number(value) is not None and as_number(typed) is not None:
        return as_number(value) == as_number(typed)
    return str(value).lower() == typed.lower()


def asked(values: list[Any], test: str, typed: str) -> bool:
    if test == "exists":
        return len(values) > 0
    if test == "not_exists":
        return len(values) == 0
    if test == "equals":
        return any(same(value, typed) for value in values)
    if test == "not_equals":
        return all(not same(value, typed) for value in values)
    if test == "one_of":
        return any(same(value, each.strip()) for value in values for each in typed.split(","))
    texts = [("true" if v else "false") if isinstance(v, bool) else str(v) for v in values]
    if test == "contains":
        return any(typed.lower() in text.lower() for text in texts)
    if test == "starts_with":
        return any(text.lower().startswith(typed.lower()) for text in texts)
    numbers = [number for value in values if (number := as_number(value)) is not None]
    limit = as_number(typed)
    assert limit is not None
    return any(number > limit if test == "greater" else number < limit for number in numbers)


def matching(item: Mapping[str, Any], events: Sequence[Told], now: dt.datetime) -> list[Told]:
    """The events that a condition is about, the oldest first."""
    found = []
    for event in events:
        if event.type != item["type"] or (item["event"] and event.name != item["event"]):
            continue
        if item["days"] is not None and now - event.at >= dt.timedelta(days=item["days"]):
            continue
        if all(asked(reach(event.properties, each["path"]), each["test"], each["value"]) for each in item["where"]):
            found.append(event)
    return sorted(found, key=lambda event: (event.at, event.number))


def is_in(rule: Mapping[str, Any], events: Sequence[Told], traits: Mapping[str, Any], now: dt.datetime) -> bool:
    met = []
    for item in rule["items"]:
        if "items" in item:
            met.append(is_in(item, events, traits, now))
        elif item["kind"] == "trait":
            met.append(asked(reach(traits, item["path"]), item["test"], item["value"]))
        else:
            count = len(matching(item, events, now))
            met.append(
                {
                    "at_least": lambda count=count, item=item: count >= item["times"],
                    "at_most": lambda count=count, item=item: count <= item["times"],
                    "exactly": lambda count=count, item=item: count == item["times"],
                    "never": lambda count=count, item=item: count == 0,
                }[item["how"]]()
            )
    return any(met) if rule["match"] == "any" else all(met)


def value_of(rule: Mapping[str, Any], events: Sequence[Told], now: dt.datetime) -> Any:
    """A computed trait's value; None where a person has none."""
    found = matching(rule, events, now)
    if rule["compute"] == "count":
        return len(found) or None
    listed = [(event, reach(event.properties, rule["property"])) for event in found]
    listed = [(event, [v for v in values if isinstance(v, bool | int | float | str)]) for event, values in listed]
    if rule["compute"] == "sum":
        numbers = [number for _, values in listed for v in values if (number := as_number(v)) is not None]
        return sum(numbers) if numbers else None
    listed = [(event, values) for event, values in listed if values]
    if not listed:
        return None
    if rule["compute"] == "first":
        return listed[0][1][0]
    if rule["compute"] == "last":
        return listed[-1][1][0]

    def named(value: Any) -> tuple[str, str]:
        if isinstance(value, bool):
            return "boolean", "true" if value else "false"
        return "text", str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    every = [value for _, values in listed for value in values]
    names = sorted({named(value) for value in every})
    if rule["compute"] == "unique_list":
        return names
    most = max(sum(named(value) == name for value in every) for name in names)
    return next(name for name in names if sum(named(value) == name for value in every) == most)


def comparable(rule: Mapping[str, Any], value: Any) -> Any:
    """A value that the portal computed, as `value_of` gives it."""

    def named(each: Any) -> tuple[str, str]:
        if isinstance(each, bool):
            return "boolean", "true" if each else "false"
        return "text", str(int(each)) if isinstance(each, float) and each.is_integer() else str(each)

    if value is None or rule["compute"] in ("count", "sum", "first", "last"):
        return value
    return [named(each) for each in value] if rule["compute"] == "unique_list" else named(value)
