"""How clients are asked for verdicts: within their budget, those that push nothing first, and never in the way of others."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread

import pytest
from django.utils import timezone

from integrations import polling
from integrations.connectors.convertr_connect import CONNECTOR
from integrations.dispatch import integration_deliver
from integrations.kit.contract import Budget
from integrations.models import Delivery, Integration, StatusUpdate
from integrations.polling import integration_poll, integrations_to_poll
from integrations.processr import leads_process
from integrations.reconciliation import verdicts_apply
from leads import limits
from leads.database import uuid7
from leads.models import Lead
from tests.engine.client import Answer, Client

pytestmark = pytest.mark.django_db


def lookups(client: Client) -> int:
    return sum("/lead-result/" in seen.path for seen in client.seen)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> int:
    """The client allows 40 look-ups in five minutes, of which we take all but a share."""
    budgets = (Budget("call", 3_800, 300.0), Budget("result", 40, 300.0))
    small = replace(CONNECTOR, manifest=replace(CONNECTOR.manifest, budgets=budgets))
    monkeypatch.setattr(polling, "find_connector", lambda slug: small)
    return 38


def deliver(integration: Integration, lead: Callable[..., Lead], count: int) -> None:
    for _ in range(count):
        lead()
    leads_process()
    integration_deliver(integration.pk)
    Delivery.objects.filter(integration=integration).update(next_poll_at=timezone.now() - dt.timedelta(seconds=1))


def test_no_look_up_is_made_above_the_budget_and_none_that_was_not_made_counts(
    integration: Integration, client: Client, lead: Callable[..., Lead], budget: int
) -> None:
    deliver(integration, lead, 60)
    client.results = {str(number): Answer(200) for number in range(1, 61)}
    assert integration_poll(integration.pk) == budget
    assert integrations_to_poll() == []
    integration_poll(integration.pk)
    assert lookups(client) == budget
    left = Delivery.objects.filter(polls=0)
    assert left.count() == 60 - budget
    assert not left.filter(next_poll_at__gt=timezone.now()).exists()
    verdicts_apply()
    assert Lead.objects.filter(flag="valid").count() == budget
    integration.refresh_from_db()
    assert integration.polls_wait_until is not None
    assert 200 < (integration.polls_wait_until - timezone.now()).total_seconds() <= 300
    Integration.objects.update(polls_wait_until=timezone.now())
    assert integrations_to_poll() == [integration.pk]


def test_a_look_up_that_is_not_made_takes_no_call_from_what_goes_out(
    integration: Integration, client: Client, lead: Callable[..., Lead], budget: int
) -> None:
    deliver(integration, lead, 50)
    integration_poll(integration.pk)
    calls = len(client.posts()) + lookups(client)
    assert asyncio.run(limits.take(f"budget:{client.host}:call", calls + 1, 300.0)) == 0


def test_of_two_integrations_with_one_client_the_one_that_is_told_nothing_is_asked_for_first(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    deliver(integration, lead, 2)
    assert integration.sync_keys
    silent = Integration.objects.get(pk=integration.pk)
    silent.pk, silent.name, silent.sync_keys = None, "Acme US", {}
    silent.save()
    # A third one at another client's host is in nobody's way.
    other = Integration.objects.get(pk=integration.pk)
    other.pk, other.name, other.settings = None, "Northwind", {**integration.settings, "subdomain": "northwind"}
    other.save()
    moved = Delivery.objects.latest("pk")
    for target in (silent, other):
        Delivery.objects.create(
            key=uuid7(),
            integration=target,
            kind="lead",
            lead=moved.lead,
            reference="2",
            state="delivered",
            next_poll_at=timezone.now() - dt.timedelta(seconds=1),
        )
    assert integrations_to_poll() == [silent.pk, other.pk]
    Delivery.objects.filter(integration=silent).update(next_poll_at=None)
    assert integrations_to_poll() == [integration.pk, other.pk]


def test_a_client_that_gives_no_answer_is_left_alone_for_a_while(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    deliver(integration, lead, 40)
    client.results = {str(number): Answer(500) for number in range(1, 41)}
    assert integration_poll(integration.pk) == 0
    assert lookups(client) == 18
    assert integrations_to_poll() == []
    assert not StatusUpdate.objects.exists()
    assert not Delivery.objects.filter(polls__gt=0).exists()


def test_a_client_that_hangs_holds_one_round_and_a_second_one_does_not_begin(
    integration: Integration, client: Client, lead: Callable[..., Lead], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "PATIENCE_SECONDS", 0.5)
    deliver(integration, lead, 1)
    asked, go_on = Event(), Event()
    answer = client._answer

    def hanging(seen: object) -> Answer:
        if "/lead-result/" in getattr(seen, "path", ""):
            asked.set()
            go_on.wait(10)
        return answer(seen)  # type: ignore[arg-type]

    client._answer = hanging  # type: ignore[method-assign]
    seconds = _seconds(lambda: integration_poll(integration.pk))
    go_on.set()
    assert asked.is_set()
    assert 0.4 < seconds < 5
    assert integrations_to_poll() == []
    assert Delivery.objects.get().next_poll_at > timezone.now()


def test_no_more_than_three_rounds_of_a_process_run_at_once() -> None:
    inside, leave = [Event() for _ in range(3)], Event()

    def hold(number: int) -> None:
        with polling._rounds.place(number) as free:
            assert free
            inside[number].set()
            leave.wait(10)

    threads = [Thread(target=hold, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    assert all(event.wait(10) for event in inside)
    with polling._rounds.place(3) as free:
        assert not free
    leave.set()
    for thread in threads:
        thread.join()
    with polling._rounds.place(3) as free:
        assert free


def _seconds(work: Callable[[], object]) -> float:
    begun = timezone.now()
    work()
    return (timezone.now() - begun).total_seconds()
