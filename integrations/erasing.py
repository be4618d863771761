"""What deliveries keep of persons, erased with their leads (leads/privacy.py)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from django.db.models import Exists, F, OuterRef, Q

from integrations.models import Attempt, Delivery, DeliveryState, StatusUpdate
from leads.database import update_rows
from leads.privacy import json_without, left_over, without

# An erased lead has nothing to send: what has not gone out ends here.
_NOT_OUT = (DeliveryState.QUEUED, DeliveryState.HELD, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED)
ENDED = "Its personal data was erased: there is nothing left to send."


def leads_on_the_wire(lead_ids: Collection[int]) -> set[int]:
    """Which of these leads are being sent. Until the caller's transaction ends no worker begins with another one."""
    rows = Delivery.objects.select_for_update(of=("self",)).filter(lead__in=lead_ids).order_by("pk")
    return {pk for pk, state in rows.values_list("lead_id", "state") if pk and state == DeliveryState.SENDING}


def deliveries_still_there(ids: Collection[int]) -> dict[int, bool]:
    """Of those of these deliveries that are still there: whether they are of what was erased.

    A worker that lost one may come back with what it had sent.
    """
    of_erased = Q(lead__erased_at__isnull=False) | Q(event__isnull=False, event__data={}) | Q(reason=ENDED)
    found = Delivery.objects.filter(pk__in=ids)
    return dict.fromkeys(found.values_list("pk", flat=True), False) | dict.fromkeys(
        found.filter(of_erased).values_list("pk", flat=True), True
    )


def leads_left_over() -> Q:
    """Leads that were erased and of which something was kept again, here or with their deliveries."""
    said = StatusUpdate.objects.filter(delivery__lead=OuterRef("pk"), received_at__gt=OuterRef("erased_at"))
    return left_over() | (Q(erased_at__isnull=False) & Q(Exists(said.exclude(comment="", raw=""))))


def deliveries_erase(personal: Mapping[int, Sequence[str]]) -> None:
    """Erase the traces of leads (lead id to what was personal) in deliveries, attempts and status updates.

    In the caller's transaction. What was sent and answered goes as a whole; states, codes, references and times stay, and
    so do comments, without what was posted.
    """
    deliveries = {row.pk: row for row in Delivery.objects.select_for_update().filter(lead__in=personal).order_by("pk")}
    values = {pk: personal[row.lead_id] for pk, row in deliveries.items() if row.lead_id is not None}
    # What was said since its lead was erased the first time may quote anything of it.
    late = dict(
        StatusUpdate.objects.filter(
            delivery__in=deliveries, received_at__gt=F("delivery__lead__erased_at")
        ).values_list("pk", "delivery")
    )
    late_of = set(late.values())
    ended = {pk for pk, row in deliveries.items() if row.kind == Delivery.Kind.LEAD and row.state in _NOT_OUT}
    update_rows(
        Delivery,
        ["id"],
        ["state", "reason", "problems", "data", "reason_code", "comment", "next_try_at", "next_poll_at"],
        [
            (pk, DeliveryState.EXHAUSTED if pk in ended else row.state)
            + (ENDED if pk in ended else without(row.reason, values[pk]),)
            + (json_without(row.problems, values[pk]), json_without(row.data, values[pk]))
            + (without(row.reason_code, values[pk]), "" if pk in late_of else without(row.comment, values[pk]))
            + (None if pk in ended else row.next_try_at, None if pk in ended else row.next_poll_at)
            for pk, row in deliveries.items()
        ],
    )
    attempts = Attempt.objects.filter(delivery__in=deliveries).defer("exchanges").order_by("pk")
    update_rows(
        Attempt,
        ["id"],
        ["message", "exchanges"],
        [(row.pk, without(row.message, values[row.delivery_id]), []) for row in attempts],
    )
    updates = StatusUpdate.objects.filter(delivery__in=deliveries).order_by("pk")
    update_rows(
        StatusUpdate,
        ["id"],
        ["reason_code", "comment", "by", "raw"],
        [
            (row.pk, without(row.reason_code, values[row.delivery_id or 0]))
            + ("" if row.pk in late else without(row.comment, values[row.delivery_id or 0]),)
            + (without(row.by, values[row.delivery_id or 0]), "")
            for row in updates
        ],
    )
