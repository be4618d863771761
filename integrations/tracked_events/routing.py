"""Stage 2 for tracked events: received events become events of persons, with a delivery for each destination of the campaign.

A batch is one transaction: an event is never routed without its deliveries, and never twice. One batch runs at a time, in the
order in which events came, since what one call says of a person holds for the next.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import orjson
from django.db import connection, models, transaction
from django.db.models.functions import Cast
from django.utils import timezone

from integrations.delivery import DELIVER_TASK, accepting, waiting_reason
from integrations.flows import connector_call
from integrations.kit.contract import Call, Connector, Payload
from integrations.kit.registry import connector as find_connector
from integrations.kit.switches import switched_on
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from leads.database import insert_rows, uuid7
from leads.models import Arrival, Event
from leads.tracking.names import names_note
from leads.tracking.persons import TrackedEvent, events_to_persons
from leads.tracking.storing import ROUTE_TASK as ROUTE_TASK
from leads.wake import wake

logger = logging.getLogger(__name__)

BATCH_EVENTS, BATCH_ARRIVALS = 1_000, 100
SWITCHED_OFF = "Switched off by the call itself, in its integrations."
CONNECTOR_FAILED = "Our own software failed on this event."
# Of PostgreSQL's advisory locks, the one of this stage.
_LOCK = 0x6576_656E_7473

_ROWS = ("key", "integration", "kind", "event", "state", "reason", "next_try_at")


def events_due() -> bool:
    """Whether received events wait to be routed."""
    return Arrival.objects.exists()


def events_route() -> int:
    """Route all received events; how many that were. None where another worker is at it: it goes on until nothing is left."""
    total = 0
    while count := _route_batch():
        total += count
    return total


def routing_locked(*, wait: bool = False) -> bool:
    """Keep other routing transactions out until this one ends; False where one is under way and we do not wait.

    SQLite has one writer at a time anyway.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        if wait:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            return True
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _route_batch() -> int:
    with transaction.atomic():
        if not routing_locked():
            return 0
        arrivals, ids = _next_arrivals()
        if not arrivals:
            return 0
        events = _events(ids)
        events_to_persons(events)
        names_note((event.campaign_id, event.type, event.name) for event in events)
        deliveries_of_events(events)
        Arrival.objects.filter(pk__in=arrivals).delete()
    return len(ids)


def _next_arrivals() -> tuple[list[int], list[int]]:
    arrivals: list[int] = []
    ids: list[int] = []
    for pk, event_ids in Arrival.objects.order_by("pk").values_list("pk", "event_ids")[:BATCH_ARRIVALS]:
        if ids and len(ids) + len(event_ids) > BATCH_EVENTS:
            break
        arrivals.append(pk)
        ids += event_ids
    return arrivals, ids


def _events(ids: Sequence[int]) -> list[TrackedEvent]:
    rows = Event.objects.filter(pk__in=ids).order_by("pk")
    text = Cast("data", models.TextField())
    return [
        TrackedEvent(pk, campaign_id, kind, name, timestamp, orjson.loads(data))
        for pk, campaign_id, kind, name, timestamp, data in rows.values_list(
            "pk", "source__campaign_id", "type", "name", "timestamp", text
        )
    ]


def deliveries_of_events(events: Sequence[TrackedEvent]) -> int:
    """Queue each event for each destination of its campaign, in the caller's transaction; how many were queued.

    What a destination does not want, or the call does not want it to have, is written down as not sent, with the reason.
    """
    targets = {
        campaign_id: [Target(integration) for integration in integrations]
        for campaign_id, integrations in accepting({event.campaign_id for event in events}, Delivery.Kind.EVENT).items()
    }
    now = timezone.now()
    rows = []
    for event in events:
        for target in targets[event.campaign_id]:
            state, reason = target.standing(event.data)
            due = now if state == DeliveryState.QUEUED else None
            rows.append((uuid7(), target.integration.pk, Delivery.Kind.EVENT, event.id, state, reason, due))
    for start in range(0, len(rows), BATCH_EVENTS):
        insert_rows(Delivery, _ROWS, rows[start : start + BATCH_EVENTS])
    queued = [row for row in rows if row[4] == DeliveryState.QUEUED]
    for integration_id in dict.fromkeys(row[1] for row in queued):
        wake(DELIVER_TASK, integration_id)
    return len(queued)


class Target:
    """A destination of a campaign, and what it does with an event."""

    def __init__(self, integration: Integration) -> None:
        self.integration = integration
        self._connector: Connector = find_connector(integration.connector)
        self._call: Call = connector_call(self._connector, integration.all_settings)
        self._on = integration.state == IntegrationState.ON
        self._waiting = "" if self._on else waiting_reason(integration)

    def standing(self, message: dict[str, Any]) -> tuple[DeliveryState, str]:
        """Queued, waiting or not sent, and why."""
        if not switched_on(message.get("integrations"), self._connector.manifest.integrations_name):
            return DeliveryState.NOT_SENT, SWITCHED_OFF
        if why_not := self._why_not(message):
            return DeliveryState.NOT_SENT, why_not
        return (DeliveryState.QUEUED, "") if self._on else (DeliveryState.HELD, self._waiting)

    def _why_not(self, message: dict[str, Any]) -> str:
        if self._connector.wants is None:
            return ""
        try:
            return self._connector.wants(self._call, Payload(kind="event", data=message))
        except Exception:
            # One message that a connector can't bear must not hold up all that come after it.
            logger.exception("integration %s: wants() failed", self.integration.pk)
            return CONNECTOR_FAILED
