"""Why deliveries stand where they are: the reasons of those that the list shows, grouped and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db.models import Count
from django.http import HttpRequest

from integrations.models import DeliveryState
from integrations.selections import DeliverySelection
from leads.admin.badges import short

TROUBLE = (DeliveryState.HELD, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED)
WITH_CAUSES = (*TROUBLE, DeliveryState.REFUSED)
SHOWN = 8
# Of so many at the most; what is older has been there for long.
LOOKED_AT = 50_000


def causes(request: HttpRequest, asked: DeliverySelection) -> Mapping[str, Any]:
    """The commonest reasons, each with its number and a link that leaves only those in the list.

    Of what waits, is in doubt or was given up; of what was refused when the list is asked for that.
    """
    if asked.state and asked.state not in WITH_CAUSES:
        return {}
    states = [asked.state] if asked.state else TROUBLE
    found = replace(asked, reason="", state="").deliveries().filter(state__in=states)
    latest = found.order_by("-pk").values("pk")[:LOOKED_AT]
    model = found.model
    rows = (
        model._default_manager.filter(pk__in=latest)
        .exclude(reason="")
        .order_by()
        .values("state", "reason")
        .annotate(number=Count("pk"))
        .order_by("-number", "reason")[: SHOWN + 1]
    )
    return {
        "causes": [
            {
                "state": DeliveryState(row["state"]).label,
                "words": short(row["reason"], 180),
                "number": row["number"],
                "query": _query(request, cause=row["reason"], state__exact=row["state"]),
                "here": row["reason"] == asked.reason,
            }
            for row in rows[:SHOWN]
        ],
        "more_causes": len(rows) > SHOWN,
        "without_cause": _query(request, cause="", state__exact=asked.state) if asked.reason else "",
    }


def _query(request: HttpRequest, **more: str) -> str:
    query = request.GET.copy()
    query.pop("p", None)
    for name, value in more.items():
        query[name] = value
        if not value:
            del query[name]
    return query.urlencode()
