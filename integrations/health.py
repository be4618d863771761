"""How one integration does: what waits and why, what is in doubt, when something last got through, and whether it answers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone

from integrations.gate import gate_zone
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from integrations.waiting import waiting_words

# More of a state are not counted: it takes as long as there are rows.
COUNTED = 100_000


@dataclass(frozen=True, slots=True)
class Health:
    """Counts are of deliveries, and stop at COUNTED; times are None where there is none.

    `answers` is False while every call fails; `next_call_at` then says when the next one is made. `words` say why nothing goes
    out now; "" where nothing keeps it from that.
    """

    works: bool
    words: str
    waits_until: dt.datetime | None
    answers: bool
    failing_since: dt.datetime | None
    next_call_at: dt.datetime | None
    form_changed: bool
    queued: int
    sending: int
    waiting: int
    in_doubt: int
    given_up: int
    delivered_today: int
    last_delivered_at: dt.datetime | None


def integration_health(integration: Integration) -> Health:
    """How an integration does now. Wants its campaign loaded. "Today" is that of the campaign's time zone."""
    mine = Delivery.objects.filter(integration=integration.pk).order_by()
    midnight = timezone.localtime(timezone.now(), gate_zone(integration)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    last = mine.filter(delivered_at__isnull=False).order_by("-delivered_at").values_list("delivered_at", flat=True)
    on = integration.state == IntegrationState.ON
    words, until = waiting_words(integration) if on else (integration.state_reason, None)

    def count(state: DeliveryState) -> int:
        return mine.filter(state=state).values("pk")[:COUNTED].count()

    return Health(
        works=on and integration.failing_since is None and not words,
        words=words,
        waits_until=until,
        answers=integration.failing_since is None,
        failing_since=integration.failing_since,
        next_call_at=integration.open_until,
        form_changed=integration.pending_form is not None,
        queued=count(DeliveryState.QUEUED),
        sending=count(DeliveryState.SENDING),
        waiting=count(DeliveryState.HELD),
        in_doubt=count(DeliveryState.UNKNOWN),
        given_up=count(DeliveryState.EXHAUSTED),
        delivered_today=mine.filter(delivered_at__gte=midnight, test=False).values("pk")[:COUNTED].count(),
        last_delivered_at=last.first(),
    )
