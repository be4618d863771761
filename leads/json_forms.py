"""A form's values as JSON and as cells of a table: read into the pairs that the form's check takes. Pure functions, no database.

In JSON a field is a member of an object: text as a string, a number as number or string, a checkbox as true or false (or a string,
as posted), a choice of several as a list, an opt-in as {"terms": true, "contactTypes": ["Email"]}. null is the same as leaving
it out. Who posted it is told as "$visitor": {"userId": …, "anonymousId": …}. form_schema.py says the same as JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from leads.forms import VISITOR_NAMES, CompiledForm, FieldError, FieldSpec
from leads.models.form import SYNC_SUBDOMAIN_NAME, SYNC_TOKEN_NAME, FieldType
from leads.posted import Pairs

VISITOR = "$visitor"
SYNC_NAMES = (SYNC_TOKEN_NAME, SYNC_SUBDOMAIN_NAME)
# Numbers of JSON are taken up to this: beyond, what was meant and what was read differ.
MOST_NUMBER = 10**15

NO_FIELD = "This form has no such field."
TEXT = "Write it as text, in quotation marks."
NUMBER = "Write it as a number, or as text."
BOOLEAN = "Write true or false."
LIST = "Write it as a list of texts."
OBJECT = "Write it as an object."
TOO_LARGE_NUMBER = "Write numbers as large as this as text."


class Member(NamedTuple):
    """How one member of the JSON object is read. `wire` is the name of the form's input that it becomes."""

    wire: str
    kind: str
    """text, number, yes_no, list, object"""
    choices: frozenset[str] = frozenset()
    parts: Mapping[str, Member] = {}


@dataclass(frozen=True, slots=True)
class JsonForm:
    """A form's members by name, and where its inputs stand in JSON: input name to (field, pointer)."""

    members: Mapping[str, Member]
    places: Mapping[str, tuple[str, str]]
    columns: Mapping[str, str]
    """Names of columns of a table to input names."""


@lru_cache(maxsize=1_000)
def json_form(form: CompiledForm) -> JsonForm:
    """How a form's values are written in JSON."""
    members = {spec.name: _member(spec) for spec in form.fields}
    places: dict[str, tuple[str, str]] = {}
    for name, member in members.items():
        if member.kind == "object":
            for part, inner in member.parts.items():
                places[inner.wire] = (f"{name}.{part}", f"/{name}/{part}")
        else:
            places[member.wire] = (name, f"/{name}")
    columns = {field: wire for wire, (field, _) in places.items()}
    columns |= {name: f"form[{name}]" for name in SYNC_NAMES}
    columns |= {f"{VISITOR}.{name}": name for name in VISITOR_NAMES}
    members |= {name: Member(f"form[{name}]", "text") for name in SYNC_NAMES}
    members[VISITOR] = Member("", "object", parts={name: Member(name, "text") for name in VISITOR_NAMES})
    return JsonForm(members, places, columns)


def _member(spec: FieldSpec) -> Member:
    wire = f"form[{spec.name}]"
    choices = frozenset(str(choice["value"]) for choice in spec.choices)
    match spec.type:
        case FieldType.OPTIN:
            parts = {
                "terms": Member(f"{wire}[terms]", "yes_no"),
                "contactTypes": Member(f"{wire}[contactTypes]", "list", choices),
            }
            return Member("", "object", parts=parts)
        case FieldType.CHECKBOX:
            return Member(wire, "yes_no")
        case FieldType.NUMBER if not (spec.min_length or spec.max_length):
            return Member(wire, "number")
        case FieldType.CHOICE if spec.multiple:
            return Member(wire, "list", choices)
    return Member(wire, "text")


def pairs_of_json(form: JsonForm, said: Mapping[str, Any]) -> tuple[Pairs, list[FieldError]]:
    """The pairs that the form's check takes, and what can't be read: errors named by field (“optin.terms”)."""
    pairs: Pairs = []
    errors: list[FieldError] = []
    members = form.members
    for name, value in said.items():
        member = members.get(name)
        if member is None:
            errors.append(FieldError(name[:100], NO_FIELD))
        elif member.kind == "text" and type(value) is str:
            pairs.append((member.wire, value))
        elif member.kind == "object":
            _read_object(name, member, value, pairs, errors)
        else:
            _read(name, member, value, pairs, errors)
    return pairs, errors


def _read_object(name: str, member: Member, value: Any, pairs: Pairs, errors: list[FieldError]) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        errors.append(FieldError(name, OBJECT))
        return
    for part, inner in value.items():
        known = member.parts.get(part)
        if known is None:
            errors.append(FieldError(f"{name}.{part[:100]}", NO_FIELD))
        else:
            _read(f"{name}.{part}", known, inner, pairs, errors)


def _read(name: str, member: Member, value: Any, pairs: Pairs, errors: list[FieldError]) -> None:
    if value is None:
        return
    try:
        text = _READERS[member.kind](member, value)
    except ValueError as problem:
        errors.append(FieldError(name, str(problem)))
    else:
        pairs.append((member.wire, text))


def _text(member: Member, value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(TEXT)


def _number(member: Member, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(NUMBER)
    if not -MOST_NUMBER < value < MOST_NUMBER:
        raise ValueError(TOO_LARGE_NUMBER)
    return str(value) if isinstance(value, int) else format(Decimal(repr(value)), "f")


def _yes_no(member: Member, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    raise ValueError(BOOLEAN)


def _list(member: Member, value: Any) -> str:
    """The comma list that is posted: each text one choice, or one word where there are no choices."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(LIST)
    words = [each.strip() for each in value]
    for word in words:
        if member.choices and word not in member.choices:
            raise ValueError("This is not among the choices.")
        if not member.choices and (not word or "," in word):
            raise ValueError("Write each word as a text of its own, without commas.")
    return ",".join(words)


_READERS = {"text": _text, "number": _number, "yes_no": _yes_no, "list": _list}


def pairs_of_cells(wires: Sequence[str], cells: Sequence[str]) -> Pairs:
    """The pairs of a row of a table whose columns are these inputs; choices of several are joined by commas, as posted."""
    return list(zip(wires, cells, strict=False))
