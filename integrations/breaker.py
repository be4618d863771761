"""A client's system that does not answer as it should: calls to it pause, and one probe at a time finds out when it does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.conf import settings

from integrations.kit.contract import OutcomeKind
from integrations.models import Integration, IntegrationState

# A run of so many failed calls opens the breaker; then one probe at a time, with pauses that grow with each that fails.
BREAKER_FAILURES = 5
BREAKER_SECONDS = (5, 15, 30, 60, 120, 300)

# failing_told of an integration that was switched off because it had failed for too long: it is still probed.
SWITCHED_OFF = 100


def sendable(integration: Integration) -> bool:
    """Whether anything may go out by the integration's state: it is on, or failed for so long that it is only probed."""
    probed = integration.state == IntegrationState.NEEDS_A_LOOK and integration.failing_told == SWITCHED_OFF
    return integration.state == IntegrationState.ON or probed


def breaker_record(
    integration_id: int, outcomes: Sequence[OutcomeKind], now: dt.datetime, *, host: str = "", silent: bool = False
) -> None:
    """Count calls that decided nothing; a run of them opens the breaker, one answer closes it."""
    failed = sum(kind == OutcomeKind.RETRY for kind in outcomes)
    integration = Integration.objects.only("failures", "open_until").get(pk=integration_id)
    if failed < len(outcomes):
        if integration.failures or integration.open_until:
            Integration.objects.filter(pk=integration_id).update(failures=0, open_until=None, state_reason="")
        return
    if integration.open_until is None:
        # A batch fails as a whole: what counts is that it did, not how many leads were in it.
        failures = min(integration.failures + failed, BREAKER_FAILURES)
    else:
        failures = integration.failures + 1
    changes: dict[str, object] = {"failures": failures}
    if failures >= BREAKER_FAILURES:
        pause = BREAKER_SECONDS[min(failures - BREAKER_FAILURES, len(BREAKER_SECONDS) - 1)]
        changes["open_until"] = now + dt.timedelta(seconds=pause * settings.SCHEDULE_FACTOR)
        changes["state_reason"] = "The client's system does not answer as it should. Tries go on, one at a time."
    Integration.objects.filter(pk=integration_id).update(**changes)
