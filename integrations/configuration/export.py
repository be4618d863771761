"""Writes what is set up as a configuration file. A secret is never in it: env:NAME stands in its place."""

from __future__ import annotations

import datetime as dt
import io
import re
import unicodedata
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from integrations.configuration.judging import caps_exported, groups_exported, jobs_exported, lists_exported
from integrations.configuration.schema import SENDING, WEEKDAYS
from integrations.kit.registry import connectors
from integrations.kit.text_map import pairs_of
from integrations.models import FieldMapping, Integration
from leads.models import Advertiser, Campaign, Field, Form, LeadEvents, Publisher, ReasonCode
from leads.tracking.lead_events import NAMES as LEAD_EVENT_NAMES

HEAD = """\
What this portal is set up to do; `manage.py config apply FILE` makes a portal be set up so.
Secrets are not in it. Where one is needed stands env:NAME: set that environment variable before applying.
API keys and passwords are kept as digests and can't be exported: give publishers new ones, or add api_key: env:NAME."""


def export() -> str:
    """Advertisers, reason codes, publishers, forms, lists and campaigns with their jobs and integrations, as YAML text."""
    document = CommentedMap()
    document.yaml_set_start_comment(HEAD)
    document["advertisers"] = [_map(name=row.name) for row in Advertiser.objects.order_by("name")]
    document["reason_codes"] = [
        _map(flag=row.flag, code=row.code, label=row.label or None, active=row.active)
        for row in ReasonCode.objects.order_by("flag", "code")
    ]
    document["publishers"] = [_publisher(row) for row in Publisher.objects.order_by("name").prefetch_related("users")]
    document["forms"] = [
        _map(name=row.name, fields=[_field(entry) for entry in row.fields.all()])
        for row in Form.objects.order_by("name").prefetch_related("fields")
    ]
    document["lists"] = [_map(**entry) for entry in lists_exported()]
    taken: set[str] = set()
    campaigns = Campaign.objects.select_related("advertiser").order_by("id")
    document["campaigns"] = [_campaign(row, taken) for row in campaigns]
    for key in [key for key, value in document.items() if not value]:
        del document[key]
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 120
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def _map(**values: Any) -> CommentedMap:
    return CommentedMap((key, value) for key, value in values.items() if value is not None)


def _publisher(row: Publisher) -> CommentedMap:
    users = [
        _map(username=user.username, email=user.email or None, active=user.is_active)
        for user in row.users.order_by("username")
    ]
    return _map(name=row.name, active=row.active, users=users or None)


def _field(row: Field) -> CommentedMap:
    return _map(
        name=row.name,
        label=row.label or None,
        type=str(row.type),
        required=row.required,
        enabled=None if row.enabled else False,
        choices=_choices(row.choices),
        multiple=row.multiple or None,
        min_length=row.min_length,
        max_length=row.max_length,
    )


def _choices(choices: list[dict[str, str]]) -> CommentedMap | None:
    return CommentedMap((entry["value"], entry.get("label") or entry["value"]) for entry in choices) or None


def _campaign(row: Campaign, taken: set[str]) -> CommentedMap:
    integrations = row.integrations.filter(managed=False).order_by("position", "id").prefetch_related("mappings")
    return _map(
        name=row.name,
        advertiser=row.advertiser.name,
        status=str(row.status),
        status_reason=row.status_reason or None,
        time_zone=row.time_zone,
        verdict_days=row.verdict_days,
        lets_out=str(row.lets_out),
        releases_held=None if row.releases_held else False,
        forms=list(row.forms.order_by("id").values_list("name", flat=True)) or None,
        publishers=[
            _map(name=contract.publisher.name, active=contract.active, **caps_exported(contract))
            for contract in row.contracts.select_related("publisher").order_by("id")
        ]
        or None,
        links=[
            _map(name=link.name, channel=link.channel or None, destination=link.destination or None)
            for link in row.links.order_by("id")
        ]
        or None,
        sources=[
            _map(name=source.name, write_key=source.write_key, enabled=None if source.enabled else False)
            for source in row.sources.order_by("id")
        ]
        or None,
        lead_events=_lead_events(row),
        groups=[_map(**entry) for entry in groups_exported(row)] or None,
        jobs=[_map(**entry) for entry in jobs_exported(row)] or None,
        integrations=[_integration(integration, row, taken) for integration in integrations] or None,
    )


def _lead_events(row: Campaign) -> CommentedMap | None:
    rule = LeadEvents.objects.filter(campaign=row).select_related("source").first()
    if rule is None:
        return None
    return _map(
        source=rule.source.name,
        events=[name for key, name in LEAD_EVENT_NAMES.items() if getattr(rule, key)],
        revenue=None if rule.revenue is None else DoubleQuotedScalarString(str(rule.revenue)),
        currency=rule.currency or None,
    )


def _integration(row: Integration, campaign: Campaign, taken: set[str]) -> CommentedMap:
    connector = connectors().get(row.connector)
    settings = CommentedMap(sorted(row.settings.items()))
    if connector is not None:
        order = [box.name for box in connector.manifest.settings]
        settings = CommentedMap(
            sorted(row.settings.items(), key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))
        )
    for key, value in settings.items():
        if isinstance(value, list | dict):
            settings[key] = _text_map(value)
    for key in sorted(row.secrets):
        name = _variable(f"{campaign.name} {row.name} {key}", f"CAMPAIGN_{campaign.pk}_{row.pk}_{key}", taken)
        settings.insert(len(settings), key, f"env:{name}")
        settings.yaml_add_eol_comment("kept encrypted; not exported", key)
    mapping = [_row(entry) for entry in row.mappings.all() if entry.state != FieldMapping.State.VANISHED]
    # What the engine stopped was meant to be on.
    state = "on" if row.state == "needs_a_look" else str(row.state)
    return _map(
        name=row.name,
        connector=row.connector,
        state=state,
        settings=settings or None,
        sending=_sending(row) or None,
        mapping=mapping or None,
    )


def _sending(row: Integration) -> CommentedMap:
    """What goes out when, as far as it is not as for a new integration."""
    new = Integration()
    given = {name: getattr(row, name) for name in SENDING.rules if getattr(row, name) != getattr(new, name)}
    for name, value in given.items():
        if isinstance(value, dt.time):
            given[name] = DoubleQuotedScalarString(f"{value:%H:%M}")
    if "weekdays" in given:
        given["weekdays"] = [WEEKDAYS[day] for day in sorted(given["weekdays"])]
    if "in_doubt" in given:
        given["in_doubt"] = str(given["in_doubt"])
    return _map(**given)


def _text_map(value: Any) -> Any:
    """A map as an object; as a list of pairs where a name stands in it twice."""
    pairs = pairs_of(value)
    if len(dict(pairs)) == len(pairs):
        return CommentedMap(pairs)
    return [_map(key=left, value=right) for left, right in pairs]


def _variable(words: str, otherwise: str, taken: set[str]) -> str:
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Z0-9]+", "_", plain.upper()).strip("_")
    if not re.match(r"[A-Z]", name) or name in taken:
        name = otherwise.upper()
    taken.add(name)
    return name


def _row(row: FieldMapping) -> CommentedMap:
    entry = _map(
        to=row.remote_key,
        label=row.remote_label or None,
        type=None if row.remote_type == "text" else row.remote_type,
        required=row.remote_required or None,
        hidden=row.remote_hidden or None,
        choices=_choices(row.remote_choices),
        added_by_hand=True if row.state == FieldMapping.State.EXTRA else None,
    )
    if row.source:
        entry[str(row.source)] = row.value
    if row.value_map:
        entry["value_map"] = CommentedMap(row.value_map)
    if row.transforms:
        entry["transforms"] = [step["name"] if set(step) == {"name"} else CommentedMap(step) for step in row.transforms]
    return entry
