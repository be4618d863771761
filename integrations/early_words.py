"""What clients say of deliveries that are not recorded here yet: kept, and handed to them once they are.

An answer to a lead may be slower than the verdict on it, and a portal that was put back to an older copy of its database has lost
what its clients still talk of.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from integrations.models import Delivery, StatusUpdate
from integrations.reconciliation import APPLY_TASK, CLOCK_SKEW
from leads import clock
from leads.database import update_rows
from leads.wake import wake

# What is said of a delivery that is not recorded yet is kept, and looked for, so long and so much of it: anybody may call.
EARLY_DAYS, EARLY_MOST = 90, 2_000


def deliveries_by_key(keys: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[int, str]]:
    """Id and connector of the deliveries that have these keys, which clients call back with."""
    found = Delivery.objects.filter(key__in=set(keys)).values_list("key", "pk", "integration__connector")
    return {key: (pk, slug) for key, pk, slug in found}


def about_key(key: uuid.UUID) -> str:
    """What a message is about that came with a delivery's sync token."""
    return f"key:{key.hex}"


def about_reference(integration_id: int, reference: str) -> str:
    """What a message is about that names the client's own id of a lead."""
    return f"reference:{integration_id}:{reference}"


def may_be_early(key: uuid.UUID) -> bool:
    """Whether a token that is no delivery's can become one: it is made as ours are, in the time that verdicts take.

    A portal that was put back to an older copy of its database gets such calls. All others are certainly unknown.
    """
    if key.version != 7 or key.variant != uuid.RFC_4122:
        return False
    made = key.int >> 80  # milliseconds since 1970
    now = timezone.now().timestamp() * 1000
    return now - EARLY_DAYS * 86_400_000 <= made <= now + CLOCK_SKEW.total_seconds() * 1000


def early_full() -> bool:
    """Whether no more messages on deliveries that are not recorded can be kept."""
    return _early().values("pk")[EARLY_MOST - 1 :].exists()


def _early() -> QuerySet[StatusUpdate]:
    since = clock.now() - dt.timedelta(days=EARLY_DAYS)
    return StatusUpdate.objects.filter(
        state=StatusUpdate.State.UNMATCHED, about__gt="", received_at__gte=since
    ).order_by("id")


def updates_match() -> int:
    """Hand what came too early to its delivery, where that is recorded by now; how many were.

    References are looked for among what was delivered in the last hour: to be called more often than that.
    """
    waiting = list(_early().values_list("pk", "about")[:EARLY_MOST])
    if not waiting:
        return 0
    wanted: dict[str, dict[str, list[int]]] = {}
    for pk, about in waiting:
        kind, _, name = about.partition(":")
        wanted.setdefault(kind, {}).setdefault(name, []).append(pk)
    found = _by_key(wanted.get("key", {})) | _by_reference(wanted.get("reference", {}))
    rows = [(pk, delivery_id, StatusUpdate.State.RECEIVED, "") for pk, delivery_id in found.items()]
    if rows:
        with transaction.atomic():
            update_rows(StatusUpdate, ["id"], ["delivery", "state", "about"], rows)
            wake(APPLY_TASK)
    return len(rows)


def _by_key(wanted: Mapping[str, list[int]]) -> dict[int, int]:
    known = deliveries_by_key(uuid.UUID(hex=name) for name in wanted)
    return {pk: delivery_id for key, (delivery_id, _) in known.items() for pk in wanted[key.hex]}


def _by_reference(wanted: Mapping[str, list[int]]) -> dict[int, int]:
    by_integration: dict[int, dict[str, list[int]]] = {}
    for name, pks in wanted.items():
        integration, _, reference = name.partition(":")
        by_integration.setdefault(int(integration), {})[reference] = pks
    found: dict[int, int] = {}
    since = clock.now() - dt.timedelta(hours=1)
    for integration_id, references in by_integration.items():
        recent = Delivery.objects.filter(
            integration=integration_id, delivered_at__gte=since, reference__in=list(references)
        )
        for delivery_id, reference in recent.order_by("pk").values_list("pk", "reference"):
            found.update(dict.fromkeys(references[reference], delivery_id))
    return found
