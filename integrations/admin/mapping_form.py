"""The mapping table of the Configure page: a row for each of the client's fields, with a choice of your own beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django import forms
from django.utils.functional import SimpleLazyObject

from integrations.discovery import mapping_changed, own_fields
from integrations.kit.mapping import DEFAULT_KEY, FACTS, TRANSFORMS, Row, row_problem
from integrations.models import FieldMapping, Integration
from leads.admin.pairs import pairs_to_text, text_to_pairs
from leads.models import Field
from leads.skin import Select, Textarea, TextInput

Source = FieldMapping.Source
State = FieldMapping.State
WITH_TEXT = (Source.FIXED, Source.TEMPLATE)
_EXTRA = re.compile(r"new-(\d{1,3})-remote_key\Z")
MAX_EXTRA = 100


@dataclass(frozen=True, slots=True)
class Own:
    """The campaign's own inputs, for the dropdowns: key to label, and the choices of those that have any."""

    labels: Mapping[str, str]
    choices: Mapping[str, Sequence[str]]

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
    """What the campaign's forms have, each input once."""
    labels: dict[str, str] = {}
    choices: dict[str, Sequence[str]] = {}
    for entry in own_fields(integration):
        for key in entry.inputs:
            labels.setdefault(key, _label(entry, key))
            if entry.choices and not key.endswith(".terms"):
                choices.setdefault(key, [str(choice["value"]) for choice in entry.choices])
    return Own(labels, choices)


def _label(entry: Field, key: str) -> str:
    part = f" ({key.rpartition('.')[2]})" if key != entry.name else ""
    label = f"{entry.label or entry.name}{part}"
    return label if label == key else f"{label} · {key}"


class RowForm(forms.Form):
    """One row: where the value of one of the client's fields comes from."""

    source = forms.CharField(required=False, widget=forms.HiddenInput)
    text = forms.CharField(required=False, max_length=2_000, widget=TextInput)
    value_map = forms.CharField(required=False, max_length=100_000, widget=Textarea(attrs={"rows": 4}))
    transforms = forms.CharField(required=False, max_length=2_000, widget=Textarea(attrs={"rows": 2}))
    remove = forms.BooleanField(required=False)

    def __init__(self, row: FieldMapping, own: Own, data: Mapping[str, Any] | None = None, prefix: str = "") -> None:
        self.row, self.own = row, own
        has_text = row.source in WITH_TEXT
        chosen = f"{row.source}:{'' if has_text else row.value}" if row.source else ""
        initial = {
            "source": chosen,
            "text": row.value if has_text else "",
            "value_map": SimpleLazyObject(lambda: pairs_to_text(row.value_map.items())),
            "transforms": transforms_to_text(row.transforms),
        }
        prefix = prefix or f"m{row.pk}"
        super().__init__(data, prefix=prefix, initial=initial)
        if self.is_bound and data is not None:
            chosen = str(data.get(f"{prefix}-source", ""))
        label = f"Where {row.remote_label or row.remote_key or 'the extra field'} comes from"
        self.fields["source"].widget = Select(
            choices=own.options(chosen), attrs={"aria-label": label, "x-model": "source"}
        )
        self.fields["text"].widget.attrs["aria-label"] = f"Value or template for {row.remote_label or row.remote_key}"
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
        if theirs and (strange := [right for right in value_map.values() if right and right not in theirs]):
            self.add_error("value_map", f"“{strange[0]}” is none of the client’s values: {', '.join(theirs[:30])}.")
        # What was chosen before and is gone since stays as it is: it is marked, and the leads that need it are held.
        unchanged = (source, value) == (self.row.source, self.row.value)
        if not self.errors and not unchanged and source:
            made = Row(self.row.remote_key, self.row.remote_label, False, source, value, value_map, transforms)
            if words := row_problem(made, set(self.own.labels)):
                self.add_error("source", words)
        return {**cleaned, "made": (source, value, value_map, transforms)}

    def store(self) -> bool:
        """Put what was chosen on the row, unsaved; True where it is another mapping now."""
        row = self.row
        before = (row.source, row.value, row.value_map, row.transforms)
        row.source, row.value, row.value_map, row.transforms = self.cleaned_data["made"]
        return bool(before != self.cleaned_data["made"])

    @property
    def removable(self) -> bool:
        return self.row.state in (State.EXTRA, State.VANISHED)

    @property
    def missing(self) -> bool:
        """Required by the client, on their form, and nothing chosen."""
        return self.row.remote_required and self.row.state != State.VANISHED and not self.row.source

    @property
    def broken(self) -> str:
        """What is wrong with the row as it is stored, in words."""
        row = self.row
        if not row.source or row.state == State.VANISHED:
            return ""
        stored = Row(row.remote_key, row.remote_label, False, row.source, row.value, row.value_map, row.transforms)
        return row_problem(stored, set(self.own.labels))

    @cached_property
    def unmatched(self) -> list[str]:
        """Values of your choice field that are none of the client's, by themselves or by the value map."""
        row = self.row
        theirs = {str(choice["value"]).casefold() for choice in row.remote_choices}
        if row.source != Source.FIELD or not theirs or DEFAULT_KEY in row.value_map:
            return []
        known = theirs | {own.casefold() for own in row.value_map}
        return [value for value in self.own.choices.get(row.value, ()) if value.casefold() not in known]

    @property
    def matchable(self) -> bool:
        return bool(self.row.remote_choices or self.row.value_map)

    @property
    def opened(self) -> bool:
        """That the fold with the value map and the transforms stands open: something is in it, or wrong with it."""
        return bool(self.errors.keys() & {"value_map", "transforms"} or self.row.transforms or self.row.value_map)


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


class MappingTable:
    """All rows of an integration's mapping, as they are on the page."""

    def __init__(self, integration: Integration, data: Mapping[str, Any] | None = None) -> None:
        self.integration = integration
        self.own = own_inputs(integration)
        stored = list(integration.mappings.all())
        # A row that the page did not have, for it came since, is left alone.
        self.rows = [
            RowForm(row, self.own, data if data is not None and f"m{row.pk}-source" in data else None) for row in stored
        ]
        numbers = _extra_numbers(data or {})
        self.extra = [ExtraRowForm(integration, self.own, number, data) for number in numbers]
        if not self.extra:
            self.extra = [ExtraRowForm(integration, self.own, 0)]

    def is_valid(self) -> bool:
        checked = [form.is_valid() for form in [*self.rows, *self.extra] if form.is_bound]
        keys = [form.row.remote_key for form in self.extra if form.row.remote_key]
        twice = {key for key in keys if keys.count(key) > 1}
        for form in self.extra:
            if form.row.remote_key in twice:
                form.add_error("remote_key", f"{form.row.remote_key} is there twice.")
        return all(checked) and not twice

    def store(self) -> bool:
        """Save what was chosen, in the caller's transaction; True where the mapping is another one now."""
        changed = False
        for form in self.rows:
            if not form.is_bound:
                continue
            if form.removable and form.cleaned_data["remove"]:
                form.row.delete()
                changed = True
                continue
            is_other = form.store()
            # New rows have been seen now.
            seen = form.row.state == State.NEW
            if seen:
                form.row.state = State.CURRENT
            if is_other or seen:
                form.row.save()
            changed |= is_other
        for form in self.extra:
            if form.is_bound and form.row.remote_key:
                form.store()
                form.row.save()
                changed = True
        if changed:
            mapping_changed(self.integration)
        return changed

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many of the client's fields there are, how many have a value, and how many required ones have none."""
        theirs = [form for form in self.rows if form.row.state != State.VANISHED]
        new = sum(form.row.state == State.NEW for form in theirs)
        return {
            "fields": len(theirs),
            "mapped": sum(bool(form.row.source) for form in theirs),
            "missing": sum(form.missing for form in theirs),
            # After the first pull all are new: then it says nothing.
            "new": new if new < len(theirs) else 0,
            "vanished": len(self.rows) - len(theirs),
        }


def _extra_numbers(data: Iterable[str]) -> list[int]:
    return sorted(int(found[1]) for name in data if (found := _EXTRA.match(name)))[:MAX_EXTRA]


def transforms_to_text(transforms: Sequence[Mapping[str, Any]]) -> str:
    """One transform to a line: its name, then its parameters behind a colon."""
    lines = []
    for spec in transforms:
        inner = spec.get("params")
        given = {**spec, **inner} if isinstance(inner, Mapping) else spec
        params = [f"{name}={value}" for name, value in given.items() if name not in ("name", "params")]
        known = TRANSFORMS.get(str(spec.get("name")))
        name = known.label if known else str(spec.get("name"))
        lines.append(name + (f": {'; '.join(params)}" if params else ""))
    return "\n".join(lines)


def text_to_transforms(text: str) -> tuple[list[dict[str, str]], str]:
    """The transforms in such lines, and in words what is wrong with them. Names and labels are both understood."""
    known = {word.casefold(): each for each in TRANSFORMS.values() for word in (each.name, each.label)}
    found: list[dict[str, str]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, given = line.partition(":")
        transform = known.get(name.strip().casefold())
        if transform is None:
            return (
                [],
                f"“{name.strip()[:60]}” is no transform. There are: {', '.join(t.label for t in TRANSFORMS.values())}.",
            )
        spec = {"name": transform.name}
        for pair in filter(None, map(str.strip, given.split(";"))):
            param, equals, value = pair.partition("=")
            if not equals or param.strip() not in {each.name for each in transform.params}:
                takes = ", ".join(f"{each.name}=…" for each in transform.params) or "no parameters"
                return [], f"{transform.label}: “{pair[:60]}” is not understood. It takes {takes}."
            spec[param.strip()] = value.strip()
        found.append(spec)
    return found, ""
