"""Stage 3, its sending: one integration's turn claims what is due, runs the flows at once, records what they came to.

A turn holds no thread while it waits: step() does whatever can be done now and returns; dispatch.py calls it again when a
flow has ended or there is more to send. A claim is a lease with a fencing number: who lost it can't write over its successor.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseFault

from integrations.breaker import sendable
from integrations.claims import Claimed, deliveries_claim, payload_make
from integrations.delivery import FORM_ASKED, integration_hold, waiting_reason
from integrations.flows import connector_call, credential_of, token_keep, token_known
from integrations.kit.contract import (
    Connector,
    ConnectorError,
    Flow,
    NoAnswer,
    Outcome,
    OutcomeKind,
    retry,
)
from integrations.kit.registry import connector as find_connector
from integrations.leases import Leases
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from integrations.outcomes import OUR_FAULT, Outcomes, together
from integrations.records import Journal, Record
from integrations.runner import BudgetSpent, Finished, NotBegun, Runner
from leads import clock
from leads.database import connection_drop
from leads.error_words import error_words
from leads.readings import Reading

logger = logging.getLogger(__name__)

# While the database takes nothing, outcomes are kept in memory and written again after this.
WRITE_AGAIN_SECONDS = 0.5


_ONE = Reading(lambda integration_id: Integration.objects.filter(pk=integration_id).order_by())


def _read(integration_id: int) -> Integration | None:
    return next(iter(_ONE.models(integration_id)), None)


def _jobs(ends: Sequence[Finished[Any]]) -> list[Claimed]:
    return [end.job for end in ends]


class Turn:
    """One worker's turn at one integration. Not for two threads at once: dispatch.py lets one in at a time."""

    def __init__(self, integration_id: int, on_end: Callable[[], None]) -> None:
        self.integration_id = integration_id
        self.tried = 0
        self._on_end = on_end
        self._held = Leases()
        self._ended: list[Finished[Claimed | None]] = []  # what is yet to become a record
        self._again: list[Finished[Claimed | None]] = []  # refused for their token: they wait for another one
        self._journal = Journal(integration_id)
        self._host = ""
        self._runner: Runner[Claimed | None] | None = None
        # What the client took without saying by which id, and is asked about: by id and fence.
        self._arrived: dict[tuple[int, int], Finished[Claimed | None]] = {}
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

    @property
    def over(self) -> bool:
        """Whether nothing is left to do or to wait for."""
        return not (self._look or self._open or self._on_its_way)

    @property
    def ready(self) -> bool:
        """Whether another step would find something to do at once."""
        return not (self._leaving or self._logging_in or self._journal.waits or self._troubled) and (
            (self._look and not self._held) or (self._may_claim and (self._open or self._look))
        )

    @property
    def under_way(self) -> int:
        """How many it holds, most of them on their way."""
        return len(self._held)

    @property
    def pause_s(self) -> float:
        """How long to wait before the next step that nobody asks for; 0 for none."""
        return WRITE_AGAIN_SECONDS if self._journal.waits or self._troubled else 0.0

    @property
    def _on_its_way(self) -> bool:
        """Whether something here would be lost with this turn, or found out later by others."""
        return bool(self._held or self._ended or self._logging_in or self._journal.waits)

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
            self._journal.write_again(host=self._host, probing=self._probing)
            if self._runner is not None:
                self._ended += self._runner.ended()
            if self._ended:
                self._take_ended()
            if self._again and not self._logging_in:
                self._send_again()
            if self._held.due:
                self._stay()
            if not (self._leaving or self._logging_in or self._journal.waits):
                self._claim_more()
        except DatabaseFault as error:
            if not self._on_its_way:
                raise
            # What is on its way is recorded once the database answers again.
            logger.warning(
                "integration %s: its turn waits for the database: %s", self.integration_id, error_words(error)
            )
            connection_drop()
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
        integration = _read(self.integration_id)
        if integration is None or not sendable(integration):
            return False
        self.integration = integration
        self._journal.looked(
            well=not (integration.failures or integration.failing_since or integration.failing_told)
            and integration.open_until is None
        )
        now = clock.now()
        self._probing = integration.open_until is not None or integration.state != IntegrationState.ON
        if integration.open_until is not None and integration.open_until > now:
            return False
        self.connector: Connector = find_connector(integration.connector)
        self._outcomes = Outcomes(integration, self.connector)
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
        self._runner = Runner(
            self.connector, host, key=integration.pk, on_end=self._on_end, may_begin=self._held.may_begin
        )
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

    def _logged_in(self, end: Finished[Any], now: dt.datetime) -> None:
        self._logging_in = False
        waiting, self._again = self._again, []
        if end.error is None:
            self.token, self._open = end.value.value, not self._stopped
            self._start(_jobs(waiting))
            token_keep(self.connector, self.values, end.value)
        elif isinstance(end.error, ConnectorError) and not end.error.passing:
            self._stop(f"Waiting: {end.error.message}")
            self._give_back(waiting, end.error, now, stop=end.error.message)
        elif isinstance(end.error, BudgetSpent):
            self._stop()
            self._give_back(waiting, end.error, now)
        else:
            # Nothing was decided. With the old token they would be refused once more, as if the key were bad.
            self._stop()
            self._try_later(waiting, end.error, now)

    def _give_back(self, waiting: Sequence[Finished[Any]], why: Exception, now: dt.datetime, *, stop: str = "") -> None:
        record = Record([self._outcomes.put_back(end.job, why, now, self._parked) for end in waiting], stop=stop)
        for end in waiting:
            self._held.let_go(end.job)
        self._write(record)

    def _try_later(self, waiting: Sequence[Finished[Any]], why: Exception, now: dt.datetime) -> None:
        """The log-in came to nothing for now: that is the outcome of what waited for it, and of the call itself."""
        after_s = why.after_s if isinstance(why, ConnectorError) else None
        words = str(why) if isinstance(why, ConnectorError | NoAnswer) else OUR_FAULT
        record = Record(kinds=[OutcomeKind.RETRY], answered=not isinstance(why, NoAnswer))
        for end in waiting:
            outcome = retry(f"The log-in to the client failed. {words}", after_s)
            self._held.let_go(end.job)
            record.add(end, outcome, self._outcomes.tried(end.job, outcome, now))
        self.tried += len(waiting)
        self._write(record)

    # --- claims ---

    def _claim_and_start(self, fresh: bool) -> None:
        self._look = False
        wanted = self._limit - len(self._held)
        self._held.claiming()
        claimed = deliveries_claim(self.integration, wanted)
        self._open = len(claimed) == wanted and not self._probing
        if not claimed and not fresh:
            # Nothing is due for the integration as it was when the round began: it may have changed since.
            self._look = True
        self._start(claimed)

    def _stay(self) -> None:
        """Renew the leases, and see whether others have stopped the integration meanwhile."""
        self._held.renew()
        if not self._held:
            return
        integration = _read(self.integration_id)
        if integration is None or not sendable(integration):
            self._stop(waiting_reason(integration) if integration else "")
        elif integration.open_until is not None and integration.open_until > clock.now():
            self._stop()

    def _stop(self, parked: str = "") -> None:
        """Claim no more in this round, and call off what has not begun; it waits for a person if `parked` says why."""
        self._stopped, self._open = True, False
        self._parked = self._parked or parked
        if self._runner is not None:
            self._runner.halt()

    def _start(self, claimed: Sequence[Claimed]) -> None:
        flows, record, now = [], Record(), clock.now()
        away: DatabaseFault | None = None
        for item in claimed:
            self._held.hold(item)
            try:
                if away is None:
                    flows.append((item, self._flow(item)))
                    continue
            except DatabaseFault as error:
                # Neither this one nor those after it could be made ready: all of them wait their turn again.
                away = error
                connection_drop()
                self._stop()
            except Exception as error:  # noqa: BLE001  one lead that can't be made fails for itself alone
                record.rows.append(self._outcomes.unmade(item, error, now))
                self._held.let_go(item)
                continue
            record.rows.append(self._outcomes.put_back(item, NotBegun(), now, self._parked))
            self._held.let_go(item)
        self._write(record)
        if flows:
            assert self._runner is not None
            self._runner.start(flows)

    def _flow(self, item: Claimed) -> Flow[Outcome]:
        payload = payload_make(self.integration, item)
        item.token = self.token
        call = connector_call(self.connector, self.values, token=item.token, key=item.key.hex)
        return self.connector.deliver(call, payload)

    # --- outcomes ---

    def _take_ended(self) -> None:
        """Make a record of what ended. It is kept as it is until nothing is left to be asked of the database."""
        now = clock.now()
        if any(isinstance(end.error, NotBegun) for end in self._ended):
            self._see_whether_parked()
        ended, self._ended = self._ended, []
        self._take([end for end in ended if end.job is not None], now)
        for end in ended:
            if end.job is None:
                self._logged_in(end, now)

    def _take(self, ended: Sequence[Finished[Claimed | None]], now: dt.datetime) -> None:
        record = Record()
        spent = False
        named_again: list[tuple[Claimed | None, Flow[Outcome]]] = []
        for end in ended:
            assert end.job is not None
            item, outcome = end.job, self._outcomes.of(end)
            if (first := self._arrived.pop((item.id, item.fence), None)) is not None:
                end, outcome = together(first, end, outcome)
            elif outcome.cut and (flow := self._named_again(item)) is not None:
                self._arrived[item.id, item.fence] = end
                named_again.append((item, flow))
                continue
            if outcome.renew_token and not item.renewed and not self._leaving:
                item.renewed = True
                self._again.append(end)
                continue
            self._held.let_go(item)
            if isinstance(end.error, BudgetSpent | NotBegun):
                record.rows.append(self._outcomes.put_back(item, end.error, now, self._parked))
                spent = spent or isinstance(end.error, BudgetSpent)
                continue
            record.add(end, outcome, self._outcomes.tried(item, outcome, now))
        if named_again:
            assert self._runner is not None
            self._runner.start(named_again)
        self.tried += len(record.kinds)
        self._write(record)
        if spent:
            self._stop()
        self._go_on_after(record)

    def _named_again(self, item: Claimed) -> Flow[Outcome] | None:
        """The same post once more, for what they call a lead that they took: without it nobody can ask for a verdict.

        None where they might take it twice, or where nothing is to go out any more.
        """
        if not self.integration.honours_keys or item.kind != Delivery.Kind.LEAD or self._leaving or self._stopped:
            return None
        try:
            return self._flow(item)
        except Exception as error:  # noqa: BLE001  it has arrived, whatever is wrong now
            logger.error("delivery %s: its id can't be asked for: %s", item.id, error_words(error))
            return None

    def _go_on_after(self, record: Record) -> None:
        if record.stop:
            self._stop(f"Waiting: {record.stop}")
        elif record.form_changed:
            self._stop(FORM_ASKED)
        elif record.failed:
            self._stop()
        elif record.kinds and self._probing:
            # The probe got through: the rest may follow at once.
            self._look = True

    def _see_whether_parked(self) -> None:
        """What comes back unsent waits as all else does, if the integration was stopped meanwhile."""
        try:
            integration = _read(self.integration_id)
        except DatabaseFault:
            # Whoever claims it next looks again.
            connection_drop()
            return
        if not self._parked and integration is not None and not sendable(integration):
            self._parked = waiting_reason(integration)

    def _send_again(self) -> None:
        """What was refused for its token goes out once more with another one: a colleague's, or that of a new log-in."""
        if all(item.token != self.token for item in _jobs(self._again)) or self._has_token(refused=self.token):
            waiting, self._again = self._again, []
            self._start(_jobs(waiting))

    def _write(self, record: Record) -> None:
        self._journal.write(record, host=self._host, probing=self._probing)
