"""Stage 3, its sending: one integration's turn claims what is due, runs the flows at once, records what they came to.

A turn holds no thread while it waits: step() does whatever can be done now and returns; dispatch.py calls it again when a
flow has ended or there is more to send. A claim is a lease with a fencing number: who lost it can't write over its successor.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from integrations.breaker import SWITCHED_OFF, breaker_record, sendable
from integrations.delivery import FORM_ASKED, MAPPING_OF_THEN, deliveries_park, integration_hold, waiting_reason
from integrations.discovery import KEY_CHARS, LABEL_CHARS, pull_soon
from integrations.flows import connector_call, credential_of, token_keep, token_known
from integrations.gate import integration_allowance
from integrations.kit.contract import (
    Connector,
    ConnectorError,
    NoAnswer,
    Outcome,
    OutcomeKind,
    Payload,
    misconfigured,
    retry,
    unknown,
)
from integrations.kit.mapping import LeadFacts, MappingProblem
from integrations.kit.registry import connector as find_connector
from integrations.mapping import FACT_COLUMNS, lead_facts, mapping_compiled
from integrations.models import Attempt, Delivery, DeliveryState, Integration, IntegrationState
from integrations.reconciliation import doubt_settle, first_poll_at
from integrations.runner import BudgetSpent, Finished, NotBegun, Runner
from integrations.standing import TRY_SECONDS, Standing, standing_after
from leads import clock
from leads.database import insert_rows, update_rows

logger = logging.getLogger(__name__)

# What is kept of a client's words about one lead at the most.
WORDS_CHARS, PROBLEMS = 4_000, 100
# An answer that came closes the breaker again; while all is well, that is looked after this often.
ALL_WELL_SECONDS = 1.0
# While the database takes nothing, outcomes are kept in memory and written again after this.
WRITE_AGAIN_SECONDS = 0.5
# From this failure on the outcome is written without its attempts: an attempt log that is full must not cost an outcome.
WITHOUT_LOG_AFTER = 3
# A row that the database can read and does not take is left to the end of its lease.
GIVEN_UP_AFTER = 6

_OUTCOME = (
    "state", "reason", "problems", "next_try_at", "lease_until", "reference", "delivered_at", "next_poll_at",
    "mapping_version", "tries", "maybe_repeat",
)  # fmt: skip
_CLAIMED = ("pk", "fence", "tries", "key", "kind", "data", "test", "maybe_repeat", "event__data")
_ATTEMPT = ("delivery", "number", "started_at", "took_ms", "outcome", "message", "exchanges")


@dataclass(slots=True)
class Claimed:
    """A delivery that this worker holds, with what it needs to go out."""

    id: int
    fence: int
    tries: int
    key: uuid.UUID
    kind: str
    data: dict[str, Any]
    test: bool
    lead: LeadFacts
    maybe_repeat: bool = False
    event: dict[str, Any] | None = None
    token: str = ""
    renewed: bool = False


@dataclass(slots=True)
class _Record:
    """What a look at ended flows came to, until the database has it."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    attempts: list[tuple[Any, ...]] = field(default_factory=list)
    kinds: list[OutcomeKind] = field(default_factory=list)
    stop: str = ""
    form_changed: bool = False
    silent: bool = False
    failures: int = 0

    def apart(self) -> list[_Record]:
        """The same, a record for each row; what they say of the integration goes with the first."""
        alone = [_Record([row], failures=self.failures) for row in self.rows]
        first = replace(self, rows=self.rows[:1], attempts=[])
        return [first, *alone[1:]]


class Turn:
    """One worker's turn at one integration. Not for two threads at once: dispatch.py lets one in at a time."""

    def __init__(self, integration_id: int, on_end: Callable[[], None]) -> None:
        self.integration_id = integration_id
        self.tried = 0
        self._on_end = on_end
        self._held: dict[int, Claimed] = {}
        self._again: list[Claimed] = []
        self._unwritten: list[_Record] = []
        self._runner: Runner[Claimed | None] | None = None
        self._logging_in = False
        self._look = True  # somebody said that there is work
        self._open = False  # more is due than the last claim took
        self._stopped = False  # no more is to be claimed in this round
        self._parked = ""  # why what had not begun when the round was stopped waits for a person
        self._leaving = False
        self._troubled = False
        self._probing = False
        self._limit = 0
        self.token = ""
        self._renewed_at = time.monotonic()
        self._well_at = 0.0

    @property
    def over(self) -> bool:
        """Whether nothing is left to do or to wait for."""
        return not (self._look or self._open or self._held or self._logging_in or self._unwritten)

    @property
    def ready(self) -> bool:
        """Whether another step would find something to do at once."""
        return not (self._leaving or self._logging_in or self._unwritten or self._troubled) and (
            (self._look and not self._held) or (self._may_claim and (self._open or self._look))
        )

    @property
    def busy(self) -> bool:
        """Whether many flows are under way, so that waiting for a few more to end makes one record of them."""
        return len(self._held) >= 4

    @property
    def pause_s(self) -> float:
        """How long to wait before the next step that nobody asks for; 0 for none."""
        return WRITE_AGAIN_SECONDS if self._unwritten or self._troubled else 0.0

    def look(self) -> None:
        """There may be more to send."""
        self._look = True

    def leave(self) -> None:
        """Claim no more, and give back what has not begun: this process is about to end."""
        self._leaving = True
        self._look = False
        self._stop()

    def step(self) -> None:
        """Do all that can be done now, without waiting: record what ended, claim and start what is due."""
        self._troubled = False
        try:
            self._write_again()
            if self._runner is not None and (ended := self._runner.ended()):
                self._take(ended)
            if time.monotonic() - self._renewed_at > settings.DELIVERY_LEASE_SECONDS / 3:
                self._stay()
            if not (self._leaving or self._logging_in or self._unwritten):
                self._claim_more()
        except DatabaseError:
            if not (self._held or self._unwritten):
                raise
            # What is on its way is recorded once the database answers again.
            logger.warning("integration %s: its turn waits for the database", self.integration_id, exc_info=True)
            _let_go_of_connection()
            self._troubled = True

    @property
    def _may_claim(self) -> bool:
        return not self._stopped and len(self._held) <= self._limit // 2

    def _claim_more(self) -> None:
        fresh = self._look and not self._held
        if fresh:
            self._look, self._stopped, self._parked = False, False, ""
            self._open = self._begin_round()
        if self._may_claim and (self._open or self._look):
            self._claim_and_start(fresh)

    # --- a round: from looking at the integration until nothing is due ---

    def _begin_round(self) -> bool:
        """Look at the integration anew; whether deliveries may be claimed now."""
        integration = Integration.objects.filter(pk=self.integration_id).first()
        if integration is None or not sendable(integration):
            return False
        self.integration = integration
        now = clock.now()
        self._probing = integration.open_until is not None or integration.state != IntegrationState.ON
        if integration.open_until is not None and integration.open_until > now:
            return False
        self.connector: Connector = find_connector(integration.connector)
        self.values = integration.all_settings
        self._limit = 1 if self._probing else settings.DELIVERY_BATCH
        if not integration.honours_keys:
            # What is claimed when a worker dies is in doubt; the fewer the better.
            self._limit = min(self._limit, self.connector.manifest.concurrency * 2)
        try:
            host = self.connector.host(connector_call(self.connector, self.values))
        except ConnectorError as error:
            integration_hold(integration.pk, error.message)
            return False
        self._host = host
        if integration.remote_host != host:
            Integration.objects.filter(pk=integration.pk).update(remote_host=host)
        self._runner = Runner(self.connector, host, key=integration.pk, on_end=self._on_end, may_begin=self._has_leases)
        return self._has_token()

    def _has_token(self, refused: str = "") -> bool:
        """Whether flows can go out now; where they can't, a log-in is under way, and its end goes on with this turn."""
        if self.connector.authenticate is None:
            return True
        known = token_known(self.connector, self.values, refused=refused)
        if known:
            self.token = known
            return True
        assert self._runner is not None
        if not refused and not self._has_due():
            return False
        self._logging_in = True
        flow = self.connector.authenticate(connector_call(self.connector, self.values))
        self._runner.start_login(None, credential_of(self.connector, self.values), flow)
        return False

    def _has_due(self) -> bool:
        due = Delivery.objects.filter(integration=self.integration_id, state=DeliveryState.QUEUED)
        return due.filter(next_try_at__lte=clock.now()).exists()

    def _logged_in(self, end: Finished[Any]) -> None:
        self._logging_in = False
        waiting, self._again = self._again, []
        if end.error is None:
            self.token = token_keep(self.connector, self.values, end.value)
            self._open = True
        elif isinstance(end.error, ConnectorError) and not end.error.passing:
            integration_hold(self.integration_id, end.error.message)
            self._stop(f"Waiting: {end.error.message}")
            self._give_back(waiting, end.error)
            return
        elif not isinstance(end.error, BudgetSpent) and not waiting:
            silent = isinstance(end.error, NoAnswer)
            breaker_record(self.integration_id, [OutcomeKind.RETRY], clock.now(), host=self._host, silent=silent)
        # Without a new token they go out with the old one once more, and their outcome says what is wrong.
        self._start(waiting)

    def _give_back(self, items: Sequence[Claimed], why: Exception) -> None:
        now = clock.now()
        record = _Record([self._put_back(item, why, now) for item in items])
        for item in items:
            del self._held[item.id]
        if record.rows:
            self._write(record)

    # --- claims ---

    def _claim_and_start(self, fresh: bool) -> None:
        self._look = False
        wanted = self._limit - len(self._held)
        if not self._held:
            self._renewed_at = time.monotonic()
        claimed = self._claim(wanted)
        self._open = len(claimed) == wanted and not self._probing
        if not claimed and not fresh:
            # Nothing is due for the integration as it was when the round began: it may have changed since.
            self._look = True
        self._start(claimed)

    def _claim(self, limit: int) -> list[Claimed]:
        adapt = connection.ops.adapt_datetimefield_value
        now = clock.now()
        lock = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
        mine = self.integration
        with transaction.atomic(), connection.cursor() as cursor:
            allowed = integration_allowance(mine, limit, now)
            # Closed by a cap or by hours: tests go out all the same.
            only_tests = "AND test" if allowed == 0 else ""
            cursor.execute(
                f"""
                WITH due AS MATERIALIZED (
                    SELECT id FROM integrations_delivery
                    WHERE integration_id = %s AND state = 'queued' AND next_try_at <= %s {only_tests}
                    AND EXISTS (
                        SELECT 1 FROM integrations_integration
                        WHERE id = %s AND mapping_version = %s AND updated_at = %s
                        AND (state = 'on' OR (state = 'needs_a_look' AND failing_told = {SWITCHED_OFF}))
                    )
                    ORDER BY next_try_at, id LIMIT %s {lock}
                )
                UPDATE integrations_delivery
                SET state = 'sending', fence = fence + 1, tries = tries + 1, lease_until = %s
                WHERE id IN (SELECT id FROM due) RETURNING id
                """,  # noqa: S608
                [mine.pk, adapt(now), mine.pk, mine.mapping_version, adapt(mine.updated_at)]
                + [allowed or limit, adapt(self._lease(now))],
            )
            ids = [row[0] for row in cursor.fetchall()]
        return _load(ids) if ids else []

    def _lease(self, now: dt.datetime) -> dt.datetime:
        return now + dt.timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)

    def _has_leases(self) -> bool:
        """Whether what is held is still ours: a process that was stopped for a while must not send what others took over."""
        return bool(time.monotonic() - self._renewed_at < settings.DELIVERY_LEASE_SECONDS)

    def _stay(self) -> None:
        """Renew the leases, and see whether others have stopped the integration meanwhile."""
        began, now = time.monotonic(), clock.now()
        until = self._lease(now)
        update_rows(Delivery, ["id", "fence"], ["lease_until"], [(i.id, i.fence, until) for i in self._held.values()])
        self._renewed_at = began
        if not self._held:
            return
        integration = Integration.objects.filter(pk=self.integration_id).first()
        if integration is None or not sendable(integration):
            self._stop(waiting_reason(integration) if integration else "")
        elif integration.open_until is not None and integration.open_until > now:
            self._stop()

    def _stop(self, parked: str = "") -> None:
        """Claim no more in this round, and call off what has not begun; it waits for a person if `parked` says why."""
        self._stopped, self._open = True, False
        self._parked = self._parked or parked
        if self._runner is not None:
            self._runner.halt()

    def _start(self, claimed: Sequence[Claimed]) -> None:
        flows, unmade = [], []
        for item in claimed:
            self._held[item.id] = item
            try:
                payload = self._payload(item)
            except MappingProblem as problem:
                unmade.append((item, problem))
                continue
            item.token = self.token
            call = connector_call(self.connector, self.values, token=item.token, key=item.key.hex)
            flows.append((item, self.connector.deliver(call, payload)))
        if unmade:
            self._hold_unmade(unmade)
        if flows:
            assert self._runner is not None
            self._runner.start(flows)

    def _payload(self, item: Claimed) -> Payload:
        if item.kind != Delivery.Kind.LEAD:
            data = item.data if item.event is None else item.event
            return Payload(kind=item.kind, data=data, test=item.test)  # type: ignore[arg-type]
        fields = mapping_compiled(self.integration_id, self._mapping_version(item))(item.lead)
        sync = self.integration.sync_keys if settings.SYNC_TAGS else {}
        if {"token", "subdomain"} <= set(sync):
            fields[sync["token"]] = item.key.hex
            fields[sync["subdomain"]] = settings.INSTANCE_SUBDOMAIN
        return Payload(kind="lead", fields=fields, test=item.test)

    def _mapping_version(self, item: Claimed) -> int:
        """The mapping in force, unless a person replays with the one of then."""
        return int(item.data.get(MAPPING_OF_THEN, self.integration.mapping_version))

    def _hold_unmade(self, unmade: Sequence[tuple[Claimed, MappingProblem]]) -> None:
        """What can't be made of a lead is not sent half empty: it waits, with each field named."""
        record = _Record()
        for item, problem in unmade:
            words = "Waiting: " + " ".join(text for _, text in problem.problems)
            outcome = Outcome(OutcomeKind.MISCONFIGURED, problems=problem.problems)
            record.rows.append(self._row(item, Standing(DeliveryState.HELD, words), outcome))
            del self._held[item.id]
        self._write(record)

    # --- outcomes ---

    def _take(self, ended: Iterable[Finished[Claimed | None]]) -> None:
        now = clock.now()
        record = _Record()
        spent = False
        for end in ended:
            if end.job is None:
                self._logged_in(end)
                continue
            item, outcome = end.job, self._outcome(end)
            if outcome.renew_token and not item.renewed and not self._leaving:
                self._again.append(replace(item, renewed=True))
                continue
            del self._held[item.id]
            if isinstance(end.error, BudgetSpent | NotBegun):
                record.rows.append(self._put_back(item, end.error, now))
                spent = spent or isinstance(end.error, BudgetSpent)
                continue
            record.silent = record.silent or isinstance(end.error, NoAnswer)
            record.kinds.append(outcome.kind)
            record.rows.append(self._row(item, self._standing(item, outcome, now), outcome))
            record.attempts.append(
                (item.id, item.tries, end.started_at, end.took_ms, outcome.kind, outcome.message[:WORDS_CHARS])
                + ([exchange.as_dict() for exchange in end.log],)
            )
            if outcome.kind == OutcomeKind.MISCONFIGURED:
                record.stop = outcome.message
            record.form_changed = record.form_changed or outcome.form_changed
        self.tried += len(record.kinds)
        if record.rows:
            self._write(record)
        if spent:
            self._stop()
        self._go_on_after(record)
        if self._again and not self._logging_in:
            self._send_again()

    def _go_on_after(self, record: _Record) -> None:
        if record.stop:
            self._stop(f"Waiting: {record.stop}")
        elif record.form_changed:
            self._stop(FORM_ASKED)
        elif record.kinds and all(kind == OutcomeKind.RETRY for kind in record.kinds):
            self._stop()
        elif record.kinds and self._probing:
            # The probe got through: the rest may follow at once.
            self._look = True

    def _put_back(self, item: Claimed, why: Exception, now: dt.datetime) -> tuple[Any, ...]:
        """Nothing was sent: it waits its turn, and no try is counted."""
        item.tries -= 1
        if self._parked:
            standing = Standing(DeliveryState.HELD, self._parked)
        elif isinstance(why, BudgetSpent):
            standing = Standing(DeliveryState.QUEUED, why.message, now + dt.timedelta(seconds=why.after_s or 1))
        else:
            standing = Standing(DeliveryState.QUEUED, "", now)
        return self._row(item, standing, retry(str(why)))

    def _send_again(self) -> None:
        """What was refused for its token goes out once more with another one: a colleague's, or that of a new log-in."""
        if all(item.token != self.token for item in self._again) or self._has_token(refused=self.token):
            waiting, self._again = self._again, []
            self._start(waiting)

    def _outcome(self, end: Finished[Any]) -> Outcome:
        if end.error is None:
            outcome: Outcome = end.value
            if outcome.renew_token and end.job.renewed:
                # A colleague's log-in may have ended the token that we had just got; the next try finds a good one.
                return misconfigured(outcome.message) if end.job.tries > 1 else retry(outcome.message)
            return outcome
        if isinstance(end.error, NoAnswer):
            if end.error.sent and not self.integration.honours_keys:
                return unknown(f"{end.error} It may have arrived.")
            return retry(str(end.error))
        if isinstance(end.error, ConnectorError):
            return (
                retry(end.error.message, end.error.after_s) if end.error.passing else misconfigured(end.error.message)
            )
        if not isinstance(end.error, NotBegun):
            logger.error("delivery %s: the connector failed", end.job.id, exc_info=end.error)
        return retry("Our own software failed on the client's answer. It is tried again.")

    def _standing(self, item: Claimed, outcome: Outcome, now: dt.datetime) -> Standing:
        return standing_after(
            item.tries,
            outcome,
            now,
            self.integration.in_doubt,
            maybe_repeat=item.maybe_repeat,
            schedule=self.connector.manifest.try_seconds or TRY_SECONDS,
        )

    def _row(self, item: Claimed, standing: Standing, outcome: Outcome) -> tuple[Any, ...]:
        now = clock.now()
        arrived = outcome.kind == OutcomeKind.DELIVERED
        asked = arrived and item.kind == Delivery.Kind.LEAD and self.connector.poll is not None
        return (
            item.id,
            item.fence,
            standing.state,
            standing.reason[:WORDS_CHARS],
            [[field[:KEY_CHARS], words[:LABEL_CHARS]] for field, words in outcome.problems[:PROBLEMS]],
            standing.next_try_at,
            None,
            outcome.reference[:200],
            now if arrived else None,
            first_poll_at(now) if asked and outcome.reference else None,
            self._mapping_version(item),
            item.tries,
            item.maybe_repeat or standing.maybe_repeat,
        )

    # --- records: in one UPDATE and one INSERT, and kept in memory until the database has them ---

    def _write(self, record: _Record) -> None:
        try:
            with transaction.atomic():
                update_rows(Delivery, ["id", "fence"], _OUTCOME, record.rows)
                doubt_settle([row[0] for row in record.rows if row[2] != DeliveryState.DELIVERED])
                if record.failures < WITHOUT_LOG_AFTER:
                    insert_rows(Attempt, _ATTEMPT, record.attempts)
                self._tell_the_integration(record)
        except DatabaseError as error:
            record.failures += 1
            logger.warning("integration %s: %s outcomes not written: %s", self.integration_id, len(record.rows), error)
            _let_go_of_connection()
            if record.failures >= WITHOUT_LOG_AFTER and len(record.rows) > 1:
                # One row that the database never takes must not keep the others in memory for good.
                self._unwritten += record.apart()
            elif record.failures < GIVEN_UP_AFTER or isinstance(error, OperationalError | InterfaceError):
                self._unwritten.append(record)

    def _write_again(self) -> None:
        waiting, self._unwritten = self._unwritten, []
        for place, record in enumerate(waiting):
            self._write(record)
            if self._unwritten:
                self._unwritten += waiting[place + 1 :]
                return

    def _tell_the_integration(self, record: _Record) -> None:
        """What the tries say of the integration as a whole, in the transaction of their outcomes."""
        now = clock.now()
        retried = OutcomeKind.RETRY in record.kinds
        if record.kinds and (retried or self._probing or time.monotonic() - self._well_at > ALL_WELL_SECONDS):
            breaker_record(self.integration_id, record.kinds, now, host=self._host, silent=record.silent)
            self._well_at = 0.0 if retried else time.monotonic()
        if record.stop:
            integration_hold(self.integration_id, record.stop)
        if record.form_changed:
            # The rest would be refused as well: it waits until their form has been looked at.
            deliveries_park(self.integration_id, FORM_ASKED)
            pull_soon(self.integration_id)


def _let_go_of_connection() -> None:
    """The next statement opens a new connection; in a test's transaction there is only this one."""
    if not connection.in_atomic_block:
        connection.close()


def _load(ids: Collection[int]) -> list[Claimed]:
    rows = (
        Delivery.objects.filter(pk__in=ids)
        .order_by("next_try_at", "pk")
        .values_list(*_CLAIMED, *[f"lead__{name}" for name in FACT_COLUMNS])
    )
    return [
        Claimed(pk, fence, tries, key, kind, data, test, lead_facts(*lead), maybe_repeat, event)
        for pk, fence, tries, key, kind, data, test, maybe_repeat, event, *lead in rows
    ]
