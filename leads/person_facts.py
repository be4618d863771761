"""What audiences must know of persons, read for many at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Count, TextField
from django.db.models.functions import Cast

from leads.audience_rules import MOST_EVENTS, Facts, Happening, Rule, Selector, Window, windows_of
from leads.models import Device, Person, PersonEvent

# So many events are read at once; where persons have more of them together, fewer persons are read at a time.
_MOST_ROWS = 20_000
_Events = dict[int, dict[Selector, list[Happening]]]


class Known:
    """A person as audiences see them."""

    __slots__ = ("devices", "facts", "user_id")

    def __init__(self, user_id: str, facts: Facts, devices: int) -> None:
        self.user_id = user_id
        self.facts = facts
        self.devices = devices


def persons_known(person_ids: Sequence[int], rules: Iterable[Rule], now: dt.datetime) -> dict[int, Known]:
    """What is known of persons, as far as the rules ask for it. Those that are no more are left out."""
    persons = list(Person.objects.filter(pk__in=person_ids).values_list("pk", "user_id", "traits"))
    ids = [pk for pk, _, _ in persons]
    devices = dict(Device.objects.filter(person__in=ids).order_by().values_list("person").annotate(Count("pk")))
    events = _events(ids, _together(rules), now)
    return {
        pk: Known(user_id, Facts(traits if isinstance(traits, dict) else {}, events[pk]), devices.get(pk, 0))
        for pk, user_id, traits in persons
    }


def _together(rules: Iterable[Rule]) -> dict[Selector, Window]:
    """The windows that cover all rules."""
    found: dict[Selector, Window] = {}
    for rule in rules:
        for selector, window in windows_of(rule).items():
            other = found.get(selector, window)
            days = None if window.days is None or other.days is None else max(window.days, other.days)
            found[selector] = Window(days, window.said or other.said)
    return found


def _events(ids: Sequence[int], windows: Mapping[Selector, Window], now: dt.datetime) -> _Events:
    found: _Events = {pk: {selector: [] for selector in windows} for pk in ids}
    groups: dict[tuple[str, bool, Window], list[Selector]] = {}
    for selector, window in windows.items():
        groups.setdefault((selector.type, bool(selector.name), window), []).append(selector)
    for (_, _, window), selectors in groups.items():
        _read(found, ids, selectors, window, now)
    return found


def _read(found: _Events, ids: Sequence[int], selectors: Sequence[Selector], window: Window, now: dt.datetime) -> None:
    if len(ids) == 1:
        for selector in selectors:
            newest = _rows(ids, [selector], window, now).order_by("-timestamp", "-event")[:MOST_EVENTS]
            found[ids[0]][selector] = [Happening(row[2], row[4] if window.said else b"{}") for row in newest]
        return
    if not ids:
        return
    rows = list(_rows(ids, selectors, window, now).order_by()[: _MOST_ROWS + 1])
    if len(rows) > _MOST_ROWS:
        middle = len(ids) // 2
        _read(found, ids[:middle], selectors, window, now)
        _read(found, ids[middle:], selectors, window, now)
        return
    any_name = not selectors[0].name
    rows.sort(key=lambda row: (row[2], row[3]), reverse=True)
    for row in rows:
        events = found[row[0]][selectors[0] if any_name else Selector(selectors[0].type, row[1])]
        if len(events) < MOST_EVENTS:
            events.append(Happening(row[2], row[4] if window.said else b"{}"))


def _rows(ids: Sequence[int], selectors: Sequence[Selector], window: Window, now: dt.datetime) -> Any:
    """Person, name, time and id of events, and what they say where the window wants it."""
    rows = PersonEvent.objects.filter(person__in=ids, type=selectors[0].type)
    if selectors[0].name:
        rows = rows.filter(name__in=[selector.name for selector in selectors])
    if window.days is not None:
        rows = rows.filter(timestamp__gt=now - dt.timedelta(days=window.days))
    columns: list[Any] = ["person_id", "name", "timestamp", "event_id"]
    return rows.values_list(*columns, *([Cast("event__data", TextField())] if window.said else []))
