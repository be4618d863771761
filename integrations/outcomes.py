"""Stage 3, what a try came to: the outcome of a flow that ended, and the row that says where its delivery stands then.

Asks the database nothing: it may be away, and what ended must not be lost for it.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass, replace
from typing import Any

from integrations.claims import Claimed
from integrations.discovery import KEY_CHARS, LABEL_CHARS
from integrations.kit.contract import (
    Connector,
    ConnectorError,
    NoAnswer,
    Outcome,
    OutcomeKind,
    misconfigured,
    retry,
    unknown,
)
from integrations.kit.mapping import MappingProblem
from integrations.models import Delivery, DeliveryState, Integration
from integrations.poll_times import first_poll_at
from integrations.runner import BudgetSpent, Finished, NotBegun
from integrations.standing import TRY_SECONDS, Standing, standing_after
from leads.error_words import error_words

logger = logging.getLogger(__name__)

# What is kept of a client's words about one lead at the most.
WORDS_CHARS, PROBLEMS = 4_000, 100
OUR_FAULT = "Our own software failed on the client's answer."
UNMADE = "our own software failed on this one before it was sent. Whoever runs this portal finds in its log why."


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What tries at one integration come to."""

    integration: Integration
    connector: Connector

    def of(self, end: Finished[Any]) -> Outcome:
        """The outcome of a flow, whatever it raised."""
        if end.error is None:
            outcome = end.value
            if not isinstance(outcome, Outcome):
                return self._failed(end, TypeError(f"deliver() came to {type(outcome).__name__}"))
            if outcome.renew_token and end.job.renewed:
                # A colleague's log-in may have ended the token that we had just got; the next try finds a good one.
                return misconfigured(outcome.message) if end.job.tries > 1 else retry(outcome.message)
            return outcome
        if isinstance(end.error, NoAnswer):
            return self._unsure(str(end.error)) if end.error.sent else retry(str(end.error))
        if isinstance(end.error, ConnectorError):
            return (
                retry(end.error.message, end.error.after_s) if end.error.passing else misconfigured(end.error.message)
            )
        return retry("") if isinstance(end.error, NotBegun) else self._failed(end, end.error)

    def tried(self, item: Claimed, outcome: Outcome, now: dt.datetime) -> tuple[Any, ...]:
        """The row after a try."""
        standing = standing_after(
            item.tries,
            outcome,
            now,
            self.integration.in_doubt,
            maybe_repeat=item.maybe_repeat,
            schedule=self.connector.manifest.try_seconds or TRY_SECONDS,
        )
        return self._row(item, standing, outcome, now)

    def put_back(self, item: Claimed, why: Exception, now: dt.datetime, parked: str) -> tuple[Any, ...]:
        """The row where nothing was sent: it waits its turn, or for a person if `parked` says why. No try is counted."""
        item.tries -= 1
        if parked:
            standing = Standing(DeliveryState.HELD, parked)
        elif isinstance(why, BudgetSpent):
            standing = Standing(DeliveryState.QUEUED, why.message, now + dt.timedelta(seconds=why.after_s or 1))
        else:
            standing = Standing(DeliveryState.QUEUED, "", now)
        return self._row(item, standing, retry(str(why)), now)

    def unmade(self, item: Claimed, error: Exception, now: dt.datetime) -> tuple[Any, ...]:
        """What can't be made of a lead is not sent half empty: it waits, with each field named."""
        if isinstance(error, MappingProblem):
            words, problems = " ".join(text for _, text in error.problems), error.problems
        else:
            logger.error("delivery %s: nothing could be made of it: %s", item.id, error_words(error))
            words, problems = UNMADE, ()
        outcome = Outcome(OutcomeKind.MISCONFIGURED, problems=problems)
        return self._row(item, Standing(DeliveryState.HELD, f"Waiting: {words}"), outcome, now)

    def _failed(self, end: Finished[Any], error: Exception) -> Outcome:
        logger.error("delivery %s: the connector failed: %s", end.job.id, error_words(error))
        return self._unsure(OUR_FAULT) if end.log else retry(OUR_FAULT)

    def _unsure(self, words: str) -> Outcome:
        """It went out, and what the client made of it is not known."""
        return retry(words) if self.integration.honours_keys else unknown(f"{words} It may have arrived.")

    def _row(self, item: Claimed, standing: Standing, outcome: Outcome, now: dt.datetime) -> tuple[Any, ...]:
        """As the outcome UPDATE has it (records.py)."""
        arrived = outcome.kind == OutcomeKind.DELIVERED
        asked = arrived and item.kind == Delivery.Kind.LEAD and self.connector.poll is not None
        return (
            item.id,
            item.fence,
            standing.state,
            standing.reason[:WORDS_CHARS],
            [[name[:KEY_CHARS], words[:LABEL_CHARS]] for name, words in outcome.problems[:PROBLEMS]],
            standing.next_try_at,
            None,
            outcome.reference[:200],
            now if arrived else None,
            first_poll_at(now) if asked and outcome.reference else None,
            item.mapping_version(self.integration),
            item.tries,
            item.maybe_repeat or standing.maybe_repeat,
        )


def together(first: Finished[Any], second: Finished[Any], outcome: Outcome) -> tuple[Finished[Any], Outcome]:
    """A lead that arrived, and the call for its id: whatever came of that one, it has arrived."""
    named = outcome.kind == OutcomeKind.DELIVERED and bool(outcome.reference)
    found: Outcome = outcome if named else first.value
    end = replace(first, value=found, log=[*first.log, *second.log], took_ms=first.took_ms + second.took_ms)
    return end, found
