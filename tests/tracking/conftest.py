"""A source of a campaign, and the server that its calls come to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.utils import timezone

from integrations.tracked_events.routing import events_route
from leads import limits
from leads.models import Advertiser, Arrival, Campaign, Event, Source
from leads.tracking import names, sources
from leads.tracking.messages import Common, event
from leads.tracking.storing import events_insert
from tests.receiving.conftest import server as server


@pytest.fixture(autouse=True)
def _fresh_limits_and_sources(settings: Any) -> None:
    settings.CATALOG_MAX_AGE_SECONDS = 0
    sources.forget()
    limits.forget()
    names.forget()


def make_source() -> Source:
    campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
    return Source.objects.create(campaign=campaign, name="Shop")


@pytest.fixture
def source(db: None) -> Source:
    return make_source()


@pytest.fixture
def live_source(transactional_db: None) -> Source:
    """A source that a server sees too."""
    return make_source()


class Tracker:
    """Whatever calls the tracking API of one source."""

    def __init__(self, server: str, source: Source) -> None:
        self.server = server
        self.source = source
        self.session = requests.Session()

    def post(self, path: str, body: Any, **given: Any) -> requests.Response:
        """Post to /v1/{path}; an object goes as JSON, bytes as they are; with the key as Basic user unless `auth` is given."""
        given.setdefault("auth", (self.source.write_key, ""))
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.session.post(f"{self.server}/v1/{path}", data=data, timeout=20, **given)

    def track(self, name: str = "Signed Up", **given: Any) -> requests.Response:
        return self.post("track", {"event": name, "userId": "u1", **given})


@pytest.fixture
def tracker(server: str, live_source: Source) -> Iterator[Tracker]:
    made = Tracker(server, live_source)
    yield made
    made.session.close()


def events() -> list[Event]:
    """What was received, in the order in which it came."""
    return list(Event.objects.order_by("pk"))


def only() -> Event:
    return Event.objects.get()


def waiting() -> list[int]:
    """The events that wait to be routed."""
    return [event_id for ids in Arrival.objects.order_by("pk").values_list("event_ids", flat=True) for event_id in ids]


def said(source: Source, *given: dict[str, Any]) -> list[Event]:
    """Messages (a track call where they say nothing else) as the tracking API stores them, without the API; routed."""
    before = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    common = Common(source.pk, timezone.now(), None)
    events_insert([[event({"type": "track", "event": "Signed Up", **each}, common) for each in given]])
    events_route()
    return list(Event.objects.filter(pk__gt=before).order_by("pk"))
