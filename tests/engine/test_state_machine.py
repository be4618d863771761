"""Whatever happens to deliveries, in whatever order: the client's last word stands, and every row is delivered, decided, shown
to a person, or will be picked up again."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from integrations.claims import leases_expire
from integrations.delivery import (
    deliveries_due,
    deliveries_queue,
    deliveries_release,
    integration_switch,
)
from integrations.dispatch import integration_deliver
from integrations.failing import failures_escalate
from integrations.kit.contract import ConnectorError, Verdict
from integrations.models import Attempt, Delivery, Integration, IntegrationState, StatusUpdate
from integrations.processr import leads_process
from integrations.reconciliation import Message, messages_store, verdicts_apply
from integrations.sending import Turn
from leads.models import Lead
from tests.engine.client import Answer, Client

pytestmark = pytest.mark.django_db

ANSWERS = {
    "taken": Answer(201),
    "taken, and the line breaks": Answer(201, cut=True),
    "refused": Answer(400, {"code": 400, "message": "Validation failed", "data": [{"message": "Not known."}]}),
    "busy": Answer(429, b"Too Many Requests", {"Retry-After": "30"}),
    "broken": Answer(500, {"code": 500, "message": ""}),
    "garbage": Answer(200, b"<html>\x00\xff"),
}
OPEN_STATES = ("queued", "sending", "held")
SHIFTED = {
    Delivery: ("next_try_at", "lease_until", "next_poll_at", "created_at"),
    Integration: ("open_until", "failing_since", "closed_until", "next_pull_at", "polls_wait_until"),
}


def let_time_pass(span: dt.timedelta) -> None:
    """Everything that is kept is so much older: for the engine it is later."""
    for model, names in SHIFTED.items():
        model.objects.update(**{name: F(name) - span for name in names})  # type: ignore[attr-defined]


def sweep() -> None:
    """What a worker does every few seconds, until nothing is left that is due."""
    for _ in range(20):
        leases_expire()
        failures_escalate()
        leads_process()
        verdicts_apply()
        due = deliveries_due()
        if not sum(integration_deliver(pk) for pk in due):
            return


class Deliveries(RuleBasedStateMachine):
    """One integration, its client and its workers; subclassed with the fixtures it plays with."""

    client: Client
    integration: Integration
    lead: Callable[..., Lead]
    honours_keys: bool
    in_doubt: str

    def __init__(self) -> None:
        super().__init__()
        self.frame = transaction.atomic()
        self.frame.__enter__()
        self.client.honours_keys = self.honours_keys
        Integration.objects.update(honours_keys=self.honours_keys, in_doubt=self.in_doubt)
        self.turns: list[Turn] = []
        self.messages: list[Message] = []
        self.words = 0
        self.resent: set[int] = set()

    def teardown(self) -> None:
        try:
            self.mend_everything()
        finally:
            transaction.set_rollback(True)
            self.frame.__exit__(None, None, None)
            self.client.say.clear()
            self.client.leads.clear()
            self.client.seen.clear()
            self.client.keys.clear()

    @rule(count=st.integers(1, 3))
    def leads_come_in(self, count: int) -> None:
        for _ in range(count):
            self.lead()
        leads_process()

    @rule(answers=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=4))
    def a_worker_sends(self, answers: list[str]) -> None:
        self.client.say.extend(ANSWERS[name] for name in answers)
        sweep()
        self.client.say.clear()

    @rule(answer=st.sampled_from(sorted(ANSWERS)))
    def a_worker_stops_after_it_has_sent(self, answer: str) -> None:
        """Its flows run to their end, and nobody records what they came to: for now."""
        integration_switch(self.fresh(), on=True)
        self.leads_come_in(1)
        self.client.say.append(ANSWERS[answer])
        ended = threading.Event()
        turn = Turn(self.integration.pk, on_end=ended.set)
        turn.step()
        runner = turn._runner
        while runner is not None and turn._held and runner._finished.qsize() < runner.running:
            ended.wait(10)
            ended.clear()
        self.client.say.clear()
        self.turns.append(turn)

    @rule(first=st.sampled_from(sorted(ANSWERS)), then=st.sampled_from(sorted(ANSWERS)))
    def a_worker_stops_for_longer_than_its_lease(self, first: str, then: str) -> None:
        self.a_worker_stops_after_it_has_sent(first)
        let_time_pass(dt.timedelta(seconds=60))
        self.a_worker_sends([then])

    @precondition(lambda self: self.turns)
    @rule()
    def the_stopped_worker_wakes_up_and_records(self) -> None:
        turn = self.turns.pop(0)
        before = {row[0]: row for row in self.rows() if row[:2] not in self.held_by(turn)}
        turn.leave()
        turn.step()
        after = {row[0]: row for row in self.rows()}
        assert before == {pk: after[pk] for pk in before}, "it wrote over its successor"

    @rule(seconds=st.sampled_from([10, 40, 200, 3_000, 100_000]))
    def time_passes(self, seconds: int) -> None:
        let_time_pass(dt.timedelta(seconds=seconds))
        leases_expire()

    @rule()
    def somebody_pauses(self) -> None:
        integration_switch(self.fresh(), on=False)

    @rule()
    def somebody_switches_on(self) -> None:
        try:
            integration_switch(self.fresh(), on=True)
        except ConnectorError as error:
            raise AssertionError(error.message) from error

    @rule(data=st.data())
    def somebody_lets_one_go(self, data: st.DataObject) -> None:
        if ids := sorted(Delivery.objects.values_list("pk", flat=True)):
            deliveries_release([data.draw(st.sampled_from(ids))])

    @rule(data=st.data())
    def somebody_sends_one_again(self, data: st.DataObject) -> None:
        if ids := sorted(Lead.objects.values_list("pk", flat=True)):
            known = set(Delivery.objects.values_list("pk", flat=True))
            deliveries_queue([data.draw(st.sampled_from(ids))], resend=True)
            self.resent |= set(Delivery.objects.exclude(pk__in=known).values_list("pk", flat=True))

    @rule(data=st.data(), verdict=st.sampled_from(["valid", "invalid", "returned"]), age=st.integers(0, 500))
    def the_client_decides(self, data: st.DataObject, verdict: Any, age: int) -> None:
        """What it says may come late, and before what it said earlier."""
        sent = sorted(Delivery.objects.filter(tries__gt=0).values_list("pk", flat=True))
        if not sent:
            return
        self.words += 1
        decided_at = timezone.now() - dt.timedelta(seconds=age, microseconds=self.words)
        said = Verdict(verdict, f"CODE-{self.words}", decided_at=decided_at, event_id=f"{self.words:08}")
        message = Message(data.draw(st.sampled_from(sent)), said, StatusUpdate.Via.PUSHED, timezone.now())
        self.messages.append(message)
        messages_store([message])
        verdicts_apply()

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def the_client_says_it_again(self, data: st.DataObject) -> None:
        messages_store([data.draw(st.sampled_from(self.messages))])
        verdicts_apply()

    @invariant()
    def the_last_word_stands(self) -> None:
        last: dict[int | None, Message] = {}
        for message in sorted(self.messages, key=lambda m: (m.verdict.decided_at, m.verdict.event_id)):
            last[message.delivery_id] = message
        for pk, verdict, code in Delivery.objects.values_list("pk", "verdict", "reason_code"):
            said = last[pk].verdict if pk in last else None
            assert (verdict, code) == ((said.state, said.reason_code) if said else ("", ""))
        assert not StatusUpdate.objects.filter(state="received").exists()

    @invariant()
    def every_row_is_at_its_end_or_will_be_picked_up(self) -> None:
        assert not Lead.objects.filter(processed_at=None).exists()
        assert Lead.objects.filter(deliveries=None).count() == 0
        for row in Delivery.objects.all():
            if row.state == "queued":
                assert row.next_try_at is not None
            elif row.state == "sending":
                assert row.lease_until is not None
            elif row.state in ("held", "unknown", "exhausted"):
                assert row.reason, "it waits for a person, and says nothing"
        if self.fresh().state != IntegrationState.ON:
            assert self.fresh().state_reason or self.fresh().state == IntegrationState.PAUSED

    @invariant()
    def nothing_arrives_twice_unmarked(self) -> None:
        arrived = Counter(lead["form[syncToken]"] for lead in self.client.leads)
        for row in Delivery.objects.all():
            if arrived[row.key.hex] > 1:
                assert not self.honours_keys
                assert row.maybe_repeat, "the client has it twice, and nobody is told"

    def mend_everything(self) -> None:
        """In the end the client answers, people act, and time passes: nothing is left over."""
        self.turns.clear()  # they never woke up
        integration_switch(self.fresh(), on=True)
        for _ in range(15):
            let_time_pass(dt.timedelta(days=2))
            sweep()
        left = Delivery.objects.filter(state__in=OPEN_STATES)
        assert not left.exists(), list(left.values("state", "reason", "tries", "next_try_at"))
        deliveries_release(list(Delivery.objects.values_list("pk", flat=True)))
        for _ in range(3):
            let_time_pass(dt.timedelta(days=2))
            sweep()
        self.nothing_arrives_twice_unmarked()
        arrived = {lead["form[syncToken]"] for lead in self.client.leads}
        for row in Delivery.objects.all():
            assert row.state in ("delivered", "refused"), (row.state, row.reason)
            assert row.state == "refused" or row.key.hex in arrived or row.verdict
            assert (
                row.tries == 0 or row.state == "refused" or Attempt.objects.filter(delivery=row).exists() or row.verdict
            )

    def fresh(self) -> Integration:
        return Integration.objects.get(pk=self.integration.pk)

    @staticmethod
    def rows() -> list[tuple[Any, ...]]:
        return list(Delivery.objects.values_list("pk", "fence", "state", "tries", "reason", "next_try_at"))

    @staticmethod
    def held_by(turn: Turn) -> set[tuple[Any, ...]]:
        return {(item.id, item.fence) for item in turn._held}


@pytest.mark.parametrize(
    ("honours_keys", "in_doubt"), [(True, "hold"), (False, "hold"), (False, "again")], ids=["keys", "hold", "again"]
)
def test_no_sequence_of_events_loses_an_update_or_leaves_a_row_behind(
    integration: Integration, client: Client, lead: Callable[..., Lead], honours_keys: bool, in_doubt: str
) -> None:
    class Story(Deliveries):
        pass

    Story.client, Story.integration, Story.lead = client, integration, staticmethod(lead)
    Story.honours_keys, Story.in_doubt = honours_keys, in_doubt
    run_state_machine_as_test(
        Story,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
