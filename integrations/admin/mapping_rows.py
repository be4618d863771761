"""One row of the mapping table: one of the client's fields, and the choice of where its value comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django import forms
from django.utils.functional import SimpleLazyObject

from integrations.admin.transform_lines import text_to_transforms, transforms_to_text
from integrations.discovery import ADDED, own_added, own_fields
from integrations.kit.mapping import (
    DEFAULT_KEY,
    FACTS,
    LeadFacts,
    MappingProblem,
    OwnField,
    Row,
    Suggestion,
    compile_rows,
    row_problem,
)
from integrations.models import FieldMapping, Integration
from leads.admin.pairs import pairs_to_text, text_to_pairs
from leads.models import Field
from leads.skin import Select, Textarea, TextInput

Source = FieldMapping.Source
State = FieldMapping.State
WITH_TEXT = (Source.FIXED, Source.TEMPLATE)
SHOWN_CHARS = 200
Made = tuple[str, str, dict[str, str], list[dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Own:
    """The campaign's own inputs, for the dropdowns: key to label, and the choices of those that have any."""

    labels: Mapping[str, str]
    choices: Mapping[str, Sequence[str]]
    fields: Sequence[OwnField] = ()
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What the values of a choice are called."""

    def options(self, current: str) -> list[tuple[str, Any]]:
        """The dropdown of one row; what is chosen stays on offer when the form has it no longer."""
        fields = [(f"field:{key}", label) for key, label in self.labels.items()]
        if current.startswith("field:") and current not in dict(fields):
            fields.append((current, f"{current[6:]} (no longer on your form)"))
        facts = [(f"fact:{name}", label) for name, label in FACTS]
        if current.startswith("fact:") and current not in dict(facts):
            facts.append((current, f"{current[5:]} (unknown)"))
        return [
            ("", "Choose…"),
            ("Your fields", fields),
            ("Facts of the lead", facts),
            ("Something else", [("fixed:", "Fixed value…"), ("template:", "Template…")]),
        ]


def own_inputs(integration: Integration) -> Own:
    """What the campaign's forms have and its enrichment adds, each input once."""
    labels: dict[str, str] = {}
    choices: dict[str, Sequence[str]] = {}
    names: dict[str, dict[str, str]] = {}
    fields = []
    for entry in own_fields(integration):
        for key in entry.inputs:
            if key not in labels:
                fields.append(OwnField(key, entry.label, entry.type))
            labels.setdefault(key, _label(entry, key))
            if entry.choices and not key.endswith(".terms"):
                choices.setdefault(key, [str(choice["value"]) for choice in entry.choices])
                names.setdefault(key, {str(c["value"]): str(c.get("label") or c["value"]) for c in entry.choices})
    for name in own_added(integration):
        if name not in labels:
            fields.append(OwnField(name, name, "text"))
            labels[name] = f"{name} {ADDED}"
    return Own(labels, choices, fields, names)


def _label(entry: Field, key: str) -> str:
    part = f" ({key.rpartition('.')[2]})" if key != entry.name else ""
    label = f"{entry.label or entry.name}{part}"
    return label if label == key else f"{label} · {key}"


def row_prefix(remote_key: str) -> str:
    """What the inputs of a row are named by: the same before and after its row is stored."""
    return "m-" + hashlib.sha256(remote_key.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Look:
    """What a row makes of one lead: the value as it is there and as it goes out, or in words why it can't."""

    raw: str = ""
    value: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """How a row stands, by shape, colour and word."""

    tone: str
    shape: str
    words: str


class RowForm(forms.Form):
    """One row. `look` and `suggestion` are set by the table."""

    source = forms.CharField(required=False, widget=forms.HiddenInput)
    text = forms.CharField(required=False, max_length=2_000, widget=TextInput)
    value_map = forms.CharField(required=False, max_length=100_000, widget=Textarea(attrs={"rows": 4}))
    transforms = forms.CharField(required=False, max_length=2_000, widget=Textarea(attrs={"rows": 2}))
    remove = forms.BooleanField(required=False)

    def __init__(self, row: FieldMapping, own: Own, data: Mapping[str, Any] | None = None, prefix: str = "") -> None:
        self.row, self.own = row, own
        self.look = Look()
        self.suggestion: Suggestion | None = None
        has_text = row.source in WITH_TEXT
        chosen = f"{row.source}:{'' if has_text else row.value}" if row.source else ""
        initial = {
            "source": chosen,
            "text": row.value if has_text else "",
            "value_map": SimpleLazyObject(lambda: pairs_to_text(row.value_map.items())),
            "transforms": transforms_to_text(row.transforms),
        }
        prefix = prefix or row_prefix(row.remote_key)
        super().__init__(data, prefix=prefix, initial=initial)
        if self.is_bound and data is not None:
            chosen = str(data.get(f"{prefix}-source", ""))
        named = (row.remote_label or row.remote_key or "the extra field")[:SHOWN_CHARS]
        self.fields["source"].widget = Select(
            choices=own.options(chosen), attrs={"aria-label": f"Where {named} comes from", "data-combo": ""}
        )
        self.fields["text"].widget.attrs["aria-label"] = f"Value or template for {named}"
        self.chosen = chosen

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        source, _, value = str(cleaned.get("source", "")).partition(":")
        if source in WITH_TEXT:
            value = str(cleaned.get("text", ""))
            if not value:
                self.add_error(
                    "text", f"Write the {'value' if source == Source.FIXED else 'template'}, or choose otherwise."
                )
        transforms, wrong = text_to_transforms(str(cleaned.get("transforms", "")))
        if wrong:
            self.add_error("transforms", wrong)
        value_map = dict(text_to_pairs(str(cleaned.get("value_map", ""))))
        theirs = [str(choice["value"]) for choice in self.row.remote_choices]
        kept = self.row.value_map.items()
        if theirs and (
            strange := [to for own, to in value_map.items() if to and to not in theirs and (own, to) not in kept]
        ):
            self.add_error("value_map", f"“{strange[0]}” is none of the client’s values: {', '.join(theirs[:30])}.")
        # What was chosen before and is gone since stays as it is: it is marked, and the leads that need it are held.
        unchanged = (source, value) == (self.row.source, self.row.value)
        if not self.errors and not unchanged and source:
            made = Row(self.row.remote_key, self.row.remote_label, False, source, value, value_map, transforms)
            if words := row_problem(made, set(self.own.labels)):
                self.add_error("source", words)
        return {**cleaned, "made": (source, value, value_map, transforms)}

    @property
    def made(self) -> Made:
        """Source, value, value map and transforms as they are on the page."""
        row = self.row
        stored = (str(row.source), row.value, row.value_map, row.transforms)
        return self.cleaned_data.get("made", stored) if self.is_bound and self.errors is not None else stored

    def store(self) -> bool:
        """Put what was chosen on the row, unsaved; True where it is another mapping now."""
        row = self.row
        before = (row.source, row.value, row.value_map, row.transforms)
        row.source, row.value, row.value_map, row.transforms = self.made
        return bool(before != self.made)

    def kit_row(self) -> Row:
        """The row as it is on the page, as the kit reads it."""
        row, (source, value, value_map, transforms) = self.row, self.made
        theirs = frozenset(choice["value"] for choice in row.remote_choices)
        label = row.remote_label or row.remote_key
        return Row(row.remote_key, label, row.remote_required, source, value, value_map, transforms, theirs)

    def look_at(self, lead: LeadFacts) -> Look:
        """What it makes of a lead."""
        row = self.kit_row()
        if not row.source or self.row.state == State.VANISHED:
            return Look()
        plain = Row(row.remote_key, row.label, False, row.source, row.value)
        try:
            raw = compile_rows([plain])(lead).get(row.remote_key, "")
            value = compile_rows([row])(lead).get(row.remote_key, "")
        except MappingProblem as problem:
            return Look(problem=problem.problems[0][1])
        return Look(raw, value)

    @property
    def removable(self) -> bool:
        return self.row.state in (State.EXTRA, State.VANISHED)

    @property
    def missing(self) -> bool:
        """Required by the client, on their form, and nothing chosen."""
        return self.row.remote_required and self.row.state != State.VANISHED and not self.made[0]

    @property
    def broken(self) -> str:
        """What is wrong with the row, in words."""
        if self.row.state == State.VANISHED or not self.made[0]:
            return ""
        first = next((str(error) for errors in self.errors.values() for error in errors), "") if self.is_bound else ""
        return first or row_problem(self.kit_row(), set(self.own.labels))

    @cached_property
    def unmatched(self) -> list[str]:
        """Values of your choice field that are none of the client's, by themselves or by the value map."""
        source, value, value_map, _ = self.made
        theirs = {str(choice["value"]) for choice in self.row.remote_choices}
        joined = {own.casefold() for own, to in value_map.items() if not to or to in theirs}
        if source != Source.FIELD or not theirs or DEFAULT_KEY in joined:
            return []
        # What is joined to a value that they have no longer is not matched, also where its own name is one of theirs.
        stale = {own.casefold() for own in value_map} - joined
        known = joined | ({choice.casefold() for choice in theirs} - stale)
        return [each for each in self.own.choices.get(value, ()) if each.casefold() not in known]

    @property
    def mark(self) -> Mark | None:
        """How the row stands; None where nothing is to be said."""
        source, value, _, _ = self.made
        if self.row.state == State.VANISHED:
            return None
        if self.broken:
            return Mark("bad", "✕", self.broken)
        if not source:
            return Mark("wait", "▲", "Required: choose where it comes from.") if self.missing else None
        ours = self.own.choices.get(value, ()) if source == Source.FIELD else ()
        if self.row.remote_choices and ours:
            done = len(ours) - len(self.unmatched)
            return Mark("wait" if self.unmatched else "good", "⇄", f"{done} of {len(ours)} matched")
        if self.look.problem:
            return Mark("wait", "▲", "Not every lead can be sent")
        return Mark("good", "✓", "mapped")

    @property
    def suggestion_label(self) -> str:
        return self.own.labels.get(self.suggestion.name, self.suggestion.name) if self.suggestion else ""

    @property
    def matchable(self) -> bool:
        return bool(self.row.remote_choices or self.row.value_map)


class ExtraRowForm(RowForm):
    """A row for an input that is not on the client's form as it was pulled."""

    remote_key = forms.CharField(
        required=False, max_length=200, widget=TextInput(attrs={"placeholder": "form[utmSource]"})
    )

    def __init__(self, integration: Integration, own: Own, number: int, data: Mapping[str, Any] | None = None) -> None:
        row = FieldMapping(integration=integration, state=State.EXTRA, position=10_000 + number)
        super().__init__(row, own, data, prefix=f"new-{number}")
        self.fields["remote_key"].widget.attrs["aria-label"] = "The client’s input, as it is posted"

    def clean(self) -> dict[str, Any]:
        key = str(self.cleaned_data.get("remote_key", ""))
        if not key:
            if self.cleaned_data.get("source"):
                self.add_error("remote_key", "Write the client’s input as it is posted, such as form[utmSource].")
        elif self.row.integration.mappings.filter(remote_key=key).exists():
            self.add_error("remote_key", f"{key} is in the table already.")
        self.row.remote_key = key
        return super().clean()
