"""What came of each row of an activity, a page at a time, those that failed first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from integrations.admin.activity_words import activity_noun, item_badge, item_label
from leads.activity import activity_results
from leads.admin.badges import short
from leads.admin.leads import lead_person, masked_person
from leads.models import Activity, ActivityItem, ItemState
from leads.tables import column_letters

PAGE = 50
_COLUMN = re.compile(r"Column ([A-Z]{1,3}) ")


def results_page(activity: Activity, request: HttpRequest, *, clear: bool) -> dict[str, Any]:
    """The rows to show, and links to the others. `clear`: this person may see who a lead is, and what stood in a row."""
    asked = request.GET.get("state", "")
    state = asked if asked in ItemState.values else ""
    counts: dict[str, int] = {
        "": activity.total,
        ItemState.FAILED: activity.failed,
        ItemState.SKIPPED: activity.skipped,
        ItemState.DONE: activity.done,
    }
    number = request.GET.get("p", "")
    page = int(number) if number.isascii() and number.isdigit() and len(number) < 8 else 0
    items = activity_results(activity, offset=page * PAGE, limit=PAGE + 1, state=state)
    return {
        "results": [_row(activity, item, clear=clear) for item in items[:PAGE]],
        "tabs": [
            (item_label(activity, key) if key else "All", count, _query(key), key == state)
            for key, count in counts.items()
            if not key or count or key == state
        ],
        "query": _query(state, page),
        "newer": _query(state, page - 1) if page else "",
        "older": _query(state, page + 1) if len(items) > PAGE else "",
        "first": page * PAGE + 1,
        "last": page * PAGE + len(items[:PAGE]),
    }


def _query(state: str, page: int = 0) -> str:
    return urlencode({name: value for name, value in (("state", state), ("p", page)) if value})


def _row(activity: Activity, item: ActivityItem, *, clear: bool) -> dict[str, Any]:
    who, noun = "", activity_noun(activity)
    if item.lead is not None:
        name, email = lead_person(item.lead.values) if clear else masked_person(item.lead.values)
        who = short(name or email, 60)
    return {
        "id": item.pk,
        "subject": f"{noun.capitalize()} {item.subject}",
        "lead": item.lead_id,
        "link": reverse("admin:leads_lead_change", args=[item.lead_id]) if item.lead_id else "",
        "who": who,
        "badge": item_badge(activity, item.state),
        "lines": list(_lines(item, clear=clear)),
    }


def _lines(item: ActivityItem, *, clear: bool) -> Iterator[tuple[str, str]]:
    """What is said of a row, each with the cell that it is about where there is one and this person may see it."""
    cells = item.data["cells"] if clear and item.data else []
    for line in item.words.splitlines():
        found = _COLUMN.match(line)
        there = [cell for place, cell in enumerate(cells) if found and column_letters(place) == found[1]]
        yield short(line, 300), short(there[0], 80) if there else ""
