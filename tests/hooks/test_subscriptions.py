"""Partners' webhooks: what happens arrives, signed and once, at a receiver that checks what it gets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from standardwebhooks import Webhook

from integrations.claims import leases_expire
from integrations.delivery import integration_hold, integration_switch
from integrations.dispatch import integration_deliver
from integrations.erasing import deliveries_erase
from integrations.failing import failures_escalate
from integrations.models import Delivery, Integration, IntegrationState
from integrations.notices.watching import notices_look
from integrations.processr import leads_process
from integrations.webhooks.routing import outbox_route
from integrations.webhooks.subscriptions import (
    SubscriptionError,
    subscription_add,
    subscription_change,
    subscription_remove,
    subscription_replay,
    subscription_rotate,
    subscription_rotated,
    subscription_standing,
    subscription_switch,
    subscription_test,
    subscriptions_tidy,
)
from leads.database import uuid7
from leads.intake import LeadRow, leads_insert
from leads.models import Campaign, Flag, Happening, Lead, OutboxEvent, Publisher, Subscription
from leads.privacy import leads_erase
from leads.status import FlagChange, leads_flag
from tests.engine.client import Answer, Client
from tests.engine.test_webhooks import Receiver

pytestmark = pytest.mark.django_db

MakeLead = Callable[..., Lead]
Tell = Callable[..., list[Delivery]]


def take_in(campaign: Campaign, publisher: Publisher | None = None, **more: Any) -> int:
    """A lead comes in the way all do."""
    form = campaign.forms.get()
    row = LeadRow(
        hash=uuid7(),
        campaign_id=campaign.pk,
        publisher_id=(publisher or campaign.publishers.order_by("pk")[0]).pk,
        form_id=form.pk,
        form_version=form.version,
        link_id=None,
        values={"firstName": "Ada", "email": "ada@example.test"},
        **more,
    )
    [received] = leads_insert([row])
    assert not isinstance(received, Exception)
    return received.lead_id


def told(receiver: Receiver) -> list[Any]:
    """What arrived, in the order in which it happened: ids say so, whatever order messages came in."""
    return [message.json for message in sorted(receiver.seen, key=lambda message: message.headers["webhook-id"])]


def types(receiver: Receiver) -> list[str]:
    return [message["type"] for message in told(receiver)]


def test_a_lead_s_way_is_told_step_by_step_without_a_word_of_who_it_is(
    integration: Integration, client: Client, campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    lead_id = take_in(campaign)
    leads_process()
    integration_deliver(integration.pk)
    leads_flag({lead_id: FlagChange(Flag.INVALID, "DUP", "ada@example.test is known", by="sam")})
    messages = tell(webhook)
    assert {message.state for message in messages} == {"delivered"}
    assert types(receiver) == ["lead.created", "lead.judged", "delivery.delivered", "lead.flagged"]
    created, judged, delivered, flagged = told(receiver)
    assert created["data"]["lead"] == {
        "id": lead_id,
        "hash": Lead.objects.get().hash.hex,
        "campaign_id": campaign.pk,
        "publisher_id": campaign.publishers.get().pk,
        "form_id": campaign.forms.get().pk,
        "link_id": None,
        "status": "pending",
        "flag": None,
        "received_at": created["data"]["lead"]["received_at"],
    }
    assert judged["data"]["lead"]["status"] == "valid"
    assert delivered["data"]["reference"] == "1"
    assert (flagged["data"]["lead"]["flag"], flagged["data"]["reason_code"]) == ("invalid", "DUP")
    assert [message["id"] for message in (created, judged)] == [message.key.hex for message in messages[:2]]
    said = b"".join(message.body for message in receiver.seen)
    assert b"ada@example.test" not in said
    assert b"Ada" not in said


def test_the_client_s_refusal_and_what_waits_are_told_with_the_reason(
    integration: Integration, client: Client, campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    client.say.append(Answer(400, {"code": 400, "message": "ada@example.test came before", "data": []}))
    take_in(campaign)
    leads_process()
    integration_deliver(integration.pk)
    integration_switch(integration, on=False)
    take_in(campaign)
    leads_process()
    tell(webhook)
    said = {message["type"]: message["data"] for message in told(receiver)}
    assert said["delivery.refused"]["state"] == "refused"
    assert "came before" in said["delivery.refused"]["reason"]
    assert "ada@example.test" not in str(said)
    assert said["delivery.held"]["reason"].startswith("Paused:")


def test_what_is_due_when_an_integration_is_paused_is_told_to_wait(
    integration: Integration, campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    take_in(campaign)
    leads_process()
    integration_switch(integration, on=False)
    tell(webhook)
    assert types(receiver) == ["lead.created", "lead.judged", "delivery.held"]


def test_an_integration_that_stops_and_goes_on_is_told_once_each(
    integration: Integration, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    for _ in range(2):
        integration_hold(integration.pk, "The client's instance refused the API_Key.")
        notices_look()
        notices_look()
        integration.refresh_from_db()
        integration_switch(integration, on=True)
        notices_look()
    tell(webhook)
    assert types(receiver) == ["integration.failing", "integration.recovered"] * 2
    failing = told(receiver)[0]["data"]
    assert failing["integration"] == {"id": integration.pk, "name": "Acme EU"}
    assert (failing["kind"], failing["cause"]) == ("stopped", "The client's instance refused the API_Key.")


def test_values_and_comments_go_where_the_subscription_may_read_leads_and_no_copy_of_them_is_kept(
    campaign: Campaign, receiver: Receiver, tell: Tell
) -> None:
    made, receiver.secret = subscription_add(
        name="CRM", url=f"http://{receiver.host}/", events=["lead.created", "lead.flagged"], personal_data=True
    )
    lead_id = take_in(campaign)
    leads_flag({lead_id: FlagChange(Flag.INVALID, "DUP", "Ada came before")})
    messages = tell(made)
    created, flagged = (message["data"] for message in told(receiver))
    assert created["values"] == {"firstName": "Ada", "email": "ada@example.test"}
    assert flagged["comment"] == "Ada came before"
    assert "ada@example.test" not in str([message.data for message in messages])
    assert "ada@example.test" not in str([each.exchanges for message in messages for each in message.attempts.all()])


def test_an_erased_lead_is_told_of_without_its_values(campaign: Campaign, receiver: Receiver, tell: Tell) -> None:
    made, receiver.secret = subscription_add(
        name="CRM", url=f"http://{receiver.host}/", events=["lead.flagged"], personal_data=True
    )
    lead_id = take_in(campaign)
    leads_process()
    leads_flag({lead_id: FlagChange(Flag.INVALID, "DUP", "ada@example.test came before")})
    outbox_route()
    deliveries_erase(leads_erase([lead_id], by="sam"))
    tell(made)
    [message] = receiver.seen
    assert message.json["data"]["values"] == {}
    assert b"ada@example.test" not in message.body


def test_a_publisher_s_webhook_is_told_of_its_own_leads_and_of_nothing_else(
    campaign: Campaign, receiver: Receiver, tell: Tell
) -> None:
    mine, other = campaign.publishers.get(), Publisher.objects.create(name="Grow")
    campaign.contracts.create(publisher=other)
    made, receiver.secret = subscription_add(
        name="Northbeam", url=f"http://{receiver.host}/", events=["lead.created", "lead.judged"], publisher=mine
    )
    theirs, own = take_in(campaign, other), take_in(campaign, mine)
    leads_process()
    tell(made)
    assert {message.json["data"]["lead"]["id"] for message in receiver.seen} == {own}
    assert theirs != own
    with pytest.raises(SubscriptionError, match=r"not of delivery\.refused"):
        subscription_add(name="", url="https://example.com/", events=["delivery.refused"], publisher=mine)


def test_a_campaign_s_webhook_is_not_told_of_another_campaign(
    campaign: Campaign, receiver: Receiver, tell: Tell
) -> None:
    other = Campaign.objects.create(advertiser=campaign.advertiser, name="Autumn")
    made, receiver.secret = subscription_add(
        name="Autumn", url=f"http://{receiver.host}/", events=["lead.created"], campaign=other
    )
    take_in(campaign)
    assert tell(made) == []
    assert not OutboxEvent.objects.exists()


def test_a_publisher_that_is_switched_off_is_told_nothing(campaign: Campaign, receiver: Receiver, tell: Tell) -> None:
    publisher = campaign.publishers.get()
    made, _ = subscription_add(name="", url=f"http://{receiver.host}/", events=["lead.created"], publisher=publisher)
    take_in(campaign)
    Publisher.objects.filter(pk=publisher.pk).update(active=False)
    assert tell(made) == []


def test_where_nobody_subscribes_a_batch_costs_no_statement_more(campaign: Campaign, settings: LazySettings) -> None:
    settings.CATALOG_MAX_AGE_SECONDS = 60
    take_in(campaign)
    with CaptureQueriesContext(connection) as caught:
        take_in(campaign)
    assert [query["sql"] for query in caught if "subscription" in query["sql"] or "outbox" in query["sql"]] == []


def test_what_happened_goes_with_its_cause_when_that_is_undone(campaign: Campaign, webhook: Subscription) -> None:
    with transaction.atomic():
        take_in(campaign)
        assert OutboxEvent.objects.count() == 1
        transaction.set_rollback(True)
    assert not OutboxEvent.objects.exists()


def test_what_happened_before_a_subscription_was_made_is_not_told(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    take_in(campaign)
    later, _ = subscription_add(name="Later", url=f"http://{receiver.host}/later", events=["lead.created"])
    assert len(tell(webhook)) == 1
    assert tell(later) == []


def test_a_message_keeps_its_id_over_all_tries_and_replays(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    receiver.say.extend([(500, {}), (404, {})])
    take_in(campaign)
    for _ in range(3):
        [message] = tell(webhook)
        Delivery.objects.filter(pk=message.pk, state="queued").update(next_try_at=timezone.now())
    assert (message.state, message.tries) == ("delivered", 3)
    assert subscription_replay(webhook, ids=[message.pk]) == 1
    tell(webhook)
    assert {each.headers["webhook-id"] for each in receiver.seen} == {message.key.hex}
    assert len(receiver.seen) == 4


def test_all_that_failed_since_a_time_goes_out_again(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    for _ in range(3):
        take_in(campaign)
    outbox_route()
    messages = Delivery.objects.filter(integration=webhook.integration.pk)
    messages.update(state="exhausted", next_try_at=None)
    oldest = messages.earliest("pk")
    hour_ago = timezone.now() - dt.timedelta(hours=1)
    Delivery.objects.filter(pk=oldest.pk).update(created_at=hour_ago - dt.timedelta(hours=1))
    assert subscription_replay(webhook, failed_since=hour_ago) == 2
    Delivery.objects.filter(state="queued").update(next_try_at=timezone.now())
    tell(webhook)
    assert len(receiver.seen) == 2
    assert Delivery.objects.get(pk=oldest.pk).state == "exhausted"


def test_while_a_secret_is_changed_both_verify_and_afterwards_the_new_one_alone(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    old = receiver.secret
    new = subscription_rotate(webhook, overlap_hours=24)
    subscription_test(webhook)
    tell(webhook)
    [message] = receiver.seen
    for secret in (old, new):
        assert Webhook(secret).verify(message.body, message.headers)
    Subscription.objects.update(rotated_until=timezone.now())
    subscriptions_tidy()
    webhook = Subscription.objects.get()
    receiver.secret = new
    subscription_test(webhook)
    tell(webhook)
    assert len(receiver.seen[1].headers["webhook-signature"].split()) == 1
    assert webhook.rotated_until is None
    subscription_rotated(webhook)


def test_a_receiver_that_is_gone_switches_it_off_and_what_waits_goes_out_once_it_is_on_again(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    receiver.say.append((410, {}))
    take_in(campaign)
    [message] = tell(webhook)
    webhook = Subscription.objects.get()
    standing = subscription_standing(webhook)
    assert (message.state, standing.name) == ("held", "switched_off")
    assert "410" in standing.reason
    with pytest.raises(SubscriptionError, match="switch it on first"):
        subscription_replay(webhook, ids=[message.pk])
    subscription_switch(webhook, on=True)
    [message] = tell(webhook)
    assert message.state == "delivered"


def test_one_that_fails_for_five_days_is_switched_off_as_integrations_are(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    receiver.say.append((503, {}))
    take_in(campaign)
    tell(webhook)
    assert subscription_standing(Subscription.objects.get()).name == "failing"
    long_ago = timezone.now() - dt.timedelta(days=5)
    Integration.objects.filter(subscription=webhook).update(failing_since=long_ago)
    failures_escalate()
    standing = subscription_standing(Subscription.objects.get())
    assert standing.name == "switched_off"
    assert "for 5 days" in standing.reason


def test_a_paused_one_loses_nothing(campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell) -> None:
    subscription_switch(webhook, on=False)
    take_in(campaign)
    assert [message.state for message in tell(webhook)] == ["held"]
    assert receiver.seen == []
    webhook = Subscription.objects.get()
    subscription_switch(webhook, on=True)
    assert [message.state for message in tell(webhook)] == ["delivered"]


def test_a_webhook_s_own_trouble_is_told_to_no_webhook(campaign: Campaign, webhook: Subscription, tell: Tell) -> None:
    integration_hold(webhook.integration.pk, "Gone.")
    notices_look()
    assert not OutboxEvent.objects.exists()


def test_a_removed_one_is_told_nothing_more_and_its_messages_go(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    take_in(campaign)
    tell(webhook)
    subscription_remove(webhook)
    take_in(campaign)
    assert not OutboxEvent.objects.exists()
    subscriptions_tidy()
    subscriptions_tidy()
    assert not Subscription.objects.exists()
    assert not Integration.objects.filter(connector="webhook").exists()


def test_messages_are_kept_for_as_long_as_the_setting_says(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell, settings: LazySettings
) -> None:
    for _ in range(2):
        take_in(campaign)
    old, new = tell(webhook)
    Delivery.objects.filter(pk=old.pk).update(created_at=timezone.now() - dt.timedelta(days=31))
    settings.WEBHOOK_KEEP_DAYS = 0
    subscriptions_tidy()
    assert Delivery.objects.filter(integration=webhook.integration.pk).count() == 2
    settings.WEBHOOK_KEEP_DAYS = 30
    subscriptions_tidy()
    assert Delivery.objects.get(integration=webhook.integration.pk).pk == new.pk


def test_a_worker_that_dies_while_sending_costs_nothing(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    take_in(campaign)
    outbox_route()
    past = timezone.now() - dt.timedelta(minutes=1)
    Delivery.objects.filter(integration=webhook.integration.pk).update(state="sending", lease_until=past, fence=1)
    leases_expire()
    assert [message.state for message in tell(webhook)] == ["delivered"]


def test_a_test_lead_s_messages_say_that_they_are_a_test(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    take_in(campaign, status="test")
    leads_process()
    tell(webhook)
    assert [(message["type"], message["test"]) for message in told(receiver)] == [
        ("lead.created", True),
        ("lead.judged", True),
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/in", "must start with https"),
        ("https://127.0.0.1/in", "is not a public address"),
        ("https://user:secret@example.com/", "without a user"),
        ("example.com", "whole address"),
        ("", "URL is missing"),
    ],
)
def test_an_address_that_would_not_be_called_is_refused_with_words(db: None, url: str, words: str) -> None:
    with pytest.raises(SubscriptionError, match=words) as refused:
        subscription_add(name="", url=url, events=["lead.created"])
    assert refused.value.field == "url"
    assert not Subscription.objects.exists()


def test_an_address_is_changed_and_what_waited_for_the_old_one_goes_to_the_new_one(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    receiver.say.append((410, {}))
    take_in(campaign)
    tell(webhook)
    webhook = Subscription.objects.get()
    subscription_change(webhook, url=f"http://{receiver.host}/other", events=[Happening.LEAD_JUDGED])
    tell(webhook)
    assert [message.path for message in receiver.seen] == ["/events", "/other"]
    assert webhook.integration.state == IntegrationState.ON
    take_in(campaign)
    assert not OutboxEvent.objects.exists()
