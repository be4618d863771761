"""How clients are asked for verdicts: within their budget, those that push nothing first, and never in the way of others."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from threading import Event, Thread

import pytest
from django.conf import LazySettings
from django.db.models import QuerySet
from django.utils import timezone

from integrations import flows, look_ups, polling
from integrations.connectors.convertr_connect import CONNECTOR
from integrations.delivery import integration_switch
from integrations.dispatch import integration_deliver
from integrations.kit.contract import Budget, Verdict
from integrations.look_ups import Asking
from integrations.models import Delivery, Integration, RemoteToken, StatusUpdate
from integrations.polling import integration_poll, integrations_to_poll
from integrations.processr import leads_process
from integrations.reconciliation import Message, messages_store, verdicts_apply
from integrations.runner import Runner
from leads import limits
from leads.database import uuid7
from leads.models import Campaign, Lead
from tests.engine.client import Answer, Client, Seen

pytestmark = pytest.mark.django_db


def lookups(client: Client) -> int:
    return sum("/lead-result/" in seen.path for seen in client.seen)


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> int:
    """The client allows 40 look-ups in five minutes, of which we take all but a share."""
    budgets = (Budget("call", 3_800, 300.0), Budget("result", 40, 300.0))
    small = replace(CONNECTOR, manifest=replace(CONNECTOR.manifest, budgets=budgets))
    monkeypatch.setattr(look_ups, "find_connector", lambda slug: small)
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


def test_where_the_schedule_runs_faster_there_is_budget_again_as_much_sooner(
    integration: Integration, client: Client, lead: Callable[..., Lead], budget: int, settings: LazySettings
) -> None:
    settings.SCHEDULE_FACTOR = 0.02
    deliver(integration, lead, budget + 1)
    integration_poll(integration.pk)
    integration.refresh_from_db()
    assert integration.polls_wait_until is not None
    assert (integration.polls_wait_until - timezone.now()).total_seconds() <= 300 * 0.02


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
    assert integrations_to_poll()[0] == silent.pk
    assert set(integrations_to_poll()[1:]) == {integration.pk, other.pk}


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
    monkeypatch.setattr(look_ups, "PATIENCE_SECONDS", 0.5)
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


def again(deliveries: QuerySet[Delivery], **columns: object) -> None:
    """Their next look-up is due now."""
    deliveries.update(next_poll_at=timezone.now() - dt.timedelta(seconds=1), **columns)


def asked_for(client: Client) -> list[str]:
    return [seen.path.rsplit("/", 1)[1] for seen in client.seen if "/lead-result/" in seen.path]


def beside(integration: Integration, name: str, **changes: object) -> Integration:
    """Another integration, at the same client's host."""
    integration = Integration.objects.get(pk=integration.pk)
    integration.pk, integration.name = None, name
    for column, value in changes.items():
        setattr(integration, column, value)
    integration.save()
    return integration


def test_leads_of_which_nothing_is_known_are_asked_about_before_those_that_are_decided_or_were_asked_about_often(
    integration: Integration, client: Client, lead: Callable[..., Lead], budget: int
) -> None:
    deliver(integration, lead, 60)
    by_number = {int(row.reference): row.pk for row in Delivery.objects.all()}
    long_ago = timezone.now() - dt.timedelta(hours=3)
    decided = Delivery.objects.filter(pk__in=[by_number[n] for n in range(1, 21)])
    decided.update(verdict="valid", decided_at=long_ago, polls=1, next_poll_at=long_ago)
    Delivery.objects.filter(pk__in=[by_number[n] for n in range(21, 41)]).update(polls=7, next_poll_at=long_ago)
    integration_poll(integration.pk)
    new, asked = set(range(41, 61)), [int(number) for number in asked_for(client)]
    assert set(asked[: 2 * CONNECTOR.manifest.concurrency]) <= new <= set(asked)
    assert len(asked) == budget
    # And none of those that are decided.
    assert min(asked) > 20


def test_leads_with_a_verdict_take_no_more_than_half_of_the_budget_and_new_ones_find_the_rest(
    integration: Integration, client: Client, lead: Callable[..., Lead], budget: int
) -> None:
    deliver(integration, lead, 60)
    old = Delivery.objects.order_by("pk")[:40].values_list("pk", flat=True)
    again(Delivery.objects.filter(pk__in=list(old)), verdict="valid", decided_at=timezone.now())
    new = Delivery.objects.filter(verdict="")
    new.update(next_poll_at=None)
    client.results = {str(number): Answer(200) for number in range(1, 61)}
    assert integration_poll(integration.pk) == budget // 2
    again(new)
    assert integrations_to_poll() == [integration.pk]
    integration_poll(integration.pk)
    assert not new.filter(polls=0).exists() or lookups(client) == budget
    assert new.filter(polls=1).count() == budget - budget // 2
    # What was not asked for want of budget is not claimed over and over meanwhile.
    put_off = Delivery.objects.filter(verdict="valid", polls=0, next_poll_at__gt=timezone.now())
    assert put_off.exists()


def test_a_lead_with_a_verdict_is_asked_about_by_its_age_and_once_a_week_where_the_client_pushed_it(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    deliver(integration, lead, 3)
    Delivery.objects.update(delivered_at=timezone.now() - dt.timedelta(hours=5))
    client.results = {"1": Answer(200)}
    polled, pushed, open_ = (Delivery.objects.get(reference=number) for number in "123")
    messages_store([Message(pushed.pk, Verdict("invalid"), StatusUpdate.Via.PUSHED, timezone.now())])
    verdicts_apply()

    def days_until_next(delivery: Delivery) -> float:
        delivery.refresh_from_db()
        assert delivery.next_poll_at is not None
        return round((delivery.next_poll_at - timezone.now()).total_seconds() / 86_400, 2)

    assert days_until_next(pushed) == 7
    integration_poll(integration.pk)
    assert sorted(asked_for(client)) == ["1", "3"]
    assert (days_until_next(polled), days_until_next(open_)) == (1, 1)
    again(Delivery.objects.filter(pk=pushed.pk))
    integration_poll(integration.pk)
    assert "2" in asked_for(client)
    assert days_until_next(pushed) == 7


def test_a_push_does_not_stretch_how_long_the_campaign_wants_verdicts(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    deliver(integration, lead, 1)
    Campaign.objects.update(verdict_days=3)
    delivery = Delivery.objects.get()
    messages_store([Message(delivery.pk, Verdict("invalid"), StatusUpdate.Via.PUSHED, timezone.now())])
    verdicts_apply()
    delivery.refresh_from_db()
    assert (delivery.verdict, delivery.next_poll_at) == ("invalid", None)


def test_a_client_that_pushes_is_asked_something_while_one_at_its_host_has_more_to_be_asked_than_there_is_budget_for(
    integration: Integration, client: Client, lead: Callable[..., Lead], budget: int
) -> None:
    deliver(integration, lead, 70)
    silent = beside(integration, "Acme US", sync_keys={})
    Delivery.objects.filter(reference__gt="3").update(integration=silent)
    told, backlog = Delivery.objects.filter(integration=integration), Delivery.objects.filter(integration=silent)
    assert told.count() > 10
    assert backlog.count() > budget
    assert integrations_to_poll() == [silent.pk, integration.pk]
    integration_poll(silent.pk)
    integration_poll(integration.pk)
    assert backlog.filter(polls=1).count() == int(budget * 0.75)
    assert told.filter(polls=1).count() == budget - int(budget * 0.75)


@pytest.mark.parametrize("state", ["paused", "needs_a_look"])
def test_what_was_delivered_is_asked_about_though_nothing_more_goes_out(
    integration: Integration, client: Client, lead: Callable[..., Lead], state: str
) -> None:
    deliver(integration, lead, 1)
    client.results = {"1": Answer(200)}
    Integration.objects.update(state=state)
    assert integrations_to_poll() == [integration.pk]
    assert integration_poll(integration.pk) == 1
    Integration.objects.update(state="needs_setup")
    again(Delivery.objects.all())
    assert integrations_to_poll() == []


def test_a_client_that_refuses_our_key_is_asked_hourly_and_at_once_when_somebody_has_mended_it(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    deliver(integration, lead, 1)
    RemoteToken.objects.all().delete()
    flows._tokens.clear()
    key, client.good_key = client.good_key, "another"
    assert integration_poll(integration.pk) == 0
    integration.refresh_from_db()
    assert integration.polls_wait_until is not None
    assert 3_500 < (integration.polls_wait_until - timezone.now()).total_seconds() <= 3_600
    client.good_key = key
    integration_switch(integration, on=True)
    assert integrations_to_poll() == [integration.pk]


def test_a_host_that_is_silent_is_left_alone_by_all_that_ask_there(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    deliver(integration, lead, 4)
    neighbour = beside(integration, "Acme US")
    elsewhere = beside(integration, "Northwind", settings={**integration.settings, "subdomain": "northwind"})
    for number, target in (("2", neighbour), ("3", elsewhere)):
        Delivery.objects.filter(reference=number).update(integration=target)
    client.results = {"1": Answer(200, cut=True), "4": Answer(200, cut=True)}
    assert integration_poll(integration.pk) == 0
    assert integrations_to_poll() == [elsewhere.pk]
    # A message that was under way meanwhile.
    before = lookups(client)
    assert integration_poll(neighbour.pk) == 0
    assert lookups(client) == before


def test_a_round_at_a_host_leaves_the_places_for_rounds_to_others(integration: Integration, client: Client) -> None:
    with polling._rounds.place(client.host) as free:
        assert free
        assert integration_poll(beside(integration, "Acme US").pk) == 0
        with polling._rounds.place("elsewhere") as other:
            assert other


def test_campaigns_at_one_host_do_not_wait_for_a_round_each(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    deliver(integration, lead, 6)
    for number in "23456":
        Delivery.objects.filter(reference=number).update(integration=beside(integration, f"Campaign {number}"))
    client.results = {number: Answer(200) for number in "123456"}
    assert integration_poll(integration.pk) == 6
    assert integrations_to_poll() == []


def test_look_ups_that_found_no_place_in_time_are_not_made_later_and_a_slow_answer_is_waited_for(
    integration: Integration, client: Client, lead: Callable[..., Lead], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look_ups, "BEGIN_SECONDS", 0.3)
    deliver(integration, lead, 15)
    client.results = {str(number): Answer(200) for number in range(1, 16)}
    client._lock = nullcontext()  # type: ignore[assignment]
    answer, halt, halted = client._answer, Runner.halt, Event()

    def slow(seen: Seen) -> Answer:
        """Once no more may begin."""
        if "/lead-result/" in seen.path:
            halted.wait(20)
        return answer(seen)

    def halting(runner: Runner[Delivery]) -> None:
        halt(runner)
        halted.set()

    client._answer = slow  # type: ignore[method-assign]
    monkeypatch.setattr(Runner, "halt", halting)
    asked = Asking(integration).ask(list(Delivery.objects.all()))
    assert halted.is_set()
    assert 0 < len(asked.verdicts) == lookups(client) <= CONNECTOR.manifest.concurrency
    assert (len(asked.unasked), asked.failed) == (15 - lookups(client), {})


@pytest.mark.parametrize(
    ("age", "again_after"),
    [
        (dt.timedelta(minutes=5), dt.timedelta(minutes=2)),
        (dt.timedelta(hours=10), dt.timedelta(hours=1)),
        (dt.timedelta(days=40), dt.timedelta(days=1)),
        (dt.timedelta(days=89, hours=23), None),
    ],
)
@pytest.mark.parametrize("answer", [Answer(500), Answer(200, cut=True)], ids=["out of order", "silent"])
def test_a_look_up_that_failed_is_made_again_ever_more_seldom_and_not_when_nobody_wants_to_know_any_more(
    integration: Integration,
    client: Client,
    lead: Callable[..., Lead],
    answer: Answer,
    age: dt.timedelta,
    again_after: dt.timedelta | None,
) -> None:
    deliver(integration, lead, 1)
    Delivery.objects.update(delivered_at=timezone.now() - age)
    client.results = {"1": answer}
    assert integration_poll(integration.pk) == 0
    next_at = Delivery.objects.get().next_poll_at
    if again_after is None:
        assert next_at is None
    else:
        assert next_at is not None
        assert abs(next_at - timezone.now() - again_after) < dt.timedelta(seconds=30)


def _seconds(work: Callable[[], object]) -> float:
    begun = timezone.now()
    work()
    return (timezone.now() - begun).total_seconds()
