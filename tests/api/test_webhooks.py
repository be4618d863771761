"""Webhooks over the API: made by a key and bound as it is, tested, replayed, rotated, and told of what happens."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from integrations.dispatch import integration_deliver
from integrations.models import Delivery, Integration
from integrations.webhooks.routing import outbox_route
from leads.models import PartnerKey, Publisher, Subscription
from leads.outbox import outbox_forget
from leads.partner_keys import key_end
from tests.api.conftest import Instance, Partner, key_for
from tests.api.test_keys import problem
from tests.engine.test_webhooks import Receiver
from tests.hooks.test_subscriptions import take_in


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    found = Receiver()
    settings.CONNECTOR_PRIVATE_HOSTS = [found.host]
    outbox_forget()
    yield found
    found.close()
    outbox_forget()


def made(partner: Partner, receiver: Receiver, **more: Any) -> Any:
    answer = partner.post("webhooks", {"url": f"http://{receiver.host}/in", "events": ["lead.created"], **more})
    assert answer.status_code == 201, answer.text
    receiver.secret = answer.json()["secret"]
    return answer.json()


def tell() -> None:
    """What the portal does by itself."""
    outbox_route()
    for integration in Integration.objects.filter(subscription__isnull=False):
        Integration.objects.filter(pk=integration.pk).update(open_until=None)
        integration_deliver(integration.pk)


def test_a_key_makes_a_webhook_whose_secret_is_shown_once_and_it_is_told(
    reach: Partner, instance: Instance, receiver: Receiver
) -> None:
    hook = made(reach, receiver)
    assert (hook["publisher"], hook["state"], hook["personal_data"]) == (instance.publisher.pk, "on", False)
    again = reach.get(f"webhooks/{hook['id']}")
    assert again.json() == {name: value for name, value in hook.items() if name != "secret"}
    assert hook["secret"] not in reach.get("webhooks").text
    take_in(instance.campaign, instance.publisher)
    take_in(instance.campaign, instance.other_publisher)
    tell()
    [message] = receiver.seen
    assert message.json["data"]["lead"]["publisher_id"] == instance.publisher.pk
    [told] = reach.get(f"webhooks/{hook['id']}/messages").json()["data"]
    assert (told["id"], told["type"], told["state"]) == (message.headers["webhook-id"], "lead.created", "delivered")


def test_tries_are_listed_with_what_the_receiver_said(reach: Partner, instance: Instance, receiver: Receiver) -> None:
    hook = made(reach, receiver)
    receiver.say.append((503, {"message": "Down for lunch"}))
    sent = reach.post(f"webhooks/{hook['id']}/test")
    assert sent.status_code == 202
    tell()
    [attempt] = reach.get(f"webhooks/{hook['id']}/messages/{sent.json()['id']}/attempts").json()["data"]
    assert (attempt["number"], attempt["outcome"], attempt["status"]) == (1, "retry", 503)
    assert "Down for lunch" in attempt["answer"]
    state = reach.get(f"webhooks/{hook['id']}").json()
    assert state["state"] == "failing"
    assert "out of order" in state["reason"]
    problem(reach.get(f"webhooks/{hook['id']}/messages/{'0' * 32}/attempts"), 404, "not-found")


def test_messages_are_replayed_one_by_one_or_all_that_failed(
    reach: Partner, instance: Instance, receiver: Receiver
) -> None:
    hook = made(reach, receiver)
    for _ in range(2):
        take_in(instance.campaign, instance.publisher)
    tell()
    [first, second] = reach.get(f"webhooks/{hook['id']}/messages", order="oldest").json()["data"]
    assert reach.post(f"webhooks/{hook['id']}/replay", {"messages": [first["id"]]}).json() == {"replayed": 1}
    tell()
    Delivery.objects.filter(key=second["id"]).update(state="exhausted")
    since = (timezone.now() - dt.timedelta(hours=1)).isoformat()
    assert reach.post(f"webhooks/{hook['id']}/replay", {"failed_since": since}).json() == {"replayed": 1}
    tell()
    ids = [message.headers["webhook-id"] for message in receiver.seen]
    assert sorted(ids) == sorted([first["id"], second["id"]] * 2)
    both = {"messages": [first["id"]], "failed_since": since}
    wrongs: list[dict[str, Any]] = [{}, both, {"messages": ["f" * 32]}, {"messages": []}]
    for wrong in wrongs:
        problem(reach.post(f"webhooks/{hook['id']}/replay", wrong), 422, "invalid")


def test_a_rotated_secret_and_the_one_before_both_verify(
    reach: Partner, instance: Instance, receiver: Receiver
) -> None:
    hook = made(reach, receiver)
    new = reach.post(f"webhooks/{hook['id']}/rotate", {"overlap_hours": 2}).json()
    assert new["secret"] != hook["secret"]
    assert new["rotated_until"] is not None
    reach.post(f"webhooks/{hook['id']}/test")
    tell()
    for secret in (hook["secret"], new["secret"]):
        assert Webhook(secret).verify(receiver.seen[0].body, receiver.seen[0].headers)
    # Sent again, because the answer got lost: what the receiver checks with goes on signing.
    refused = problem(reach.post(f"webhooks/{hook['id']}/rotate", {"overlap_hours": 2}), 409, "conflict")
    assert "overlap_hours 0" in refused["detail"]
    receiver.secret = reach.post(f"webhooks/{hook['id']}/rotate", {"overlap_hours": 0}).json()["secret"]
    reach.post(f"webhooks/{hook['id']}/test")
    tell()
    assert len(receiver.seen[1].headers["webhook-signature"].split()) == 1


def test_it_is_paused_changed_switched_on_and_removed(reach: Partner, instance: Instance, receiver: Receiver) -> None:
    hook = made(reach, receiver)
    where = f"webhooks/{hook['id']}"
    changed = reach.call("PATCH", where, json={"enabled": False, "name": "CRM", "events": ["lead.flagged"]}).json()
    assert (changed["state"], changed["name"], changed["events"]) == ("paused", "CRM", ["lead.flagged"])
    sent = reach.post(f"{where}/test").json()
    assert sent["state"] == "held"
    problem(reach.post(f"{where}/replay", {"messages": [sent["id"]]}), 409, "conflict")
    assert reach.call("PATCH", where, json={"enabled": True}).json()["state"] == "on"
    assert reach.call("DELETE", where).status_code == 204
    problem(reach.get(where), 404, "not-found")
    assert reach.get("webhooks").json()["data"] == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"url": "http://example.com/"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://exa mple.com/"}, "url"),
        ({"url": 7}, "url"),
        ({"events": []}, "events"),
        ({"events": ["lead.eaten"]}, "events"),
        ({"events": ["delivery.held"]}, "events"),
        ({"name": "x" * 151}, "name"),
        ({"campaign": 987_654}, "campaign"),
        ({"publisher": 987_654}, "publisher"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(
    reach: Partner, instance: Instance, given: dict[str, Any], field: str
) -> None:
    asked = {"url": "https://example.com/in", "events": ["lead.created"], **given}
    said = problem(reach.post("webhooks", asked), 422, "invalid")
    assert said["errors"][0]["field"].partition(".")[0] == field
    assert not Subscription.objects.exists()


def test_values_are_sent_only_where_the_key_may_read_leads_and_no_other_key_gets_at_them(
    server: str, instance: Instance, receiver: Receiver
) -> None:
    reader = Partner(server, key_for("leads:read", "webhooks:write"))
    blind = Partner(server, key_for("webhooks:write", name="Blind"))
    problem(
        blind.post("webhooks", {"url": "https://example.com/", "events": ["lead.created"], "personal_data": True}),
        422,
        "invalid",
    )
    hook = made(reader, receiver, personal_data=True)
    elsewhere = {"url": "https://evil.example.com/"}
    problem(blind.call("PATCH", f"webhooks/{hook['id']}", json=elsewhere), 403, "scope-missing")
    problem(blind.post(f"webhooks/{hook['id']}/rotate"), 403, "scope-missing")
    take_in(instance.campaign)
    tell()
    assert receiver.seen[0].json["data"]["values"] == {"firstName": "Ada", "email": "ada@example.test"}


def test_a_webhook_ends_with_the_key_that_made_it(
    server: str, partner: Partner, instance: Instance, receiver: Receiver
) -> None:
    short = Partner(server, key_for("webhooks:write", name="Short"))
    hook = made(short, receiver)
    key_end(PartnerKey.objects.get(name="Short"))
    outbox_forget()
    take_in(instance.campaign)
    tell()
    assert receiver.seen == []
    assert partner.get(f"webhooks/{hook['id']}").json()["state"] == "key_ended"


def test_two_publishers_never_see_each_other_s_webhooks(
    server: str, reach: Partner, instance: Instance, receiver: Receiver
) -> None:
    grow = Partner(server, key_for(publisher=instance.other_publisher))
    hook = made(grow, receiver)
    sent = grow.post(f"webhooks/{hook['id']}/test").json()
    assert reach.get("webhooks").json()["data"] == []
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/test"),
        ("POST", "/rotate"),
        ("POST", "/replay"),
        ("GET", "/messages"),
        ("GET", f"/messages/{sent['id']}/attempts"),
    ):
        problem(reach.call(method, f"webhooks/{hook['id']}{path}", json={"messages": [sent["id"]]}), 404, "not-found")
    asked = {"url": "https://example.com/", "events": ["lead.created"], "publisher": instance.other_publisher.pk}
    problem(reach.post("webhooks", asked), 422, "invalid")
    own = reach.post("webhooks", {**asked, "publisher": instance.publisher.pk}).json()
    problem(reach.post(f"webhooks/{own['id']}/replay", {"messages": [sent["id"]]}), 422, "invalid")


def test_there_is_an_end_to_how_many_a_publisher_may_have(reach: Partner, instance: Instance) -> None:
    asked = {"url": "https://example.com/", "events": ["lead.created"]}
    assert {reach.post("webhooks", asked).status_code for _ in range(20)} == {201}
    problem(reach.post("webhooks", asked), 409, "conflict")
    Publisher.objects.filter(pk=instance.publisher.pk).update(active=False)
    problem(reach.get("webhooks"), 401, "key-missing")


def test_a_call_that_is_repeated_under_its_key_makes_one_webhook_and_says_the_secret_once(
    reach: Partner, instance: Instance
) -> None:
    asked = {"url": "https://example.com/in", "events": ["lead.created"]}
    first, again = (reach.post("webhooks", asked, headers={"Idempotency-Key": "hook-1"}) for _ in range(2))
    assert first.json()["secret"].startswith("whsec_")
    assert (again.status_code, again.json()) == (201, {**first.json(), "secret": None})
    problem(
        reach.post("webhooks", {**asked, "name": "x"}, headers={"Idempotency-Key": "hook-1"}),
        422,
        "idempotency-key-reused",
    )
    assert Subscription.objects.count() == 1
