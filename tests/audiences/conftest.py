"""A campaign whose people do things at times of our choosing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from integrations.tracked_events.routing import events_route
from leads.audiences import audience_create
from leads.membership import memberships_update
from leads.models import Advertiser, Audience, Campaign, Event, Membership, Source
from leads.rule_checks import rule_checked
from leads.tracking import names
from leads.tracking.messages import Common, event
from leads.tracking.storing import events_insert

START = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    names.forget()


@pytest.fixture
def source(db: None) -> Source:
    return make_source()


def make_source() -> Source:
    campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
    return Source.objects.create(campaign=campaign, name="Shop")


def days(count: float) -> dt.timedelta:
    return dt.timedelta(days=count)


def call(at: dt.datetime, who: str = "u1", name: str = "Order Completed", **more: Any) -> dict[str, Any]:
    """A track call of a user."""
    return {"type": "track", "event": name, "userId": who, "timestamp": at.isoformat(), **more}


def come(source: Source, *calls: dict[str, Any]) -> list[Event]:
    """Calls are received and routed."""
    before = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    common = Common(source.pk, START + days(400), None)
    events_insert([[event(dict(each), common) for each in calls]])
    events_route()
    return list(Event.objects.filter(pk__gt=before).order_by("pk"))


def did(
    event: str = "Order Completed", how: str = "at_least", times: int = 1, days: int | None = None, **more: Any
) -> Any:
    """An event condition."""
    return {"kind": "event", "type": "track", "event": event, "how": how, "times": times, "days": days, **more}


def rule_of(*items: Any, match: str = "all") -> dict[str, Any]:
    rule, errors = rule_checked({"match": match, "items": list(items)})
    assert not errors
    return rule


def audience(source: Source, *items: Any, name: str = "Buyers", match: str = "all", **more: Any) -> Audience:
    """An audience whose rule are these conditions."""
    return audience_create(source.campaign, "audience", name, rule_of(*items, match=match), **more)


def trait(source: Source, compute: str, name: str = "Value", **more: Any) -> Audience:
    rule, errors = rule_checked({"compute": compute, "event": "Order Completed", **more})
    assert not errors
    return audience_create(source.campaign, "trait", name, rule)


def now_is(at: dt.datetime) -> None:
    """Audiences are brought up to this time."""
    memberships_update(at, slice_s=None)


def members(of: Audience) -> list[str]:
    """The user ids of who is in, sorted; a visitor is ""."""
    of.refresh_from_db()
    rows = Membership.objects.filter(audience=of, generation=of.generation, member=True)
    return sorted(rows.values_list("person__user_id", flat=True))


def values(of: Audience) -> dict[str, Any]:
    """User id to value, of a computed trait."""
    of.refresh_from_db()
    rows = Membership.objects.filter(audience=of, generation=of.generation, member=True)
    return dict(rows.values_list("person__user_id", "value"))
