"""What would be sent, before it is: the request of one lead, the mapping's values, and what a change of their form lets out.

Nothing here sends anything or writes anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from integrations.delivery import deliveries_waiting
from integrations.discovery import own_inputs
from integrations.drift_rules import diff_judged
from integrations.flows import connector_call
from integrations.form_diff import form_diff, form_of, row_now
from integrations.kit.contract import ConnectorError, Payload, Request
from integrations.kit.mapping import TRANSFORMS, LeadFacts, MappingProblem, Row, compile_rows
from integrations.kit.redaction import redact_request
from integrations.kit.registry import connector as find_connector
from integrations.kit.suggestions import SAME_NAME
from integrations.mapping import CHOICE, leads_facts, mapping_columns, row_as_dict, rows_of, source_words
from integrations.models import Delivery, DeliveryState, FieldMapping, Integration
from leads.models import Lead

MASKED = "••••"
PREVIEW_LEADS = 300
BODY_CHARS = 20_000
# A lead that is previewed before it is sent has no key of its own yet.
NO_KEY = "0" * 32


@dataclass(frozen=True, slots=True)
class PreviewField:
    """One field as it would go, and where its value came from, in words."""

    key: str
    label: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a lead can't go: what is wrong with one field, or with the whole where `key` is empty."""

    key: str
    label: str
    words: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The request as it would go. Nothing was sent. With problems there is no request: `fields` are those that can be made."""

    method: str = ""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    fields: tuple[PreviewField, ...] = ()
    body: str = ""
    """The body as text, where it is no form."""
    problems: tuple[Problem, ...] = ()

    @property
    def can_go(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class MappedValue:
    """What a row makes of a lead: the value that is sent (empty: it is left out), or why it can't be made."""

    value: str = ""
    problem: str = ""

    def __str__(self) -> str:
        return self.problem or self.value


@dataclass(frozen=True, slots=True)
class DriftPreview:
    """What would become of leads that wait: `held` there are, `checked` of these (the oldest) were tried with the mapping."""

    held: int
    checked: int
    go: int
    stay: dict[str, int] = field(default_factory=dict)
    """Why others can't go, to how many."""
    problems: list[tuple[int, str]] = field(default_factory=list)
    """(lead id, words) of each that can't."""
    missing: list[str] = field(default_factory=list)
    """Required fields without a value: while there are any, nothing goes."""


def delivery_preview(integration: Integration, lead: Lead) -> Preview:
    """The exact request that would hand this lead over with the mapping as it is stored, secrets masked, and nothing sent.

    For a lead that can't be sent: the problems, each with its field.
    """
    connector = find_connector(integration.connector)
    kept = mapping_columns(integration)
    rows, facts = rows_of(kept), leads_facts([lead.pk])[lead.pk]
    labels = {row.remote_key: row.label for row in rows}
    origins = _origins(integration, kept, labels)
    try:
        fields = compile_rows(rows)(facts)
    except MappingProblem as problem:
        made = _made(rows, facts)
        return Preview(
            fields=tuple(PreviewField(key, labels[key], m.value, origins[key]) for key, m in made.items() if m.value),
            problems=tuple(Problem(key, labels.get(key, key), words) for key, words in problem.problems),
        )
    key = _key_of(integration, lead)
    if settings.SYNC_TAGS and {"token", "subdomain"} <= set(integration.sync_keys):
        for tag, value in (("token", key), ("subdomain", settings.INSTANCE_SUBDOMAIN)):
            fields[integration.sync_keys[tag]] = value
            labels[integration.sync_keys[tag]] = f"Sync {tag}"
            origins[integration.sync_keys[tag]] = "placed for you (sync tag)"
    token = MASKED if connector.authenticate is not None else ""
    flow = connector.deliver(
        connector_call(connector, integration.all_settings, token=token, key=key),
        Payload(kind="lead", fields=fields, test=lead.is_test),
    )
    try:
        request = next(flow)
    except ConnectorError as error:
        return Preview(problems=(Problem("", "", error.message),))
    except StopIteration as end:
        return Preview(problems=(Problem("", "", end.value.message or "The connector would send nothing."),))
    finally:
        flow.close()
    return _shown(request, fields, labels, origins, integration)


def mapping_values(
    integration: Integration, lead: Lead, rows: Iterable[FieldMapping] | None = None
) -> dict[str, MappedValue]:
    """What each row makes of a lead, by remote key: the preview column. `rows` may be unsaved; None takes the stored ones."""
    kept = mapping_columns(integration) if rows is None else [row_as_dict(row) for row in rows]
    return _made(rows_of(kept), leads_facts([lead.pk])[lead.pk])


def _made(rows: Iterable[Row], facts: LeadFacts) -> dict[str, MappedValue]:
    made = {}
    for row in rows:
        try:
            made[row.remote_key] = MappedValue(compile_rows([row])(facts).get(row.remote_key, ""))
        except MappingProblem as problem:
            made[row.remote_key] = MappedValue(problem=str(problem))
    return made


def _origins(integration: Integration, kept: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> dict[str, str]:
    ours = {entry.name: entry.label for entry in own_inputs(integration)}
    found = {}
    for row in kept:
        if row["remote_key"] not in labels:
            continue
        words = source_words(row, ours)
        steps = [TRANSFORMS[t["name"]].label for t in row["transforms"] if t.get("name") in TRANSFORMS]
        words += f", changed by {', '.join(steps)}" if steps else ""
        found[row["remote_key"]] = words + (", matched to their values" if row["value_map"] else "")
    return found


def _key_of(integration: Integration, lead: Lead) -> str:
    """The key of the delivery that waits to hand this lead over."""
    waiting = Delivery.objects.filter(
        integration=integration.pk, lead=lead.pk, state__in=[DeliveryState.QUEUED, DeliveryState.HELD]
    )
    found = waiting.order_by("-id").values_list("key", flat=True).first()
    return NO_KEY if found is None else found.hex


def _shown(
    request: Request,
    sent: Mapping[str, str],
    labels: Mapping[str, str],
    origins: Mapping[str, str],
    integration: Integration,
) -> Preview:
    kept = redact_request(request)
    secrets = {str(value) for value in integration.secrets.values() if value}
    headers = dict(request.headers)
    if request.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif request.json is not None:
        headers["Content-Type"] = "application/json"
    if request.bearer:
        headers["Authorization"] = f"Bearer {MASKED}"
    shown = tuple(
        (name, value if name == "Authorization" or value == kept["headers"].get(name, value) else MASKED)
        for name, value in headers.items()
    )
    fields = tuple(
        PreviewField(
            key=key,
            label=labels.get(key, key),
            value=MASKED if key in request.secrets or value in secrets else value,
            origin=origins.get(key, "placed by the connector"),
        )
        for key, value in (request.form if request.form is not None else sent.items())
    )
    body = "" if request.json is None else json.dumps(request.json, indent=2, ensure_ascii=False)[:BODY_CHARS]
    for secret in secrets:
        body = body.replace(secret, MASKED)
    return Preview(request.method, kept["url"].replace("•••", MASKED), shown, fields, body)


def drift_preview(
    integration: Integration,
    *,
    renames: Mapping[str, str] | None = None,
    choices: Mapping[str, Mapping[str, Any]] | None = None,
    limit: int = PREVIEW_LEADS,
) -> DriftPreview:
    """How many leads that wait would go out if the change were accepted so, and which not, and why. Nothing is changed.

    `renames` (old keys to new ones) and `choices` as in drift_accept.
    """
    waiting = deliveries_waiting(integration)
    ids = list(waiting.exclude(lead=None).order_by("id").values_list("lead_id", flat=True)[:limit])
    rows = _rows_after(integration, renames, choices or {})
    mapped = compile_rows(rows)
    facts = leads_facts(ids)
    stay: dict[str, int] = {}
    problems: list[tuple[int, str]] = []
    for lead_id in ids:
        try:
            mapped(facts[lead_id])
        except MappingProblem as problem:
            problems.append((lead_id, str(problem)))
            for _, words in problem.problems:
                stay[words] = stay.get(words, 0) + 1
    missing = [row.label for row in rows if row.required and not row.source]
    return DriftPreview(
        held=waiting.count(),
        checked=len(ids),
        go=0 if missing else len(ids) - len(problems),
        stay=dict(sorted(stay.items(), key=lambda item: -item[1])),
        problems=problems,
        missing=missing,
    )


def _rows_after(
    integration: Integration, renames: Mapping[str, str] | None, choices: Mapping[str, Mapping[str, Any]]
) -> list[Row]:
    """The mapping as accepting would make it; as it is where nothing waits."""
    kept = mapping_columns(integration)
    if integration.pending_form is not None:
        form = form_of(integration.pending_form["form"])
        diff = diff_judged(integration, form_diff(kept, form))
        before = {new: old for old, new in (diff.renames if renames is None else renames).items()}
        by_key = {row["remote_key"]: row for row in kept}
        suggested = {c.key: c.suggestion for c in diff.changes if c.suggestion and c.suggestion.reason == SAME_NAME}
        after = []
        for entry in form.fields:
            row = by_key.get(entry.key) or by_key.get(before.get(entry.key, ""))
            if row is None:
                row = row_as_dict(FieldMapping(remote_key=entry.key))
                if found := suggested.get(entry.key):
                    row |= {"source": "field", "value": found.name}
            if not entry.sync:
                after.append(row_now(row, entry))
        kept = after + [row for row in kept if row["state"] == FieldMapping.State.EXTRA]
    chosen = [
        {**row, **{name: value for name, value in choices.get(row["remote_key"], {}).items() if name in CHOICE}}
        for row in kept
    ]
    return rows_of(chosen)
