"""One client asked about leads of one integration: what it said of each, and what came in between. When is polling.py's."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from integrations.flows import connector_call, token_get, token_renew
from integrations.kit.contract import Connector, ConnectorError, NoAnswer, NotKnown, Verdict
from integrations.kit.registry import connector as find_connector
from integrations.models import Delivery, Integration
from integrations.runner import BudgetSpent, Finished, Lane, LaneSpent, NotBegun, Runner
from leads.error_words import error_words

logger = logging.getLogger(__name__)

# What has not begun by then is left for later; what has is waited for as long as a client may take (kit/http.py).
BEGIN_SECONDS, PATIENCE_SECONDS = 5.0, 40.0
LATE = "No answer came in time."


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
    lane_spent: bool = False
    """What is spent is the part of the budget that these may take; others have more of it."""
    heard: bool = False
    """Whether the client gave any answer at all, if only a no."""

    @property
    def told(self) -> int:
        """How many were answered with something that is to be known."""
        return len(self.verdicts) + len(self.unknown)


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

    def ask(
        self, deliveries: Sequence[Delivery], patience_s: float | None = None, *, lane: Lane | None = None
    ) -> Asked:
        """The client's word on each; each look-up fails for itself (facts, section 11). Each wants a reference.

        Those that find no place at the client's in time are not asked; where that is all of them, they failed.
        """
        until = time.monotonic() + (PATIENCE_SECONDS if patience_s is None else patience_s)
        asked = Asked()
        refused = self._ask(deliveries, asked, until, lane)
        if refused:
            self._token = token_renew(self._connector, self._values, self._token)
            for delivery in self._ask(refused, asked, until, lane):
                asked.failed[delivery.pk] = "The client’s instance refused our log-in."
        if len(asked.unasked) == len(deliveries) and not asked.wait_s:
            asked.failed.update(dict.fromkeys(asked.unasked, LATE))
            asked.unasked.clear()
        return asked

    def _ask(self, deliveries: Sequence[Delivery], asked: Asked, until: float, lane: Lane | None) -> list[Delivery]:
        runner: Runner[Delivery] = Runner(self._connector, self._host, key=("results", self._id), lane=lane)
        call = connector_call(self._connector, self._values, token=self._token)
        runner.start((delivery, self._poll(call, delivery.reference)) for delivery in deliveries)
        refused: list[Delivery] = []
        left = {delivery.pk for delivery in deliveries}
        now = time.monotonic()
        begin_until, halted = min(now + BEGIN_SECONDS, (now + until) / 2), False
        while runner.running and (now := time.monotonic()) < until:
            if not halted and now >= begin_until:
                # What began later would use up budget, and its answer come when nobody waits for it.
                runner.halt()
                halted = True
            for end in runner.finished((until if halted else begin_until) - now):
                left.discard(end.job.pk)
                if isinstance(end.error, ConnectorError) and end.error.renew_token:
                    asked.heard = True
                    refused.append(end.job)
                else:
                    _sort(end, asked)
        asked.failed.update(dict.fromkeys(left, LATE))
        return refused


def _sort(end: Finished[Delivery], asked: Asked) -> None:
    pk, error = end.job.pk, end.error
    if error is None:
        asked.heard = True
        asked.verdicts[pk] = (end.value, end.started_at)
    elif isinstance(error, NotBegun):
        asked.unasked.add(pk)
    elif isinstance(error, BudgetSpent):
        asked.unasked.add(pk)
        asked.lane_spent = asked.lane_spent or isinstance(error, LaneSpent)
        asked.wait_s = max(asked.wait_s, error.after_s or 1.0)
    elif isinstance(error, NotKnown):
        asked.heard = True
        asked.unknown[pk] = error.message
    elif isinstance(error, ConnectorError):
        asked.heard = True
        asked.failed[pk] = error.message
        if error.passing:
            asked.wait_s = max(asked.wait_s, error.after_s or 0)
        else:
            asked.blocked.add(pk)
    elif isinstance(error, NoAnswer):
        asked.failed[pk] = str(error)
    else:
        logger.error("delivery %s: the connector failed on a lead's result: %s", pk, error_words(error))
        asked.failed[pk] = "Our own software failed on the client’s answer."
