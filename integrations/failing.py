"""An integration whose every call fails for days is switched off, after people were told; a probe or a person brings it back.

Since when it fails is counted by breaker.py; here follows what comes of it. People are told of what failing_told says by
watching.py.
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import transaction

from integrations.delivery import DELIVER_TASK, deliveries_park, integration_switch, waiting_reason
from integrations.gate import SWITCHED_OFF
from integrations.kit.contract import ConnectorError
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from leads import clock
from leads.wake import wake

# At these shares of the days, in percent, people are told; the last is the end of it.
TOLD_AT = (50, 70, 90, SWITCHED_OFF)
PROBE_SECONDS = 3_600


def failures_escalate() -> None:
    """Tell of integrations that have failed for long, switch off those that have for too long, and probe the switched off."""
    now = clock.now()
    allowed = dt.timedelta(days=settings.FAILING_DAYS) * settings.SCHEDULE_FACTOR
    long = Integration.objects.filter(
        state=IntegrationState.ON, failing_since__lte=now - allowed * TOLD_AT[0] / 100
    ).select_related("campaign")
    for integration in long:
        since = integration.failing_since
        assert since is not None
        if not _tries(integration):
            # Nothing is sent, so nothing fails any more: the days are counted anew from the next failure.
            Integration.objects.filter(pk=integration.pk).update(failing_since=None, failing_told=0)
            continue
        share = (now - since) / allowed * 100
        percent = max(step for step in TOLD_AT if step <= share or step == TOLD_AT[0])
        if percent > integration.failing_told:
            _escalate(integration, percent, now)
    _probe(now)


def failing_recovered(integration_id: int) -> None:
    """A call got through: what waits goes out again at the integration's rate, if it was switched off for its failures."""
    integration = Integration.objects.select_related("campaign").get(pk=integration_id)
    if integration.state != IntegrationState.NEEDS_A_LOOK:
        return
    try:
        integration_switch(integration, on=True)
    except ConnectorError as error:
        # It answers, but something else came up meanwhile that a person has to see to.
        words = f"The client's system answers again. {error.message}"
        Integration.objects.filter(pk=integration_id).update(failing_told=0, state_reason=words)


def failing_probe_failed(integration: Integration, now: dt.datetime) -> None:
    """A probe got no further: what was let out for it waits again, and the next one follows later."""
    again = now + dt.timedelta(seconds=PROBE_SECONDS * settings.SCHEDULE_FACTOR)
    Integration.objects.filter(pk=integration.pk).update(open_until=again)
    deliveries_park(integration.pk, waiting_reason(integration))


def _tries(integration: Integration) -> bool:
    going = [DeliveryState.QUEUED, DeliveryState.SENDING]
    return Delivery.objects.filter(integration=integration.pk, state__in=going).exists()


def _escalate(integration: Integration, percent: int, now: dt.datetime) -> None:
    days = f"{settings.FAILING_DAYS:g} day{'' if settings.FAILING_DAYS == 1 else 's'}"
    with transaction.atomic():
        # Whoever answered or switched it meanwhile was faster.
        still = Integration.objects.filter(
            pk=integration.pk,
            state=IntegrationState.ON,
            failing_since=integration.failing_since,
            failing_told__lt=percent,
        )
        if percent < SWITCHED_OFF:
            still.update(failing_told=percent)
            return
        words = f"Switched off: every call has failed for {days}. {integration.state_reason}".strip()
        off = {"state": IntegrationState.NEEDS_A_LOOK, "state_reason": words, "failing_told": SWITCHED_OFF}
        again = now + dt.timedelta(seconds=PROBE_SECONDS * settings.SCHEDULE_FACTOR)
        if still.update(**off, open_until=again):
            deliveries_park(integration.pk, f"Waiting: {words}")


def _probe(now: dt.datetime) -> None:
    """Let the oldest that waits go out to each of those that were switched off and are to be probed."""
    off = Integration.objects.filter(
        state=IntegrationState.NEEDS_A_LOOK, failing_told=SWITCHED_OFF, open_until__lte=now, pending_form__isnull=True
    )
    for integration in off:
        waiting = Delivery.objects.filter(integration=integration.pk, state=DeliveryState.HELD).order_by("pk")
        first = waiting.filter(reason=waiting_reason(integration)).first()
        if first is None or _tries(integration):
            continue
        Delivery.objects.filter(pk=first.pk, state=DeliveryState.HELD).update(
            state=DeliveryState.QUEUED, next_try_at=now, tries=0
        )
        wake(DELIVER_TASK, integration.pk)
