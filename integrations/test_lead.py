"""A test lead: really sent to one client, marked Test on both sides, counted nowhere, and answered while a person waits."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from integrations.discovery import pull_soon
from integrations.flows import SingleCalls, connector_call, token_get, token_renew
from integrations.kit.contract import (
    Connector,
    ConnectorError,
    NoAnswer,
    Outcome,
    OutcomeKind,
    Payload,
    misconfigured,
    retry,
    unknown,
)
from integrations.kit.flow import Exchange, run
from integrations.kit.mapping import MappingProblem, compile_rows
from integrations.kit.registry import connector as find_connector
from integrations.mapping import leads_facts, mapping_rows
from integrations.models import Attempt, Delivery, DeliveryState, Integration, IntegrationState
from integrations.poll_times import first_poll_at
from leads import clock
from leads.database import uuid7
from leads.forms import FieldSpec, clean, compile_form
from leads.intake import LeadRow, leads_insert
from leads.models import Field, Form, Lead, Publisher, Status
from leads.status import Judgement, leads_judge

SECONDS = 15
LEASE_SECONDS = 60
# Whose test leads typed in the console are: a publisher that has no key and sends nothing.
HOUSE = "Test leads (this portal)"


@dataclass(frozen=True, slots=True)
class TestAnswer:
    """What became of a test lead. `outcome` None: nothing was sent, and `problems` (field, words) say why."""

    outcome: Outcome | None
    problems: tuple[tuple[str, str], ...] = ()
    lead_id: int | None = None
    delivery_id: int | None = None
    exchanges: tuple[dict[str, Any], ...] = ()
    took_ms: int = 0


def test_lead_send(integration: Integration, lead: Lead | Mapping[str, str], by: str) -> TestAnswer:
    """Send a test lead to this integration alone, whether it is on or not, and return the client's real answer.

    `lead` is an existing one, which is copied with its publisher and link, or values typed in by our input names. It is
    received as any lead is, by its form's rules, and marked Test. It is tried once: whatever comes back, nothing is tried
    again by itself, and the integration does not stop by it. It takes 15 seconds at the most.
    """
    connector = find_connector(integration.connector)
    if Delivery.Kind.LEAD not in connector.manifest.accepts:
        return TestAnswer(None, (("", f"{connector.manifest.name} takes no leads."),))
    row = _copied(lead) if isinstance(lead, Lead) else _typed(integration, lead)
    if not isinstance(row, LeadRow):
        return TestAnswer(None, row)
    lead_id, delivery = _received(integration, row, by)
    started_at, begun, log = clock.now(), time.monotonic(), list[Exchange]()
    try:
        payload = _payload(integration, delivery)
    except MappingProblem as problem:
        outcome, problems = misconfigured(str(problem)), problem.problems
        _write_down(connector, delivery, outcome, problems)
        return TestAnswer(None, problems, lead_id, delivery.pk)
    outcome = _answer(integration, connector, delivery, payload, log)
    took_ms = int((time.monotonic() - begun) * 1000)
    exchanges = tuple(exchange.as_dict() for exchange in log)
    with transaction.atomic():
        _write_down(connector, delivery, outcome, outcome.problems)
        Attempt.objects.create(
            delivery=delivery, number=1, started_at=started_at, took_ms=took_ms, outcome=outcome.kind,
            message=outcome.message, exchanges=list(exchanges),
        )  # fmt: skip
        if outcome.form_changed and integration.state in (IntegrationState.ON, IntegrationState.NEEDS_A_LOOK):
            pull_soon(integration.pk)
    return TestAnswer(outcome, outcome.problems, lead_id, delivery.pk, exchanges, took_ms)


def _copied(lead: Lead) -> LeadRow:
    return LeadRow(
        hash=uuid7(),
        campaign_id=lead.campaign_id,
        publisher_id=lead.publisher_id,
        form_id=lead.form_id,
        form_version=lead.form_version,
        link_id=lead.link_id,
        values=lead.values,
        status=Status.TEST.value,
        ip=lead.ip,
    )


def _typed(integration: Integration, values: Mapping[str, str]) -> LeadRow | tuple[tuple[str, str], ...]:
    """The values as a row of the campaign's form that has the most of them, or what is wrong with them."""
    forms = list(Form.objects.filter(campaigns=integration.campaign_id).order_by("id"))
    if not forms:
        return (("", "The campaign has no form yet, so it takes no leads."),)
    specs = {form.pk: list[FieldSpec]() for form in forms}
    rows = Field.objects.filter(form__in=forms, enabled=True).order_by("position", "id")
    for form_id, *columns in rows.values_list("form_id", *FieldSpec._fields):
        specs[form_id].append(FieldSpec(*columns))
    compiled = [compile_form(form.pk, form.name, form.version, specs[form.pk]) for form in forms]
    form = max(compiled, key=lambda each: sum(made.key in values for made in each.inputs.values()))
    wires = {made.key: wire for wire, made in form.inputs.items()}
    pairs = [(wires.get(key, key), value) for key, value in values.items() if value.strip()]
    cleaned = clean(form, pairs, settings.MAX_VALUE_CHARS)
    if isinstance(cleaned, list):
        keys = {wire: made.key for wire, made in form.inputs.items()}
        return tuple((keys.get(error.name, error.name), error.message) for error in cleaned)
    house, _ = Publisher.objects.get_or_create(name=HOUSE, defaults={"active": False})
    return LeadRow(
        hash=uuid7(),
        campaign_id=integration.campaign.pk,
        publisher_id=house.pk,
        form_id=form.id,
        form_version=form.version,
        link_id=None,
        values=cleaned.values,
        status=Status.TEST.value,
    )


def _received(integration: Integration, row: LeadRow, by: str) -> tuple[int, Delivery]:
    """The lead judged, so that the Processr hands it to nobody else, with its delivery in our hands alone."""
    with transaction.atomic():
        (received,) = leads_insert([row])
        if isinstance(received, Exception):
            raise received
        lead_id = received.lead_id
        leads_judge({lead_id: Judgement(Status.TEST)}, tell={lead_id: False})
        delivery = Delivery.objects.create(
            key=uuid7(),
            integration=integration,
            kind=Delivery.Kind.LEAD,
            lead_id=lead_id,
            data={"asked_by": by[:200]},
            test=True,
            state=DeliveryState.SENDING,
            next_try_at=None,
            tries=1,
            fence=1,
            lease_until=clock.now() + dt.timedelta(seconds=LEASE_SECONDS),
            mapping_version=integration.mapping_version,
        )
    return lead_id, delivery


def _payload(integration: Integration, delivery: Delivery) -> Payload:
    assert delivery.lead_id is not None
    fields = compile_rows(mapping_rows(integration))(leads_facts([delivery.lead_id])[delivery.lead_id])
    if settings.SYNC_TAGS and {"token", "subdomain"} <= set(integration.sync_keys):
        fields[integration.sync_keys["token"]] = delivery.key.hex
        fields[integration.sync_keys["subdomain"]] = settings.INSTANCE_SUBDOMAIN
    return Payload(kind="lead", fields=fields, test=True)


def _answer(
    integration: Integration, connector: Connector, delivery: Delivery, payload: Payload, log: list[Exchange]
) -> Outcome:
    calls, values = SingleCalls(SECONDS), integration.all_settings
    try:
        token = token_get(connector, values, calls=calls)
        for renewed in (False, True):
            call = connector_call(connector, values, token=token, key=delivery.key.hex)
            outcome = run(connector.deliver(call, payload), calls.send, log)
            if not outcome.renew_token or renewed:
                break
            token = token_renew(connector, values, token, calls=calls)
    except NoAnswer as silence:
        return unknown(f"{silence} It may have arrived.") if silence.sent and log else retry(str(silence))
    except ConnectorError as error:
        return retry(error.message, error.after_s) if error.passing else misconfigured(error.message)
    return misconfigured(outcome.message) if outcome.renew_token else outcome


def _write_down(
    connector: Connector, delivery: Delivery, outcome: Outcome, problems: tuple[tuple[str, str], ...]
) -> None:
    """The delivery as it ends. What decided nothing is given up: a test that goes out hours later surprises everybody."""
    now = clock.now()
    states = {
        OutcomeKind.DELIVERED: DeliveryState.DELIVERED,
        OutcomeKind.REFUSED: DeliveryState.REFUSED,
        OutcomeKind.UNKNOWN: DeliveryState.UNKNOWN,
    }
    arrived = outcome.kind == OutcomeKind.DELIVERED
    Delivery.objects.filter(pk=delivery.pk, fence=delivery.fence).update(
        state=states.get(outcome.kind, DeliveryState.EXHAUSTED),
        reason=outcome.message,
        problems=[list(problem) for problem in problems],
        reference=outcome.reference[:200],
        lease_until=None,
        delivered_at=now if arrived else None,
        next_poll_at=first_poll_at(now) if arrived and outcome.reference and connector.poll is not None else None,
    )
