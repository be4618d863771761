"""What an export of leads says of their deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from integrations.models import Delivery
from leads.exports import MoreColumns


def _delivery_cells(lead_ids: Sequence[int]) -> Mapping[int, Sequence[str]]:
    found = (
        Delivery.objects.filter(lead__in=lead_ids, kind=Delivery.Kind.LEAD)
        .order_by("pk")
        .values_list("lead_id", "integration__name", "state", "verdict")
    )
    latest: dict[int, dict[str, tuple[str, str]]] = {}
    for lead_id, name, state, verdict in found:
        latest.setdefault(lead_id, {})[name] = (state, verdict)
    return {
        lead_id: (
            "; ".join(f"{name}: {state}" for name, (state, _) in there.items()),
            "; ".join(f"{name}: {verdict}" for name, (_, verdict) in there.items() if verdict),
        )
        for lead_id, there in latest.items()
    }


DELIVERY_COLUMNS = MoreColumns(("deliveries", "verdicts"), _delivery_cells)
"""For leads.exports: the state and the verdict of each lead's latest delivery to each integration."""
