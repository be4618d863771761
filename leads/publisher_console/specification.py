"""A campaign's form as a partner's programmer reads it: each input, what it takes, and whether it must be there."""

from __future__ import annotations

from dataclasses import dataclass

from leads.models import Field, FieldType, Form

CHOICES_SHOWN = 12
_TAKES = {
    FieldType.TEXT: "Text",
    FieldType.EMAIL: "E-mail address",
    FieldType.TELEPHONE: "Telephone number",
    FieldType.NUMBER: "Number",
    FieldType.DATE: "Date, as 2026-01-31",
    FieldType.CHECKBOX: "1 for yes, 0 for no",
    FieldType.HIDDEN: "Text, filled in by your page",
}


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a form. `choices` are values and labels; `more` says how many stand behind those that are shown."""

    posted_as: str
    label: str
    takes: str
    required: bool
    choices: tuple[tuple[str, str], ...] = ()
    rest: tuple[tuple[str, str], ...] = ()


def form_inputs(form: Form) -> list[Input]:
    """The inputs of a form as it is now. Reads `fields`: prefetch them for many."""
    return [made for field in form.fields.all() if field.enabled for made in _inputs(field)]


def _inputs(field: Field) -> list[Input]:
    label = field.label or field.name
    if field.type == FieldType.OPTIN:
        choices = _choices(field)
        return [
            Input(f"form[{field.name}][terms]", f"{label}: terms accepted", "1 for yes", field.required),
            _with_choices(
                Input(f"form[{field.name}][contactTypes]", f"{label}: how to be contacted", "One of the values, or several with commas between", False),
                choices,
            ),
        ]  # fmt: skip
    takes = _TAKES.get(FieldType(field.type), "One of the values")
    if field.type == FieldType.CHECKBOX and field.required:
        takes = "1: it has to be ticked"
    if field.type == FieldType.CHOICE:
        takes = "Several of the values, with commas between" if field.multiple else "One of the values"
    choices = _choices(field) if field.type == FieldType.CHOICE else ()
    return [_with_choices(Input(f"form[{field.name}]", label, takes + _length(field), field.required), choices)]


def _with_choices(made: Input, choices: tuple[tuple[str, str], ...]) -> Input:
    shown, rest = choices[:CHOICES_SHOWN], choices[CHOICES_SHOWN:]
    return Input(made.posted_as, made.label, made.takes, made.required, shown, rest)


def _choices(field: Field) -> tuple[tuple[str, str], ...]:
    return tuple((str(each["value"]), str(each.get("label") or "")) for each in field.choices)


def _length(field: Field) -> str:
    if field.min_length and field.max_length:
        return f", {field.min_length} to {field.max_length} characters"
    if field.max_length:
        return f", {field.max_length} characters at the most"
    return f", {field.min_length} characters at the least" if field.min_length else ""
