"""Deliveries of leads that arrived, were refused or wait, and integrations that fail, for webhooks that want to be told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from django.db.models import QuerySet

from integrations.models import Delivery, DeliveryState, Notice
from leads.models import Happening
from leads.outbox import BATCH, About, outbox_add, outbox_wanted

_HAPPENINGS: Mapping[str, Happening] = MappingProxyType(
    {
        DeliveryState.DELIVERED: Happening.DELIVERY_DELIVERED,
        DeliveryState.REFUSED: Happening.DELIVERY_REFUSED,
        DeliveryState.HELD: Happening.DELIVERY_HELD,
    }
)
_FACTS = ("pk", "state", "reason", "reference", "lead_id", "lead__publisher_id", "test", "integration__campaign_id")


def deliveries_told(*states: DeliveryState) -> bool:
    """Whether anybody wants to know of deliveries that come to one of these states."""
    return any(outbox_wanted(_HAPPENINGS[state]) for state in states)


def deliveries_changed(ids: Collection[int]) -> None:
    """Tell of deliveries that came to another state, in the transaction that wrote it; of leads' alone, and not of webhooks."""
    if not ids or not deliveries_told(DeliveryState.DELIVERED, DeliveryState.REFUSED, DeliveryState.HELD):
        return
    whole = list(ids)
    for start in range(0, len(whole), BATCH):
        rows = Delivery.objects.filter(
            pk__in=whole[start : start + BATCH],
            kind=Delivery.Kind.LEAD,
            state__in=list(_HAPPENINGS),
            integration__managed=False,
        )
        found: dict[Happening, list[About]] = {}
        for pk, state, reason, reference, lead_id, publisher_id, test, campaign_id in rows.order_by("pk").values_list(
            *_FACTS
        ):
            data = {"delivery": pk, "state": state, "reason": reason, "reference": reference}
            found.setdefault(_HAPPENINGS[state], []).append(About(campaign_id, publisher_id, lead_id, data, test))
        for happening, about in found.items():
            outbox_add(happening, about)


def deliveries_to_hold(deliveries: QuerySet[Delivery]) -> Sequence[int]:
    """Which deliveries a statement that follows in this transaction will hold: locked, for deliveries_changed after it.

    () where nobody wants to know.
    """
    if not deliveries_told(DeliveryState.HELD):
        return ()
    return list(deliveries.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))


def notice_told(notice: Notice, words: str) -> None:
    """Tell of an integration that began to fail, or works again: what people are told of (notices.py), for machines."""
    integration = notice.integration
    if integration is None or integration.managed:
        return
    data = {
        "integration": {"id": integration.pk, "name": integration.name},
        "kind": notice.kind,
        "cause": words,
        "started_at": notice.started_at.isoformat(),
        "ended_at": notice.ended_at.isoformat() if notice.ended_at else None,
    }
    happening = Happening.INTEGRATION_RECOVERED if notice.ended_at else Happening.INTEGRATION_FAILING
    outbox_add(happening, [About(integration.campaign_id, None, None, data)])
