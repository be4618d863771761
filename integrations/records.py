"""Stage 3, what tries came to: written in one UPDATE and one INSERT, and kept in memory until the database has it."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from integrations.breaker import FAILED, breaker_record
from integrations.claims import Claimed
from integrations.delivery import FORM_ASKED, deliveries_park, integration_hold
from integrations.discovery import pull_soon
from integrations.erasing import deliveries_still_there
from integrations.kit.contract import NoAnswer, Outcome, OutcomeKind
from integrations.models import Attempt, Delivery, DeliveryState
from integrations.outcomes import WORDS_CHARS
from integrations.reconciliation import doubt_settle
from integrations.runner import Finished
from integrations.webhooks.delivery_events import deliveries_changed
from leads import clock
from leads.database import connection_drop, insert_rows, update_rows
from leads.error_words import database_is_away, error_words

logger = logging.getLogger(__name__)

# An answer that came closes the breaker again; while all is well, that is looked after this often.
ALL_WELL_SECONDS = 1.0
# From this failure on the outcome is written without its attempts: an attempt log that is full must not cost an outcome.
WITHOUT_LOG_AFTER = 3
# A row that the database can read and does not take is left to the end of its lease.
GIVEN_UP_AFTER = 6

_OUTCOME = (
    "state", "reason", "problems", "next_try_at", "lease_until", "reference", "delivered_at", "next_poll_at",
    "mapping_version", "tries", "maybe_repeat",
)  # fmt: skip
_ATTEMPT = ("delivery", "number", "started_at", "took_ms", "outcome", "message", "exchanges")


@dataclass(slots=True)
class Record:
    """What a look at ended flows came to."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    attempts: list[tuple[Any, ...]] = field(default_factory=list)
    kinds: list[OutcomeKind] = field(default_factory=list)
    stop: str = ""
    form_changed: bool = False
    answered: bool = False
    """Their server said something, whatever it was."""
    failures: int = 0

    @property
    def failed(self) -> bool:
        """Whether every try of it came to nothing."""
        return bool(self.kinds) and all(kind in FAILED for kind in self.kinds)

    def add(self, end: Finished[Any], outcome: Outcome, row: tuple[Any, ...]) -> None:
        """A try that was made: its outcome's row, and the attempt."""
        item: Claimed = end.job
        self.rows.append(row)
        self.kinds.append(outcome.kind)
        self.attempts.append(
            (item.id, item.tries, end.started_at, end.took_ms, outcome.kind, outcome.message[:WORDS_CHARS])
            + ([exchange.as_dict() for exchange in end.log],)
        )
        self.answered = self.answered or not isinstance(end.error, NoAnswer)
        self.form_changed = self.form_changed or outcome.form_changed
        if outcome.kind == OutcomeKind.MISCONFIGURED:
            self.stop = outcome.message

    def apart(self) -> list[Record]:
        """The same, a record for each row; what they say of the integration goes with the first."""
        alone = [Record([row], failures=self.failures) for row in self.rows]
        first = replace(self, rows=self.rows[:1], attempts=[])
        return [first, *alone[1:]]


class Journal:
    """Writes the records of one turn; those that the database does not take wait here."""

    def __init__(self, integration_id: int) -> None:
        self._integration_id = integration_id
        self._waiting: list[Record] = []
        self._well_at = 0.0

    def looked(self, *, well: bool) -> None:
        """The integration was read just now; `well`: no call to its client is known to have failed."""
        self._well_at = time.monotonic() if well else 0.0

    @property
    def waits(self) -> bool:
        """Whether something is still to be written."""
        return bool(self._waiting)

    def write(self, record: Record, *, host: str, probing: bool) -> None:
        """Write a record, or keep it for write_again(). Never raises: what came to an end is lost with nothing else."""
        if not (record.rows or record.kinds or record.stop):
            return
        try:
            with transaction.atomic():
                written = update_rows(Delivery, ["id", "fence"], _OUTCOME, record.rows)
                doubt_settle([row[0] for row in record.rows if row[2] != DeliveryState.DELIVERED])
                if record.failures < WITHOUT_LOG_AFTER:
                    insert_rows(Attempt, _ATTEMPT, _attempts_kept(record, {pk for pk, _ in written}))
                self._tell_the_integration(record, host, probing)
                deliveries_changed([pk for pk, _ in written])
        except Exception as error:  # noqa: BLE001  a value that can't be adapted is no error of the database
            # What it did not hear of is no fault of the record: it is written with all that belongs to it.
            record.failures += not database_is_away(error)
            logger.warning(
                "integration %s: %s outcomes not written: %s",
                self._integration_id,
                len(record.rows),
                error_words(error),
            )
            connection_drop()
            if record.failures >= WITHOUT_LOG_AFTER and len(record.rows) > 1:
                # One row that the database never takes must not keep the others in memory for good.
                self._waiting += record.apart()
            elif record.failures < GIVEN_UP_AFTER or isinstance(error, OperationalError | InterfaceError):
                self._waiting.append(record)

    def write_again(self, *, host: str, probing: bool) -> None:
        """Write what waits, until one is not taken again."""
        waiting, self._waiting = self._waiting, []
        for place, record in enumerate(waiting):
            self.write(record, host=host, probing=probing)
            if self._waiting:
                self._waiting += waiting[place + 1 :]
                return

    def _tell_the_integration(self, record: Record, host: str, probing: bool) -> None:
        """What the tries say of the integration as a whole, in the transaction of their outcomes."""
        troubled = any(kind in FAILED for kind in record.kinds)
        if record.kinds and (troubled or probing or time.monotonic() - self._well_at > ALL_WELL_SECONDS):
            breaker_record(self._integration_id, record.kinds, clock.now(), host=host, silent=not record.answered)
            self._well_at = 0.0 if troubled else time.monotonic()
        if record.stop:
            integration_hold(self._integration_id, record.stop)
        if record.form_changed:
            # The rest would be refused as well: it waits until their form has been looked at.
            deliveries_park(self._integration_id, FORM_ASKED)
            pull_soon(self._integration_id)


def _attempts_kept(record: Record, written: Collection[int]) -> list[tuple[Any, ...]]:
    """The attempts of a record. Of what was lost to others: without their words where its lead or person was erased, and none
    where the delivery itself is gone (the database does not look after that, see Attempt.delivery)."""
    lost = [row[0] for row in record.rows if row[0] not in written]
    there = deliveries_still_there(lost) if lost else {}
    return [
        (*row[:-2], "", []) if there.get(row[0]) else row
        for row in record.attempts
        if row[0] in written or row[0] in there
    ]
