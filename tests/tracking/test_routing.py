"""Where events go: the campaign's destinations, and what keeps them from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from integrations.kit.switches import switched_on
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from integrations.tracked_events import routing as stage
from integrations.tracked_events.routing import events_due, events_route
from leads.database import uuid7
from leads.models import Arrival, Campaign, PersonEvent, Source
from tests.tracking.conftest import said

pytestmark = pytest.mark.django_db

TABLES = json.loads((Path(__file__).parent.parent / "connectors" / "segment_tables.json").read_text())


@pytest.mark.parametrize("row", TABLES["integrations_enabled"], ids=lambda row: str(row["integrations"]))
def test_the_integrations_object_switches_as_recorded(row: dict[str, Any]) -> None:
    given = None if row["integrations"] == "(absent)" else row["integrations"]
    assert switched_on(given, "Convertro") is row["enabled_Convertro"]


def destination(campaign: Campaign, name: str = "Theirs", **given: Any) -> Integration:
    return Integration.objects.create(
        **{
            "campaign": campaign,
            "name": name,
            "connector": "webhook",
            "settings": {"url": "https://theirs.example/events", "sends": "events"},
            "state": IntegrationState.ON,
            **given,
        }
    )


def convertro(campaign: Campaign, **given: Any) -> Integration:
    settings = {"account": "acme", "clientName": "acme", "domain": "acme.example", "siteId": "7"}
    return destination(campaign, **{"name": "Convertro", "connector": "convertro", "settings": settings, **given})


def deliveries() -> list[tuple[str, str, str]]:
    found = Delivery.objects.order_by("pk").select_related("integration")
    return [(row.integration.name, row.state, row.reason) for row in found]


def test_an_event_is_queued_for_each_destination_of_its_campaign_and_of_no_other(source: Source) -> None:
    destination(source.campaign)
    convertro(source.campaign)
    other = Campaign.objects.create(advertiser=source.campaign.advertiser, name="Autumn")
    destination(other)
    (event,) = said(source, {"userId": "u1", "context": {"device": {"id": "d1"}}})
    assert [(name, state) for name, state, _ in deliveries()] == [("Theirs", "queued"), ("Convertro", "queued")]
    assert {(row.kind, row.event_id) for row in Delivery.objects.all()} == {("event", event.pk)}
    assert not events_due()


def test_a_webhook_for_leads_gets_no_events_and_one_that_was_never_switched_on_gets_nothing(source: Source) -> None:
    destination(source.campaign, settings={"url": "https://theirs.example/leads"})
    destination(source.campaign, "Unfinished", state=IntegrationState.NEEDS_SETUP)
    said(source, {"userId": "u1"})
    assert deliveries() == []


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"userId": "u1"}, "device id"),
        ({"userId": "u1", "type": "page", "context": {"device": {"id": "d1"}}}, "identify and track"),
        ({"userId": "u1", "integrations": {"Convertro": False}}, "Switched off by the call"),
        ({"userId": "u1", "integrations": {"All": False}}, "Switched off by the call"),
    ],
)
def test_what_a_destination_does_not_want_is_not_sent_and_says_why(
    source: Source, message: dict[str, Any], words: str
) -> None:
    convertro(source.campaign)
    said(source, message)
    ((_, state, reason),) = deliveries()
    assert state == DeliveryState.NOT_SENT
    assert words in reason
    assert Delivery.objects.get().next_try_at is None


def test_one_destination_may_be_named_and_the_others_switched_off(source: Source) -> None:
    destination(source.campaign)
    convertro(source.campaign)
    said(source, {"userId": "u1", "integrations": {"all": False, "Webhook": {}}, "context": {"device": {"id": "d"}}})
    assert [state for _, state, _ in deliveries()] == ["queued", "not_sent"]


def test_events_for_a_paused_destination_wait(source: Source) -> None:
    destination(source.campaign, state=IntegrationState.PAUSED)
    said(source, {"userId": "u1"})
    ((_, state, reason),) = deliveries()
    assert state == DeliveryState.HELD
    assert "Paused" in reason


def test_an_event_with_a_problem_goes_nowhere(source: Source) -> None:
    destination(source.campaign)
    (event,) = said(source, {"event": ""})
    assert event.problem
    assert not deliveries()
    assert not PersonEvent.objects.exists()


def test_routing_again_changes_nothing(source: Source) -> None:
    destination(source.campaign)
    said(source, {"userId": "u1"})
    assert events_route() == 0
    assert len(deliveries()) == 1


def test_many_arrivals_are_routed_in_batches_and_in_their_order(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "events_route", lambda: 0)
    monkeypatch.setattr(stage, "BATCH_EVENTS", 7)
    destination(source.campaign)
    monkeypatch.setattr("tests.tracking.conftest.events_route", lambda: 0)
    sent = [event for n in range(10) for event in said(source, *[{"userId": f"u{n}"}] * 3)]
    assert Arrival.objects.count() == 10
    assert events_route() == 30
    assert list(Delivery.objects.order_by("pk").values_list("event_id", flat=True)) == [event.pk for event in sent]
    assert not events_due()


def test_what_fails_in_the_middle_leaves_the_events_waiting_and_nothing_half_done(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination(source.campaign)

    def fail(*args: Any) -> None:
        raise RuntimeError("the worker stops here")

    with monkeypatch.context() as patched:
        patched.setattr(stage, "wake", fail)
        with pytest.raises(RuntimeError):
            said(source, {"userId": "u1"})
    assert events_due()
    assert not PersonEvent.objects.exists()
    assert not deliveries()
    assert events_route() == 1
    assert len(deliveries()) == 1


def test_routing_asks_the_database_as_often_for_many_events_as_for_few(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination(source.campaign)
    convertro(source.campaign)

    def queries(count: int) -> int:
        monkeypatch.setattr("tests.tracking.conftest.events_route", lambda: 0)
        said(source, *[{"userId": str(uuid7()), "context": {"device": {"id": f"d{n}"}}} for n in range(count)])
        connection.force_debug_cursor = True
        connection.queries_log.clear()
        try:
            assert events_route() == count
            return len(connection.queries_log)
        finally:
            connection.force_debug_cursor = False

    for _ in range(2):
        queries(1)  # until the name of the event is known to be written
    assert queries(60) == queries(3)
