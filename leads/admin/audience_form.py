"""The builder's form: a rule as boxes, and back. Every button of it works without a script, by loading the page once more.

Each item of the rule has a place, "1" or "1.0" where it stands in a group, and boxes named after it: "1.0-event". What was
typed is kept as it was, so that what is wrong can be shown beside it.
"""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from leads.audience_rules import NEEDS_PROPERTY
from leads.models import Campaign, Event, EventName, Person
from leads.rule_checks import MOST_CONDITIONS, MOST_GROUPS, MOST_WHERES, Errors
from leads.rule_values import BARE_TESTS, TESTS, number_of
from leads.rule_words import COMPUTE_WORDS

HOW_WORDS = {"at_least": "at least", "at_most": "at most", "exactly": "exactly", "never": "never"}
TYPE_WORDS = {"track": "did the event", "page": "saw the page", "screen": "saw the screen"}
_MOST_OFFERED, _LOOKED_AT = 200, 100

Raw = dict[str, Any]


def blank(kind: str) -> Raw:
    """What a new audience or computed trait begins with."""
    return {**_event(), "compute": "count"} if kind == "trait" else {"match": "all", "items": [_event()]}


def _event() -> Raw:
    return {"kind": "event", "type": "track", "event": "", "how": "at_least", "times": 1, "days": None, "where": []}


def _where() -> Raw:
    return {"path": "", "test": "equals", "value": ""}


def rule_read(posted: QueryDict, kind: str) -> Raw:
    """The rule that stands in the boxes, as it was typed; `kind` as Audience.kind."""
    if kind == "trait":
        return {
            "compute": posted.get("compute", ""),
            "property": posted.get("property", ""),
            **_events_read(posted, ""),
        }
    rule: Raw = {"match": posted.get("match", "all"), "items": []}
    for place in posted.getlist("item")[: MOST_CONDITIONS * 2 + MOST_GROUPS]:
        made_of = posted.get(f"{place}-kind")
        if made_of == "group":
            item: Raw = {"match": posted.get(f"{place}-match") or "any", "items": []}
        elif made_of == "trait":
            item = {"kind": "trait", **_where_read(posted, f"{place}-")}
        else:
            item = {"kind": "event", **_events_read(posted, f"{place}-")}
        _put(rule, place, item)
    return rule


def _put(rule: Raw, place: str, item: Raw) -> None:
    if "." in place and rule["items"] and "items" in rule["items"][-1]:
        rule["items"][-1]["items"].append(item)
    else:
        rule["items"].append(item)


def _events_read(posted: QueryDict, place: str) -> Raw:
    found: Raw = {name: posted.get(f"{place}{name}", "") for name in ("type", "event", "how", "times", "days")}
    count = int(number_of(posted.get(f"{place}wheres", "0")) or 0)
    return {**found, "where": [_where_read(posted, f"{place}w{n}-") for n in range(min(max(count, 0), MOST_WHERES))]}


def _where_read(posted: QueryDict, place: str) -> Raw:
    return {name: posted.get(f"{place}{name}", "") for name in ("path", "test", "value")}


def rule_do(rule: Raw, do: str) -> str:
    """Do what a button says ("add-event:1", "remove:1.0"); the place where to go on typing, "" for none."""
    what, _, where = do.partition(":")
    if what in ("add-event", "add-trait", "add-group"):
        group = _at(rule, where) if where else rule
        if group is None or "items" not in group:
            return ""
        item: Raw = {"match": "any", "items": [_event()]} if what == "add-group" else _event()
        if what == "add-trait":
            item = {"kind": "trait", **_where()}
        group["items"].append(item)
        place = f"{where}.{len(group['items']) - 1}" if where else str(len(group["items"]) - 1)
        return f"{place}.0" if what == "add-group" else place
    place, _, number = where.partition("/")
    item_at = rule if "compute" in rule else _at(rule, place)
    if item_at is None:
        return ""
    if what == "add-where" and "where" in item_at and len(item_at["where"]) < MOST_WHERES:
        item_at["where"].append(_where())
        return f"{place}-w{len(item_at['where']) - 1}"
    if what == "remove-where" and number.isdigit() and int(number) < len(item_at.get("where", ())):
        del item_at["where"][int(number)]
    elif what == "remove" and place and "items" in rule:
        head, _, inner = place.partition(".")
        items = rule["items"][int(head)]["items"] if inner else rule["items"]
        del items[int(inner or head)]
    return ""


def _at(rule: Raw, place: str) -> Raw | None:
    found: Any = rule
    for part in place.split("."):
        items = found.get("items", ())
        if not part.isdigit() or int(part) >= len(items):
            return None
        found = items[int(part)]
    return found if isinstance(found, dict) else None


def boxes(rule: Raw, errors: Errors, focus: str = "") -> dict[str, Any]:
    """What the builder's template shows."""
    shown: dict[str, Any] = {
        "hows": HOW_WORDS.items(),
        "types": TYPE_WORDS.items(),
        "tests": TESTS.items(),
        "computes": COMPUTE_WORDS.items(),
        "whole_error": errors.get("", ""),
    }
    if "compute" in rule:
        needs = rule["compute"] in NEEDS_PROPERTY
        return {**shown, "computed": {**_box(rule, "", {}, focus), "needs_property": needs}}
    items = []
    for number, item in enumerate(rule["items"]):
        place = str(number)
        if "items" in item:
            inner = [_box(each, f"{place}.{n}", errors, focus) for n, each in enumerate(item["items"])]
            group = {"place": place, "match": item["match"], "group": True, "error": errors.get(place, "")}
            items.append({**group, "inside": inner, "number": number + 1})
        else:
            items.append({**_box(item, place, errors, focus), "number": number + 1})
    return {**shown, "match": rule["match"], "rows": items}


def _box(item: Raw, place: str, errors: Errors, focus: str) -> Raw:
    wheres = [
        {**each, "prefix": f"{place}-w{n}" if place else f"w{n}", "remove": f"{place}/{n}", "number": n + 1}
        | {"focus": focus == f"{place}-w{n}", "bare": each.get("test") in BARE_TESTS}
        for n, each in enumerate(item.get("where") or ())
    ]
    days = "" if item.get("days") is None else item.get("days")
    prefix = f"{place}-" if place else ""
    return {
        **item, "place": place, "prefix": prefix, "days": days, "wheres": wheres, "error": errors.get(place, ""),
        "focus": bool(place) and focus == place, "name": _called(place),
    }  # fmt: skip


def _called(place: str) -> str:
    return ".".join(str(int(part) + 1) for part in place.split(".")) if place else ""


def offers(campaign: Campaign) -> dict[str, list[str]]:
    """What has been seen, to choose from: names of events, their properties, and traits."""
    names = EventName.objects.filter(campaign=campaign, type__in=["track", "page", "screen"])
    latest = Event.objects.filter(source__campaign=campaign, problem="").order_by("-pk")
    properties: dict[str, None] = {}
    for data in latest.values_list("data", flat=True)[:_LOOKED_AT]:
        said = data.get("properties")
        properties |= dict.fromkeys(said if isinstance(said, dict) else ())
    traits: dict[str, None] = {}
    for said in Person.objects.filter(campaign=campaign).order_by("-pk").values_list("traits", flat=True)[:_LOOKED_AT]:
        traits |= dict.fromkeys(said if isinstance(said, dict) else ())
    return {
        "event_names": sorted(set(names.values_list("name", flat=True)))[:_MOST_OFFERED],
        "properties": sorted(properties)[:_MOST_OFFERED],
        "traits": sorted(traits)[:_MOST_OFFERED],
    }
