"""What a database that is away for a while costs: time, and nothing that was said or found out meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection

from integrations.dispatch import integration_deliver
from integrations.models import Attempt, Delivery, Integration
from integrations.processr import leads_process
from integrations.sending import Turn
from leads import clock
from leads.models import Campaign, Lead
from tests.engine.client import Client
from tests.engine.test_sending import Receiver, webhook
from tests.engine.test_sending import receiver as receiver
from tests.portals.world import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
MakeLead = Callable[..., Lead]


class Outage:
    """While it is on, no statement of this thread comes through."""

    on = False

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        if self.on:
            raise OperationalError("server closed the connection unexpectedly")
        return execute(*statement)


@pytest.fixture
def outage() -> Iterator[Outage]:
    found = Outage()
    with connection.execute_wrapper(found):
        yield found


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets seconds pass by the clock that leases are measured by."""
    passed = [0.0]
    really = clock.steady
    # What is read meanwhile is put back as well.
    monkeypatch.setattr(clock, "_read", None)
    monkeypatch.setattr(clock, "_read_again_at", 0.0)
    monkeypatch.setattr(clock, "steady", lambda: really() + passed[0])

    def more(seconds: float) -> None:
        passed[0] += seconds

    return more


class Ends:
    """Counts the flows of turns that have ended."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self.count += 1


def work(*turns: Turn) -> None:
    """Let turns go on until all are over."""

    def over() -> bool:
        for turn in turns:
            if not turn.over:
                turn.step()
        return all(turn.over for turn in turns)

    wait_until(over, 30)


def test_an_outage_longer_than_the_leases_costs_no_answer_and_no_lead(
    campaign: Campaign,
    receiver: Receiver,
    lead: MakeLead,
    outage: Outage,
    pass_time: Callable[[float], None],
) -> None:
    integration = webhook(campaign, receiver.host, honours_keys=False)
    for _ in range(20):
        lead()
    leads_process()
    ends = Ends()
    turns = [Turn(integration.pk, on_end=ends), Turn(integration.pk, on_end=ends)]
    for turn in turns:
        turn.step()
    wait_until(lambda: receiver.begun == 8, 30)
    outage.on = True
    pass_time(100)
    receiver.open.set()
    # Those that the client has answered, and those that did not begin because nobody could say whose they are by now.
    wait_until(lambda: ends.count == 20, 30)
    for _ in range(8):
        for turn in turns:
            turn.step()
    outage.on = False
    work(*turns)
    integration_deliver(integration.pk)
    assert set(Delivery.objects.values_list("state", "tries")) == {("delivered", 1)}
    assert (receiver.begun, Attempt.objects.count()) == (20, 20)


def test_a_log_in_that_ends_while_the_database_is_away_is_not_lost(
    integration: Integration, client: Client, lead: MakeLead, outage: Outage
) -> None:
    """Leads whose token was refused wait for it, and go out with the new one."""
    client.refuse_tokens.add("token-1")
    lead()
    leads_process()
    ends = Ends()
    turn = Turn(integration.pk, on_end=ends)
    turn.step()
    wait_until(lambda: ends.count == 1, 30)
    turn.step()
    wait_until(lambda: ends.count == 2, 30)
    outage.on = True
    for _ in range(3):
        turn.step()
    wait_until(lambda: ends.count == 3, 30)
    outage.on = False
    work(turn)
    assert (Delivery.objects.get().state, len(client.leads), client.tokens) == ("delivered", 1, 2)
    lead()
    leads_process()
    integration_deliver(integration.pk)
    assert (len(client.leads), client.tokens) == (2, 2)


def test_the_clock_goes_on_while_the_database_is_away(
    db: None, outage: Outage, pass_time: Callable[[float], None]
) -> None:
    before = clock.now()
    pass_time(clock.READ_AGAIN_SECONDS + 1)
    outage.on = True
    assert abs((clock.now() - before).total_seconds()) < clock.READ_AGAIN_SECONDS * 2
    outage.on = False
    pass_time(clock.READ_FAILED_SECONDS + 1)
    assert abs((clock.now() - before).total_seconds()) < 30, "it reads the database's again"
