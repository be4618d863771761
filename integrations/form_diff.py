"""What is different between the client's form that was mapped and the one they have now. Pure: rows and forms in, words out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from integrations.kit.contract import Choice, RemoteField, RemoteForm
from integrations.kit.suggestions import Suggestion
from integrations.mapping import source_words
from integrations.models import FieldMapping

# Extra rows were never on their form, and vanished ones are gone from it already.
_ON_THEIR_FORM = (FieldMapping.State.CURRENT, FieldMapping.State.NEW)
_SHOWN_CHARS, _SHOWN_CHOICES = 80, 6


class ChangeKind(StrEnum):
    """What can become of a field of theirs."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    REQUIRED = "required"
    OPTIONAL = "optional"
    CHOICES = "choices"
    TYPE = "type"
    LABEL = "label"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one field. `field` is as it is now (None: gone), `row` the row as it was mapped (None: there was none).

    `breaks` says in words why leads would fail by it; empty where they would not. `suggestion` is a field of ours for it.
    """

    kind: ChangeKind
    key: str
    label: str
    field: RemoteField | None = None
    row: Mapping[str, Any] | None = None
    choices_added: tuple[Choice, ...] = ()
    choices_removed: tuple[Choice, ...] = ()
    breaks: str = ""
    suggestion: Suggestion | None = None

    @property
    def mapped(self) -> bool:
        return self.row is not None and self.row["source"] != ""

    @property
    def sign(self) -> str:
        """+ for what came, − for what went, ~ for what is otherwise now."""
        return {ChangeKind.ADDED: "+", ChangeKind.REMOVED: "−"}.get(self.kind, "~")

    @property
    def words(self) -> str:
        """What changed, as the end of a sentence that starts with the label."""
        row: Mapping[str, Any] = self.row or {}
        match self.kind:
            case ChangeKind.ADDED:
                return "new, required" if self.field and self.field.required else "new"
            case ChangeKind.REMOVED:
                return f"removed; was mapped to {source_words(row)}: the row goes" if self.mapped else "removed"
            case ChangeKind.RENAMED:
                now = ", required" if self.field and self.field.required and not row["remote_required"] else ""
                return f"was {_short(row['remote_label'])} ({row['remote_key']}), is {self.key} now{now}"
            case ChangeKind.REQUIRED:
                return "required now"
            case ChangeKind.OPTIONAL:
                return "no longer required"
            case ChangeKind.TYPE:
                return f"type: {self.field.type if self.field else ''}, was {row['remote_type']}"
            case ChangeKind.LABEL:
                return f"labelled anew, was {_short(row['remote_label'])}"
            case ChangeKind.CHOICES:
                return "choices: " + "; ".join(
                    f"{sign} {_listed(choices)}"
                    for sign, choices in (("+", self.choices_added), ("−", self.choices_removed))
                    if choices
                )

    def __str__(self) -> str:
        return f"{self.label}: {self.words}"


@dataclass(frozen=True, slots=True)
class FormDiff:
    """All that changed, in the order of their form; what is gone comes last."""

    changes: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def breaking(self) -> list[Change]:
        return [change for change in self.changes if change.breaks]

    @property
    def renames(self) -> dict[str, str]:
        """Old keys to new ones, as they look: for a person to accept."""
        return {str(c.row["remote_key"]): c.key for c in self.changes if c.kind == ChangeKind.RENAMED and c.row}


def form_diff(rows: Iterable[Mapping[str, Any]], form: RemoteForm) -> FormDiff:
    """Compare rows (their columns) with the form. Rows added by hand, the sync inputs and the order of fields say nothing."""
    rows = list(rows)
    old = {row["remote_key"]: row for row in rows if row["state"] in _ON_THEIR_FORM}
    kept = {row["remote_key"]: row for row in rows}
    new = {entry.key: entry for entry in form.fields if not entry.sync}
    gone = {key: row for key, row in old.items() if key not in new}
    came = {key: entry for key, entry in new.items() if key not in old}
    renamed = _renamed(gone, {key: entry for key, entry in came.items() if key not in kept})
    before = {new_key: old_key for old_key, new_key in renamed.items()}
    changes: list[Change] = []
    for key, entry in new.items():
        if key in before:
            changes.append(Change(ChangeKind.RENAMED, key, _short(entry.label or key), entry, gone[before[key]]))
            changes += [
                change
                for change in _changed(gone[before[key]], entry)
                if change.kind in (ChangeKind.CHOICES, ChangeKind.TYPE)
            ]
        elif key in came:
            changes.append(Change(ChangeKind.ADDED, key, _short(entry.label or key), entry, kept.get(key)))
        else:
            changes += _changed(old[key], entry)
    changes += [
        Change(ChangeKind.REMOVED, key, _short(row["remote_label"] or key), None, row)
        for key, row in gone.items()
        if key not in renamed
    ]
    return FormDiff(tuple(changes))


def row_now(row: Mapping[str, Any], entry: RemoteField) -> dict[str, Any]:
    """A row's columns as they will be when their field is as `entry` says."""
    return {
        **row,
        "remote_key": entry.key,
        "remote_label": entry.label,
        "remote_type": entry.type,
        "remote_required": entry.required,
        "remote_hidden": entry.hidden,
        "remote_choices": [asdict(choice) for choice in entry.choices],
        "state": FieldMapping.State.CURRENT.value,
    }


def _changed(row: Mapping[str, Any], entry: RemoteField) -> list[Change]:
    change = Change(ChangeKind.LABEL, entry.key, _short(entry.label or entry.key), entry, row)
    found = []
    if entry.required != row["remote_required"]:
        found.append(replace(change, kind=ChangeKind.REQUIRED if entry.required else ChangeKind.OPTIONAL))
    was = {choice["value"]: Choice(choice["value"], choice["label"]) for choice in row["remote_choices"]}
    now = {choice.value: choice for choice in entry.choices}
    added = tuple(choice for value, choice in now.items() if value not in was)
    removed = tuple(choice for value, choice in was.items() if value not in now)
    if added or removed:
        found.append(replace(change, kind=ChangeKind.CHOICES, choices_added=added, choices_removed=removed))
    if entry.type != row["remote_type"]:
        found.append(replace(change, kind=ChangeKind.TYPE))
    relabelled = not (added or removed) and any(was[value] != choice for value, choice in now.items())
    if entry.label != row["remote_label"] or entry.hidden != row["remote_hidden"] or relabelled:
        found.append(change)
    return found


def _renamed(gone: Mapping[str, Mapping[str, Any]], came: Mapping[str, RemoteField]) -> dict[str, str]:
    """Old keys to new ones that look like the same field: the same label and type, or the only one of both of a type."""
    found: dict[str, str] = {}
    for old_key, row in gone.items():
        label = str(row["remote_label"]).strip().casefold()
        same = [
            key
            for key, entry in came.items()
            if label and entry.label.strip().casefold() == label and entry.type == row["remote_type"]
        ]
        if len(same) == 1 and same[0] not in found.values():
            found[old_key] = same[0]
    if not found and len(gone) == len(came) == 1:
        (old_key, row), (new_key, entry) = next(iter(gone.items())), next(iter(came.items()))
        if entry.type == row["remote_type"]:
            found[old_key] = new_key
    return found


# --- a form as it is kept while a person has to decide ------------------------------------------------------


def form_as_dict(form: RemoteForm) -> dict[str, Any]:
    return {**asdict(form), "fields": [asdict(entry) for entry in form.fields]}


def form_of(kept: Mapping[str, Any]) -> RemoteForm:
    fields = tuple(
        RemoteField(**{**entry, "choices": tuple(Choice(**choice) for choice in entry["choices"])})
        for entry in kept["fields"]
    )
    return RemoteForm(fields, kept["name"], kept["honours_keys"])


def form_digest(form: RemoteForm) -> str:
    """What makes two pulls the same form."""
    said = json.dumps({**form_as_dict(form), "honours_keys": None}, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


def _listed(choices: Sequence[Choice]) -> str:
    shown = ", ".join(_short(choice.label or choice.value) for choice in choices[:_SHOWN_CHOICES])
    more = len(choices) - _SHOWN_CHOICES
    return f"{shown} and {more} more" if more > 0 else shown
