"""Mend a lead that a client refused, and send it again: its values change with history, and it goes out under a new key.

A refused delivery is never sent again by itself (facts, section 8); what goes out here is what a person put right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from integrations.delivery import Wish, deliveries_add, deliveries_release
from integrations.judging.appended import lead_append
from integrations.models import Delivery, DeliveryState, FieldMapping, IntegrationState, VerdictState
from leads.forms import FieldSpec, Input, compile_form, text_problem
from leads.models import Lead
from leads.models.lead import Via

# Said no, or came to nothing; what may have arrived, or is on its way, is not mended here.
ENDED = (DeliveryState.REFUSED, DeliveryState.EXHAUSTED)
SAID_NO = (VerdictState.INVALID, VerdictState.RETURNED)


class MendError(Exception):
    """It can't be mended as it stands; the message says why. `problems` are words by the value's key."""

    def __init__(self, message: str, problems: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.problems = dict(problems or {})


@dataclass(frozen=True, slots=True)
class Box:
    """One value of a lead: its key, what it is called, what it is, its choices, and what the client says of it."""

    key: str
    label: str
    value: str
    choices: tuple[tuple[str, str], ...] = ()
    said: str = ""


def mendable(delivery: Delivery) -> bool:
    """Whether its lead can be mended and sent again: refused, given up, judged bad, or waiting for a value."""
    if delivery.kind != Delivery.Kind.LEAD or delivery.lead is None or delivery.lead.erased_at is not None:
        return False
    bad = delivery.state == DeliveryState.DELIVERED and delivery.verdict in SAID_NO
    return bad or delivery.state in ENDED or (delivery.state == DeliveryState.HELD and bool(delivery.problems))


def mend_boxes(delivery: Delivery) -> list[Box]:
    """The lead's values in its form's order, then those of no field, each with the client's words on what it was mapped to."""
    lead = delivery.lead
    assert lead is not None
    said = _said(delivery)
    fields = list(lead.form.fields.filter(enabled=True))
    boxes: dict[str, Box] = {}
    for field in fields:
        for key in field.inputs:
            part = f" ({key.rpartition('.')[2]})" if key != field.name else ""
            one_of = key == field.name and field.choices and not field.multiple
            choices = (
                tuple((str(c["value"]), str(c.get("label") or c["value"])) for c in field.choices) if one_of else ()
            )
            label = f"{field.label or field.name}{part}"
            boxes[key] = Box(key, label, str(lead.values.get(key, "")), choices, said.get(key, ""))
    for key, value in lead.values.items():
        boxes.setdefault(key, Box(key, key, str(value), (), said.get(key, "")))
    return list(boxes.values())


def delivery_mend(delivery_id: int, values: Mapping[str, str], *, by: str) -> int:
    """Keep these values where they differ, and send the lead to that integration again; the id of the delivery that goes.

    What never went out (it waited for a value) goes as it is; else it is a new delivery with a key of its own. A second
    click does nothing more. MendError says why not.
    """
    with transaction.atomic():
        delivery = (
            Delivery.objects.select_for_update(of=("self",))
            .select_related("integration", "lead__form")
            .filter(pk=delivery_id)
            .first()
        )
        if delivery is None or delivery.lead is None or not mendable(delivery):
            raise MendError("It can’t be mended and sent again as it stands now.")
        alike = Delivery.objects.filter(lead=delivery.lead_id, integration=delivery.integration_id, kind=delivery.kind)
        if alike.filter(pk__gt=delivery.pk).exists():
            raise MendError("This lead was sent there again since. Look at its latest delivery.")
        changed = _changed(delivery.lead, values)
        if changed:
            lead_append(delivery.lead.pk, changed, by=by, via=Via.ADMIN)
        if delivery.state == DeliveryState.HELD:
            deliveries_release([delivery.pk])
            return delivery.pk
        wish = Wish(delivery.integration, Delivery.Kind.LEAD, delivery.lead.pk, test=delivery.test, resend=True)
        deliveries_add([wish], at_rate=True)
        return int(alike.order_by("-pk").values_list("pk", flat=True)[0])


def waits_for_it(delivery: Delivery) -> str:
    """What is to be known before it is sent: "" where it goes out at once."""
    if delivery.integration.state == IntegrationState.ON:
        return ""
    return f"{delivery.integration.name} is not on: it waits there until it is."


def _changed(lead: Lead, values: Mapping[str, str]) -> dict[str, str]:
    """Which of them are other values than the lead has; MendError where one does not fit its field."""
    specs = [FieldSpec(*row) for row in lead.form.fields.filter(enabled=True).values_list(*FieldSpec._fields)]
    form = compile_form(lead.form_id, lead.form.name, lead.form.version, specs)
    inputs = {made.key: made for made in form.inputs.values()}
    changed, problems = {}, {}
    for key, value in values.items():
        value = value.strip()
        if value == str(lead.values.get(key, "")) or (key not in inputs and key not in lead.values):
            continue
        changed[key], problem = _checked(value, inputs.get(key))
        if problem:
            problems[key] = problem
    if problems:
        raise MendError("Some values do not fit their fields.", problems)
    return changed


def _checked(value: str, made: Input | None) -> tuple[str, str]:
    if problem := text_problem(value, settings.MAX_VALUE_CHARS):
        return value, problem
    if made is None:
        return value, ""
    if not value:
        return value, "This value is missing." if made.required else ""
    return made.check(value)


def _said(delivery: Delivery) -> dict[str, str]:
    """The client's words by the key of the value that was mapped to the field they name."""
    rows = delivery.integration.mappings.filter(source=FieldMapping.Source.FIELD).values_list("remote_key", "value")
    ours = dict(rows)
    said: dict[str, str] = {}
    for problem in delivery.problems:
        if isinstance(problem, list | tuple) and len(problem) == 2 and problem[0] in ours:
            said[ours[problem[0]]] = str(problem[1])
    return said
