"""Stage 2 for webhooks: what happened (leads/outbox.py) becomes a message for each subscription that wants to be told.

A batch is one transaction: nothing is told twice, and nothing is lost with a worker. A message is a delivery of the
subscription's integration; its key is the message's id, the same in every try. What it says of a lead is ids, status and
reasons. Values are added while it is sent (claims.py), where the subscription may read leads, so that no copy of them is kept.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from integrations.delivery import DELIVER_TASK, LEAD_VALUES, waiting_reason
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from leads.database import insert_rows, uuid7
from leads.models import Happening, Lead, OutboxEvent, Subscription
from leads.outbox import OUTBOX_TASK as OUTBOX_TASK
from leads.outbox import subscriptions_live
from leads.partner_keys import READS_LEADS
from leads.rights import without_personal
from leads.wake import wake

BATCH = 500
# What each publisher's webhook may be told of: the rest says where leads go, and what clients answer.
OF_PUBLISHERS = frozenset([Happening.LEAD_CREATED, Happening.LEAD_JUDGED, Happening.LEAD_FLAGGED])
_ROWS = ("key", "integration", "kind", "lead", "data", "test", "state", "reason", "next_try_at")


def outbox_due() -> bool:
    """Whether something is yet to be told."""
    return OutboxEvent.objects.exists()


def outbox_route() -> int:
    """Make messages of all that happened; how many happenings those were."""
    total = 0
    while count := _route_batch():
        total += count
    return total


def _route_batch() -> int:
    with transaction.atomic():
        rows = list(OutboxEvent.objects.select_for_update(skip_locked=True, of=("self",)).order_by("id")[:BATCH])
        if not rows:
            return 0
        places = [_Place(each) for each in subscriptions_live().select_related("integration", "key")]
        leads = _leads({row.lead_id for row in rows if row.lead_id})
        now = timezone.now()
        messages = [
            place.message(row, leads.get(row.lead_id or 0), now) for row in rows for place in places if place.wants(row)
        ]
        for start in range(0, len(messages), BATCH):
            insert_rows(Delivery, _ROWS, messages[start : start + BATCH])
        OutboxEvent.objects.filter(pk__in=[row.pk for row in rows]).delete()
        for integration_id in dict.fromkeys(message[1] for message in messages if message[6] == DeliveryState.QUEUED):
            wake(DELIVER_TASK, integration_id)
    return len(rows)


def _leads(ids: Collection[int]) -> dict[int, Lead]:
    only = (
        "hash",
        "values",
        "form_id",
        "link_id",
        "campaign_id",
        "publisher_id",
        "status",
        "flag",
        "created_at",
        "erased_at",
    )
    return {lead.pk: lead for lead in Lead.objects.filter(pk__in=ids).only(*only)}


class _Place:
    """Where one subscription is told."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._events = frozenset(subscription.events)
        key = subscription.key
        self._personal = subscription.personal_data and (key is None or READS_LEADS in key.scopes)
        self._integration: Integration = subscription.integration
        self._on = self._integration.state == IntegrationState.ON
        self._waiting = "" if self._on else waiting_reason(self._integration)

    def wants(self, row: OutboxEvent) -> bool:
        """Whether this is to be told here: its sort, whose lead it is, and that it happened since."""
        mine = self._subscription
        if row.event not in self._events or row.at < mine.created_at:
            return False
        if mine.publisher_id is not None and (row.event not in OF_PUBLISHERS or row.publisher_id != mine.publisher_id):
            return False
        return mine.campaign_id in (None, row.campaign_id)

    def message(self, row: OutboxEvent, lead: Lead | None, now: dt.datetime) -> tuple[Any, ...]:
        """The delivery that tells of it."""
        message: dict[str, Any] = {
            "type": row.event,
            "timestamp": row.at.isoformat(timespec="milliseconds"),
            "data": _data(row, lead, personal=self._personal),
        }
        if self._personal and lead is not None:
            message[LEAD_VALUES] = True
        return (
            uuid7(),
            self._integration.pk,
            Delivery.Kind.EVENT,
            lead.pk if lead is not None else None,
            message,
            row.test,
            DeliveryState.QUEUED if self._on else DeliveryState.HELD,
            self._waiting,
            now if self._on else None,
        )


def _data(row: OutboxEvent, lead: Lead | None, *, personal: bool) -> dict[str, Any]:
    said = dict(row.data)
    about: dict[str, Any] = {}
    if lead is not None:
        about["lead"] = lead_said(lead, status=said.pop("status", lead.status), flag=said.pop("flag", ""))
    elif row.campaign_id is not None:
        about["campaign_id"] = row.campaign_id
    if not personal or (lead is not None and lead.erased_at):
        # They may quote anything of a lead.
        said.pop("comment", None)
        if "failed_jobs" in said:
            values = lead.values if lead is not None else {}
            said["failed_jobs"] = [without_personal(str(words), values) for words in said["failed_jobs"]]
    if "reason" in said:
        said["reason"] = without_personal(str(said["reason"]), lead.values if lead is not None else {})
    return about | said


def lead_said(lead: Lead, *, status: str, flag: str) -> dict[str, Any]:
    """What every message on a lead says of it: nothing that names a person."""
    return {
        "id": lead.pk,
        "hash": lead.hash.hex,
        "campaign_id": lead.campaign_id,
        "publisher_id": lead.publisher_id,
        "form_id": lead.form_id,
        "link_id": lead.link_id,
        "status": status,
        "flag": flag or None,
        "received_at": lead.created_at.isoformat(timespec="seconds"),
    }


def happenings_offered(*, publisher_bound: bool) -> Sequence[Happening]:
    """What a subscription may be told of."""
    return [each for each in Happening if not publisher_bound or each in OF_PUBLISHERS]
