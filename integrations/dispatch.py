"""Stage 3, its sending: claims due deliveries of one integration, runs their flows at once, records what they came to.

One worker thread of a process works an integration at a time, with many requests in flight; workers of other processes are
kept apart by the claims. A claim is a lease with a fencing number: who lost it can't write over its successor.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from integrations.breaker import SWITCHED_OFF, breaker_record, sendable
from integrations.delivery import (
    FORM_ASKED,
    MAPPING_OF_THEN,
    deliveries_park,
    integration_hold,
)
from integrations.discovery import KEY_CHARS, LABEL_CHARS, pull_soon
from integrations.flows import BudgetSpent, Finished, Runner, connector_call, token_get, token_renew
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
from integrations.models import Attempt, Delivery, DeliveryState, Integration
from integrations.reconciliation import first_poll_at
from integrations.standing import Standing, standing_after
from leads.database import insert_rows, update_rows

logger = logging.getLogger(__name__)

# What is kept of a client's words about one lead at the most.
WORDS_CHARS, PROBLEMS = 4_000, 100

_OUTCOME = (
    "state", "reason", "problems", "next_try_at", "lease_until", "reference", "delivered_at", "next_poll_at",
    "mapping_version", "tries", "maybe_repeat",
)  # fmt: skip
_CLAIMED = ("pk", "fence", "tries", "key", "kind", "data", "test", "maybe_repeat")
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
    token: str = ""
    renewed: bool = False


class _Turns:
    """Lets one thread of this process work an integration; one that comes meanwhile makes it look once more."""

    def __init__(self) -> None:
        self._again: dict[int, bool] = {}
        self._lock = threading.Lock()

    def begin(self, integration_id: int) -> bool:
        with self._lock:
            if integration_id in self._again:
                self._again[integration_id] = True
                return False
            self._again[integration_id] = False
            return True

    def again(self, integration_id: int) -> bool:
        with self._lock:
            if self._again[integration_id]:
                self._again[integration_id] = False
                return True
            del self._again[integration_id]
            return False

    def drop(self, integration_id: int) -> None:
        with self._lock:
            self._again.pop(integration_id, None)


_turns = _Turns()


def integration_deliver(integration_id: int) -> int:
    """Send what is due for an integration until nothing is; how many tries that were.

    Returns at once where another thread of this process is at it: that one looks again before it ends.
    """
    if not _turns.begin(integration_id):
        return 0
    total = 0
    try:
        while True:
            run = _Run(integration_id)
            total += run.work()
            if not run.once_more and not _turns.again(integration_id):
                return total
    except BaseException:
        _turns.drop(integration_id)
        raise


class _Run:
    """One worker's turn at one integration."""

    def __init__(self, integration_id: int) -> None:
        self.integration = Integration.objects.get(pk=integration_id)
        self.connector: Connector = find_connector(self.integration.connector)
        self.values = self.integration.all_settings
        self.held: dict[int, Claimed] = {}
        self.token = ""
        self.tried = 0
        self.once_more = False
        """A probe got through, or the mapping is another one now: the rest may follow at once."""

    def work(self) -> int:
        """Send until nothing is due, or one probe after a run of failures; how many tries that were."""
        now = timezone.now()
        open_until = self.integration.open_until
        probing = open_until is not None
        if not sendable(self.integration) or (open_until is not None and open_until > now):
            return 0
        if not self._has_due(now) or not self._log_in():
            return 0
        self.runner: Runner[Claimed] = Runner(self.connector, self._host)
        limit = 1 if probing else settings.DELIVERY_BATCH
        if not self.integration.honours_keys:
            # What is claimed when a worker dies is in doubt; the fewer the better.
            limit = min(limit, self.connector.manifest.concurrency * 2)
        more, beat = True, time.monotonic()
        while True:
            if more and len(self.held) <= limit // 2:
                wanted = limit - len(self.held)
                claimed = self._claim(wanted)
                more = len(claimed) == wanted and not probing
                self._start(claimed)
            if not self.held:
                return self.tried
            ended = self.runner.finished(settings.DELIVERY_LEASE_SECONDS / 3)
            if ended and self._record(ended):
                more = False
            elif ended and probing:
                self.once_more = True
            if time.monotonic() - beat > settings.DELIVERY_LEASE_SECONDS / 3:
                beat = time.monotonic()
                self._extend_leases()

    def _has_due(self, now: dt.datetime) -> bool:
        due = Delivery.objects.filter(integration=self.integration, state=DeliveryState.QUEUED, next_try_at__lte=now)
        return due.exists()

    def _log_in(self) -> bool:
        try:
            self._host = self.connector.host(connector_call(self.connector, self.values))
            self.token = token_get(self.connector, self.values)
        except ConnectorError as error:
            if not error.passing:
                integration_hold(self.integration.pk, error.message)
                return False
        except NoAnswer:
            pass
        else:
            return True
        breaker_record(self.integration.pk, [OutcomeKind.RETRY], timezone.now())
        return False

    def _claim(self, limit: int) -> list[Claimed]:
        adapt = connection.ops.adapt_datetimefield_value
        now = timezone.now()
        lock = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                f"""
                WITH due AS MATERIALIZED (
                    SELECT id FROM integrations_delivery
                    WHERE integration_id = %s AND state = 'queued' AND next_try_at <= %s
                    AND EXISTS (
                        SELECT 1 FROM integrations_integration
                        WHERE id = %s AND mapping_version = %s
                        AND (state = 'on' OR (state = 'needs_a_look' AND failing_told = {SWITCHED_OFF}))
                    )
                    ORDER BY next_try_at, id LIMIT %s {lock}
                )
                UPDATE integrations_delivery
                SET state = 'sending', fence = fence + 1, tries = tries + 1, lease_until = %s
                WHERE id IN (SELECT id FROM due) RETURNING id
                """,  # noqa: S608
                [self.integration.pk, adapt(now), self.integration.pk, self.integration.mapping_version, limit]
                + [adapt(self._lease(now))],
            )
            ids = [row[0] for row in cursor.fetchall()]
        if len(ids) < limit and not self._mapping_in_force():
            self.once_more = True
        return _load(ids)

    def _mapping_in_force(self) -> bool:
        """Whether the mapping is still the one that this run sends with; nothing is claimed for an older one."""
        now = Integration.objects.filter(pk=self.integration.pk).values_list("mapping_version", flat=True)
        return now.get() == self.integration.mapping_version

    def _lease(self, now: dt.datetime) -> dt.datetime:
        return now + dt.timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)

    def _extend_leases(self) -> None:
        Delivery.objects.filter(pk__in=list(self.held), state=DeliveryState.SENDING).update(
            lease_until=self._lease(timezone.now())
        )

    def _start(self, claimed: Sequence[Claimed]) -> None:
        flows, unmade = [], []
        for item in claimed:
            self.held[item.id] = item
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
            self.runner.start(flows)

    def _payload(self, item: Claimed) -> Payload:
        if item.kind != Delivery.Kind.LEAD:
            return Payload(kind=item.kind, data=item.data, test=item.test)  # type: ignore[arg-type]
        fields = mapping_compiled(self.integration.pk, self._mapping_version(item))(item.lead)
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
        rows = []
        for item, problem in unmade:
            del self.held[item.id]
            words = "Waiting: " + " ".join(text for _, text in problem.problems)
            standing = Standing(DeliveryState.HELD, words)
            rows.append(self._row(item, standing, Outcome(OutcomeKind.MISCONFIGURED, problems=problem.problems)))
        update_rows(Delivery, ["id", "fence"], _OUTCOME, rows)

    def _record(self, ended: Sequence[Finished[Claimed]]) -> bool:
        """Write down what tries came to, in one UPDATE and one INSERT; True when no more is to be claimed now."""
        now = timezone.now()
        rows: list[tuple[Any, ...]] = []
        attempts: list[tuple[Any, ...]] = []
        kinds: list[OutcomeKind] = []
        again: list[Claimed] = []
        stop, spent, form_changed = "", False, False
        for end in ended:
            item, outcome = end.job, self._outcome(end)
            if outcome.renew_token and not item.renewed:
                again.append(replace(item, renewed=True))
                continue
            del self.held[item.id]
            if isinstance(end.error, BudgetSpent):
                # Nothing was sent: it waits its turn, and no try is counted.
                when = now + dt.timedelta(seconds=end.error.after_s or 1)
                item.tries -= 1
                rows.append(self._row(item, Standing(DeliveryState.QUEUED, end.error.message, when), outcome))
                spent = True
                continue
            kinds.append(outcome.kind)
            rows.append(self._row(item, self._standing(item, outcome, now), outcome))
            attempts.append(
                (item.id, item.tries, end.started_at, end.took_ms, outcome.kind, outcome.message[:WORDS_CHARS])
                + ([exchange.as_dict() for exchange in end.log],)
            )
            if outcome.kind == OutcomeKind.MISCONFIGURED:
                stop = outcome.message
            form_changed = form_changed or outcome.form_changed
        self.tried += len(rows)
        if rows:
            with transaction.atomic():
                update_rows(Delivery, ["id", "fence"], _OUTCOME, rows)
                insert_rows(Attempt, _ATTEMPT, attempts)
                if kinds:
                    breaker_record(self.integration.pk, kinds, now)
                if stop:
                    integration_hold(self.integration.pk, stop)
                if form_changed:
                    # The rest would be refused as well: it waits until their form has been looked at.
                    deliveries_park(self.integration.pk, FORM_ASKED)
                    pull_soon(self.integration.pk)
        if again:
            if any(item.token == self.token for item in again):
                self._renew()
            self._start(again)
        return bool(stop) or form_changed or spent or (bool(kinds) and all(kind == OutcomeKind.RETRY for kind in kinds))

    def _renew(self) -> None:
        try:
            self.token = token_renew(self.connector, self.values, self.token)
        except (ConnectorError, NoAnswer):
            # The flows go out with the old token once more, and their outcome says what is wrong.
            logger.info("integration %s: no new token", self.integration.pk)

    def _outcome(self, end: Finished[Claimed]) -> Outcome:
        if end.error is None:
            outcome: Outcome = end.value
            if outcome.renew_token and end.job.renewed:
                return misconfigured(outcome.message)
            return outcome
        if isinstance(end.error, NoAnswer):
            if end.error.sent and not self.integration.honours_keys:
                return unknown(f"{end.error} It may have arrived.")
            return retry(str(end.error))
        if isinstance(end.error, ConnectorError):
            return (
                retry(end.error.message, end.error.after_s) if end.error.passing else misconfigured(end.error.message)
            )
        logger.error("delivery %s: the connector failed", end.job.id, exc_info=end.error)
        return retry("Our own software failed on the client's answer. It is tried again.")

    def _standing(self, item: Claimed, outcome: Outcome, now: dt.datetime) -> Standing:
        return standing_after(item.tries, outcome, now, self.integration.in_doubt, maybe_repeat=item.maybe_repeat)

    def _row(self, item: Claimed, standing: Standing, outcome: Outcome) -> tuple[Any, ...]:
        now = timezone.now()
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


def _load(ids: Sequence[int]) -> list[Claimed]:
    rows = (
        Delivery.objects.filter(pk__in=ids)
        .order_by("next_try_at", "pk")
        .values_list(*_CLAIMED, *[f"lead__{name}" for name in FACT_COLUMNS])
    )
    return [
        Claimed(pk, fence, tries, key, kind, data, test, lead_facts(*lead), maybe_repeat)
        for pk, fence, tries, key, kind, data, test, maybe_repeat, *lead in rows
    ]
