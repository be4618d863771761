"""What deliveries keep of persons, erased with their leads (leads/privacy.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from integrations.models import Attempt, Delivery, DeliveryState, StatusUpdate
from leads.database import update_rows
from leads.privacy import json_without, without

# An erased lead has nothing to send: what has not gone out ends here.
_NOT_OUT = (DeliveryState.QUEUED, DeliveryState.HELD, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED)
ENDED = "Its personal data was erased: there is nothing left to send."


def deliveries_erase(personal: Mapping[int, Sequence[str]]) -> None:
    """Erase the traces of leads (lead id to what was personal) in deliveries, attempts and status updates.

    In the caller's transaction. What was sent and answered goes as a whole; states, codes, references and times stay, and
    so do comments, without what was posted.
    """
    deliveries = {row.pk: row for row in Delivery.objects.select_for_update().filter(lead__in=personal).order_by("pk")}
    values = {pk: personal[row.lead_id] for pk, row in deliveries.items() if row.lead_id is not None}
    ended = {pk for pk, row in deliveries.items() if row.kind == Delivery.Kind.LEAD and row.state in _NOT_OUT}
    update_rows(
        Delivery,
        ["id"],
        ["state", "reason", "problems", "data", "reason_code", "comment", "next_try_at", "next_poll_at"],
        [
            (pk, DeliveryState.EXHAUSTED if pk in ended else row.state)
            + (ENDED if pk in ended else without(row.reason, values[pk]),)
            + (json_without(row.problems, values[pk]), json_without(row.data, values[pk]))
            + (without(row.reason_code, values[pk]), without(row.comment, values[pk]))
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
            + (without(row.comment, values[row.delivery_id or 0]), without(row.by, values[row.delivery_id or 0]), "")
            for row in updates
        ],
    )
