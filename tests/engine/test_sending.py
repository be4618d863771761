"""What a turn at an integration does to others, and what becomes of leads when it is cut short."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection

from integrations.delivery import integration_switch
from integrations.dispatch import Desk, integration_deliver
from integrations.models import Attempt, Delivery, Integration, IntegrationState
from integrations.processr import leads_process
from integrations.runner import HostLine, NotBegun
from leads.models import Campaign, Lead
from tests.engine.client import Client
from tests.portals.world import wait_until

MakeLead = Callable[..., Lead]
SECRET = "whsec_" + "A" * 43 + "="


class Receiver:
    """Takes webhooks; each answer waits until `open` is set."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = 0
        self.status = 200
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                with owner._lock:
                    owner.begun += 1
                owner.open.wait(60)
                self.send_response(owner.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 100

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True).start()

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver(settings: LazySettings) -> Iterator[Receiver]:
    found = Receiver()
    settings.CONNECTOR_PRIVATE_HOSTS = [found.host]
    yield found
    found.close()


@pytest.fixture
def silent_hosts(settings: LazySettings, receiver: Receiver) -> Iterator[list[str]]:
    """Twenty hosts that take a connection and never say a word."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(20)]
    hosts = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    settings.CONNECTOR_PRIVATE_HOSTS = [receiver.host, *hosts]
    yield hosts
    for listener in listeners:
        listener.close()


def webhook(campaign: Campaign, host: str, **fields: Any) -> Integration:
    integration = Integration.objects.create(
        campaign=campaign,
        name=host,
        connector="webhook",
        settings={"url": f"http://{host}/leads"},
        secrets={"signing_secret": SECRET},
        state=IntegrationState.ON,
        **fields,
    )
    integration.mappings.create(remote_key="email", source="field", value="email")
    integration.save()
    return integration


@pytest.mark.django_db(transaction=True)
def test_clients_that_hang_keep_no_thread_and_hold_up_nobody(
    campaign: Campaign, receiver: Receiver, silent_hosts: list[str], lead: MakeLead
) -> None:
    receiver.open.set()
    silent = [webhook(campaign, host, honours_keys=True) for host in silent_hosts]
    good = webhook(campaign, receiver.host, honours_keys=True)
    lead()
    leads_process()
    desk = Desk(2)
    for integration in silent:
        desk.begin(integration.pk)
    wait_until(lambda: Delivery.objects.filter(state="sending").count() == 20, 30)
    desk.begin(good.pk)
    wait_until(lambda: good.deliveries.filter(state="delivered").exists(), 30)
    assert Delivery.objects.filter(state="sending").count() == 20


@pytest.mark.django_db(transaction=True)
def test_what_has_not_begun_waits_as_soon_as_the_integration_is_paused(
    campaign: Campaign, receiver: Receiver, lead: MakeLead, settings: LazySettings
) -> None:
    settings.DELIVERY_LEASE_SECONDS = 6  # looked after every two seconds; on a busy machine a shorter one would run out
    integration = webhook(campaign, receiver.host, honours_keys=True)
    for _ in range(20):
        lead()
    leads_process()
    desk = Desk(2)
    desk.begin(integration.pk)
    wait_until(lambda: receiver.begun == 8, 30)
    integration_switch(integration, on=False)
    wait_until(lambda: integration.deliveries.filter(state="held").count() == 12, 30)
    receiver.open.set()
    wait_until(lambda: integration.deliveries.filter(state="delivered").count() == 8, 30)
    held = integration.deliveries.filter(state="held")
    assert {(row.tries, row.reason[:7]) for row in held} == {(0, "Paused:")}
    assert receiver.begun == 8


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_told_to_stop_gives_back_what_has_not_begun_and_ends_what_has(
    campaign: Campaign, receiver: Receiver, lead: MakeLead
) -> None:
    integration = webhook(campaign, receiver.host, honours_keys=True)
    for _ in range(20):
        lead()
    leads_process()
    desk = Desk(2)
    desk.begin(integration.pk)
    wait_until(lambda: receiver.begun == 8, 30)
    assert not desk.leave(0.1)
    wait_until(lambda: integration.deliveries.filter(state="queued").count() == 12, 30)
    receiver.open.set()
    assert desk.leave(30)
    assert integration.deliveries.filter(state="delivered").count() == 8
    assert integration_deliver(integration.pk) == 12, "another worker goes on"


@pytest.mark.django_db(transaction=True)
def test_what_is_removed_while_it_is_sent_leaves_no_attempt_and_costs_no_other_its_own(
    campaign: Campaign, receiver: Receiver, lead: MakeLead
) -> None:
    integration = webhook(campaign, receiver.host, honours_keys=True)
    for _ in range(3):
        lead()
    leads_process()
    desk = Desk(2)
    desk.begin(integration.pk)
    wait_until(lambda: receiver.begun == 3, 30)
    gone, *others = integration.deliveries.order_by("pk").values_list("pk", flat=True)
    Delivery.objects.filter(pk=gone).delete()
    receiver.open.set()
    assert desk.leave(30)
    assert set(integration.deliveries.values_list("pk", "state")) == {(pk, "delivered") for pk in others}
    assert sorted(Attempt.objects.values_list("delivery", flat=True)) == others


@pytest.mark.django_db
def test_an_attempt_log_that_takes_nothing_costs_no_outcome(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    for _ in range(3):
        lead()
    leads_process()
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER full_log BEFORE INSERT ON integrations_attempt BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    integration_deliver(integration.pk)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    assert (len(client.leads), Attempt.objects.count()) == (3, 0)


def test_a_client_s_host_is_called_by_turns_and_no_integration_takes_all_places() -> None:
    async def story() -> list[str]:
        line, order = HostLine(4), []

        async def call(key: str, until: asyncio.Event) -> None:
            await line.enter(key)
            order.append(key)
            await until.wait()
            line.leave(key)

        hang, go = asyncio.Event(), asyncio.Event()
        go.set()
        tasks = [asyncio.create_task(call("b", go))]
        await asyncio.gather(*tasks)
        tasks += [asyncio.create_task(call("hangs", hang)) for _ in range(10)]
        await asyncio.sleep(0)
        assert order.count("hangs") == 3, "the fourth place is kept for the neighbour"
        neighbours = [asyncio.create_task(call(key, go)) for key in "bcbcbc"]
        await asyncio.gather(*neighbours)
        line.call_off("hangs")
        hang.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(end, NotBegun) for end in ended) == 7
        return order

    order = asyncio.run(story())
    assert order[-6:] in (list("bcbcbc"), list("cbcbcb"))


@pytest.mark.django_db(transaction=True)
def test_a_lead_that_comes_while_others_are_on_their_way_does_not_wait_for_them(
    campaign: Campaign, receiver: Receiver, lead: MakeLead
) -> None:
    integration = webhook(campaign, receiver.host, honours_keys=True)
    desk = Desk(2)
    for count in range(1, 4):
        lead()
        leads_process()
        desk.begin(integration.pk)
        wait_until(lambda count=count: receiver.begun == count, 30)  # type: ignore[misc]
    receiver.open.set()
    wait_until(lambda: integration.deliveries.filter(state="delivered").count() == 3, 30)
