"""The part of a configuration file that is integrations: their settings, their mapping, and whether they are on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from integrations.configuration.reading import ConfigurationError, Item, did_you_mean
from integrations.configuration.schema import SOURCES
from integrations.delivery import integration_switch
from integrations.discovery import integration_discover, mapping_changed, own_added, own_fields, settings_problems
from integrations.gate import integration_reopen
from integrations.kit.contract import Connector, ConnectorError
from integrations.kit.mapping import Row, row_problem
from integrations.kit.registry import connectors
from integrations.kit.text_map import map_kept, pairs_of
from integrations.models import FieldMapping, Integration, IntegrationState
from leads.models import Campaign

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying one integration came to. `pull`: the client has to be asked for its form before it can be on."""

    integration: Integration
    item: Item
    outcome: str
    pull: bool


def integration_apply(campaign: Campaign, item: Item, position: int) -> Applied:
    """Create the integration or bring it up to date, inside the caller's transaction and without asking the client."""
    connector = _connector(item)
    integration = Integration.objects.filter(campaign=campaign, name=item.values["name"]).first()
    created = integration is None
    if integration is None:
        integration = Integration(campaign=campaign, name=item.values["name"], connector=item.values["connector"])
    elif integration.connector != item.values["connector"]:
        words = f"it is a {integration.connector} already. Give the new one another name."
        raise ConfigurationError([(item.at("connector"), words)])
    settings_changed = _settings(integration, connector, item) or created
    moved = integration.position != position
    integration.position = position
    rules_changed = _sending(integration, item)
    if settings_changed or moved or rules_changed:
        save_clean(integration, item)
    if rules_changed:
        integration_reopen(integration.pk)
    rows_changed = _rows(integration, item)
    if rows_changed:
        mapping_changed(integration)
    wanted = item.values.get("state", "")
    may_pull = connector.discover is not None and wanted == IntegrationState.ON
    pull = may_pull and (settings_changed or integration.discovered_at is None)
    switched = not pull and _switch(integration, wanted, item)
    changed = settings_changed or moved or rules_changed or rows_changed or switched or pull
    return Applied(integration, item, CREATED if created else UPDATED if changed else UNCHANGED, pull)


def pull_and_switch_on(applied: Applied) -> None:
    """Ask the client for its form, store it, and switch the integration on: outside any transaction.

    ConfigurationError at the integration's place where the client does not answer or something is still open.
    """
    integration = Integration.objects.get(pk=applied.integration.pk)
    try:
        integration_discover(integration)
    except ConnectorError as error:
        words = f"the client's form can't be had: {error} Apply again once it can; all else is applied."
        raise ConfigurationError([(applied.item.place, words)]) from None
    integration.refresh_from_db()
    _switch(integration, IntegrationState.ON, applied.item)


def save_clean(row: models.Model, item: Item) -> None:
    """Save a row that its model finds in order; ConfigurationError at the value's place otherwise."""
    try:
        row.full_clean()
    except ValidationError as error:
        raise ConfigurationError(
            (item.at(key), " ".join(messages)) for key, messages in error.message_dict.items()
        ) from None
    row.save()


def _connector(item: Item) -> Connector:
    slug, offered = item.values["connector"], {k: c for k, c in connectors().items() if c.manifest.offered}
    if slug not in offered:
        raise ConfigurationError(
            [(item.at("connector"), f"there is no connector “{slug}”{did_you_mean(slug, offered)}.")]
        )
    return offered[slug]


def _settings(integration: Integration, connector: Connector, item: Item) -> bool:
    """Set what the file gives; whether that changed anything."""
    given: Item = item.values.get("settings") or Item(item.place)
    boxes = {box.name: box for box in connector.manifest.settings}
    problems = [
        (given.at(key), f"{connector.manifest.name} has no setting “{key}”{did_you_mean(key, boxes)}.")
        for key in given.values
        if key not in boxes
    ]
    plain, secret = dict(integration.settings), dict(integration.secrets)
    for key, value in given.values.items():
        if key in boxes and boxes[key].type == "map":
            plain[key] = map_kept(pairs_of(value))
        elif key in boxes and isinstance(value, list):
            problems.append((given.at(key), f"{boxes[key].label} is one value, not several."))
        elif key in boxes:
            (secret if boxes[key].type == "secret" else plain)[key] = value
    on = item.values.get("state") == IntegrationState.ON
    for key, words in settings_problems(connector, {**plain, **secret}).items():
        if key in given.values or on:
            problems.append((given.at(key), words))
    if problems:
        raise ConfigurationError(problems)
    changed = (plain, secret) != (integration.settings, integration.secrets)
    integration.settings, integration.secrets = plain, secret
    return changed


def _sending(integration: Integration, item: Item) -> bool:
    """Put what the file says of what goes out when on the integration, unsaved; whether that is another thing."""
    given: Item = item.values.get("sending", Item(item.place))
    wanted = dict(given.values)
    if "weekdays" in wanted:
        wanted["weekdays"] = sorted(set(wanted["weekdays"])) if len(set(wanted["weekdays"])) < 7 else []
    problems = [
        (given.at(name), "write 1 or more, or null for no bound. To send nothing, set state: paused.")
        for name in ("cap_day", "cap_week", "cap_total")
        if wanted.get(name) == 0
    ]
    begins, ends = (wanted.get(name, getattr(integration, name)) for name in ("hours_from", "hours_to"))
    if begins is not None and begins == ends:
        problems.append(
            (given.at("hours_to", "hours_from"), "it ends when it begins. Leave both out for the whole day.")
        )
    if problems:
        raise ConfigurationError(problems)
    changed = [name for name, value in wanted.items() if getattr(integration, name) != value]
    for name in changed:
        setattr(integration, name, wanted[name])
    return bool(changed)


def _rows(integration: Integration, item: Item) -> bool:
    """Create or bring up to date the mapping rows that the file names; whether that changed anything."""
    rows = {row.remote_key: row for row in integration.mappings.all()}
    own = [*(name for entry in own_fields(integration) for name in entry.inputs), *own_added(integration)]
    changed = False
    for position, entry in enumerate(item.values.get("mapping", [])):
        row = rows.get(entry.values["to"])
        new = row is None
        if row is None:
            row = FieldMapping(integration=integration, remote_key=entry.values["to"], position=position)
            _describe(row, entry)
        wanted = _choice(entry)
        _refuse_bad_row(row, wanted, own, entry)
        if new or any(getattr(row, key) != value for key, value in wanted.items()):
            for key, value in wanted.items():
                setattr(row, key, value)
            save_clean(row, entry)
            changed = True
    return changed


def _describe(row: FieldMapping, entry: Item) -> None:
    given = entry.values
    row.remote_label = given.get("label", "")
    row.remote_type = given.get("type", "text")
    row.remote_required = given.get("required", False)
    row.remote_hidden = given.get("hidden", False)
    row.remote_choices = given.get("choices", [])
    row.state = FieldMapping.State.EXTRA if given.get("added_by_hand") else FieldMapping.State.CURRENT


def _choice(entry: Item) -> dict[str, Any]:
    source = next((source for source in SOURCES if source in entry.values), "")
    value_map: Item | None = entry.values.get("value_map")
    return {
        "source": source,
        "value": entry.values.get(source, ""),
        "value_map": dict(value_map.values) if value_map else {},
        "transforms": entry.values.get("transforms", []),
    }


def _refuse_bad_row(row: FieldMapping, wanted: dict[str, Any], own: list[str], entry: Item) -> None:
    made = Row(row.remote_key, row.remote_label, source=wanted["source"], value=wanted["value"])
    if problem := row_problem(made, own):
        hint = did_you_mean(wanted["value"], own) if wanted["source"] == "field" else ""
        raise ConfigurationError([(entry.at(*SOURCES), f"{problem.rstrip('.')}{hint}.".replace("?.", "?"))])
    made = Row(row.remote_key, row.remote_label, transforms=wanted["transforms"])
    if problem := row_problem(made, own):
        raise ConfigurationError([(entry.at("transforms"), problem)])


def _switch(integration: Integration, wanted: str, item: Item) -> bool:
    if wanted in ("", integration.state) or wanted == IntegrationState.NEEDS_SETUP:
        return False
    try:
        integration_switch(integration, wanted == IntegrationState.ON)
    except ConnectorError as error:
        raise ConfigurationError([(item.at("state"), f"it can't be switched on: {error}")]) from None
    return True
