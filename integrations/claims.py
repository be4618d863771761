"""Stage 3, what a worker holds: due deliveries are claimed for a while, with a fencing number, and made ready to go out.

A claim is a lease: who lost it can't write over its successor, and what a dead worker held is taken back.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from integrations.breaker import SWITCHED_OFF
from integrations.delivery import LEAD_VALUES, MAPPING_OF_THEN, waiting_reason
from integrations.erasing import ENDED
from integrations.gate import integration_allowance, integration_took
from integrations.kit.contract import Payload
from integrations.kit.mapping import LeadFacts
from integrations.mapping import FACT_COLUMNS, lead_facts, mapping_compiled
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from integrations.models.integration import InDoubt
from integrations.reconciliation import doubt_settle
from integrations.webhooks.delivery_events import deliveries_changed, deliveries_to_hold
from leads import clock
from leads.readings import Reading

LOST_AGAIN = "Its worker stopped: it is sent again."
LOST_IN_DOUBT = (
    "Its worker stopped while it was being sent. It may have arrived: look at the client's side, then release it."
)

_CLAIMED = ("pk", "fence", "tries", "key", "kind", "data", "test", "maybe_repeat", "event__data", "lead__erased_at")


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
    lost: bool = False
    """Its lease could not be renewed: others may have it, so it must not go out from here."""

    def mapping_version(self, integration: Integration) -> int:
        """The mapping in force, unless a person replays with the one of then."""
        return int(self.data.get(MAPPING_OF_THEN, integration.mapping_version))


def deliveries_claim(integration: Integration, limit: int) -> list[Claimed]:
    """Claim what is due, the longest due first: `limit` at most, and no more than its caps and hours allow.

    Nothing is claimed where the integration is another one by now than the one given: switched off, or changed by a person. What
    carries a lead that was erased while it was being sent, and was to be tried again, ends here.
    """
    adapt = connection.ops.adapt_datetimefield_value
    now = clock.now()
    lock = "FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""
    with transaction.atomic(), connection.cursor() as cursor:
        allowed = integration_allowance(integration, limit, now)
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
            [integration.pk, adapt(now), integration.pk, integration.mapping_version, adapt(integration.updated_at)]
            + [allowed or limit, adapt(lease_end(now))],
        )
        ids = [row[0] for row in cursor.fetchall()]
        if allowed:
            integration_took(integration, len(ids))
    return _load(ids) if ids else []


def leases_expire() -> int:
    """Take back what a dead worker held; how many that were.

    Where the client honours idempotency keys it goes out again. Where not, nobody knows whether it arrived: by the
    integration's setting it goes out again, marked as a possible repeat, or is shown as in doubt. One that the client has a verdict
    on by now has arrived.
    """
    now = clock.now()
    expired = Delivery.objects.filter(state=DeliveryState.SENDING, lease_until__lt=now)
    if not expired.exists():
        return 0
    with transaction.atomic():
        # A worker that stands still in the middle of a transaction has its rows locked: whoever waited for it would stand still too.
        ids = list(expired.select_for_update(skip_locked=True).values_list("pk", flat=True))
        return _leases_end(ids, now)


def _leases_end(ids: Collection[int], now: dt.datetime) -> int:
    """Say of each of these rows, which are locked, what becomes of it."""
    lost = Delivery.objects.filter(pk__in=ids, state=DeliveryState.SENDING)
    count = 0
    for integration in Integration.objects.filter(pk__in=lost.values("integration_id")):
        here = lost.filter(integration=integration.pk)
        in_doubt = not integration.honours_keys
        if in_doubt and integration.in_doubt != InDoubt.AGAIN:
            # The end of its lease stays: it says when the doubt came up (gate.py).
            count += here.update(state=DeliveryState.UNKNOWN, next_try_at=None, reason=LOST_IN_DOUBT)
            continue
        marked = {"maybe_repeat": True} if in_doubt else {}
        if integration.state == IntegrationState.ON:
            count += here.update(
                state=DeliveryState.QUEUED, lease_until=None, next_try_at=now, reason=LOST_AGAIN, **marked
            )
        else:
            reason = waiting_reason(integration)
            held = deliveries_to_hold(here)
            count += here.update(state=DeliveryState.HELD, lease_until=None, next_try_at=None, reason=reason, **marked)
            deliveries_changed(held)
    doubt_settle(ids)
    return count


def payload_make(integration: Integration, item: Claimed) -> Payload:
    """What the connector is handed: a lead by its mapping, with the sync tags; MappingProblem where it can't be made."""
    if item.kind != Delivery.Kind.LEAD:
        data = item.data if item.event is None else item.event
        if item.event is None and data.get(LEAD_VALUES):
            data = {**data, "data": {**data["data"], "values": item.lead.values}}
        return Payload(kind=item.kind, data=data, test=item.test)  # type: ignore[arg-type]
    fields = mapping_compiled(integration.pk, item.mapping_version(integration))(item.lead)
    sync = integration.sync_keys if settings.SYNC_TAGS else {}
    if {"token", "subdomain"} <= set(sync):
        fields[sync["token"]] = item.key.hex
        fields[sync["subdomain"]] = settings.INSTANCE_SUBDOMAIN
    return Payload(kind="lead", fields=fields, test=item.test)


def lease_end(now: dt.datetime) -> dt.datetime:
    """When a lease ends that begins now."""
    return now + dt.timedelta(seconds=settings.DELIVERY_LEASE_SECONDS)


_LOADED = Reading(
    lambda ids: (
        Delivery.objects.filter(pk__among=ids)
        .order_by("next_try_at", "pk")
        .values_list(*_CLAIMED, *[f"lead__{name}" for name in FACT_COLUMNS])
    ),
    lists=[0],
)


def _load(ids: Collection[int]) -> list[Claimed]:
    claimed, ended = [], []
    for pk, fence, tries, key, kind, data, test, maybe_repeat, event, erased_at, *lead in _LOADED.rows(ids):
        if erased_at is not None and kind == Delivery.Kind.LEAD:
            ended.append(pk)
        else:
            claimed.append(Claimed(pk, fence, tries, key, kind, data, test, lead_facts(*lead), maybe_repeat, event))
    if ended:
        Delivery.objects.filter(pk__in=ended, state=DeliveryState.SENDING).update(
            state=DeliveryState.EXHAUSTED, reason=ENDED, next_try_at=None, lease_until=None
        )
    return claimed
