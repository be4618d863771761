"""A verdict that comes before the portal has the delivery that it is about, as after a restore from an older copy."""

from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from integrations import early_words
from integrations.early_words import updates_match
from integrations.models import Delivery, Integration, StatusUpdate
from integrations.reconciliation import verdicts_apply
from leads.database import uuid7
from leads.models import Lead
from tests.receiving.conftest import Client
from tests.receiving.test_callbacks import say


def recorded(client: Client, key: uuid.UUID) -> Delivery:
    """The delivery with this key, recorded at last."""
    lead = Lead.objects.get(pk=client.send().json()["data"])
    integration = Integration.objects.create(
        campaign=lead.campaign, name="Acme EU", connector="convertr_connect", state="on"
    )
    return Delivery.objects.create(key=key, integration=integration, kind="lead", lead=lead, state="unknown")


def test_a_call_that_comes_too_early_is_kept_and_applied_once_its_delivery_is_recorded(client: Client) -> None:
    key = uuid7()
    answer = say(client, "invalidate", key.hex, reasonCode="Duplicate", comment="We knew her")
    assert (answer.status_code, answer.content) == (201, b"")
    verdicts_apply()
    assert StatusUpdate.objects.get().state == "unmatched"
    delivery = recorded(client, key)
    assert updates_match() == 1
    verdicts_apply()
    delivery.refresh_from_db()
    lead = Lead.objects.get()
    assert (lead.flag, lead.reason_code, lead.comment) == ("invalid", "Duplicate", "We knew her")
    assert (delivery.state, delivery.verdict) == ("delivered", "invalid")
    assert StatusUpdate.objects.get().state == "applied"


def test_several_early_calls_end_in_the_last_word(client: Client) -> None:
    key = uuid7()
    for action in ("invalidate", "validate", "invalidate", "validate"):
        assert say(client, action, key.hex).status_code == 201
    verdicts_apply()
    recorded(client, key)
    assert updates_match() == 4
    verdicts_apply()
    assert Lead.objects.get().flag == "valid"


def old(days: int) -> uuid.UUID:
    made = int(timezone.now().timestamp() * 1000) - days * 86_400_000
    return uuid.UUID(int=(made << 80) | (uuid7().int & ((1 << 80) - 1)))


@pytest.mark.parametrize("days", [early_words.EARLY_DAYS + 1, -1], ids=["too old", "not yet made"])
def test_a_token_that_can_be_no_delivery_s_is_not_found(client: Client, days: int) -> None:
    assert say(client, "validate", old(days).hex).status_code == 404
    assert say(client, "validate", old(1).hex).status_code == 201
    assert StatusUpdate.objects.count() == 1


def test_what_comes_beyond_what_is_kept_is_to_be_sent_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_words, "EARLY_MOST", 2)
    for status in (201, 201, 503):
        assert say(client, "validate", uuid7().hex).status_code == status
        verdicts_apply()
    assert StatusUpdate.objects.count() == 2
