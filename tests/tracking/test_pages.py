"""The pages of sources: their keys and snippets, what comes in, and who may see what."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.models import Delivery
from leads.database import uuid7
from leads.models import Event, Source, User
from tests.tracking.conftest import said
from tests.tracking.test_routing import convertro, destination

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def manager(client: Client) -> Client:
    user = User.objects.create_user("erin", "erin@example.test", "a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name="Account manager"))
    client.force_login(user)
    return client


@pytest.fixture
def viewer() -> Client:
    user = User.objects.create_user("vic", "vic@example.test", "a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    made = Client()
    made.force_login(user)
    return made


def page(source: Source) -> str:
    return f"/admin/leads/source/{source.pk}/change/"


def shown(client: Client, source: Source, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/admin/leads/source/{source.pk}/events/", query)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    return json.loads(answer.content)  # type: ignore[no-any-return]


def test_a_source_is_added_on_its_campaigns_page_and_has_a_key_and_a_snippet(manager: Client, source: Source) -> None:
    tab = f"/admin/leads/campaign/{source.campaign_id}/sources/"
    answer = manager.post(tab, {"name": " Web   shop "}, follow=True)
    made = Source.objects.get(name="Web shop")
    text = answer.content.decode()
    assert len(made.write_key) == 32
    assert made.write_key in text
    assert f"/t/{made.write_key}.js" in text
    history = manager.get(f"/admin/leads/source/{made.pk}/history/").context["entries"]
    assert [(entry.who, [line.done for line in entry.lines]) for entry in history] == [("erin", ["made"])]
    assert "Web shop" in manager.get(tab).content.decode()
    assert b"already" in manager.post(tab, {"name": "Web shop"}, follow=True).content
    assert Source.objects.count() == 2


def test_a_source_is_switched_off_renamed_and_given_another_key_and_its_history_says_so(
    manager: Client, source: Source
) -> None:
    key = source.write_key
    for action in ({"action": "off"}, {"action": "rotate"}, {"action": "rename", "name": "Shop 2"}):
        assert manager.post(page(source), action).status_code == 302
    source.refresh_from_db()
    assert (source.enabled, source.name, source.previous_key) == (False, "Shop 2", key)
    assert source.write_key != key
    history = manager.get(f"/admin/leads/source/{source.pk}/history/").content.decode()
    assert "Renamed to Shop 2" in history
    assert key not in history


def test_the_live_view_tells_who_what_and_what_became_of_it_at_each_destination(
    manager: Client, source: Source
) -> None:
    destination(source.campaign)
    convertro(source.campaign)
    said(source, {"userId": "u1", "event": "First"}, {"anonymousId": "a1", "event": "Second"}, {"event": ""})
    Delivery.objects.filter(integration__name="Theirs").update(state="delivered")
    problem, second, first = shown(manager, source)["events"]
    assert (first["who"], first["known"], first["type"], first["name"]) == ("u1", True, "Track", "First")
    assert (second["who"], second["known"]) == ("a1", False)
    assert [(each["where"], each["word"]) for each in first["became"]] == [
        ("Theirs", "Delivered"),
        ("Convertro", "Not sent"),
    ]
    assert "device id" in first["became"][1]["reason"]
    assert [(each["word"], each["reason"]) for each in problem["became"]] == [
        ("Not taken", "A track call needs the name of an event.")
    ]


def test_an_event_of_a_campaign_without_a_destination_says_so(manager: Client, source: Source) -> None:
    said(source, {"userId": "u1"})
    assert shown(manager, source)["events"][0]["became"][0]["word"] == "No destination"


def test_the_test_button_is_told_the_first_event_after_it_was_pressed(manager: Client, source: Source) -> None:
    said(source, {"userId": "u1", "event": "Before"})
    newest = shown(manager, source)["newest"]
    assert shown(manager, source, after=newest)["first"] is None
    said(source, {"userId": "u1", "event": "After"}, {"userId": "u1", "event": "Later"})
    assert shown(manager, source, after=newest)["first"]["name"] == "After"
    assert shown(manager, source, after="x' OR 1")["first"] is None


def test_the_live_view_asks_the_database_as_often_for_many_events_as_for_few(
    manager: Client, source: Source, django_assert_max_num_queries: Any
) -> None:
    destination(source.campaign)
    said(source, *[{"userId": f"u{n}"} for n in range(80)])
    with django_assert_max_num_queries(10):
        assert len(shown(manager, source)["events"]) == 50


def test_events_of_another_source_are_not_shown(manager: Client, source: Source) -> None:
    other = Source.objects.create(campaign=source.campaign, name="App")
    (event,) = said(other, {"userId": "u1"})
    assert shown(manager, source)["events"] == []
    assert manager.get(f"/admin/leads/source/{source.pk}/events/{event.pk}/").status_code == 404
    assert manager.get(f"/admin/leads/source/{other.pk}/events/{event.pk}/").status_code == 200


def test_hostile_names_and_huge_properties_are_escaped_and_cut(manager: Client, source: Source) -> None:
    (event,) = said(
        source, {"userId": HOSTILE, "event": HOSTILE * 50, "properties": {HOSTILE: "x" * 20_000, "many": [1] * 5_000}}
    )
    row = shown(manager, source)["events"][0]
    assert len(json.dumps(row)) < 1_000
    for headers in ({}, {"HX-Request": "true"}):
        text = manager.get(row["address"], headers=headers).content.decode()
        assert HOSTILE not in text
        assert "&lt;script&gt;" in text
        assert len(text) < 150_000
    assert event.data["properties"][HOSTILE] == "x" * 20_000


def test_who_may_not_see_personal_data_sees_that_events_come_but_not_whose(viewer: Client, source: Source) -> None:
    (event,) = said(source, {"userId": "ada@example.test", "properties": {"secret": "value-4711"}})
    row = shown(viewer, source)["events"][0]
    assert "ada" not in row["who"]
    text = viewer.get(row["address"]).content.decode()
    assert "ada@" not in text
    assert "value-4711" not in text
    assert viewer.post(page(source), {"action": "rotate"}).status_code == 403
    assert viewer.post(f"/admin/leads/campaign/{source.campaign_id}/sources/", {"name": "X"}).status_code == 403
    assert event.source == source


def test_who_is_not_signed_in_sees_nothing(client: Client, source: Source) -> None:
    for address in (page(source), f"/admin/leads/source/{source.pk}/events/"):
        assert client.get(address).status_code == 302


def test_the_tracking_dialog_has_the_snippet_of_each_source_with_a_test(manager: Client, source: Source) -> None:
    address = f"/admin/leads/campaign/{source.campaign_id}/tracking/?tab=website"
    text = manager.get(address, headers={"HX-Request": "true"}).content.decode()
    assert f"/t/{source.write_key}.js" in text
    assert f'data-test="/admin/leads/source/{source.pk}/events/"' in text


def test_a_campaign_without_a_source_says_where_to_add_one(manager: Client, source: Source) -> None:
    campaign_id = source.campaign_id
    source.delete()
    text = manager.get(f"/admin/leads/campaign/{campaign_id}/tracking/?tab=website").content.decode()
    assert "no source yet" in text


def test_the_tab_says_when_a_source_s_newest_event_came_without_reading_the_others(
    manager: Client, source: Source
) -> None:
    now = timezone.now()
    for days in (0, 2):
        at = now - dt.timedelta(days=days)
        Event.objects.create(key=uuid7(), source=source, type="track", timestamp=at, received_at=at)
    with CaptureQueriesContext(connection) as queries:
        [row] = manager.get(f"/admin/leads/campaign/{source.campaign_id}/sources/").context["rows"]
    assert row["latest"] == now - dt.timedelta(days=2), "the newest is the one with the last id"
    assert not any("MAX(" in query["sql"] for query in queries)
