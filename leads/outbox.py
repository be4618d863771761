"""What happened, written down for whoever wants to be told, in the transaction of its cause. integrations/webhooks/routing.py
makes messages of it.

Where nobody wants to be told it costs a look at what this process knows; which is read anew when it is older than
CATALOG_MAX_AGE_SECONDS.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from leads.database import insert_rows
from leads.models import Flag, Happening, Lead, OutboxEvent, Status, Subscription
from leads.wake import wake

# The task that makes messages of it; named, never imported: leads know no integrations.
OUTBOX_TASK = "integrations.route_outbox"
BATCH = 500
_COLUMNS = ("event", "campaign", "publisher", "lead", "data", "test", "at")


class Wanted(NamedTuple):
    """What one subscription wants; None: of every publisher, of every campaign."""

    events: frozenset[str]
    publisher_id: int | None
    campaign_id: int | None


class About(NamedTuple):
    """What an event is about."""

    campaign_id: int | None
    publisher_id: int | None
    lead_id: int | None
    data: Mapping[str, Any]
    test: bool = False


_known: tuple[float, tuple[Wanted, ...]] | None = None


def subscriptions_live() -> Any:
    """Subscriptions that are told of what happens now: neither their publisher nor the key that made them is switched off."""
    key_good = Q(key=None) | Q(key__expires_at=None) | Q(key__expires_at__gt=timezone.now())
    return Subscription.objects.filter(key_good, Q(publisher=None) | Q(publisher__active=True), removed_at=None)


def outbox_wanted(event: Happening) -> list[Wanted]:
    """Who wants to be told of such an event; empty for nobody."""
    global _known
    known = _known
    if known is None or time.monotonic() - known[0] > settings.CATALOG_MAX_AGE_SECONDS:
        rows = subscriptions_live().order_by("id").values_list("events", "publisher_id", "campaign_id")
        known = _known = (time.monotonic(), tuple(Wanted(frozenset(events), *scope) for events, *scope in rows))
    return [each for each in known[1] if event in each.events]


def outbox_forget() -> None:
    """Look anew at the next question: a subscription was changed here."""
    global _known
    _known = None


def outbox_add(event: Happening, found: Sequence[About]) -> None:
    """Write down what happened, as far as somebody wants to be told, in the caller's transaction."""
    wanted = outbox_wanted(event)
    if not wanted:
        return
    now = timezone.now()
    rows = [
        (event.value, about.campaign_id, about.publisher_id, about.lead_id, dict(about.data), about.test, now)
        for about in found
        if any(
            each.campaign_id in (None, about.campaign_id) and each.publisher_id in (None, about.publisher_id)
            for each in wanted
        )
    ]
    for start in range(0, len(rows), BATCH):
        insert_rows(OutboxEvent, _COLUMNS, rows[start : start + BATCH])
    if rows:
        wake(OUTBOX_TASK)


def outbox_add_leads(event: Happening, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """As outbox_add, for what happened to leads: lead id to data."""
    if not changes or not outbox_wanted(event):
        return
    ids = list(changes)
    for start in range(0, len(ids), BATCH):
        rows = Lead.objects.filter(pk__in=ids[start : start + BATCH]).order_by("pk")
        outbox_add(
            event,
            [
                About(campaign_id, publisher_id, pk, changes[pk], status == Status.TEST or flag == Flag.TEST)
                for pk, campaign_id, publisher_id, status, flag in rows.values_list(
                    "pk", "campaign_id", "publisher_id", "status", "flag"
                )
            ],
        )
