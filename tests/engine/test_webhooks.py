"""Leads that go out as signed messages: through the engine, over a socket, to a receiver that checks what it gets."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from integrations.delivery import integration_problems, integration_switch
from integrations.discovery import integration_check, integration_discover
from integrations.dispatch import integration_deliver
from integrations.kit.contract import ConnectorError
from integrations.kit.signing import secret_new
from integrations.models import Delivery, FieldMapping, Integration, IntegrationState
from integrations.preview import delivery_preview
from integrations.processr import leads_process
from integrations.test_lead import test_lead_send as send_test_lead
from leads.models import Campaign, Lead

pytestmark = pytest.mark.django_db

MakeLead = Callable[..., Lead]
OLD, NEW = secret_new(), secret_new()


@dataclass
class Message:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Refuses what is not signed with its secret, and takes a message once; `say` has other answers, None cuts the line."""

    def __init__(self) -> None:
        self.secret = NEW
        self.seen: list[Message] = []
        self.taken: dict[str, Message] = {}
        self.say: deque[tuple[int, Any] | None] = deque()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                message = Message(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                answer = owner._answer(message)
                if answer is None:
                    return
                data = json.dumps(answer[1]).encode()
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, message: Message) -> tuple[int, Any] | None:
        self.seen.append(message)
        try:
            Webhook(self.secret).verify(message.body, message.headers)
        except WebhookVerificationError:
            return 401, {"error": "bad signature"}
        told = self.say.popleft() if self.say else (200, {})
        if message.json["type"] == "lead" and (told is None or told[0] == 200):
            self.taken.setdefault(message.headers["webhook-id"], message)
            if told is not None:
                return 200, {"id": f"R-{len(self.taken)}"}
        return told


@pytest.fixture
def receiver(settings: LazySettings) -> Iterator[Receiver]:
    found = Receiver()
    settings.CONNECTOR_PRIVATE_HOSTS = [found.host]
    yield found
    found.close()


@pytest.fixture
def webhook(campaign: Campaign, receiver: Receiver) -> Integration:
    """Set up, mapped and switched on."""
    integration = Integration.objects.create(
        campaign=campaign,
        name="Acme's own system",
        connector="webhook",
        settings={"url": f"http://{receiver.host}/leads?key=k-4711", "fields": "firstName*, email*"},
        secrets={"signing_secret": NEW},
    )
    integration_discover(integration)
    # Beside what the settings name, a row added by hand.
    row = {"state": FieldMapping.State.EXTRA, "source": FieldMapping.Source.FACT}
    FieldMapping.objects.create(integration=integration, remote_key="campaign.name", value="campaign.name", **row)
    integration.refresh_from_db()
    integration_switch(integration, on=True)
    return integration


def deliver(integration: Integration, lead: Lead) -> Delivery:
    leads_process()
    integration_deliver(integration.pk)
    return Delivery.objects.get(lead=lead)


def again(integration: Integration, delivery: Delivery) -> Delivery:
    Delivery.objects.filter(pk=delivery.pk).update(next_try_at=timezone.now())
    Integration.objects.filter(pk=integration.pk).update(open_until=None)
    integration_deliver(integration.pk)
    return Delivery.objects.get(pk=delivery.pk)


def set_up(integration: Integration, **settings: Any) -> None:
    integration.settings = {**integration.settings, **settings}
    integration.save()


def test_a_lead_arrives_signed_with_its_fields_and_its_key(
    webhook: Integration, receiver: Receiver, lead: MakeLead
) -> None:
    delivery = deliver(webhook, lead(firstName="Zoë “O'Neil” 李"))
    assert (delivery.state, delivery.reference) == ("delivered", "R-1")
    [message] = receiver.seen
    assert message.path == "/leads?key=k-4711"
    assert message.headers["content-type"] == "application/json"
    assert message.headers["webhook-id"] == delivery.key.hex
    assert message.json == {
        "type": "lead",
        "id": delivery.key.hex,
        "timestamp": message.json["timestamp"],
        "test": False,
        "data": {
            "firstName": "Zoë “O'Neil” 李",
            "email": "ada@example.test",
            "campaign": {"name": "Spring webinar"},
        },
    }


def test_attempts_keep_no_secret_no_personal_value_and_no_key_of_the_address(
    webhook: Integration, receiver: Receiver, lead: MakeLead
) -> None:
    receiver.say.append((422, {"message": "ada@example.test is known", "errors": {"email": "Known."}}))
    delivery = deliver(webhook, lead())
    kept = str(delivery.attempts.get().exchanges)
    assert (delivery.state, delivery.problems) == ("refused", [["email", "Known."]])
    assert "422" in kept
    for secret in ("ada@example.test", NEW, "k-4711"):
        assert secret not in kept


def test_while_the_secret_is_changed_the_receiver_may_have_the_old_or_the_new_one(
    webhook: Integration, receiver: Receiver, lead: MakeLead
) -> None:
    webhook.secrets = {"signing_secret": NEW, "previous_secret": OLD}
    webhook.save()
    for receiver.secret in (OLD, NEW):
        assert deliver(webhook, lead()).state == "delivered"
    assert len(receiver.taken) == 2


def test_a_receiver_that_does_not_know_the_signature_holds_what_waits_and_then_gets_it_all(
    webhook: Integration, receiver: Receiver, lead: MakeLead
) -> None:
    receiver.secret = OLD
    delivery = deliver(webhook, lead())
    webhook.refresh_from_db()
    assert (delivery.state, webhook.state) == ("held", IntegrationState.NEEDS_A_LOOK)
    assert "Compare the signing secret on both sides." in webhook.state_reason
    receiver.secret = NEW
    integration_switch(webhook, on=True)
    assert again(webhook, delivery).state == "delivered"


def test_a_lead_whose_answer_was_lost_goes_out_again_under_the_same_id_where_the_receiver_knows_repeats(
    webhook: Integration, receiver: Receiver, lead: MakeLead
) -> None:
    set_up(webhook, knows_repeats=True)
    integration_discover(webhook)
    receiver.say.append(None)
    delivery = deliver(webhook, lead())
    assert delivery.state == "queued"
    delivery = again(webhook, delivery)
    assert (delivery.state, delivery.tries, len(receiver.seen), len(receiver.taken)) == ("delivered", 2, 2, 1)


def test_a_lead_whose_answer_was_lost_waits_for_a_person_where_the_receiver_does_not_know_repeats(
    webhook: Integration, receiver: Receiver, lead: MakeLead
) -> None:
    receiver.say.append(None)
    delivery = deliver(webhook, lead())
    assert delivery.state == "unknown"
    assert again(webhook, delivery).state == "unknown"
    assert len(receiver.seen) == 1


def test_a_test_lead_is_marked_and_its_answer_is_shown(webhook: Integration, receiver: Receiver) -> None:
    answer = send_test_lead(webhook, {"firstName": "Ada", "email": "ada@example.test"}, "somebody")
    assert answer.outcome is not None
    assert answer.outcome.reference == "R-1"
    assert receiver.seen[0].json["test"] is True


def test_the_connection_test_sends_nobody_s_data_and_says_which_box_is_wrong(
    webhook: Integration, receiver: Receiver, settings: LazySettings
) -> None:
    integration_check(webhook)
    [ping] = receiver.seen
    assert (ping.json["type"], ping.json["data"]) == ("ping", {})
    receiver.secret = OLD
    with pytest.raises(ConnectorError) as refused:
        integration_check(webhook)
    assert refused.value.field == "signing_secret"
    settings.CONNECTOR_PRIVATE_HOSTS = []
    with pytest.raises(ConnectorError, match="the address must start with https") as plain:
        integration_check(webhook)
    assert plain.value.field == "url"


def test_nothing_goes_out_without_encryption_and_what_waits_says_why(
    webhook: Integration, receiver: Receiver, lead: MakeLead, settings: LazySettings
) -> None:
    settings.CONNECTOR_PRIVATE_HOSTS = []
    delivery = deliver(webhook, lead())
    assert delivery.state == "held"
    assert "the address must start with https" in delivery.reason
    assert not receiver.seen


def test_the_preview_shows_the_whole_body_and_no_secret(
    webhook: Integration, receiver: Receiver, lead: MakeLead
) -> None:
    preview = delivery_preview(webhook, lead())
    assert json.loads(preview.body)["data"]["campaign"] == {"name": "Spring webinar"}
    assert not receiver.seen
    assert NEW not in repr(preview)
    assert "k-4711" not in preview.url


def test_a_required_field_without_a_value_keeps_it_from_being_switched_on(webhook: Integration) -> None:
    set_up(webhook, fields="firstName*, email*, country*")
    integration_discover(webhook)
    [problem] = integration_problems(webhook)
    assert "country" in problem


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("leads.example.com/in", "whole address"),
        ("ftp://leads.example.com/in", "whole address"),
        ("https://user:pass@leads.example.com/in", "without a user"),
        ("https://leads.example.com/in#top", "a #"),
        ("", "URL is missing."),
    ],
)
def test_an_address_that_is_none_is_named_before_anybody_is_called(webhook: Integration, url: str, words: str) -> None:
    set_up(webhook, url=url)
    assert words in " ".join(integration_problems(webhook))
    with pytest.raises(ConnectorError) as refused:
        integration_check(webhook)
    assert refused.value.field == "url"
