"""The history of what people changed: who, when, and each value as it was and as it is.

It stands in Django's own log, one entry for one save, with the values beside the names of what changed. The console writes it,
and the partner API for what its keys do (`record_by_key`). What the engine writes by the thousand has histories of its own (a lead's changes, a delivery's attempts).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.db.models import Manager, Model, Q, QuerySet
from django.utils.text import Truncator

from leads.models import User
from leads.partner_keys import Partner

VALUE_CHARS = 500
NOTHING = "–"
# The user who stands for all keys in the log, which knows people alone. Nobody signs in as it.
PARTNER_API = "Partner API"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that was changed, as people read it. A secret's values are kept nowhere."""

    label: str
    old: str = ""
    new: str = ""
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an entry: what it is about ("" for the thing itself), what was done with it, and its values."""

    subject: str
    done: str
    changes: Sequence[Change] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a person did at one moment."""

    at: dt.datetime
    who: str
    about: str
    lines: Sequence[Line] = field(default_factory=tuple)


# --- written ------------------------------------------------------------------------------------------------


def record(user: Any, row: Model, message: str | list[dict[str, Any]]) -> None:
    """Write an entry on a row: `message` in words for people, or made by `changed`."""
    LogEntry.objects.log_actions(user.pk, [row], CHANGE, message, single_object=True)


def record_by_key(partner: Partner, row: Model, words: str) -> None:
    """Write an entry on a row for what a key of the partner API did, in words for people."""
    # Its name has a space, which no person's may have.
    stand_in, _ = User.objects.get_or_create(
        username=PARTNER_API, defaults={"is_active": False, "password": make_password(None)}
    )
    record(stand_in, row, f"By the key {partner.name}: {words}")


def form_message(form: forms.ModelForm[Any], formsets: Iterable[Any], *, add: bool) -> list[dict[str, Any]]:
    """What a save of the admin did, for LogEntry.change_message: the form's own changes, then its rows'."""
    message: list[dict[str, Any]] = []
    changes = list(form_changes(form, add=add))
    if add:
        message.append({"added": {"values": _packed(changes)}})
    elif changes:
        message.append({"changed": {"fields": [change.label for change in changes], "values": _packed(changes)}})
    for formset in formsets:
        by_row = {id(row.instance): row for row in formset.forms}
        for instance in formset.new_objects:
            row = by_row.get(id(instance))
            message.append({"added": _about(instance, form_changes(row, add=True) if row else ())})
        for instance, _ in formset.changed_objects:
            row = by_row.get(id(instance))
            about = _about(instance, form_changes(row) if row else ())
            message.append({"changed": about | {"fields": [label for label, *_ in about["values"]]}})
        for instance in formset.deleted_objects:
            message.append({"deleted": _about(instance, ())})
    return message


def form_changes(form: forms.ModelForm[Any], *, add: bool = False) -> Iterator[Change]:
    """What was changed in a form that is valid; of a new thing, what was filled in."""
    for name in form.changed_data:
        box = form.fields.get(name)
        if box is None or name == "DELETE":
            continue
        label = str(form[name].label or name)
        if isinstance(box.widget, forms.PasswordInput) or "password" in name:
            yield Change(label, secret=True)
            continue
        old = "" if add else shown(form.initial.get(name, box.initial), box)
        new = shown(form.cleaned_data.get(name), box)
        if old != new:
            yield Change(label, old, new)


def shown(value: Any, box: forms.Field | None = None) -> str:
    """A value as people read it: labels for choices, names for rows, yes and no."""
    if callable(value):
        value = value()
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(box, forms.ModelMultipleChoiceField):
        return ", ".join(sorted(map(str, value)))
    if isinstance(box, forms.ModelChoiceField) and not isinstance(value, Model):
        value = (box.queryset.filter(pk=value).first() if box.queryset is not None else None) or value
    elif isinstance(box, forms.ChoiceField):
        value = dict(_flat(box.choices)).get(str(value), value)
    if isinstance(value, list):
        value = ", ".join(_item(each) for each in value)
    return Truncator(str(value)).chars(VALUE_CHARS)


def changed(*changes: Change) -> list[dict[str, Any]]:
    """The message of changes that were not made with a form."""
    return [{"changed": {"fields": [change.label for change in changes], "values": _packed(changes)}}]


def _item(value: Any) -> str:
    if isinstance(value, dict) and "value" in value:
        label = value.get("label") or value["value"]
        return str(label) if label == value["value"] else f"{value['value']} = {label}"
    return str(value)


def _flat(choices: Any) -> Iterator[tuple[str, str]]:
    for value, label in choices:
        if isinstance(label, list | tuple):
            yield from _flat(label)
        else:
            yield str(value), str(label)


def _about(instance: Model, changes: Iterable[Change]) -> dict[str, Any]:
    name = str(instance._meta.verbose_name)
    return {"name": name, "object": str(instance), "values": _packed(changes)}


def _packed(changes: Iterable[Change]) -> list[list[str]]:
    return [[c.label] if c.secret else [c.label, c.old, c.new] for c in changes]


# --- read ---------------------------------------------------------------------------------------------------


def entries_of(*about: tuple[type[Model], Iterable[Any]]) -> QuerySet[LogEntry]:
    """The log of these rows, the newest first: (model, ids), ..."""
    wanted = Q(pk__in=[])
    for model, ids in about:
        kind = ContentType.objects.get_for_model(model, for_concrete_model=False)
        wanted |= Q(content_type=kind, object_id__in=[str(pk) for pk in ids])
    return LogEntry.objects.filter(wanted).select_related("user", "content_type").order_by("-action_time", "-pk")


def read(entry: LogEntry, *, of: Model | None = None) -> Entry:
    """An entry as people read it; `of` is the row whose history is shown, which need not be named again."""
    kind = entry.content_type
    same = of is not None and entry.object_id == str(of.pk) and kind == ContentType.objects.get_for_model(of)
    about = "" if same else f"{kind.name if kind else 'thing'} “{entry.object_repr}”"
    return Entry(entry.action_time, person_name(entry.user), about, tuple(_lines(entry)))


def person_name(user: Any) -> str:
    return str(user.get_full_name() or user.get_username())


def _lines(entry: LogEntry) -> Iterator[Line]:
    try:
        parts = json.loads(entry.change_message) if entry.change_message.startswith("[") else None
    except ValueError:
        parts = None
    if parts is None:
        verb = {ADDITION: "made", DELETION: "removed"}.get(entry.action_flag, "")
        yield Line("", verb, ()) if verb or not entry.change_message else Line("", entry.change_message, ())
        return
    if not parts:
        yield Line("", "saved, nothing changed")
    for part in parts:
        for what, told in part.items():
            subject = f"{told['name']} “{told['object']}”" if told.get("object") else ""
            done = {"added": "added" if subject else "made", "deleted": "removed"}.get(what, "changed")
            values = told.get("values")
            if values is None:
                values = [[label] for label in told.get("fields", ())]
            yield Line(subject, done, tuple(_unpacked(values)))


def _unpacked(values: Iterable[Sequence[str]]) -> Iterator[Change]:
    for value in values:
        if len(value) == 3:
            yield Change(value[0], value[1] or NOTHING, value[2] or NOTHING)
        else:
            yield Change(value[0], secret=True)


def has_history(user: Any) -> bool:
    """Whether a person has changed something: one who did is switched off, not removed, or the history would lose it."""
    entries: Manager[LogEntry] = LogEntry.objects
    return entries.filter(user=user.pk).exists()
