"""A client's system that does not answer as it should: calls to it pause, and one probe at a time finds out when it does.

Every call to a host that does not answer at all would only wait as long, so all integrations that call it pause together.
One that has failed for days is switched off (failing.py), and probed now and then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from django.conf import settings
from django.db.models import Case, F, PositiveIntegerField, Q, QuerySet, Value, When

from integrations.delivery import DELIVER_TASK
from integrations.failing import failing_probe_failed, failing_recovered
from integrations.gate import SWITCHED_OFF as SWITCHED_OFF
from integrations.gate import sendable as sendable
from integrations.kit.contract import OutcomeKind
from integrations.models import Integration, IntegrationState
from leads.wake import wake

# A run of so many failed calls opens the breaker; then one probe at a time, with pauses that grow with each that fails.
BREAKER_FAILURES = 5
BREAKER_SECONDS = (5, 15, 30, 60, 120, 300)
# What a call came to that tells nothing good of the client's system.
FAILED = frozenset([OutcomeKind.RETRY, OutcomeKind.UNKNOWN])
NOT_AS_IT_SHOULD = "The client's system does not answer as it should. Tries go on, one at a time."


def breaker_record(
    integration_id: int, outcomes: Sequence[OutcomeKind], now: dt.datetime, *, host: str = "", silent: bool = False
) -> None:
    """Count calls that decided nothing; a run of them opens the breaker, one that decided something closes it.

    `host` is the host that was called, and `silent` whether none of these calls got any answer from it. A run of those
    opens the breakers of all integrations that call this host; one answer lets them all probe at once. Since when every
    call has failed is kept as well. In the caller's transaction, after the outcomes were written.
    """
    if not outcomes:
        return
    integration = Integration.objects.only(
        "state", "failures", "open_until", "state_reason", "remote_host", "failing_since", "failing_told"
    ).get(pk=integration_id)
    failed = sum(kind in FAILED for kind in outcomes)
    troubled = integration.failures or integration.open_until or integration.failing_since
    if failed < len(outcomes):
        if troubled:
            _answered(integration, now)
        return
    host = host or integration.remote_host
    if not silent and integration.state_reason == _silence(host):
        # It answers again, if not well: the others may find out how it answers them.
        _let_probe(host, now, but=integration_id)
    if integration.open_until is None:
        # A batch fails as a whole: what counts is that it did, not how many leads were in it.
        failures = min(integration.failures + failed, BREAKER_FAILURES)
    else:
        failures = integration.failures + 1
    changes: dict[str, object] = {"failures": failures}
    if host and host != integration.remote_host:
        changes["remote_host"] = host
    if integration.failing_since is None:
        changes["failing_since"] = now
    if integration.state != IntegrationState.ON:
        if integration.failing_told == SWITCHED_OFF:
            failing_probe_failed(integration, now)
        Integration.objects.filter(pk=integration_id).update(**changes)
        return
    if failures >= BREAKER_FAILURES:
        pause = BREAKER_SECONDS[min(failures - BREAKER_FAILURES, len(BREAKER_SECONDS) - 1)]
        until = now + dt.timedelta(seconds=pause * settings.SCHEDULE_FACTOR)
        changes["open_until"] = until
        changes["state_reason"] = _silence(host) if silent and host else NOT_AS_IT_SHOULD
        if silent and host:
            _open_all(host, until, but=integration_id)
    Integration.objects.filter(pk=integration_id).update(**changes)


def _answered(integration: Integration, now: dt.datetime) -> None:
    """The client's system decided something: nothing of the failures is left."""
    was = integration.state_reason
    changes: dict[str, object] = {"failures": 0, "open_until": None, "failing_since": None}
    if integration.state == IntegrationState.ON:
        changes |= {"failing_told": 0, "state_reason": ""}
    Integration.objects.filter(pk=integration.pk).update(**changes)
    if integration.remote_host and was == _silence(integration.remote_host):
        _let_probe(integration.remote_host, now, but=integration.pk)
    if integration.failing_told:
        failing_recovered(integration.pk)


def _silence(host: str) -> str:
    """Why all that call this host wait; known again by these words."""
    return f"{host} does not answer at all. Tries go on, one at a time."


def _open_all(host: str, until: dt.datetime, *, but: int) -> None:
    others = _of_host(host, but).filter(Q(open_until=None) | Q(open_until__lt=until))
    enough = When(failures__lt=BREAKER_FAILURES, then=Value(BREAKER_FAILURES))
    others.update(
        open_until=until,
        failures=Case(enough, default=F("failures"), output_field=PositiveIntegerField()),
        state_reason=_silence(host),
    )


def _let_probe(host: str, now: dt.datetime, *, but: int) -> None:
    others = _of_host(host, but).filter(open_until__isnull=False, state_reason=_silence(host))
    for integration_id in list(others.values_list("pk", flat=True)):
        wake(DELIVER_TASK, integration_id)
    others.update(open_until=now)


def _of_host(host: str, but: int) -> QuerySet[Integration]:
    return Integration.objects.filter(remote_host=host, state=IntegrationState.ON).exclude(pk=but)
