"""Turns a lead into what the client's form wants: one row for each of the client's fields, compiled once for a batch.

A row's value is made in this order: its source, its transforms, its value map, the client's choices. A value that can't be
made is a problem that names the field; a lead with a problem is held, never sent half empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from integrations.kit.suggestions import OwnField, Suggestion, bare_name, suggest
from integrations.kit.transforms import (
    TRANSFORMS,
    BadParameter,
    CannotMake,
    Change,
    Param,
    Transform,
    compile_transform,
)

__all__ = [
    "FACTS",
    "TRANSFORMS",
    "LeadFacts",
    "MappingProblem",
    "OwnField",
    "Param",
    "Row",
    "Suggestion",
    "Transform",
    "bare_name",
    "compile_rows",
    "map_lead",
    "row_problem",
    "suggest",
    "template_names",
]

# What a lead is, beside the values that were posted: name and label.
FACTS: tuple[tuple[str, str], ...] = (
    ("created", "When it was received"),
    # What a client calls back with, not the hash that names the lead to everybody.
    ("hash", "Callback hash"),
    ("id", "Lead ID"),
    ("link.name", "Link"),
    ("link.channel", "Link's channel"),
    ("publisher.name", "Publisher"),
    ("publisher.id", "Publisher ID"),
    ("campaign.name", "Campaign"),
    ("campaign.id", "Campaign ID"),
    ("ip", "IP address"),
)
_FACT_LABELS = dict(FACTS)
DEFAULT_KEY = "*"
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One field of the client's form, and where its value comes from.

    `value` is the field, the fact, the fixed value or the template. `value_map` has own values to the client's: "*" stands
    for whatever else there is, and an empty target leaves the value out. `choices` are the client's, where it has any.
    """

    remote_key: str
    label: str = ""
    required: bool = False
    source: str = ""
    value: str = ""
    value_map: Mapping[str, str] = field(default_factory=dict)
    transforms: Sequence[Mapping[str, Any]] = ()
    choices: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LeadFacts:
    """A lead as the mapping sees it: its posted values by input name, and its facts by the names in FACTS."""

    values: Mapping[str, str]
    facts: Mapping[str, str] = field(default_factory=dict)


class MappingProblem(Exception):
    """What can't be made of a lead: every (remote key, words) of it."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__(" ".join(words) for _, words in problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return " ".join(words for _, words in self.problems)


_Source: TypeAlias = Callable[[LeadFacts], str]
_Made: TypeAlias = Callable[[LeadFacts], str]


def map_lead(rows: Sequence[Row], lead: LeadFacts) -> dict[str, str]:
    """The client's keys to what is sent; empty optional values are left out. MappingProblem has every field that fails."""
    return compile_rows(rows)(lead)


def compile_rows(
    rows: Sequence[Row], own_fields: Collection[str] | None = None
) -> Callable[[LeadFacts], dict[str, str]]:
    """map_lead for one mapping and many leads: each row is read once.

    With `own_fields` (the input names of the campaign's forms) a row that names another field is a problem; without it a
    name that a lead lacks is taken for an optional field left empty.
    """
    made = tuple((row.remote_key, _compile(row, own_fields)) for row in rows if row.source or row.required)

    def mapped(lead: LeadFacts) -> dict[str, str]:
        fields: dict[str, str] = {}
        problems: list[tuple[str, str]] = []
        for key, make in made:
            try:
                if value := make(lead):
                    fields[key] = value
            except CannotMake as problem:
                problems.append((key, str(problem)))
        if problems:
            raise MappingProblem(problems)
        return fields

    return mapped


def row_problem(row: Row, own_fields: Collection[str] | None = None) -> str:
    """What is wrong with a row whatever the lead is, in words; empty if nothing is."""
    try:
        _source(row, own_fields)
        for spec in row.transforms:
            compile_transform(spec)
    except BadParameter as problem:
        return f"{_label(row)}: {problem}"
    if row.required and not row.source:
        return f"{_label(row)}: no field of yours is chosen, and the client requires one."
    return ""


def _label(row: Row) -> str:
    return row.label or row.remote_key


def _compile(row: Row, own_fields: Collection[str] | None) -> _Made:
    if wrong := row_problem(row, own_fields):
        return _never(wrong)
    label, read = _label(row), _source(row, own_fields)
    changes = tuple(compile_transform(spec) for spec in row.transforms)
    match = _matcher(row)
    missing = f"{label}: {_nothing_there(row)}, and the client requires one." if row.required else ""
    if not changes and match is None:
        if not missing:
            return read
        return lambda lead: read(lead) or _fail(missing)

    def make(lead: LeadFacts) -> str:
        raw = value = read(lead)
        if value:
            value = _changed(value, changes, label)
            if match is not None:
                value = match(value, raw)
        return value or (_fail(missing) if missing else "")

    return make


def _changed(value: str, changes: tuple[Change, ...], label: str) -> str:
    for change in changes:
        try:
            value = change(value)
        except CannotMake as problem:
            raise CannotMake(f"{label}: the lead's value {problem}.") from None
    return value


def _fail(words: str) -> str:
    raise CannotMake(words)


def _never(words: str) -> _Made:
    def make(_lead: LeadFacts) -> str:
        raise CannotMake(words)

    return make


def _nothing_there(row: Row) -> str:
    if row.source == "field":
        return f"the lead has no value for {row.value}"
    if row.source == "fact":
        return f"the lead has no {_FACT_LABELS[row.value]}"
    return "nothing comes out for this lead" if row.source == "template" else "the fixed value is empty"


# --- sources ------------------------------------------------------------------------------------------------


def _source(row: Row, own_fields: Collection[str] | None) -> _Source:
    name = row.value
    if row.source == "field":
        if not name or (own_fields is not None and name not in own_fields):
            raise BadParameter(f"your forms have no field “{name}”." if name else "choose one of your fields.")
        return lambda lead: (lead.values.get(name) or "").strip()
    if row.source == "fact":
        if name not in _FACT_LABELS:
            raise BadParameter(f"a lead has no fact “{name}”.")
        return lambda lead: lead.facts.get(name) or ""
    if row.source == "fixed":
        return lambda _lead: name
    if row.source == "template":
        return _template(name, own_fields)
    if row.source:
        raise BadParameter(f"“{row.source}” is no source.")
    return lambda _lead: ""


_PLACE = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)


def template_names(text: str) -> tuple[str, ...]:
    """The names in a template's places, in their order."""
    return tuple(dict.fromkeys(_PLACE.findall(text)))


def _template(text: str, own_fields: Collection[str] | None) -> _Source:
    """A template such as "{{ link.channel }}-{{ publisher.name }}"; nothing comes out where all its places are empty."""
    parts = _PLACE.split(text)
    names = parts[1::2]
    if "{{" in "".join(parts[::2]) or "}}" in "".join(parts[::2]):
        raise BadParameter("a place in the template is not closed: write {{ name }}.")
    for name in names:
        known = name in _FACT_LABELS or (own_fields is None and _could_be_a_field(name))
        if not known and name not in (own_fields or ()):
            raise BadParameter(
                f"the template names “{name}”, which is neither a field of yours nor a fact of the lead."
            )
    reads = tuple((name, name in _FACT_LABELS) for name in names)
    texts = parts[::2]

    def read(lead: LeadFacts) -> str:
        values = [(lead.facts if is_fact else lead.values).get(name) or "" for name, is_fact in reads]
        if reads and not any(values):
            return ""
        return texts[0] + "".join([value.strip() + after for value, after in zip(values, texts[1:], strict=True)])

    return read


_FIELD_NAME = re.compile(r"[A-Za-z]\w{0,63}(?:\.(?:terms|contactTypes))?\Z")


def _could_be_a_field(name: str) -> bool:
    return _FIELD_NAME.match(name) is not None


# --- the client's values ------------------------------------------------------------------------------------


def _matcher(row: Row) -> Callable[[str, str], str] | None:
    """From a made value (and the raw one behind it) to the client's: exactly, then ignoring case, then the default.

    Of several values joined by commas each is matched by itself.
    """
    if not row.value_map and not row.choices:
        return None
    label, choices = _label(row), row.choices
    exact = {own: theirs for own, theirs in row.value_map.items() if own != DEFAULT_KEY}
    folded = {own.strip().casefold(): theirs for own, theirs in exact.items()}
    theirs_folded = {choice.casefold(): choice for choice in sorted(choices)}
    default = row.value_map.get(DEFAULT_KEY)

    def one(value: str) -> str | None:
        for found in (exact.get(value), folded.get(value.strip().casefold())):
            if found is not None:
                return found if not found or not choices or found in choices else None
        if value in choices:
            return value
        return theirs_folded.get(value.strip().casefold())

    def match(value: str, raw: str) -> str:
        for whole in (value, raw):
            if (found := one(whole)) is not None:
                return found
        several = [part.strip() for part in value.split(",")] if "," in value else [value]
        matched = []
        for part in several:
            found = one(part) if len(several) > 1 else None
            if found is None:
                found = default if default is not None else (None if choices else part)
            if found is None or (found and choices and found not in choices):
                shown = part if len(part) <= _SHOWN_CHARS else part[:_SHOWN_CHARS] + "…"
                raise CannotMake(f"{label}: “{shown}” is none of the client's choices.")
            matched.append(found)
        return ",".join(dict.fromkeys(each for each in matched if each))

    return match
