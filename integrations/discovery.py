"""Pulls a client's form into mapping rows, and asks the client what the Configure page wants to know.

Nothing here may run inside a transaction: each function waits for a client's answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import transaction
from django.utils import timezone

from integrations.flows import run_step
from integrations.kit.contract import Call, Choice, Connector, ConnectorError, Flow, NoAnswer, RemoteField, RemoteForm
from integrations.kit.registry import connector as find_connector
from integrations.kit.suggestions import SAME_NAME, suggest
from integrations.models import FieldMapping, Integration
from leads.models import Field

T = TypeVar("T")
Row = FieldMapping
LABEL_CHARS = 500


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
        value = str(values.get(box.name) if values.get(box.name) is not None else "").strip()
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


def integration_discover(integration: Integration) -> DiscoveryReport:
    """Pull the client's form and store it as mapping rows, the client's fields on the left.

    Choices that were made stay; what vanished is marked, not removed; what is new is added and, where a field of ours has
    the same name, matched. ConnectorError where the client's form can't be had.
    """
    connector = find_connector(integration.connector)
    if connector.discover is None:
        return DiscoveryReport()
    _refuse_problems(connector, integration.all_settings)
    form = _ask(connector, connector.discover, integration.all_settings)
    with transaction.atomic():
        return _store(Integration.objects.select_for_update().get(pk=integration.pk), form)


def own_fields(integration: Integration) -> list[Field]:
    """The fields of the campaign's forms, each input name once, in the forms' order."""
    return list(
        Field.objects.filter(form__campaigns=integration.campaign_id, enabled=True).order_by(
            "form_id", "position", "id"
        )
    )


def mapping_changed(integration: Integration) -> None:
    """Say that the mapping is another one now; what was compiled of the old one is dropped by this."""
    integration.mapping_version += 1
    integration.save(update_fields=["mapping_version", "updated_at"])


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


def _store(integration: Integration, form: RemoteForm) -> DiscoveryReport:
    remote = [entry for entry in form.fields if not entry.sync]
    rows = {row.remote_key: row for row in integration.mappings.all()}
    suggestions = _suggestions(integration, [entry for entry in remote if entry.key not in rows])
    added, kept, matched = [], 0, 0
    for position, entry in enumerate(remote):
        row = rows.pop(entry.key, None)
        if row is None:
            name = suggestions.get(entry.key, "")
            row = Row(integration=integration, remote_key=entry.key, state=Row.State.NEW)
            row.source, row.value = (Row.Source.FIELD, name) if name else (Row.Source.NOTHING, "")
            added.append(entry.key)
            matched += bool(name)
        else:
            row.state = Row.State.CURRENT
            kept += 1
        _describe(row, entry, position)
        row.save()
    vanished = []
    for row in rows.values():
        if row.state != Row.State.EXTRA:
            row.state = Row.State.VANISHED
            row.save(update_fields=["state"])
            vanished.append(row.remote_key)
    integration.remote_form = form.name[:200]
    integration.honours_keys = form.honours_keys
    integration.sync_keys = {entry.sync: entry.key for entry in form.fields if entry.sync}
    integration.discovered_at = timezone.now()
    integration.mapping_version += 1
    integration.save(
        update_fields=["remote_form", "honours_keys", "sync_keys", "discovered_at", "mapping_version", "updated_at"]
    )
    return DiscoveryReport(added, vanished, kept, matched)


def _suggestions(integration: Integration, remote: Sequence[RemoteField]) -> dict[str, str]:
    own = [name for entry in own_fields(integration) for name in entry.inputs]
    return {found.remote_key: found.name for found in suggest(remote, own) if found.reason == SAME_NAME}


def _describe(row: FieldMapping, entry: RemoteField, position: int) -> None:
    row.remote_label = entry.label[:LABEL_CHARS]
    row.remote_type = entry.type[:30]
    row.remote_required = entry.required
    row.remote_hidden = entry.hidden
    row.remote_choices = [{"value": choice.value, "label": choice.label[:LABEL_CHARS]} for choice in entry.choices]
    row.position = position
