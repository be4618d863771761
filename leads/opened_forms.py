"""What stands in the boxes of Django's forms, as it is kept and as it was sent; see leads/opened.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.db.models import Model
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict

from leads.history import shown
from leads.opened import REMOVED, Box, Conflict, boxes_conflict


def boxes_of(form: Any, formsets: Sequence[Any] = (), post: QueryDict | None = None) -> dict[str, Box]:
    """The boxes of a page of Django's: those of its form, and of the tables under it."""
    boxes = form_boxes(form, post)
    for formset in formsets:
        boxes |= formset_boxes(formset, post)
    return boxes


def page_conflict(request: Any, about: Model, form: Any, formsets: Sequence[Any] = ()) -> Conflict | None:
    """What stops the save of a posted page of Django's: what somebody else changed, and nobody has decided on yet.

    `form` and `formsets` are those of the row as it is kept, unbound. What was decided is done to what was posted.
    """
    found = boxes_conflict(request.POST, about, boxes_of(form, formsets), boxes_of(form, formsets, request.POST))
    if found is None:
        return None
    decided = found.decided(request.POST)
    if decided == "merge":
        request.POST = post_merged(request.POST, found.merged, form, formsets)
    request.POST = rows_gone(request.POST, formsets)
    return None if decided else found


def form_boxes(
    form: forms.BaseForm, post: QueryDict | None = None, *, row: str = "", prefix: str = "", about: str = ""
) -> dict[str, Box]:
    """The boxes of a form that nothing was typed into, or as `post` has them. Secrets and what can't be typed are left out.

    Of a table's row: its key, the prefix that its boxes were sent with, and what it is about.
    """
    found = {}
    for bound in form:
        widget = _widget(bound)
        if bound.field.disabled or bound.name == "DELETE" or isinstance(widget, forms.PasswordInput):
            continue
        if isinstance(bound.field, forms.models.InlineForeignKeyField) or bound.name == _pk_name(form):
            continue
        values = _would_send(bound) if post is None else _sent(bound, post, prefix)
        label = f"{about}: {bound.label}" if about else str(bound.label)
        found[f"{row}:{bound.name}" if row else bound.name] = Box(label, values, _words(bound, values))
    return found


def formset_boxes(formset: Any, post: QueryDict | None = None) -> dict[str, Box]:
    """The same of a table's rows that are kept, each under its id whatever its place on a page is."""
    found: dict[str, Box] = {}
    places = _places(formset, post) if post is not None else {}
    for form in formset.initial_forms:
        pk = str(form.instance.pk)
        row, about = f"{formset.prefix}:{pk}", f"{form.instance._meta.verbose_name} “{form.instance}”"
        if post is None:
            found[row] = Box(about, (pk,), "there")
            found |= form_boxes(form, row=row, about=about)
        elif pk in places:
            prefix = f"{formset.prefix}-{places[pk]}"
            found[row] = Box(about, (pk,), "there")
            found |= form_boxes(form, post, row=row, prefix=prefix, about=about)
            if f"{prefix}-DELETE" in post:
                gone = {key: Box(box.label, (REMOVED,), REMOVED) for key, box in found.items() if key.startswith(row)}
                found |= gone
    for pk in places.keys() - {str(form.instance.pk) for form in formset.initial_forms}:
        row, prefix = f"{formset.prefix}:{pk}", f"{formset.prefix}-{places[pk]}"
        found[row] = Box("", (pk,), "there")
        found |= form_boxes(formset.empty_form, post, row=row, prefix=prefix)
    return found


def post_merged(post: QueryDict, merged: Mapping[str, Sequence[str]], form: Any, formsets: Sequence[Any]) -> QueryDict:
    """What was posted, with theirs in the boxes that were not changed. `form` and `formsets` are as they were sealed."""
    result = post.copy()
    rows = {
        f"{formset.prefix}:{row.instance.pk}": (row, f"{formset.prefix}-{place}")
        for formset in formsets
        for row in formset.initial_forms
        if (place := _places(formset, post).get(str(row.instance.pk))) is not None
    }
    for key, values in merged.items():
        if ":" not in key:
            _set(result, form[key], "", values)
            continue
        row_key, _, name = key.rpartition(":")
        if row_key in rows:
            row, prefix = rows[row_key]
            _set(result, row[name], prefix, values)
    return result


def rows_gone(post: QueryDict, formsets: Sequence[Any]) -> QueryDict:
    """What was posted without the rows that somebody else removed: these stay removed."""
    result = post.copy()
    for formset in formsets:
        kept = {str(form.instance.pk) for form in formset.initial_forms}
        gone = {place for pk, place in _places(formset, post).items() if pk not in kept}
        if not gone:
            continue
        for key in post:
            if (found := _in_row(formset, key)) is not None:
                del result[key]
        for key in post:
            if (found := _in_row(formset, key)) is not None and found[0] not in gone:
                place = found[0] - sum(each < found[0] for each in gone)
                result.setlist(f"{formset.prefix}-{place}-{found[1]}", post.getlist(key))
        for count in ("TOTAL_FORMS", "INITIAL_FORMS"):
            given = post.get(f"{formset.prefix}-{count}", "")
            if given.isascii() and given.isdigit():
                result[f"{formset.prefix}-{count}"] = str(int(given) - len(gone))
    return result


def _in_row(formset: Any, key: str) -> tuple[int, str] | None:
    """The place and the name of a box that was posted, where it is one of the table's."""
    place, _, name = key.removeprefix(f"{formset.prefix}-").partition("-")
    ours = key.startswith(f"{formset.prefix}-") and place.isascii() and place.isdigit() and len(place) < 5
    return (int(place), name) if ours else None


def _places(formset: Any, post: QueryDict) -> dict[str, int]:
    """Row id to its place among those that were posted."""
    count, name = post.get(f"{formset.prefix}-INITIAL_FORMS", ""), _pk_name(formset)
    most = int(count) if count.isascii() and count.isdigit() and len(count) < 5 else 0
    return {pk: place for place in range(most) if (pk := post.get(f"{formset.prefix}-{place}-{name}", ""))}


def _pk_name(form: Any) -> str:
    """The box of a row's id; "" of a form that is about no row."""
    model = getattr(form, "model", None) or getattr(getattr(form, "_meta", None), "model", None)
    return str(model._meta.pk.name) if model is not None else ""


def _widget(bound: forms.BoundField) -> Any:
    # The admin wraps the widget of a related row into one with buttons to add and change it.
    return getattr(bound.field.widget, "widget", bound.field.widget)


def _names(bound: forms.BoundField, prefix: str) -> list[str]:
    widget = _widget(bound)
    name = f"{prefix}-{bound.name}" if prefix else bound.html_name
    suffixes: list[str] = getattr(widget, "widgets_names", [""])
    return [name + suffix for suffix in suffixes]


def _would_send(bound: forms.BoundField) -> tuple[str, ...]:
    """What a browser sends of a box that nobody touched."""
    widget, value = _widget(bound), bound.field.prepare_value(bound.initial)
    if isinstance(widget, forms.MultiWidget):
        parts: Any = value if isinstance(value, list | tuple) else widget.decompress(value)
        formatted = [each.format_value(part) for each, part in zip(widget.widgets, parts, strict=True)]
        return _tidy(["" if each is None else str(each) for each in formatted], keep=True)
    if isinstance(widget, forms.CheckboxInput):
        return ("on",) if widget.check_test(value) else ()
    if isinstance(widget, forms.widgets.ChoiceWidget):
        sent = [str(each) for each in widget.format_value(value)]
        if isinstance(widget, forms.Select) and not widget.allow_multiple_selected and not any(sent):
            sent = _first_choice(bound.field)
        return _tidy(sorted(sent))
    formatted = widget.format_value(value)
    return _tidy(["" if formatted is None else str(formatted)])


def _sent(bound: forms.BoundField, post: QueryDict, prefix: str) -> tuple[str, ...]:
    names, widget = _names(bound, prefix), _widget(bound)
    if isinstance(widget, forms.MultiWidget):
        return _tidy([post.get(name, "") for name in names], keep=True)
    if isinstance(widget, forms.CheckboxInput):
        return ("on",) if widget.value_from_datadict(post, MultiValueDict(), names[0]) else ()
    values = post.getlist(names[0])
    return _tidy(sorted(values) if isinstance(widget, forms.widgets.ChoiceWidget) else values)


def _set(post: QueryDict, bound: forms.BoundField, prefix: str, values: Sequence[str]) -> None:
    names = _names(bound, prefix)
    if len(names) > 1:
        for name, value in zip(names, values or [""] * len(names), strict=True):
            post[name] = value
    elif values or not isinstance(_widget(bound), forms.CheckboxInput):
        post.setlist(names[0], list(values))
    else:
        post.pop(names[0], None)


def _tidy(values: Sequence[str], *, keep: bool = False) -> tuple[str, ...]:
    """As it is compared: one kind of line end, and nothing for a box that is empty."""
    lines = [value.replace("\r\n", "\n").strip() for value in values]
    return tuple(lines) if keep and any(lines) else tuple(each for each in lines if each)


def _words(bound: forms.BoundField, values: tuple[str, ...]) -> str:
    box: Any = bound.field
    if isinstance(_widget(bound), forms.CheckboxInput):
        return "yes" if values else "no"
    if isinstance(box, forms.ModelChoiceField):
        ids = [each for each in values if each.isascii() and each.isdigit() and len(each) < 19]
        rows: Any = box.queryset
        return ", ".join(sorted(map(str, rows.filter(pk__in=ids)))) if ids else ""
    return ", ".join(shown(each, box).replace("\n", ", ") for each in values)


def _first_choice(box: Any) -> list[str]:
    """What a select sends that has no choice of none."""
    if isinstance(box, forms.ModelChoiceField):
        rows: Any = box.queryset
        return list(map(str, rows.values_list("pk", flat=True)[:1])) if box.empty_label is None else []
    return [str(value) for value, _ in list(box.choices)[:1] if not isinstance(value, list | tuple)]
