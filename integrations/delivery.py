"""Stage 3, its decisions: what is queued, what waits and why, and what follows from the outcome of a try.

dispatch.py does the sending; here no request is made. States and rules: docs/operating.md, "Deliveries".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from integrations.discovery import next_pull_at, settings_problems
from integrations.kit.contract import ConnectorError
from integrations.kit.registry import connector as find_connector
from integrations.kit.registry import connectors
from integrations.models import Delivery, DeliveryState, FieldMapping, Integration, IntegrationState
from integrations.versions import mapping_save
from leads.database import insert_rows, uuid7
from leads.models import Lead, Status
from leads.wake import wake

DELIVER_TASK = "integrations.deliver_due"

PAUSED = "Paused: it goes out when the integration is switched on again."
# What the client's form has to say about first: drift.py lets it out or holds it, whichever it finds.
FORM_ASKED = "Waiting: the client refused a field that was sent. Its form is looked at again."

# In a delivery's data: the version of the mapping that it is to go out with, where that is not the one in force.
MAPPING_OF_THEN = "mapping_version"

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
    slugs = [slug for slug, found in connectors().items() if kind in found.manifest.accepts and found.manifest.offered]
    found: dict[int, list[Integration]] = {campaign_id: [] for campaign_id in campaign_ids}
    for integration in (
        Integration.objects.filter(campaign__in=campaign_ids, connector__in=slugs)
        .exclude(state=IntegrationState.NEEDS_SETUP)
        .order_by("position", "id")
    ):
        found[integration.campaign_id or 0].append(integration)
    return found


def deliveries_add(wishes: Iterable[Wish]) -> int:
    """Write deliveries in the caller's transaction; what an integration that is not on gets is parked with the reason.

    Wakes the senders once the transaction has committed. Returns how many were written.
    """
    now = timezone.now()
    rows = []
    due: dict[int, None] = {}
    for wish in wishes:
        on = wish.integration.state == IntegrationState.ON
        state = DeliveryState.QUEUED if on else DeliveryState.HELD
        reason = "" if on else waiting_reason(wish.integration)
        rows.append(
            (uuid7(), wish.integration.pk, wish.kind, wish.lead_id, wish.data, wish.test, wish.resend)
            + (state, reason, now if on else None)
        )
        if on:
            due[wish.integration.pk] = None
    for start in range(0, len(rows), _COMMIT_ROWS):
        insert_rows(Delivery, _ROWS, rows[start : start + _COMMIT_ROWS])
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
        leads = list(Lead.objects.filter(pk__in=lead_ids).only("campaign_id", "status", "flag", "processed_at"))
        by_campaign = accepting({lead.campaign_id for lead in leads}, Delivery.Kind.LEAD)
        gone = Delivery.objects.filter(lead__in=lead_ids, kind=Delivery.Kind.LEAD).values_list(
            "lead_id", "integration_id"
        )
        already = set() if resend else set(gone)
        wishes = []
        for lead in leads:
            targets = [i for i in by_campaign[lead.campaign_id] if integration_ids is None or i.pk in integration_ids]
            if lead.status == Status.PENDING:
                report.skip("still pending: the Processr has not judged it")
            elif not targets:
                report.skip("no integration of its campaign takes leads")
            for integration in targets if lead.status != Status.PENDING else ():
                if (lead.pk, integration.pk) in already:
                    report.skip(f"already handed to {integration.name}")
                else:
                    wishes.append(Wish(integration, Delivery.Kind.LEAD, lead.pk, test=lead.is_test, resend=resend))
        report.queued = deliveries_add(wishes)
    report.skip("no such lead", len(set(lead_ids)) - len(leads))
    return report


def deliveries_release(ids: Collection[int]) -> int:
    """Let deliveries go out that wait, are in doubt, or were given up; how many that were.

    They keep their idempotency key. Those of an integration that is not on stay parked.
    """
    with transaction.atomic():
        waiting = Delivery.objects.select_for_update().filter(
            pk__in=ids,
            state__in=[DeliveryState.HELD, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED],
            integration__state=IntegrationState.ON,
        )
        found = list(waiting.values_list("pk", "integration_id"))
        _requeue(Delivery.objects.filter(pk__in=[pk for pk, _ in found]))
    for integration_id in {integration_id for _, integration_id in found}:
        wake(DELIVER_TASK, integration_id)
    return len(found)


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


def integration_switch(integration: Integration, on: bool) -> None:
    """Switch an integration on, which lets out what waited for it, or pause it, which parks what is due.

    ConnectorError says why it can't be switched on.
    """
    if on and (problems := integration_problems(integration)):
        raise ConnectorError(" ".join(problems))
    with transaction.atomic():
        integration.state = IntegrationState.ON if on else IntegrationState.PAUSED
        integration.state_reason = ""
        integration.failures = 0
        integration.open_until = None
        looked_at = on and find_connector(integration.connector).discover is not None
        integration.next_pull_at = next_pull_at(timezone.now()) if looked_at else None
        integration.save(
            update_fields=["state", "state_reason", "failures", "open_until", "next_pull_at", "updated_at"]
        )
        if on:
            # Whoever changed rows: what goes out now has a number.
            mapping_save(integration)
        deliveries = Delivery.objects.filter(integration=integration)
        if on:
            _requeue(deliveries.filter(state=DeliveryState.HELD))
            wake(DELIVER_TASK, integration.pk)
        else:
            deliveries.filter(state=DeliveryState.QUEUED).update(
                state=DeliveryState.HELD, reason=PAUSED, next_try_at=None
            )


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
    Delivery.objects.filter(integration=integration_id, state=DeliveryState.QUEUED).update(
        state=DeliveryState.HELD, reason=reason, next_try_at=None
    )


def deliveries_waiting(integration: Integration) -> QuerySet[Delivery]:
    """What waits for this integration, whatever for."""
    return Delivery.objects.filter(integration=integration.pk, state=DeliveryState.HELD)


def deliveries_unpark(integration_id: int, reason: str) -> int:
    """Let out what was parked for this reason, where the integration is on; how many that were."""
    parked = Delivery.objects.filter(
        integration=integration_id, state=DeliveryState.HELD, reason=reason, integration__state=IntegrationState.ON
    )
    count = _requeue(Delivery.objects.filter(pk__in=parked.values("pk")))
    if count:
        wake(DELIVER_TASK, integration_id)
    return count


def deliveries_due() -> list[int]:
    """Integrations that are on and have a delivery that is due."""
    now = timezone.now()
    due = Delivery.objects.filter(state=DeliveryState.QUEUED, next_try_at__lte=now).values("integration_id").distinct()
    return list(Integration.objects.filter(pk__in=due, state=IntegrationState.ON).values_list("pk", flat=True))


def leases_expire() -> int:
    """Take back what a dead worker held; how many that were.

    Where the client honours idempotency keys it goes out again; where not, nobody knows whether it arrived, and it is shown
    as in doubt.
    """
    now = timezone.now()
    lost = Delivery.objects.filter(state=DeliveryState.SENDING, lease_until__lt=now)
    again = lost.filter(integration__honours_keys=True, integration__state=IntegrationState.ON)
    count = Delivery.objects.filter(pk__in=again.values("pk"), lease_until__lt=now).update(
        state=DeliveryState.QUEUED, lease_until=None, next_try_at=now, reason="Its worker stopped: it is sent again."
    )
    parked = lost.filter(integration__honours_keys=True).exclude(integration__state=IntegrationState.ON)
    for integration in Integration.objects.filter(pk__in=parked.values("integration_id")):
        count += parked.filter(integration=integration).update(
            state=DeliveryState.HELD, lease_until=None, next_try_at=None, reason=waiting_reason(integration)
        )
    count += lost.update(
        state=DeliveryState.UNKNOWN,
        lease_until=None,
        next_try_at=None,
        reason="Its worker stopped while it was being sent. It may have arrived: look at the client's side, then release it.",
    )
    return count


def _requeue(deliveries: QuerySet[Delivery]) -> int:
    return deliveries.update(
        state=DeliveryState.QUEUED, reason="", next_try_at=timezone.now(), tries=0, lease_until=None
    )
