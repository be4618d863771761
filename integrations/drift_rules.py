"""Which changes of a client's form would break leads: the rules, and the leads that they are tried on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from integrations.discovery import own_fields, own_inputs
from integrations.form_diff import Change, ChangeKind, FormDiff, row_now
from integrations.kit.contract import RemoteField
from integrations.kit.mapping import DEFAULT_KEY, LeadFacts, MappingProblem, compile_rows
from integrations.kit.suggestions import SAME_NAME, OwnField, Suggestion, suggest
from integrations.mapping import leads_facts, rows_of
from integrations.models import Delivery, DeliveryState, Integration
from leads.models import Lead

# So many of the campaign's latest leads, and of those that wait, show whether a changed choice matters.
PROBE_LEADS = 200
# A value of another type is no text like any other: they will refuse what does not look like it.
_STRICT_TYPES = frozenset({"email", "telephone", "number", "date", "checkbox", "optin"})


@dataclass(slots=True)
class _Ours:
    """What we have: our inputs, the values of our choices by input, and leads (read when they are first wanted)."""

    integration: Integration
    inputs: Mapping[str, OwnField]
    choices: Mapping[str, Sequence[str]]
    _probes: list[LeadFacts] | None = None

    @property
    def probes(self) -> list[LeadFacts]:
        if self._probes is None:
            newest = Lead.objects.filter(campaign=self.integration.campaign_id).order_by("-id")
            waiting = Delivery.objects.filter(
                integration=self.integration.pk, state__in=[DeliveryState.QUEUED, DeliveryState.HELD]
            ).exclude(lead=None)
            ids = set(newest.values_list("pk", flat=True)[:PROBE_LEADS])
            ids |= set(waiting.order_by("id").values_list("lead_id", flat=True)[:PROBE_LEADS])
            self._probes = list(leads_facts(ids).values())
        return self._probes


def diff_judged(integration: Integration, diff: FormDiff) -> FormDiff:
    """The same changes, each with why it would break leads, and with a suggestion where it wants a value of ours."""
    if not diff:
        return diff
    own = own_inputs(integration)
    choices = {
        name: [str(choice["value"]) for choice in entry.choices]
        for entry in own_fields(integration)
        for name in entry.inputs
        if entry.choices
    }
    ours = _Ours(integration, {entry.name: entry for entry in own}, choices)
    wanted = [change.field for change in diff.changes if change.field is not None and not change.mapped]
    found = {each.remote_key: each for each in suggest(wanted, own)}
    judged = []
    for change in diff.changes:
        suggestion = None if change.mapped else found.get(change.key)
        judged.append(replace(change, breaks=_breaks(change, suggestion, ours), suggestion=suggestion))
    return FormDiff(tuple(judged))


def _breaks(change: Change, suggestion: Suggestion | None, ours: _Ours) -> str:
    required = change.field is not None and change.field.required
    match change.kind:
        case ChangeKind.ADDED if required and not change.mapped:
            same = suggestion is not None and suggestion.reason == SAME_NAME
            return "" if same else "They require it, and nothing is mapped to it."
        case ChangeKind.REQUIRED if not change.mapped:
            return "They require it, and nothing is mapped to it."
        case ChangeKind.REMOVED if change.mapped:
            return "Leads carry it, and their form has no such field any more."
        case ChangeKind.RENAMED if change.mapped:
            return "Leads carry it under its old name, which their form has no longer."
        case ChangeKind.RENAMED if required:
            return "They require it, and nothing is mapped to it."
        case ChangeKind.CHOICES if change.mapped and change.row and change.field:
            return _choices_break(change, change.row, change.field, ours)
        case ChangeKind.TYPE if change.mapped and change.row and change.field:
            return _type_breaks(change.row, change.field, ours)
    return ""


def _type_breaks(row: Mapping[str, Any], now: RemoteField, ours: _Ours) -> str:
    mine = ours.inputs.get(row["value"]) if row["source"] == "field" else None
    if now.type not in _STRICT_TYPES or (mine is not None and mine.type == now.type):
        return ""
    return f"They want a value of the type {now.type} now, and what is mapped to it may not be one."


def _choices_break(change: Change, row: Mapping[str, Any], now: RemoteField, ours: _Ours) -> str:
    """Whether a value that leads carry, or that is matched or fixed, is none of their choices any more."""
    if not now.choices or (row["remote_choices"] and not change.choices_removed):
        return ""
    left = {choice.value for choice in now.choices}
    matched = [value for own, value in row["value_map"].items() if value and value not in left and own != DEFAULT_KEY]
    if (default := row["value_map"].get(DEFAULT_KEY)) and default not in left:
        matched.append(default)
    if matched:
        return f"Values of yours are matched to {_few(matched)}, which they no longer have."
    own = [LeadFacts({row["value"]: value}) for value in ours.choices.get(row["value"], ())]
    lost = _lost(row, now, own if row["source"] == "field" else [])
    if lost:
        return f"{_few(lost)} of your choices is none of theirs any more."
    lost = _lost(row, now, ours.probes)
    return f"{len(lost)} of the latest leads {'carries' if len(lost) == 1 else 'carry'} {_few(lost)}." if lost else ""


def _lost(row: Mapping[str, Any], now: RemoteField, leads: Iterable[LeadFacts]) -> list[str]:
    """What would be sent of these leads as it was, for each that could not be sent any more."""
    before, after = (compile_rows(rows_of([{**each, "remote_required": False}])) for each in (row, row_now(row, now)))
    lost = []
    for lead in leads:
        try:
            sent = before(lead).get(row["remote_key"], "")
        except MappingProblem:
            continue
        try:
            after(lead)
        except MappingProblem:
            lost.append(sent)
    return lost


def _few(values: Sequence[str]) -> str:
    some = sorted({value if len(value) <= 40 else value[:40] + "…" for value in values})
    return ", ".join(f"“{value}”" for value in some[:5]) + (" and others" if len(some) > 5 else "")
