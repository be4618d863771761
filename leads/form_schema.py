"""A form as JSON Schema 2020-12: what it takes, for whoever sends leads as JSON. Pure functions, no database.

What intake refuses the schema refuses, and what it takes the schema takes, but for what JSON Schema has no words for; that is
said in `description` where it stands, and listed in docs/api.md: letters of domains that are not ASCII, and choices that have
commas in them and begin alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from leads.forms import MAX_VISITOR_CHARS, CompiledForm, FieldSpec
from leads.json_forms import MOST_NUMBER, SYNC_NAMES, VISITOR
from leads.models.form import FieldType

DIALECT = "https://json-schema.org/draft/2020-12/schema"

# What is trimmed from values, spelled out: dialects of regular expressions differ in what \s is.
_SPACE = r"[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_INK = r"[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\x00]"
_ANY = r"[^\x00]"


def form_schema(form: CompiledForm, max_chars: int) -> dict[str, Any]:
    """The schema of a lead's values; `max_chars` is the longest value that is kept."""
    properties = {spec.name: _of_field(spec, max_chars) for spec in form.fields}
    required = [spec.name for spec in form.fields if spec.required]
    schema: dict[str, Any] = {
        "$schema": DIALECT,
        "title": form.name,
        "description": f"What is sent as a lead with the form “{form.name}”, version {form.version}. "
        "Spaces around values are taken away; an empty value or null is the same as none.",
        "type": "object",
        "properties": properties | _OTHERS,
        "required": required,
        "additionalProperties": False,
        "examples": [form_example(form)],
    }
    if not required:
        schema["anyOf"] = [filled for spec in form.fields for filled in _filled(spec)] or [False]
    return schema


_VISITOR_ID = {
    "type": ["string", "null"],
    "description": f"Of at most {MAX_VISITOR_CHARS} characters; a longer one is not kept.",
}
_OTHERS: dict[str, Any] = {
    VISITOR: {
        "type": ["object", "null"],
        "description": "Whose tracked events the lead belongs to.",
        "properties": {"userId": _VISITOR_ID, "anonymousId": _VISITOR_ID},
        "additionalProperties": False,
    },
    **{
        name: {
            "type": ["string", "null"],
            "description": "For instances that send leads on and want to be told what becomes of them.",
        }
        for name in SYNC_NAMES
    },
}


def _of_field(spec: FieldSpec, max_chars: int) -> dict[str, Any]:
    said: dict[str, Any] = {"title": spec.label or spec.name}
    match spec.type:
        case FieldType.OPTIN:
            said |= _optin(spec, max_chars)
        case FieldType.CHECKBOX:
            said |= _yes_no(spec.required, ticked=spec.required)
        case FieldType.CHOICE:
            said |= _several(spec, max_chars) if spec.multiple else _one(spec, max_chars)
        case FieldType.NUMBER:
            said |= _number(spec, max_chars)
        case FieldType.EMAIL:
            said |= _text(spec, max_chars, _EMAIL, longest=254)
            said["description"] = (
                "An e-mail address. Of a domain’s letters that are not ASCII only letters and digits are taken."
            )
        case FieldType.TELEPHONE:
            said |= _text(spec, max_chars, _TELEPHONE)
            said["description"] = "A telephone number of 4 to 24 digits, best with its country code: (+44)07123456789."
        case FieldType.DATE:
            said |= _text(spec, max_chars, _DATE)
            said["description"] = "A date as YYYY-MM-DD."
        case _:
            said |= _text(spec, max_chars, None)
    return said


def _text(spec: FieldSpec, max_chars: int, inner: str | None, longest: int | None = None) -> dict[str, Any]:
    """Text whose trimmed value fits `inner` (anything, where it is None) and is as long as it may be."""
    shortest = spec.min_length or 1
    longest = min(max_chars, *(each for each in (spec.max_length, longest) if each is not None), max_chars)
    if inner is None and longest >= shortest:
        body = _of_length(shortest, longest)
    elif longest < shortest:
        body = r"(?!)"
    else:
        body = rf"(?={_of_length(shortest, longest)}{_SPACE}*$)(?:{inner})"
    pattern = rf"^{_SPACE}*{body}{_SPACE}*$" if spec.required else rf"^{_SPACE}*(?:{body})?{_SPACE}*$"
    return {"type": _type("string", spec.required), "pattern": pattern}


def _type(kind: str | list[str], required: bool) -> str | list[str]:
    kinds = [kind] if isinstance(kind, str) else kind
    if not required:
        kinds = [*kinds, "null"]
    return kinds[0] if len(kinds) == 1 else kinds


def _of_length(shortest: int, longest: int) -> str:
    """So many characters that begin and end with what is no space."""
    if longest == 1:
        return _INK
    more = rf"{_INK}{_ANY}{{{max(0, shortest - 2)},{longest - 2}}}{_INK}"
    return more if shortest > 1 else rf"(?:{more}|{_INK})"


# As leads/forms.py has them, for a value that was trimmed.
_LOCAL = r"[^\s@()<>\[\],;:\\\"\x00-\x20\x7f]"
_LABEL = r"[A-Za-z0-9\u0080-\U0010ffff](?:[A-Za-z0-9_\u0080-\U0010ffff-]{0,61}[A-Za-z0-9\u0080-\U0010ffff])?"
_EMAIL = rf"(?!\.)(?![^@]*\.\.)(?![^@]*\.@){_LOCAL}{{1,64}}@(?:{_LABEL}\.)+(?![0-9]+{_SPACE}*$){_LABEL}"
_TELEPHONE = (
    r"(?=(?:[^0-9]*[0-9]){4})(?!(?:[^0-9]*[0-9]){25})"
    r"[0-9()+./ \t\n\r\f\v-]{4,40}(?:[ \t\n\r\f\v]?(?:[xX]|[eE][xX][tT]\.?)[ \t\n\r\f\v]?[0-9]{1,8})?"
)
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
_DATE = (
    r"(?!0000)(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
_YES = r"(?:1|[tT][rR][uU][eE]|[oO][nN]|[yY][eE][sS])"
_NO = r"(?:0|[fF][aA][lL][sS][eE]|[oO][fF][fF]|[nN][oO])"


def _number(spec: FieldSpec, max_chars: int) -> dict[str, Any]:
    said = _text(spec, max_chars, _NUMBER)
    if spec.min_length or spec.max_length:
        said["description"] = "A number as text, since its length is bounded: 1234.56."
        return said
    said["type"] = _type(["number", "string"], spec.required)
    said["exclusiveMinimum"], said["exclusiveMaximum"] = -MOST_NUMBER, MOST_NUMBER
    said["description"] = "A number, or one as text: 1234.56."
    return said


def _yes_no(required: bool, *, ticked: bool = False) -> dict[str, Any]:
    words = _YES if ticked else f"(?:{_YES}|{_NO})"
    pattern = rf"^{_SPACE}*{words}{_SPACE}*$" if required else rf"^{_SPACE}*(?:{words})?{_SPACE}*$"
    said: dict[str, Any] = {"type": _type(["boolean", "string"], required), "pattern": pattern}
    if ticked:
        said["not"] = {"const": False}
        said["description"] = "It has to be agreed to."
    return said


def _one(spec: FieldSpec, max_chars: int) -> dict[str, Any]:
    values = [
        value
        for value in _usable(spec)
        if (spec.min_length or 0) <= len(value) <= min(max_chars, spec.max_length or max_chars)
    ]
    empty = [] if spec.required else [""]
    pattern = _alternatives(values) if spec.required else f"(?:{_alternatives(values)})?"
    return {
        "type": _type("string", spec.required),
        # The list for whoever shows one; the pattern allows for spaces around, as intake does.
        "anyOf": [
            {"enum": [*values, *empty, *([] if spec.required else [None])]},
            {"pattern": rf"^{_SPACE}*{pattern}{_SPACE}*$"},
        ],
        **_labels(spec),
    }


def _several(spec: FieldSpec, max_chars: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "type": _type("array", spec.required),
        "items": {"type": "string", "pattern": rf"^{_SPACE}*{_alternatives(_usable(spec))}{_SPACE}*$"},
        **_labels(spec),
    }
    if spec.required:
        said["minItems"] = 1
    bounds = [f"at least {spec.min_length}"] if spec.min_length else []
    bounds.append(f"at most {min(max_chars, spec.max_length or max_chars)}")
    said["description"] = f"Joined by commas they have {' and '.join(bounds)} characters."
    return said


def _optin(spec: FieldSpec, max_chars: int) -> dict[str, Any]:
    kinds = _usable(spec)
    word = _alternatives(kinds) if kinds else r"(?:[^,\x00]{1,50})"
    if not kinds:
        ink = _INK.replace(r"\x00", r"\x00,")
        word = rf"(?:{ink}|{ink}[^,\x00]{{0,48}}{ink})"
    return {
        "type": _type("object", spec.required),
        "properties": {
            "terms": _yes_no(spec.required),
            "contactTypes": {
                "type": ["array", "null"],
                "items": {"type": "string", "pattern": rf"^{_SPACE}*{word}{_SPACE}*$"},
                "description": f"Joined by commas they have at most {max_chars} characters.",
            },
        },
        "required": ["terms"] if spec.required else [],
        "additionalProperties": False,
        "description": "Whether the person agreed, and to be contacted how.",
    }


def _usable(spec: FieldSpec) -> list[str]:
    """Choices that a trimmed value can be."""
    values = (str(choice["value"]) for choice in spec.choices)
    return [value for value in values if value and value == value.strip() and "\x00" not in value]


def _alternatives(values: Iterable[str]) -> str:
    written = "|".join(_escaped(value) for value in values)
    return f"(?:{written})" if written else "(?!)"


def _escaped(value: str) -> str:
    """As every dialect of regular expressions reads it."""
    return re.sub(r"[\\^$.|?*+()\[\]{}/-]", lambda found: f"\\{found[0]}" if found[0] not in "/-" else found[0], value)


def _labels(spec: FieldSpec) -> dict[str, Any]:
    labelled = [c for c in spec.choices if c.get("label") and c["label"] != c["value"]]
    return {"x-labels": {str(c["value"]): str(c["label"]) for c in labelled}} if labelled else {}


def _filled(spec: FieldSpec) -> list[dict[str, Any]]:
    """That this field has a value: at least one has to."""

    def has(name: str, inner: dict[str, Any]) -> dict[str, Any]:
        return {"required": [name], "properties": {name: inner}}

    ink = {"type": "string", "pattern": _INK}
    match spec.type:
        case FieldType.OPTIN:
            terms = has("terms", {"anyOf": [{"type": "boolean"}, ink]})
            kinds = has("contactTypes", {"type": "array", "minItems": 1})
            return [has(spec.name, {"type": "object", "anyOf": [terms, kinds]})]
        case FieldType.CHECKBOX:
            return [has(spec.name, {"anyOf": [{"type": "boolean"}, ink]})]
        case FieldType.CHOICE if spec.multiple:
            return [has(spec.name, {"type": "array", "minItems": 1})]
        case FieldType.NUMBER:
            return [has(spec.name, {"anyOf": [{"type": "number"}, ink]})]
    return [has(spec.name, ink)]


def form_example(form: CompiledForm) -> dict[str, Any]:
    """Values that the form takes: of all fields that are required, or of all where none is."""
    shown = [spec for spec in form.fields if spec.required] or list(form.fields)
    return {spec.name: _example(spec) for spec in shown if _example(spec) is not None}


def _example(spec: FieldSpec) -> Any:
    values = _usable(spec)
    match spec.type:
        case FieldType.OPTIN:
            return {"terms": True, "contactTypes": values[:1] or ["Email"]}
        case FieldType.CHECKBOX:
            return True
        case FieldType.CHOICE:
            return values[:1] if spec.multiple else (values[0] if values else None)
    text = _EXAMPLES.get(spec.type) or _EXAMPLE_NAMES.get(spec.name.lower(), "Text")
    if spec.min_length and len(text) < spec.min_length:
        text = text.ljust(spec.min_length, "0" if spec.type == FieldType.NUMBER else "x")
    return text[: spec.max_length] if spec.max_length and spec.type in (FieldType.TEXT, FieldType.HIDDEN) else text


_EXAMPLES: dict[str, str] = {
    FieldType.EMAIL: "ada@example.com",
    FieldType.TELEPHONE: "(+44)07123456789",
    FieldType.NUMBER: "12.5",
    FieldType.DATE: "2026-03-04",
}
_EXAMPLE_NAMES = {"firstname": "Ada", "lastname": "Lovelace", "company": "Analytical Engines Ltd", "country": "GB"}
