"""Which clients are asked for verdicts, about which leads and in which order: within the client's budget of look-ups.

Leads of which nothing is known come first, and of these the ones that were asked about the fewest times. A round holds a thread
for seconds and no longer, few of a process are at it at once and one at a host, and a host that is silent is left alone for a
while: so it never takes the turn of another, or of what goes out.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import threading
import time
from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q

from integrations.flows import connector_call
from integrations.kit.contract import ConnectorError, NoAnswer
from integrations.kit.registry import connectors
from integrations.look_ups import Asked, Asking
from integrations.models import Delivery, Integration, IntegrationState, StatusUpdate, VerdictState
from integrations.poll_times import POLL_DAILY, POLL_WEEKLY, next_poll_at
from integrations.reconciliation import Message, messages_store
from integrations.runner import Lane
from leads import clock
from leads.database import update_rows

logger = logging.getLogger(__name__)

POLL_TASK = "integrations.poll_verdicts"

# A round begins no look-ups after this.
ROUND_SECONDS = 10.0
# A look-up that failed, or a worker that died in it, is made up for after this, or after a tenth of the time since delivery;
# so long a silent host is left alone.
AGAIN_SECONDS, AGAIN_SHARE = 120, 0.1
# A client that refuses our log-in is asked again so seldom: somebody has to act, and switching on asks at once.
REFUSED_SECONDS = 3_600
# Rounds of one process at once: the threads that are left are for what goes out.
ROUNDS_AT_ONCE = 3

# What can wait (leads with a verdict; while a client that pushes nothing is asked at the same host, leads of those that push)
# never takes more than its half of a budget, and what can't leaves a quarter to the leads of those that push.
_FIRST, _LATER = Lane("first", 0.75), Lane("later", 0.5)
_NOTHING_SAID = (VerdictState.NONE, VerdictState.PENDING)
_UNDECIDED = Q(verdict__in=_NOTHING_SAID)
_CLAIMED = ("reference", "verdict", "created_at", "delivered_at", "lead_id", "integration_id", "polls", "next_poll_at")


@dataclass(frozen=True, slots=True)
class _Due:
    """An integration with look-ups that are due. `fewest`: how often its least asked undecided lead was asked about."""

    integration: Integration
    host: str
    pushes: bool
    fewest: int | None

    @property
    def place(self) -> tuple[bool, bool, int, float]:
        # Those that are equal take turns by chance.
        return self.fewest is None, self.pushes, self.fewest or 0, random.random()  # noqa: S311


def _all_due(now: dt.datetime) -> list[_Due]:
    """Also those that were paused or need a look: what went out before is still decided at the client's."""
    rows = Delivery.objects.filter(next_poll_at__lte=now).order_by().values_list("integration_id")
    fewest = dict(rows.annotate(fewest=Min("polls", filter=_UNDECIDED)))
    found = Integration.objects.filter(pk__in=fewest).exclude(state=IntegrationState.NEEDS_SETUP)
    return [_Due(each, _host(each), _pushes(each), fewest[each.pk]) for each in found]


def _pushes(integration: Integration) -> bool:
    return bool(integration.sync_keys and settings.SYNC_TAGS)


def _host(integration: Integration) -> str:
    connector = connectors().get(integration.connector)
    try:
        return connector.host(connector_call(connector, integration.all_settings)) if connector else ""
    except ConnectorError:
        return f"{integration.pk}"


def integrations_to_poll() -> list[int]:
    """Integrations with look-ups that are due, in the order in which they are to be asked."""
    now = clock.now()
    return [
        due.integration.pk for due in sorted(_all_due(now), key=lambda due: due.place) if _may(due.integration, now)
    ]


def _may(integration: Integration, now: dt.datetime) -> bool:
    return integration.polls_wait_until is None or integration.polls_wait_until <= now


class _Rounds:
    """Who asks in this process: so many at once, and one at a host."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._at_work: set[Hashable] = set()
        self._lock = threading.Lock()

    @contextmanager
    def place(self, host: Hashable) -> Iterator[bool]:
        with self._lock:
            free = len(self._at_work) < self._most and host not in self._at_work
            if free:
                self._at_work.add(host)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._at_work.discard(host)


_rounds = _Rounds(ROUNDS_AT_ONCE)


def integration_poll(integration_id: int) -> int:
    """Ask one client for verdicts that are due, for some seconds, and in what is left of them about other integrations at its
    host; how many answered.

    At once back where enough of this process ask already, somebody else asks this host, or it is to be left alone: the
    sweeper comes again.
    """
    integration = Integration.objects.get(pk=integration_id)
    if not _may(integration, clock.now()):
        return 0
    host = _host(integration)
    with _rounds.place(host) as free:
        return _round(integration, host) if free else 0


def _round(integration: Integration, host: str) -> int:
    until = time.monotonic() + ROUND_SECONDS
    asked, answered = {integration.pk}, _turn(integration, host, until)
    while time.monotonic() < until:
        now = clock.now()
        others = [
            due
            for due in _all_due(now)
            if due.host == host and due.integration.pk not in asked and _may(due.integration, now)
        ]
        if not others:
            break
        following = min(others, key=lambda due: due.place).integration
        asked.add(following.pk)
        answered += _turn(following, host, until)
    return answered


def _turn(integration: Integration, host: str, until: float) -> int:
    answered, known_too = 0, True
    try:
        asking = Asking(integration)
        first = _lane(integration, host)
        while time.monotonic() < until:
            size = asking.at_once * 2
            due, lane = _claim(integration.pk, size), first
            if not due and known_too:
                due, lane = _claim(integration.pk, size, known=True), _LATER
            if not due:
                break
            known = due[0].verdict not in _NOTHING_SAID
            asked = asking.ask(due, lane=lane)
            _store(integration, due, asked, put_off=known and asked.lane_spent)
            answered += asked.told
            if known and asked.lane_spent:
                known_too = False
            elif asked.wait_s:
                _leave_alone([integration.pk], asked.wait_s)
                break
            elif not asked.told:
                _leave_alone([integration.pk] if asked.heard else _all_at(integration, host), _again_s())
                break
    except NoAnswer as silence:
        logger.info("integration %s: no verdicts read: %s", integration.pk, silence)
        _leave_alone(_all_at(integration, host), _again_s())
    except ConnectorError as error:
        logger.info("integration %s: no verdicts read: %s", integration.pk, error)
        refused_s = REFUSED_SECONDS * float(settings.SCHEDULE_FACTOR)
        _leave_alone([integration.pk], (error.after_s or _again_s()) if error.passing else refused_s)
    return answered


def _lane(integration: Integration, host: str) -> Lane | None:
    """Which part of the client's budget its undecided leads may take; None: all of it."""
    pushes = _pushes(integration)
    others = [
        due.pushes
        for due in _all_due(clock.now())
        if due.host == host and due.integration.pk != integration.pk and due.fewest is not None
    ]
    if pushes:
        return _LATER if False in others else None
    return _FIRST if True in others else None


def _again_s() -> float:
    return max(AGAIN_SECONDS * float(settings.SCHEDULE_FACTOR), 2.0)


def _all_at(integration: Integration, host: str) -> list[int]:
    """All integrations at this one's host."""
    alike = Integration.objects.filter(connector=integration.connector).exclude(state=IntegrationState.NEEDS_SETUP)
    return [each.pk for each in alike if _host(each) == host]


def _leave_alone(integration_ids: Collection[int], seconds: float) -> None:
    until = clock.now() + dt.timedelta(seconds=seconds)
    sooner = Q(polls_wait_until=None) | Q(polls_wait_until__lt=until)
    Integration.objects.filter(sooner, pk__in=integration_ids).update(polls_wait_until=until)


def _claim(integration_id: int, most: int, *, known: bool = False) -> list[Delivery]:
    """Deliveries whose look-up is due, of one sort: undecided, or `known`, those with a verdict."""
    now = clock.now()
    wanted, order = (~_UNDECIDED, ["next_poll_at"]) if known else (_UNDECIDED, ["polls", "next_poll_at"])
    with transaction.atomic():
        due = list(
            Delivery.objects.select_for_update(skip_locked=True)
            .filter(wanted, integration=integration_id, next_poll_at__lte=now)
            .order_by(*order)
            .only(*_CLAIMED)[:most]
        )
        again = now + dt.timedelta(seconds=_again_s())
        Delivery.objects.filter(pk__in=[d.pk for d in due]).update(next_poll_at=again)
    return due


def _store(integration: Integration, due: Sequence[Delivery], asked: Asked, *, put_off: bool) -> None:
    """When each is asked about next; what was not asked is due as it was, and no look-up of it is counted.

    `put_off`: what was not asked is not due before there is budget for it again.
    """
    now = clock.now()
    rows: list[tuple[object, ...]] = []
    pushed = set(
        StatusUpdate.objects.filter(delivery__in=[delivery.pk for delivery in due], via=StatusUpdate.Via.PUSHED)
        .exclude(verdict=VerdictState.PENDING)
        .values_list("delivery_id", flat=True)
    )
    for delivery in due:
        pk, asked_about, when = delivery.pk, 1, delivery.next_poll_at
        if pk in asked.unasked:
            asked_about = 0
            if put_off:
                when = now + dt.timedelta(seconds=asked.wait_s)
        else:
            asked_about = int(pk not in asked.failed or pk in asked.blocked)
            delivered_at = delivery.delivered_at or delivery.created_at
            after_s = _pause(pk, asked, pushed=pk in pushed, age=now - delivered_at)
            when = next_poll_at(delivered_at, now, integration.campaign.verdict_days, after_s=after_s)
        rows.append((pk, when, delivery.polls + asked_about))
    with transaction.atomic():
        update_rows(Delivery, ["id"], ["next_poll_at", "polls"], rows)
        messages_store(polled_messages(asked))


def _pause(pk: int, asked: Asked, *, pushed: bool, age: dt.timedelta) -> float | None:
    """Seconds until a look-up is made again; None: by the lead's age."""
    factor = float(settings.SCHEDULE_FACTOR)
    if pk in asked.failed and pk not in asked.blocked:
        return min(max(_again_s(), age.total_seconds() * AGAIN_SHARE), POLL_DAILY * factor)
    if pushed:
        return POLL_WEEKLY * factor
    # What they don't know they may know later: they are moving, or were put back to an older copy.
    return POLL_DAILY * factor if pk in asked.unknown else None


def polled_messages(asked: Asked, only: Collection[int] | None = None) -> list[Message]:
    """The answers that decide something, as messages.

    What was read is at least as old as the question: a push that came after it knows better.
    """
    return [
        Message(pk, verdict, StatusUpdate.Via.POLLED, asked_at)
        for pk, (verdict, asked_at) in asked.verdicts.items()
        if verdict.state != "pending" and (only is None or pk in only)
    ]
