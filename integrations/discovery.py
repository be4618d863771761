"""Pulls a client's form into mapping rows, and asks the client what the Configure page wants to know.

Nothing here may run inside a transaction: each function waits for a client's answer.
"""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from integrations.flows import run_step
from integrations.judging.job_sets import campaign_enriched_names
from integrations.kit.answers import plain_text
from integrations.kit.contract import Call, Choice, Connector, ConnectorError, Flow, NoAnswer, RemoteField, RemoteForm
from integrations.kit.redaction import storable
from integrations.kit.registry import connector as find_connector
from integrations.kit.suggestions import SAME_NAME, OwnField, suggest
from integrations.kit.text_map import setting_text
from integrations.mapping import COLUMNS
from integrations.models import FieldMapping, Integration, IntegrationState, MappingVersion
from integrations.versions import mapping_save
from leads import clock
from leads.models import Field
from leads.wake import wake

T = TypeVar("T")
Row = FieldMapping
PULL_TASK = "integrations.pull_form"
ADDED = "(added by enrichment)"

# What is kept of a client's form at the most.
KEY_CHARS, LABEL_CHARS, VALUE_CHARS, MAX_FIELDS, MAX_CHOICES = 200, 500, 500, 1_000, 5_000
# A form is looked at out of turn not more often than this.
PULL_PAUSE_SECONDS = 60
PULLS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class DiscoveryReport:
    """What a pull of the client's form changed, as remote keys."""

    added: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    kept: int = 0
    matched: int = 0


def settings_problems(connector: Connector, values: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with a connector's settings before anybody is asked: settings name to words. Empty when all is well."""
    problems: dict[str, str] = {}
    for box in connector.manifest.settings:
        given = values.get(box.name)
        value = (setting_text(given) if box.type == "map" else str(given if given is not None else "")).strip()
        if not value:
            if box.required:
                problems[box.name] = f"{box.label} is missing."
        elif box.type == "integer" and not re.fullmatch(r"\d{1,12}", value):
            problems[box.name] = f"{box.label} is a number, such as 204."
        elif box.pattern and not re.fullmatch(box.pattern, value):
            problems[box.name] = box.pattern_help or f"{box.label} is not written as it should be."
        elif box.choices and value not in {choice.value for choice in box.choices}:
            known = ", ".join(choice.label for choice in box.choices)
            problems[box.name] = f"{box.label}: choose one of {known}."
    return problems


def integration_check(integration: Integration) -> None:
    """Ask the client whether these settings work, with a log-in of its own. ConnectorError says what does not."""
    connector = find_connector(integration.connector)
    _refuse_problems(connector, integration.all_settings)
    if connector.check is not None:
        _ask(connector, connector.check, integration.all_settings, fresh_login=True)


def integration_options(slug: str, values: Mapping[str, Any], name: str) -> tuple[Choice, ...]:
    """The client's choices for a settings field (Global Form, Link) from the settings filled in so far.

    ConnectorError where they can't be had yet; () where the connector has none for this field.
    """
    connector = find_connector(slug)
    options = connector.options
    if options is None:
        return ()
    return _ask(connector, lambda call: options(call, name), values)


def integration_discover(integration: Integration, by: str = "") -> DiscoveryReport:
    """Pull the client's form because a person wants it, and store it as mapping rows, the client's fields on the left.

    Choices that were made stay; what vanished is marked, not removed; what is new is added and, where a field of ours has
    the same name, matched. A change of theirs that waited for a decision is decided by this. ConnectorError where the
    client's form can't be had.
    """
    if find_connector(integration.connector).discover is None:
        return DiscoveryReport()
    form = form_ask(integration)
    with transaction.atomic():
        locked = Integration.objects.select_for_update().get(pk=integration.pk)
        report = form_store(locked, form)
        locked.discovered_at = timezone.now()
        locked.pending_form = None
        locked.save(update_fields=["discovered_at", "pending_form", "updated_at"])
        mapping_save(locked, by, why=MappingVersion.Why.PULLED)
    return report


def form_ask(integration: Integration) -> RemoteForm:
    """The client's form as it is now, cut to what we keep. ConnectorError where it can't be had."""
    connector = find_connector(integration.connector)
    _refuse_problems(connector, integration.all_settings)
    if connector.discover is None:
        raise ConnectorError(f"{connector.manifest.name} has no form that could be pulled.")
    return form_bounded(_ask(connector, connector.discover, integration.all_settings))


def own_fields(integration: Integration) -> list[Field]:
    """The fields of the campaign's forms, each input name once, in the forms' order."""
    return list(
        Field.objects.filter(form__campaigns=integration.campaign_id, enabled=True).order_by(
            "form_id", "position", "id"
        )
    )


def own_inputs(integration: Integration) -> list[OwnField]:
    """The inputs of the campaign's forms, and what its enrichment adds, as the mapping knows them, each name once."""
    found: dict[str, OwnField] = {}
    for entry in own_fields(integration):
        for name in entry.inputs:
            part = f" ({name.rpartition('.')[2]})" if name != entry.name else ""
            found.setdefault(name, OwnField(name, f"{entry.label or entry.name}{part}", entry.type))
    for name in own_added(integration):
        found.setdefault(name, OwnField(name, f"{name} {ADDED}", "text"))
    return list(found.values())


def own_added(integration: Integration) -> tuple[str, ...]:
    """The names of what the campaign's enrichment adds to its leads; they are mapped as inputs are."""
    return campaign_enriched_names(integration.campaign_id) if integration.campaign_id is not None else ()


def mapping_changed(integration: Integration, by: str = "") -> None:
    """Keep the mapping as it is now as a version; what was compiled of the old one is dropped by this."""
    mapping_save(integration, by)


def pull_soon(integration_id: int) -> None:
    """Have the client's form looked at now: something says that it changed.

    Not more often than once a minute: a client that refuses what it has just asked for must not keep us busy.
    """
    now = clock.now()
    pulled_at = Integration.objects.values_list("pulled_at", flat=True).get(pk=integration_id)
    pause = dt.timedelta(seconds=PULL_PAUSE_SECONDS * settings.SCHEDULE_FACTOR)
    when = now if pulled_at is None else max(now, pulled_at + pause)
    Integration.objects.filter(pk=integration_id).update(next_pull_at=when)
    if when == now:
        wake(PULL_TASK, integration_id)


def next_pull_at(now: dt.datetime) -> dt.datetime:
    """When to look at a client's form again: every DISCOVERY_SECONDS, spread so that not all are asked at once."""
    return now + dt.timedelta(seconds=settings.DISCOVERY_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311


def pulls_due() -> list[int]:
    """Integrations whose client's form is to be looked at now: those that are on or need a look."""
    states = (IntegrationState.ON, IntegrationState.NEEDS_A_LOOK)
    due = Integration.objects.filter(next_pull_at__lte=clock.now(), state__in=states)
    return list(due.order_by("next_pull_at").values_list("pk", flat=True)[:PULLS_AT_ONCE])


def _refuse_problems(connector: Connector, values: Mapping[str, Any]) -> None:
    for name, words in settings_problems(connector, values).items():
        raise ConnectorError(words, name)


def _ask(
    connector: Connector, step: Callable[[Call], Flow[T]], values: Mapping[str, Any], *, fresh_login: bool = False
) -> T:
    try:
        return run_step(connector, step, values, fresh_login=fresh_login)
    except NoAnswer as silence:
        raise ConnectorError(f"{silence} You can save now and check again later.") from silence


def form_store(
    integration: Integration, form: RemoteForm, *, renames: Mapping[str, str] | None = None, drop: bool = False
) -> DiscoveryReport:
    """Write the client's form into mapping rows, in the caller's transaction; only rows that are others now are written.

    `renames` are their old keys to new ones: such a row keeps its mapping. With `drop` the rows of fields that they have no
    longer go; otherwise these are marked.
    """
    rows = {row.remote_key: row for row in FieldMapping.objects.filter(integration=integration.pk)}
    stored = {row.pk: _columns(row) for row in rows.values()}
    for old, new in (renames or {}).items():
        if old in rows and new not in rows:
            rows[new] = rows.pop(old)
            rows[new].remote_key = new
    remote = [entry for entry in form.fields if not entry.sync]
    suggestions = _suggestions(integration, [entry for entry in remote if entry.key not in rows])
    known, made = [], []
    for position, entry in enumerate(remote):
        row = rows.pop(entry.key, None)
        if row is None:
            name = suggestions.get(entry.key, "")
            row = Row(integration=integration, remote_key=entry.key, state=Row.State.NEW)
            row.source, row.value = (Row.Source.FIELD, name) if name else (Row.Source.NOTHING, "")
            made.append(row)
        else:
            row.state = Row.State.CURRENT
            known.append(row)
        row_describe(row, entry, position)
    gone = [row for row in rows.values() if row.state != Row.State.EXTRA]
    if drop:
        Row.objects.filter(pk__in=[row.pk for row in gone]).delete()
    else:
        for row in gone:
            row.state = Row.State.VANISHED
    changed = [row for row in [*known, *(() if drop else gone)] if _columns(row) != stored[row.pk]]
    Row.objects.bulk_update(changed, [*COLUMNS], batch_size=100)
    Row.objects.bulk_create(made, batch_size=100)
    about = {
        "remote_form": form.name,
        "honours_keys": form.honours_keys,
        "sync_keys": {entry.sync: entry.key for entry in form.fields if entry.sync},
    }
    other = [name for name, value in about.items() if getattr(integration, name) != value]
    for name in other:
        setattr(integration, name, about[name])
    if other:
        integration.save(update_fields=[*other, "updated_at"])
    matched = sum(row.source != "" for row in made)
    return DiscoveryReport([row.remote_key for row in made], [row.remote_key for row in gone], len(known), matched)


def _columns(row: FieldMapping) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in COLUMNS)


def _suggestions(integration: Integration, remote: Sequence[RemoteField]) -> dict[str, str]:
    own = own_inputs(integration)
    return {found.remote_key: found.name for found in suggest(remote, own) if found.reason == SAME_NAME}


def form_bounded(form: RemoteForm) -> RemoteForm:
    """The form cut to what we keep, whatever the client says: a label is shown, a key or a value is sent and never cut."""
    fields: dict[str, RemoteField] = {}
    for entry in form.fields:
        if not entry.key or len(entry.key) > KEY_CHARS or storable(entry.key) != entry.key:
            continue
        if len(fields) >= MAX_FIELDS:
            break
        choices = tuple(
            Choice(choice.value, plain_text(choice.label, LABEL_CHARS))
            for choice in entry.choices
            if len(choice.value) <= VALUE_CHARS and storable(choice.value) == choice.value
        )
        # A list that can't be kept whole would hold leads whose value stands behind its end.
        choices = () if len(choices) != len(entry.choices) or len(choices) > MAX_CHOICES else choices
        label = plain_text(entry.label, LABEL_CHARS)
        fields.setdefault(entry.key, replace(entry, label=label, type=plain_text(entry.type, 30), choices=choices))
    return RemoteForm(tuple(fields.values()), plain_text(form.name, 200), form.honours_keys)


def row_describe(row: FieldMapping, entry: RemoteField, position: int) -> None:
    row.remote_label = entry.label
    row.remote_type = entry.type
    row.remote_required = entry.required
    row.remote_hidden = entry.hidden
    row.remote_choices = [{"value": choice.value, "label": choice.label} for choice in entry.choices]
    row.position = position
