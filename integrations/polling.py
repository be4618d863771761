"""Asking clients for the verdicts that they do not push (facts, section 5): by age, within the client's budget of look-ups.

A round holds a thread for seconds and no longer, few of a process are at it at once, and a client that is busy or silent is
left alone for a while: so it never takes the turn of another, or of what goes out.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import transaction

from integrations.flows import connector_call, token_get, token_renew
from integrations.kit.contract import Connector, ConnectorError, NoAnswer, NotKnown, Verdict
from integrations.kit.registry import connector as find_connector
from integrations.kit.registry import connectors
from integrations.models import Delivery, Integration, IntegrationState, StatusUpdate
from integrations.reconciliation import Message, messages_store, next_poll_at
from integrations.runner import BudgetSpent, Finished, Runner
from leads import clock
from leads.database import update_rows

logger = logging.getLogger(__name__)

POLL_TASK = "integrations.poll_verdicts"

# A round begins no look-ups after this, and waits for those that it began no longer than that.
ROUND_SECONDS, PATIENCE_SECONDS = 10.0, 20.0
# A look-up that failed, or a worker that died in it, is made up for after this; so long a silent client is left alone.
AGAIN_SECONDS = 120
# Rounds of one process at once: the threads that are left are for what goes out.
ROUNDS_AT_ONCE = 3


@dataclass(slots=True)
class Asked:
    """What came of look-ups, by delivery id."""

    verdicts: dict[int, tuple[Verdict, dt.datetime]] = field(default_factory=dict)
    """The client's answers, each with when it was asked."""
    unknown: dict[int, str] = field(default_factory=dict)
    """They do not know these, in words."""
    failed: dict[int, str] = field(default_factory=dict)
    """No answer, or none that can be used, in words."""
    blocked: set[int] = field(default_factory=set)
    """Those that failed so that asking again soon changes nothing: somebody has to act."""
    unasked: set[int] = field(default_factory=set)
    """Not asked: the budget is spent, or there was no time."""
    wait_s: float = 0.0
    """When the budget is spent, or the client is busy: after so many seconds they may be asked again."""


class Asking:
    """Look-ups at one integration's client, with one log-in; ConnectorError or NoAnswer where that is refused."""

    def __init__(self, integration: Integration) -> None:
        self._id = integration.pk
        self._connector: Connector = find_connector(integration.connector)
        self._values: Mapping[str, Any] = integration.all_settings
        if self._connector.poll is None:
            raise ConnectorError(f"{self._connector.manifest.name} can't be asked for verdicts.")
        self._poll = self._connector.poll
        self._host = self._connector.host(connector_call(self._connector, self._values))
        self._token = token_get(self._connector, self._values)

    @property
    def at_once(self) -> int:
        """So many look-ups may go to the client at once."""
        return self._connector.manifest.concurrency

    def ask(self, deliveries: Sequence[Delivery], patience_s: float | None = None) -> Asked:
        """The client's word on each; each look-up fails for itself (facts, section 11). Each wants a reference."""
        until = time.monotonic() + (PATIENCE_SECONDS if patience_s is None else patience_s)
        asked = Asked()
        refused = self._ask(deliveries, asked, until)
        if refused:
            self._token = token_renew(self._connector, self._values, self._token)
            for delivery in self._ask(refused, asked, until):
                asked.failed[delivery.pk] = "The client’s instance refused our log-in."
        return asked

    def _ask(self, deliveries: Sequence[Delivery], asked: Asked, until: float) -> list[Delivery]:
        runner: Runner[Delivery] = Runner(self._connector, self._host, key=("results", self._id))
        call = connector_call(self._connector, self._values, token=self._token)
        runner.start((delivery, self._poll(call, delivery.reference)) for delivery in deliveries)
        refused: list[Delivery] = []
        left = {delivery.pk for delivery in deliveries}
        while runner.running and (seconds := until - time.monotonic()) > 0:
            for end in runner.finished(seconds):
                left.discard(end.job.pk)
                if isinstance(end.error, ConnectorError) and end.error.renew_token:
                    refused.append(end.job)
                else:
                    _sort(end, asked)
        asked.failed.update(dict.fromkeys(left, "No answer came in time."))
        return refused


def _sort(end: Finished[Delivery], asked: Asked) -> None:
    pk, error = end.job.pk, end.error
    if error is None:
        asked.verdicts[pk] = (end.value, end.started_at)
    elif isinstance(error, BudgetSpent):
        asked.unasked.add(pk)
        asked.wait_s = max(asked.wait_s, error.after_s or 1.0)
    elif isinstance(error, NotKnown):
        asked.unknown[pk] = error.message
    elif isinstance(error, ConnectorError):
        asked.failed[pk] = error.message
        if error.passing:
            asked.wait_s = max(asked.wait_s, error.after_s or 0)
        else:
            asked.blocked.add(pk)
    elif isinstance(error, NoAnswer):
        asked.failed[pk] = str(error)
    else:
        logger.error("delivery %s: the connector failed on a lead's result", pk, exc_info=error)
        asked.failed[pk] = "Our own software failed on the client’s answer."


def integrations_to_poll() -> list[int]:
    """Integrations with look-ups that are due.

    One whose client pushes waits while another one at the same host that does not push has look-ups due: they share a budget.
    """
    now = clock.now()
    due = Delivery.objects.filter(next_poll_at__lte=now).values("integration_id").distinct()
    found = [
        integration
        for integration in Integration.objects.filter(pk__in=due, state=IntegrationState.ON)
        if integration.polls_wait_until is None or integration.polls_wait_until <= now
    ]
    pushing = {integration.pk: bool(integration.sync_keys and settings.SYNC_TAGS) for integration in found}
    hosts = {integration.pk: _host(integration) for integration in found}
    first = [integration.pk for integration in found if not pushing[integration.pk]]
    taken = {hosts[pk] for pk in first}
    return sorted(first) + sorted(pk for pk, pushes in pushing.items() if pushes and hosts[pk] not in taken)


def _host(integration: Integration) -> str:
    connector = connectors().get(integration.connector)
    try:
        return connector.host(connector_call(connector, integration.all_settings)) if connector else ""
    except ConnectorError:
        return f"{integration.pk}"


class _Rounds:
    """Who asks in this process: so many at once, and one at an integration."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._at_work: set[int] = set()
        self._lock = threading.Lock()

    @contextmanager
    def place(self, integration_id: int) -> Iterator[bool]:
        with self._lock:
            free = len(self._at_work) < self._most and integration_id not in self._at_work
            if free:
                self._at_work.add(integration_id)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._at_work.discard(integration_id)


_rounds = _Rounds(ROUNDS_AT_ONCE)


def integration_poll(integration_id: int) -> int:
    """Ask one client for verdicts that are due, for some seconds; how many answered.

    At once back where enough of this process ask already, or somebody else asks this client: the sweeper comes again.
    """
    with _rounds.place(integration_id) as free:
        return _round(integration_id) if free else 0


def _round(integration_id: int) -> int:
    integration = Integration.objects.get(pk=integration_id)
    until = time.monotonic() + ROUND_SECONDS
    answered = 0
    try:
        asking = Asking(integration)
        while time.monotonic() < until and (due := _claim(integration_id, asking.at_once * 2)):
            asked = asking.ask(due)
            _store(integration, due, asked)
            answered += len(asked.verdicts) + len(asked.unknown)
            if asked.wait_s:
                _leave_alone(integration_id, asked.wait_s)
                break
            if len(asked.failed) == len(due):
                _leave_alone(integration_id, _again_s())
                break
    except (ConnectorError, NoAnswer) as error:
        logger.info("integration %s: no verdicts read: %s", integration_id, error)
        _leave_alone(integration_id, _again_s())
    return answered


def _again_s() -> float:
    return max(AGAIN_SECONDS * float(settings.SCHEDULE_FACTOR), 2.0)


def _leave_alone(integration_id: int, seconds: float) -> None:
    until = clock.now() + dt.timedelta(seconds=seconds)
    Integration.objects.filter(pk=integration_id).update(polls_wait_until=until)


def _claim(integration_id: int, most: int) -> list[Delivery]:
    now = clock.now()
    with transaction.atomic():
        due = list(
            Delivery.objects.select_for_update(skip_locked=True)
            .filter(integration=integration_id, next_poll_at__lte=now)
            .order_by("next_poll_at")
            .only("reference", "delivered_at", "lead_id", "integration_id", "polls", "next_poll_at")[:most]
        )
        again = now + dt.timedelta(seconds=_again_s())
        Delivery.objects.filter(pk__in=[d.pk for d in due]).update(next_poll_at=again)
    return due


def _store(integration: Integration, due: Sequence[Delivery], asked: Asked) -> None:
    """What failed for now stays where the claim put it; what was not asked is due as it was, and no look-up is counted."""
    now = clock.now()
    days = integration.campaign.verdict_days
    rows: list[tuple[object, ...]] = []
    for delivery in due:
        if delivery.pk in asked.verdicts or delivery.pk in asked.blocked:
            when = next_poll_at(delivery.delivered_at or now, now, days)
            rows.append((delivery.pk, when, delivery.polls + 1))
        elif delivery.pk in asked.unknown:
            # They will not know it later either.
            rows.append((delivery.pk, None, delivery.polls + 1))
        elif delivery.pk in asked.unasked:
            rows.append((delivery.pk, delivery.next_poll_at, delivery.polls))
    with transaction.atomic():
        update_rows(Delivery, ["id"], ["next_poll_at", "polls"], rows)
        messages_store(polled_messages(asked))


def polled_messages(asked: Asked, only: Collection[int] | None = None) -> list[Message]:
    """The answers that decide something, as messages.

    What was read is at least as old as the question: a push that came after it knows better.
    """
    return [
        Message(pk, verdict, StatusUpdate.Via.POLLED, asked_at)
        for pk, (verdict, asked_at) in asked.verdicts.items()
        if verdict.state != "pending" and (only is None or pk in only)
    ]
