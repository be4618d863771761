"""What a turn does with the odd lead and the odd answer, and with leads that others took over from it."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from integrations import flows
from integrations.bulk import bulk_start
from integrations.claims import leases_expire
from integrations.connectors.convertr_connect import CONNECTOR
from integrations.dispatch import integration_deliver
from integrations.kit.contract import Call, Flow, Outcome, Payload
from integrations.models import Delivery, Integration, IntegrationState, RemoteToken
from integrations.processr import leads_process
from integrations.selections import LeadSelection
from integrations.sending import Turn
from integrations.versions import mapping_save
from leads import clock
from leads.lead_search import LeadSearch
from leads.models import Campaign, Lead
from tests.activity.conftest import worked
from tests.engine.client import Answer, Client
from tests.engine.test_outage import Ends, work
from tests.engine.test_outage import pass_time as pass_time
from tests.engine.test_sending import Receiver, webhook
from tests.engine.test_sending import receiver as receiver
from tests.portals.world import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
MakeLead = Callable[..., Lead]


# --- one lead among others ----------------------------------------------------------------------------------


def test_a_lead_that_our_own_software_fails_on_waits_and_its_neighbours_go_out(
    integration: Integration, client: Client, lead: MakeLead, caplog: pytest.LogCaptureFixture
) -> None:
    early, bad, late = lead(), lead(company=["Analytical Engines"]), lead()
    leads_process()
    with caplog.at_level(logging.ERROR):
        integration_deliver(integration.pk)
    held = Delivery.objects.get(lead=bad)
    assert (held.state, held.reason[:59]) == ("held", "Waiting: our own software failed on this one before it was ")
    assert Delivery.objects.filter(lead__in=[early, late], state="delivered").count() == 2
    assert f"delivery {held.pk}" in caplog.text
    assert "Analytical" not in caplog.text
    integration.refresh_from_db()
    assert integration.state == IntegrationState.ON


def test_a_date_format_with_a_typo_holds_leads_and_says_what_to_write(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    spec = {"name": "date_format", "from": "DD/MM/YYYY HH:MM", "to": "iso"}
    integration.mappings.filter(remote_key="form[company]").update(source="field", value="company", transforms=[spec])
    mapping_save(integration)
    leads = [lead(company="04/03/2026 10:20"), lead(company="05/03/2026 10:20")]
    leads_process()
    integration_deliver(integration.pk)
    held = Delivery.objects.filter(lead__in=leads)
    assert {row.state for row in held} == {"held"}
    assert all("minutes are mm" in row.reason for row in held)
    assert client.leads == []


@pytest.mark.parametrize(("honours_keys", "state"), [(True, "queued"), (False, "unknown")])
def test_an_answer_that_our_own_software_fails_on_is_a_doubt_where_a_repeat_would_be_a_second_lead(
    integration: Integration,
    client: Client,
    lead: MakeLead,
    monkeypatch: pytest.MonkeyPatch,
    honours_keys: bool,
    state: str,
) -> None:
    def deliver(call: Call, payload: Payload) -> Flow[Outcome]:
        yield from CONNECTOR.deliver(call, payload)
        raise KeyError("data")

    monkeypatch.setattr("integrations.sending.find_connector", lambda slug: replace(CONNECTOR, deliver=deliver))
    Integration.objects.update(honours_keys=honours_keys)
    lead()
    leads_process()
    integration_deliver(integration.pk)
    delivery = Delivery.objects.get()
    assert (delivery.state, len(client.leads)) == (state, 1)
    assert "Our own software failed on the client's answer." in delivery.reason


# --- log-ins that fail for now ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers",
    [[Answer(503)], [Answer(429, b"", {"Retry-After": "1"})], [Answer(200, cut=True)] * 2],
    ids=["out of order", "busy", "silent"],
)
def test_a_log_in_that_fails_for_now_stops_no_integration(
    integration: Integration, client: Client, lead: MakeLead, answers: list[Answer]
) -> None:
    client.refuse_tokens.add("token-1")
    client.say_to_logins.extend(answers)
    lead()
    leads_process()
    Delivery.objects.update(tries=1)
    integration_deliver(integration.pk)
    integration.refresh_from_db()
    assert integration.state == IntegrationState.ON
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries, delivery.attempts.count()) == ("queued", 2, 1)
    assert len(client.posts()) == 1, "it goes out once more with another token only"
    Delivery.objects.update(next_try_at=timezone.now())
    Integration.objects.update(open_until=None)
    integration_deliver(integration.pk)
    assert (Delivery.objects.get().state, len(client.leads)) == ("delivered", 1)


def test_a_turn_that_is_to_end_while_it_logs_in_ends(integration: Integration, client: Client, lead: MakeLead) -> None:
    RemoteToken.objects.all().delete()
    flows._tokens.clear()
    lead()
    leads_process()
    ends = Ends()
    turn = Turn(integration.pk, on_end=ends)
    turn.step()
    turn.leave()
    wait_until(lambda: ends.count == 1, 30)
    turn.step()
    assert turn.over
    assert (Delivery.objects.get().state, client.leads) == ("queued", [])


# --- leases -------------------------------------------------------------------------------------------------


def test_a_worker_that_stood_still_sends_nothing_that_others_took_over(
    campaign: Campaign, receiver: Receiver, lead: MakeLead, pass_time: Callable[[float], None], settings: LazySettings
) -> None:
    integration = webhook(campaign, receiver.host, honours_keys=True)
    for _ in range(12):
        lead()
    leads_process()
    slow, other = Turn(integration.pk, on_end=Ends()), Turn(integration.pk, on_end=Ends())
    slow.step()
    wait_until(lambda: receiver.begun == 8, 30)
    # It stands still while the leases of what it has not begun end, and a colleague takes these up.
    waiting = Delivery.objects.order_by("pk").values_list("pk", flat=True)[8:]
    Delivery.objects.filter(pk__in=list(waiting)).update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert leases_expire() == 4
    other.step()
    assert set(Delivery.objects.filter(state="sending").values_list("fence", flat=True)) == {1, 2}
    pass_time(settings.DELIVERY_LEASE_SECONDS)
    slow.step()
    other.step()
    receiver.open.set()
    work(slow, other)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    assert receiver.begun == 12


def test_what_was_taken_back_and_is_nobody_s_yet_is_not_begun_either(
    campaign: Campaign, receiver: Receiver, lead: MakeLead, pass_time: Callable[[float], None], settings: LazySettings
) -> None:
    integration = webhook(campaign, receiver.host, honours_keys=False)
    for _ in range(10):
        lead()
    leads_process()
    ends = Ends()
    turn = Turn(integration.pk, on_end=ends)
    turn.step()
    wait_until(lambda: receiver.begun == 8, 30)
    Delivery.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert leases_expire() == 10
    assert set(Delivery.objects.values_list("state", flat=True)) == {"unknown"}
    pass_time(settings.DELIVERY_LEASE_SECONDS)
    turn.step()
    receiver.open.set()
    wait_until(lambda: ends.count == 10, 30)
    assert receiver.begun == 8
    work(turn)
    integration_deliver(integration.pk)
    # What did not begin was in no doubt, and what was answered is in none any more.
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    assert receiver.begun == 10


def test_what_a_person_marked_stays_marked_whatever_a_lost_worker_finds_out(
    campaign: Campaign, receiver: Receiver, lead: MakeLead
) -> None:
    integration = webhook(campaign, receiver.host, honours_keys=False)
    lead()
    leads_process()
    ends = Ends()
    turn = Turn(integration.pk, on_end=ends)
    turn.step()
    wait_until(lambda: receiver.begun == 1, 30)
    Delivery.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    leases_expire()
    selection = LeadSelection(search=LeadSearch())
    worked(bulk_start("mark_delivered", selection, {"integrations": [integration.pk]}, by="grace", token=""))
    receiver.status = 503
    receiver.open.set()
    wait_until(lambda: ends.count == 1, 30)
    work(turn)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.reason) == ("delivered", "Marked delivered by grace.")


# --- answers that broke off ---------------------------------------------------------------------------------


class Torn:
    """Takes webhooks by their id. The first answer on each breaks off before it says which number it has; `then` comes after."""

    def __init__(self) -> None:
        self.posts: list[str] = []
        self.then: tuple[int, Any] = (200, {"id": "L-7"})
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                key = self.headers["webhook-id"]
                again = key in owner.posts
                owner.posts.append(key)
                status, body = owner.then if again else (201, {"id": "L-7"})
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data if again else data[:7])

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def torn(settings: LazySettings) -> Iterator[Torn]:
    found = Torn()
    settings.CONNECTOR_PRIVATE_HOSTS = [found.host]
    yield found
    found.close()


@pytest.mark.parametrize(
    ("honours_keys", "then", "posts", "reference"),
    [
        (True, (200, {"id": "L-7"}), 2, "L-7"),
        (True, (503, {}), 2, ""),
        (True, (400, {"message": "Seen before"}), 2, ""),
        (False, (200, {"id": "L-7"}), 1, ""),
    ],
    ids=["they say it again", "they are out of order by then", "they refuse a repeat", "they would take it twice"],
)
def test_a_lead_whose_id_was_cut_off_is_delivered_and_asked_for_its_id_where_that_does_no_harm(
    campaign: Campaign,
    lead: MakeLead,
    torn: Torn,
    honours_keys: bool,
    then: tuple[int, Any],
    posts: int,
    reference: str,
) -> None:
    integration = webhook(campaign, torn.host, honours_keys=honours_keys)
    torn.then = then
    lead()
    leads_process()
    integration_deliver(integration.pk)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.tries, delivery.reference) == ("delivered", 1, reference)
    assert len(torn.posts) == posts
    assert len(set(torn.posts)) == 1
    attempt = delivery.attempts.get()
    assert (attempt.outcome, len(attempt.exchanges)) == ("delivered", posts)
    assert clock.now() - delivery.delivered_at < dt.timedelta(minutes=1)
