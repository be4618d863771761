"""When the client changes their form: it is looked at on a schedule and after a refusal, and never changes a live mapping silently.

What would break leads holds them until a person has decided; what would not is taken in, and is a version of the mapping.
Nothing here may run inside a transaction where it asks the client.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from integrations.delivery import (
    FORM_ASKED,
    deliveries_park,
    deliveries_unpark,
    deliveries_waiting,
    integration_hold,
    integration_problems,
    integration_switch,
)
from integrations.discovery import form_ask, form_store, next_pull_at
from integrations.drift_rules import diff_judged
from integrations.form_diff import FormDiff, form_as_dict, form_diff, form_digest, form_of
from integrations.kit.contract import ConnectorError, RemoteForm
from integrations.kit.registry import connector as find_connector
from integrations.mapping import CHOICE, mapping_columns
from integrations.models import Delivery, DeliveryState, FieldMapping, Integration, IntegrationState, MappingVersion
from integrations.versions import mapping_expect, mapping_save, when_words

logger = logging.getLogger(__name__)

PULL_AGAIN_SECONDS = 300


class PullOutcome(StrEnum):
    """What a look at the client's form came to."""

    UNCHANGED = "unchanged"
    TAKEN_IN = "taken_in"  # nothing that breaks a lead: the rows follow
    WAITING = "waiting"  # a person has to decide
    BACK = "back"  # it is again as it was mapped


@dataclass(frozen=True, slots=True)
class PullReport:
    outcome: PullOutcome
    diff: FormDiff = field(default_factory=FormDiff)


@dataclass(frozen=True, slots=True)
class Drift:
    """A change of the client's form that waits for a decision. `digest` says which one a page has shown."""

    found_at: dt.datetime
    form_name: str
    diff: FormDiff
    digest: str
    waiting: int
    """How many deliveries wait for this integration."""
    words: str
    """"Their form changed on 21 Nov 14:02. 317 leads need a new mapping." """


@dataclass(frozen=True, slots=True)
class AcceptReport:
    """What accepting came to. `on`: leads go out again; else `missing` says in words what is still open."""

    version: int
    on: bool
    released: int = 0
    missing: list[str] = field(default_factory=list)


def integration_pull_due(integration_id: int) -> PullReport | None:
    """The scheduled look at a client's form. None where another worker has it, or the client did not give it."""
    now = timezone.now()
    claimed = Integration.objects.filter(pk=integration_id, next_pull_at__lte=now).update(
        next_pull_at=next_pull_at(now)
    )
    integration = Integration.objects.filter(pk=integration_id).first()
    if not claimed or integration is None or find_connector(integration.connector).discover is None:
        return None
    try:
        report = integration_pull(integration)
    except ConnectorError as error:
        again = min(settings.DISCOVERY_SECONDS, PULL_AGAIN_SECONDS * settings.SCHEDULE_FACTOR)
        Integration.objects.filter(pk=integration_id).update(next_pull_at=now + dt.timedelta(seconds=again))
        logger.info("integration %s: its client's form can't be had: %s", integration_id, error)
        return None
    Integration.objects.filter(pk=integration_id).update(pulled_at=timezone.now())
    _answer_refusals(integration_id, report)
    return report


def integration_pull(integration: Integration) -> PullReport:
    """Look at the client's form. A form as it was mapped writes nothing. ConnectorError where it can't be had.

    What breaks no lead is taken in. What would, waits: the integration needs a look, and what is due is held.
    """
    form = form_ask(integration)
    current = Integration.objects.get(pk=integration.pk)
    if (
        current.pending_form is None
        and not form_diff(mapping_columns(current), form)
        and not _other_about(current, form)
    ):
        return PullReport(PullOutcome.UNCHANGED)
    with transaction.atomic():
        return _settle(Integration.objects.select_for_update().get(pk=integration.pk), form)


def _other_about(integration: Integration, form: RemoteForm) -> bool:
    """Whether what is known of the form beside its fields is different."""
    sync = {entry.sync: entry.key for entry in form.fields if entry.sync}
    known = (integration.remote_form, integration.honours_keys, integration.sync_keys)
    return known != (form.name, form.honours_keys, sync)


def _settle(integration: Integration, form: RemoteForm) -> PullReport:
    diff = diff_judged(integration, form_diff(mapping_columns(integration), form))
    pending = integration.pending_form
    if diff.breaking:
        if pending is None or pending["digest"] != form_digest(form):
            _hold(integration, form, diff)
        return PullReport(PullOutcome.WAITING, diff)
    form_store(integration, form, renames=diff.renames)
    if diff or _version_is_older(integration):
        mapping_save(integration, why=MappingVersion.Why.PULLED)
    if pending is not None:
        _go_on(integration, was_held=pending["held"])
    if not diff:
        return PullReport(PullOutcome.UNCHANGED if pending is None else PullOutcome.BACK)
    return PullReport(PullOutcome.TAKEN_IN, diff)


def _version_is_older(integration: Integration) -> bool:
    """Whether the sync inputs or the form's name are others than in the version in force."""
    kept = MappingVersion.objects.filter(integration=integration.pk, number=integration.mapping_version)
    now = {"name": integration.remote_form, "sync_keys": integration.sync_keys}
    return any(form != now for form in kept.values_list("form", flat=True))


def _hold(integration: Integration, form: RemoteForm, diff: FormDiff) -> None:
    """Keep their form for a person to decide on, and let all wait that it would break."""
    now = timezone.now()
    before = bool(integration.pending_form and integration.pending_form["held"])
    held = integration.state == IntegrationState.ON or (before and integration.state == IntegrationState.NEEDS_A_LOOK)
    when = when_words(now, integration.campaign.time_zone)
    reason = f"Waiting: the client's form changed on {when}. It needs a new mapping."
    integration.pending_form = {
        "form": form_as_dict(form),
        "digest": form_digest(form),
        "found_at": now.isoformat(),
        "held": held,
        "reason": reason,
    }
    if held:
        why = " ".join(f"{change}." for change in diff.breaking[:5])
        integration.state = IntegrationState.NEEDS_A_LOOK
        integration.state_reason = f"Their form changed on {when}, and leads need a new mapping. {why}"
    integration.save(update_fields=["pending_form", "state", "state_reason", "updated_at"])
    if held:
        deliveries_park(integration.pk, reason)
        Delivery.objects.filter(integration=integration, state=DeliveryState.HELD, reason=FORM_ASKED).update(
            reason=reason
        )


def _go_on(integration: Integration, *, was_held: bool) -> None:
    """Forget the change that waited; where it was what stopped the integration, switch it on."""
    integration.pending_form = None
    integration.save(update_fields=["pending_form", "updated_at"])
    if not was_held or integration.state != IntegrationState.NEEDS_A_LOOK:
        return
    if problems := integration_problems(integration):
        integration.state_reason = " ".join(problems)
        integration.save(update_fields=["state_reason", "updated_at"])
    else:
        integration_switch(integration, on=True)


def _answer_refusals(integration_id: int, report: PullReport) -> None:
    """Decide on what was refused for its fields, and on what waits behind it, now that the form has been looked at."""
    if report.outcome == PullOutcome.WAITING:
        return
    asked = Delivery.objects.filter(integration=integration_id, state=DeliveryState.HELD, reason=FORM_ASKED)
    if not asked.exists():
        return
    integration = Integration.objects.get(pk=integration_id)
    # Sent with the mapping in force, which has what their form says, and refused all the same.
    at_odds = asked.filter(mapping_version=integration.mapping_version, tries__gt=0)
    last = at_odds.order_by("-id").first() if report.outcome == PullOutcome.UNCHANGED else None
    if last is None:
        deliveries_unpark(integration_id, FORM_ASKED)
        return
    extra = [str(row) for row in integration.mappings.filter(state=FieldMapping.State.EXTRA).exclude(source="")]
    named = ", ".join(extra or [key for key, _ in last.problems if key])[:300]
    words = "The client refuses fields that their form, as they list it, does not explain."
    if extra:
        words = f"The client refuses a field that is not on their form. Added by hand: {named}."
    elif named:
        words = f"The client refuses {named} as no field of their form, which lists it."
    words += " Take it out of the mapping or ask them, then switch on again."
    integration_hold(integration_id, words)
    asked.update(reason=f"Waiting: {words}")


# --- for the page that shows a change -----------------------------------------------------------------------


def drift_pending(integration: Integration) -> Drift | None:
    """The change that waits for a decision, against the mapping as it is now; None where none does."""
    pending = integration.pending_form
    if pending is None:
        return None
    form = form_of(pending["form"])
    found_at = dt.datetime.fromisoformat(pending["found_at"])
    waiting = deliveries_waiting(integration).count()
    need = f"{waiting:,} lead{'' if waiting == 1 else 's'} need{'s' if waiting == 1 else ''} a new mapping."
    return Drift(
        found_at=found_at,
        form_name=form.name,
        diff=diff_judged(integration, form_diff(mapping_columns(integration), form)),
        digest=pending["digest"],
        waiting=waiting,
        words=f"Their form changed on {when_words(found_at, integration.campaign.time_zone)}. {need}",
    )


def drift_accept(
    integration: Integration,
    by: str,
    *,
    renames: Mapping[str, str] | None = None,
    choices: Mapping[str, Mapping[str, Any]] | None = None,
    digest: str = "",
    expected_version: int | None = None,
) -> AcceptReport:
    """Take the change into the mapping: what was renamed keeps its mapping, what is gone goes, what is new appears.

    `renames` are those that the person takes (old keys to new ones); None takes all that are suggested. `choices` are what
    was chosen on the page for a field by its key on their form: source, value, value_map, transforms, as many as were
    chosen. Nothing required missing: the integration is switched on and what waits goes out. `digest` is that of the change
    that the page showed. ConnectorError where there is nothing to accept, or another change by now; MappingConflict where
    the mapping is another one by now.
    """
    with transaction.atomic():
        locked = Integration.objects.select_for_update().get(pk=integration.pk)
        pending = locked.pending_form
        if pending is None:
            raise ConnectorError("There is no change of their form to accept: somebody has decided on it already.")
        if digest and digest != pending["digest"]:
            raise ConnectorError(
                "Their form has changed once more since you opened this page. Look at the change again."
            )
        mapping_expect(locked, expected_version)
        form = form_of(pending["form"])
        taken = form_diff(mapping_columns(locked), form).renames if renames is None else renames
        form_store(locked, form, renames=taken, drop=True)
        _choose(locked, choices or {})
        locked.discovered_at = timezone.now()
        locked.pending_form = None
        locked.save(update_fields=["discovered_at", "pending_form", "updated_at"])
        version = mapping_save(locked, by, why=MappingVersion.Why.ACCEPTED)
        missing = integration_problems(locked)
        if missing and locked.state in (IntegrationState.ON, IntegrationState.NEEDS_A_LOOK):
            locked.state, locked.state_reason = IntegrationState.NEEDS_A_LOOK, " ".join(missing)
            locked.save(update_fields=["state", "state_reason", "updated_at"])
            deliveries_waiting(locked).filter(reason=pending["reason"]).update(reason=f"Waiting: {' '.join(missing)}")
        released = 0
        if not missing and locked.state == IntegrationState.NEEDS_A_LOOK:
            released = deliveries_waiting(locked).count()
            integration_switch(locked, on=True)
    return AcceptReport(version, locked.state == IntegrationState.ON, released, missing)


def _choose(integration: Integration, choices: Mapping[str, Mapping[str, Any]]) -> None:
    rows = list(integration.mappings.filter(remote_key__in=list(choices)))
    for row in rows:
        for name, value in choices[row.remote_key].items():
            if name in CHOICE:
                setattr(row, name, value)
    FieldMapping.objects.bulk_update(rows, sorted(CHOICE), batch_size=100)
