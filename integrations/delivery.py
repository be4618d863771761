"""Stage 3, its decisions: what is queued, what waits and why, and what follows from the outcome of a try.

dispatch.py does the sending; here no request is made. States and rules: docs/operating.md, "Deliveries".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from integrations.discovery import next_pull_at, settings_problems
from integrations.gate import SWITCHED_OFF, integration_reopen
from integrations.kit.contract import ConnectorError
from integrations.kit.registry import connector as find_connector
from integrations.kit.registry import connectors
from integrations.models import Delivery, DeliveryState, FieldMapping, Integration, IntegrationState
from integrations.releasing import Pace, deliveries_let_out
from integrations.versions import mapping_save
from integrations.webhooks.delivery_events import deliveries_changed, deliveries_to_hold, deliveries_told
from leads import clock
from leads.database import insert_rows, uuid7
from leads.models import Lead, Status
from leads.readings import Reading
from leads.wake import wake

DELIVER_TASK = "integrations.deliver_due"

PAUSED = "Paused: it goes out when the integration is switched on again."
# What the client's form has to say about first: drift.py lets it out or holds it, whichever it finds.
FORM_ASKED = "Waiting: the client refused a field that was sent. Its form is looked at again."
WITHDRAWN = "Not sent: the lead was reprocessed, and does not go out by the jobs of its campaign."

# In a delivery's data: the version of the mapping that it is to go out with, where that is not the one in force.
MAPPING_OF_THEN = "mapping_version"
# In that of a webhook's message on a lead: the lead's values go with it, as they are when it is sent.
LEAD_VALUES = "lead_values"

_ROWS = ("key", "integration", "kind", "lead", "data", "test", "resend", "state", "reason", "next_try_at")
_COMMIT_ROWS = 500


@dataclass(slots=True)
class QueueReport:
    """What a wish to deliver came to: how many deliveries were queued, and why others were not (words to count)."""

    queued: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def skip(self, words: str, count: int = 1) -> None:
        if count:
            self.skipped[words] = self.skipped.get(words, 0) + count


@dataclass(frozen=True, slots=True)
class Wish:
    """One thing to hand to one integration."""

    integration: Integration
    kind: Delivery.Kind
    lead_id: int
    data: dict[str, Any] = field(default_factory=dict)
    test: bool = False
    resend: bool = False


def accepting(campaign_ids: Collection[int], kind: str) -> dict[int, list[Integration]]:
    """Integrations that were ever switched on and take this kind of delivery, by campaign, in the Processr's order."""
    slugs = {slug for slug, found in connectors().items() if kind in found.manifest.accepts and found.manifest.offered}
    found: dict[int, list[Integration]] = {campaign_id: [] for campaign_id in campaign_ids}
    for integration in _SET_UP.models(campaign_ids):
        if integration.connector in slugs and kind in _kinds(integration):
            found[integration.campaign_id or 0].append(integration)
    return found


_SET_UP = Reading(
    lambda campaign_ids: (
        Integration.objects.filter(campaign__among=campaign_ids)
        .exclude(state=IntegrationState.NEEDS_SETUP)
        .order_by("position", "id")
    ),
    lists=[0],
)


def _kinds(integration: Integration) -> frozenset[str]:
    connector = find_connector(integration.connector)
    return connector.takes(integration.settings) if connector.takes else connector.manifest.accepts


def deliveries_add(wishes: Iterable[Wish], *, at_rate: bool = False) -> int:
    """Write deliveries in the caller's transaction; what an integration that is not on gets is parked with the reason.

    `at_rate` for what people send again or late: it goes out at each integration's release rate; new leads are not slowed.
    Wakes the senders once the transaction has committed. Returns how many were written.
    """
    wishes = list(wishes)
    now = clock.now()
    rows = []
    due: dict[int, None] = {}
    pace = Pace((wish.integration for wish in wishes if not wish.test), now) if at_rate else None
    for wish in wishes:
        on = wish.integration.state == IntegrationState.ON
        state = DeliveryState.QUEUED if on else DeliveryState.HELD
        reason = "" if on else waiting_reason(wish.integration)
        rows.append(
            (uuid7(), wish.integration.pk, wish.kind, wish.lead_id, wish.data, wish.test, wish.resend)
            + (state, reason, (pace.next(wish.integration) if pace and not wish.test else now) if on else None)
        )
        if on:
            due[wish.integration.pk] = None
    told = deliveries_told(DeliveryState.HELD) and any(row[7] == DeliveryState.HELD for row in rows)
    for start in range(0, len(rows), _COMMIT_ROWS):
        written = insert_rows(
            Delivery, _ROWS, rows[start : start + _COMMIT_ROWS], returning=("id", "state") if told else ()
        )
        deliveries_changed([pk for pk, state in written if state == DeliveryState.HELD])
    for integration_id in due:
        wake(DELIVER_TASK, integration_id)
    return len(rows)


def waiting_reason(integration: Integration) -> str:
    """Why deliveries to an integration that is not on wait, in words."""
    if integration.state == IntegrationState.PAUSED:
        return PAUSED
    if integration.pending_form:
        return str(integration.pending_form["reason"])
    return f"Waiting: {integration.state_reason or 'the integration needs a look'}"


def deliveries_queue(
    lead_ids: Collection[int], *, integration_ids: Collection[int] | None = None, resend: bool = False
) -> QueueReport:
    """Deliver leads because a person wants it: to the integrations named, or to all of each lead's campaign.

    Without `resend`, a lead that was handed to an integration, or waits to be, is left out; with it, it goes out once
    more under a new idempotency key. All of it happens, or none.
    """
    report = QueueReport()
    with transaction.atomic():
        leads = list(Lead.objects.filter(pk__in=lead_ids).only("campaign_id", "status", "flag", "erased_at"))
        by_campaign = accepting({lead.campaign_id for lead in leads}, Delivery.Kind.LEAD)
        gone = (
            Delivery.objects.filter(lead__in=lead_ids, kind=Delivery.Kind.LEAD)
            .exclude(state=DeliveryState.NOT_SENT, reason=WITHDRAWN)
            .values_list("lead_id", "integration_id")
        )
        already = set() if resend else set(gone)
        wishes = []
        for lead in leads:
            targets = [i for i in by_campaign[lead.campaign_id] if integration_ids is None or i.pk in integration_ids]
            if lead.status == Status.PENDING:
                report.skip("still pending: the Processr has not judged it")
            elif lead.erased_at is not None:
                report.skip("its personal data was erased")
            elif not targets:
                report.skip("no integration of its campaign takes leads")
            for integration in targets if lead.status != Status.PENDING and lead.erased_at is None else ():
                if (lead.pk, integration.pk) in already:
                    report.skip(f"already handed to {integration.name}")
                else:
                    wishes.append(Wish(integration, Delivery.Kind.LEAD, lead.pk, test=lead.is_test, resend=resend))
        report.queued = deliveries_add(wishes, at_rate=True)
    report.skip("no such lead", len(set(lead_ids)) - len(leads))
    return report


def deliveries_release(ids: Collection[int]) -> int:
    """Let deliveries go out that wait, are in doubt, or were given up; how many that were.

    They keep their idempotency key, and go out at the integration's release rate. Those of an integration that is not on
    stay parked. What was in doubt, at a client that can't tell a repeat, is marked as a possible one.
    """
    with transaction.atomic():
        # Of an erased lead there is nothing to send.
        waiting = Delivery.objects.select_for_update(of=("self",)).filter(
            pk__in=ids,
            state__in=[DeliveryState.HELD, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED],
            integration__state=IntegrationState.ON,
            lead__erased_at=None,
        )
        found: dict[int, list[int]] = {}
        for pk, integration_id in waiting.values_list("pk", "integration_id"):
            found.setdefault(integration_id, []).append(pk)
        for integration in Integration.objects.filter(pk__in=found):
            _let_out(Delivery.objects.filter(pk__in=found[integration.pk]), integration)
            # What was in doubt took room of a cap.
            integration_reopen(integration.pk)
    return sum(len(pks) for pks in found.values())


def integration_problems(integration: Integration) -> list[str]:
    """Why an integration can't be switched on, in words; empty when it can."""
    connector = find_connector(integration.connector)
    problems = list(settings_problems(connector, integration.all_settings).values())
    if integration.pending_form:
        problems.append("The client's form has changed: review the change first.")
    if connector.discover is not None:
        if integration.discovered_at is None:
            problems.append("The client's form has not been pulled yet.")
        open_rows = [
            str(row)
            for row in integration.mappings.filter(remote_required=True, source=FieldMapping.Source.NOTHING)
            if row.state != FieldMapping.State.VANISHED
        ]
        if open_rows:
            count = f"{len(open_rows)} required field{'s' if len(open_rows) > 1 else ''} of the client"
            problems.append(f"{count} {'have' if len(open_rows) > 1 else 'has'} no value yet: {', '.join(open_rows)}.")
    return problems


def integration_switch(integration: Integration, on: bool) -> int:
    """Switch an integration on, which lets out what waited for it at its rate, or pause it, which parks what is due.

    Returns how many it let out. ConnectorError says why it can't be switched on.
    """
    released = 0
    if on and (problems := integration_problems(integration)):
        raise ConnectorError(" ".join(problems))
    with transaction.atomic():
        integration.state = IntegrationState.ON if on else IntegrationState.PAUSED
        integration.state_reason = ""
        integration.failures = 0
        integration.open_until = None
        integration.failing_since, integration.failing_told = None, 0
        integration.polls_wait_until = None
        looked_at = on and find_connector(integration.connector).discover is not None
        integration.next_pull_at = next_pull_at(clock.now()) if looked_at else None
        integration.save(
            update_fields=["state", "state_reason", "failures", "open_until", "failing_since", "failing_told"]
            + ["next_pull_at", "polls_wait_until", "updated_at"]
        )
        if on:
            # Whoever changed rows: what goes out now has a number.
            mapping_save(integration)
        deliveries = Delivery.objects.filter(integration=integration)
        if on:
            released = _let_out(deliveries.filter(state=DeliveryState.HELD), integration)
        else:
            deliveries_park(integration.pk, PAUSED)
    return released


def integration_hold(integration_id: int, words: str) -> None:
    """Stop an integration until a person acts, because the client's answer says that it is set up wrongly."""
    with transaction.atomic():
        changed = Integration.objects.filter(pk=integration_id, state=IntegrationState.ON).update(
            state=IntegrationState.NEEDS_A_LOOK, state_reason=words
        )
        if changed:
            deliveries_park(integration_id, f"Waiting: {words}")


def deliveries_park(integration_id: int, reason: str) -> None:
    """Let what is due wait, without stopping the integration."""
    due = Delivery.objects.filter(integration=integration_id, state=DeliveryState.QUEUED)
    with transaction.atomic():
        held = deliveries_to_hold(due)
        due.update(state=DeliveryState.HELD, reason=reason, next_try_at=None)
        deliveries_changed(held)


def deliveries_withdraw(lead_ids: Collection[int]) -> int:
    """Take back what has not gone out of leads that do not go out after all; how many deliveries that were."""
    return Delivery.objects.filter(
        lead__in=lead_ids, kind=Delivery.Kind.LEAD, state__in=[DeliveryState.QUEUED, DeliveryState.HELD]
    ).update(state=DeliveryState.NOT_SENT, reason=WITHDRAWN, next_try_at=None)


def deliveries_waiting(integration: Integration) -> QuerySet[Delivery]:
    """What waits for this integration, whatever for."""
    return Delivery.objects.filter(integration=integration.pk, state=DeliveryState.HELD)


def deliveries_unpark(integration_id: int, reason: str) -> int:
    """Let out what was parked for this reason, where the integration is on; how many that were."""
    integration = Integration.objects.filter(pk=integration_id, state=IntegrationState.ON).first()
    if integration is None:
        return 0
    return _let_out(
        Delivery.objects.filter(integration=integration_id, state=DeliveryState.HELD, reason=reason), integration
    )


def deliveries_due() -> list[int]:
    """Integrations that have a delivery that is due and may go out now.

    That is one that is on and not closed by its caps or hours, which bound no test leads; or, of one that was switched off
    because it failed for too long, the probe.
    """
    now = clock.now()
    due = Delivery.objects.filter(
        integration=OuterRef("pk"), state=DeliveryState.QUEUED, next_try_at__lte=now
    ).order_by()
    is_open = Q(closed_until__lte=now) | Q(closed_until=None, closed_reason="")
    tested = Exists(due.filter(test=True))
    probed = Q(state=IntegrationState.NEEDS_A_LOOK, failing_told=SWITCHED_OFF)
    found = Integration.objects.filter(Q(state=IntegrationState.ON) & (is_open | tested) | probed)
    # A look at each integration, and not at each delivery that is due: of a closed one that may be very many.
    return list(found.filter(Exists(due)).values_list("pk", flat=True))


def _let_out(deliveries: QuerySet[Delivery], integration: Integration) -> int:
    count = deliveries_let_out(deliveries, integration)
    wake(DELIVER_TASK, integration.pk)
    return count
