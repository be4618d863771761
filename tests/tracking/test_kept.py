"""How long events are kept, and how a person's are erased."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.core import serializers
from django.core.management import CommandError, call_command
from django.utils import timezone

from integrations.models import Attempt, Delivery
from integrations.records import Journal, Record
from integrations.tracked_events.kept import events_purge
from leads.models import Device, Event, Identity, Person, PersonEvent, Source
from tests.tracking.conftest import said
from tests.tracking.test_routing import destination

pytestmark = pytest.mark.django_db

ADA = "ada@example.test"


def everything() -> str:
    models = (Event, Person, Identity, Device, PersonEvent, Delivery, Attempt)
    return json.dumps([serializers.serialize("json", model.objects.all()) for model in models])


def test_all_that_is_known_of_a_person_is_erased_and_of_nobody_else(source: Source, capsys: Any) -> None:
    destination(source.campaign)
    device = {"context": {"device": {"id": "device-of-ada"}}}
    said(
        source,
        {"anonymousId": "visitor-4711", "event": "Looked"},
        {"type": "identify", "userId": "user-ada", "anonymousId": "visitor-4711", "traits": {"email": ADA}, **device},
        {"userId": "user-bob", "event": "Bought", "properties": {"gift": "for " + ADA.upper()}},
        {"userId": "user-bob", "event": "Bought"},
    )
    delivery = Delivery.objects.order_by("pk").first()
    assert delivery is not None
    Attempt.objects.create(
        delivery=delivery, number=1, started_at=timezone.now(), outcome="retry", message=f"no {ADA}", exchanges=[ADA]
    )
    Delivery.objects.filter(pk=delivery.pk).update(state="refused", reason=f"They know no {ADA} here.")
    call_command("erase_person", ADA)
    assert "1 persons, the messages of 3 events, 3 deliveries" in capsys.readouterr().out
    left = everything()
    for trace in (ADA, ADA.upper(), "user-ada", "visitor-4711", "device-of-ada"):
        assert trace not in left
    assert Event.objects.count() == 4
    assert [person.user_id for person in Person.objects.all()] == ["user-bob"]
    assert list(Delivery.objects.order_by("pk").values_list("state", flat=True)) == [
        "refused",
        "exhausted",
        "exhausted",
        "queued",
    ]


def test_what_a_worker_is_just_sending_leaves_nothing_when_it_comes_back(source: Source) -> None:
    destination(source.campaign)
    said(source, {"userId": "user-ada"})
    delivery = Delivery.objects.get()
    Delivery.objects.update(state="sending", fence=1, tries=1)
    call_command("erase_person", "user-ada")
    record = Record(rows=[(delivery.pk, 1, "delivered", "to user-ada", [], None, None, "77", None, None, 0, 1, False)])
    record.attempts.append((delivery.pk, 1, timezone.now(), 5, "delivered", "user-ada", [{"request": "user-ada"}]))
    Journal(delivery.integration_id).write(record, host="acme.example", probing=False)
    assert "user-ada" not in everything()
    assert Attempt.objects.get().outcome == "delivered"
    assert Delivery.objects.get().state == "exhausted"


def test_what_has_not_been_routed_yet_is_erased_too(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.tracking.conftest.events_route", lambda: 0)
    said(source, {"userId": "user-ada"})
    call_command("erase_person", "user-ada")
    assert "user-ada" not in everything()


def test_a_repeat_of_an_erased_message_brings_nothing_back(source: Source) -> None:
    message = {"userId": "user-ada", "messageId": "m1"}
    said(source, dict(message))
    call_command("erase_person", "user-ada")
    assert said(source, dict(message)) == []


def test_a_text_too_short_to_be_anybodys_erases_nothing(source: Source) -> None:
    said(source, {"userId": "u1"})
    with pytest.raises(CommandError):
        call_command("erase_person", " u1 ")
    assert Person.objects.exists()


def test_events_older_than_they_are_kept_go_with_all_that_hangs_on_them(source: Source, settings: Any) -> None:
    settings.EVENT_KEEP_DAYS = 30
    destination(source.campaign)
    old, _both = said(source, {"userId": "gone", "timestamp": "2020-01-01T00:00:00Z"}, {"userId": "back"})
    Event.objects.update(received_at=timezone.now() - dt.timedelta(days=31))
    (new,) = said(source, {"userId": "back"})
    delivery = Delivery.objects.get(event=old)
    Attempt.objects.create(delivery=delivery, number=1, started_at=timezone.now(), outcome="retry")
    assert events_purge() == 2
    assert list(Event.objects.all()) == [new]
    assert [person.user_id for person in Person.objects.all()] == ["back"]
    assert not Identity.objects.filter(value="gone").exists()
    assert {row.event_id for row in Delivery.objects.all()} == {new.pk}
    assert not Attempt.objects.exists()
    assert events_purge() == 0


def test_events_are_kept_for_two_days_whatever_is_set_since_repeats_are_known_by_them(
    source: Source, settings: Any
) -> None:
    settings.EVENT_KEEP_DAYS = 1
    said(source, {"userId": "u1"})
    Event.objects.update(received_at=timezone.now() - dt.timedelta(hours=47))
    assert events_purge() == 0
    settings.EVENT_KEEP_DAYS = 0
    Event.objects.update(received_at=timezone.now() - dt.timedelta(days=10_000))
    assert events_purge() == 0
