"""Conditions on a lead's values, as jobs and groups of jobs have them: sections of conditions, of all or any of which must hold.

{"match": "all" | "any", "sections": [
    {"match": "all" | "any", "conditions": [{"field": key, "operator": name in OPERATORS, "values": [text, ...]}]}]}

The operators are the platform's (facts, section 10). Texts are compared without regard to letter case and to outer and double
spaces, numbers as numbers, dates (YYYY-MM-DD) as dates. Of several values one has to fit; with a negation none may. A field without
a value fits nothing, so negations hold of it.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from integrations.kit.jobs import JobLead
from integrations.kit.normal_forms import folded

MOST_VALUES, MOST_SECTIONS, MOST_CONDITIONS, MOST_VALUE_CHARS = 200, 20, 50, 500
MATCHES = ("all", "any")
# 1200 is equal to 1200.0, but 007 is a code and no 7.
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?\Z", re.ASCII)

Holds: TypeAlias = Callable[[JobLead], bool]
_Fits: TypeAlias = Callable[[str, str], bool]


class BadCondition(Exception):
    """Conditions that make no sense, in words for the one who entered them."""


@dataclass(frozen=True, slots=True)
class Operator:
    """How a value is compared. `words` stand between field and values in a sentence; `bare`: there are no values to it."""

    name: str
    label: str
    words: str
    negated: bool = False
    bare: bool = False
    ordered: bool = False


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        operator.name: operator
        for operator in (
            Operator("equal", "Is equal to", "is"),
            Operator("not_equal", "Is not equal to", "is not", negated=True),
            Operator("starts_with", "Starts with", "starts with"),
            Operator("not_starts_with", "Does not start with", "does not start with", negated=True),
            Operator("ends_with", "Ends with", "ends with"),
            Operator("not_ends_with", "Does not end with", "does not end with", negated=True),
            Operator("contains", "Contains", "contains"),
            Operator("not_contains", "Does not contain", "does not contain", negated=True),
            Operator("exists", "Has a value", "has a value", bare=True),
            Operator("not_exists", "Has no value", "has no value", negated=True, bare=True),
            Operator("greater_than", "Is greater than", "is greater than", ordered=True),
            Operator("not_greater_than", "Is not greater than", "is not greater than", negated=True, ordered=True),
            Operator("less_than", "Is less than", "is less than", ordered=True),
            Operator("not_less_than", "Is not less than", "is not less than", negated=True, ordered=True),
        )
    }
)


def condition_compile(field: str, operator: str, values: Sequence[str]) -> Holds:
    """One condition, read once. BadCondition where it makes no sense."""
    known = OPERATORS.get(operator)
    if known is None:
        raise BadCondition(f"There is no operator “{_shown(operator)}”. Choose one of the list.")
    if not field:
        raise BadCondition("A condition names no field. Choose one.")
    negated = known.negated
    if known.bare:
        return lambda lead: bool(lead.value(field)) is not negated
    given = _given(values)
    if not given:
        raise BadCondition(f"{field} {known.words}: enter at least one value.")
    kind = known.name.removeprefix("not_")
    if kind == "equal":
        numbers = frozenset(float(value) for value in given if _PLAIN_NUMBER.match(value))
        texts = frozenset(given)

        def equal(lead: JobLead) -> bool:
            value = folded(lead.value(field))
            found = value in texts or (
                bool(numbers) and _PLAIN_NUMBER.match(value) is not None and float(value) in numbers
            )
            return (found and bool(value)) is not negated

        return equal
    if known.ordered and (wrong := next((each for each in given if not is_comparable(each)), None)):
        raise BadCondition(f"“{_shown(wrong)}” is no number and no date. Write a date as 2026-11-30.")
    fits = _FITS[kind]

    def holds(lead: JobLead) -> bool:
        value = folded(lead.value(field))
        return (bool(value) and any(fits(value, each) for each in given)) is not negated

    return holds


def conditions_compile(given: Any) -> Holds:
    """All sections, read once. BadCondition says which one makes no sense, and why."""
    outer, sections = _read(given)
    compiled: list[tuple[str, tuple[Holds, ...]]] = []
    for place, (match, conditions) in enumerate(sections, 1):
        made = []
        for field, operator, values in conditions:
            try:
                made.append(condition_compile(field, operator, values))
            except BadCondition as problem:
                raise BadCondition(f"Section {place}: {problem}") from None
        compiled.append((match, tuple(made)))
    whole = all if outer == "all" else any

    def holds(lead: JobLead) -> bool:
        return whole(
            all(each(lead) for each in made) if match == "all" else any(each(lead) for each in made)
            for match, made in compiled
        )

    return holds


def conditions_fields(given: Any) -> tuple[str, ...]:
    """The input keys that conditions read, in their order; what is malformed is passed over."""
    try:
        _, sections = _read(given)
    except BadCondition:
        return ()
    return tuple(dict.fromkeys(field for _, conditions in sections for field, _, _ in conditions if field))


def conditions_words(given: Any, labels: Mapping[str, str] | None = None) -> str:
    """Conditions as a part of a sentence, such as “Country is DE or AT, and E-mail has a value”; BadCondition as above."""
    outer, sections = _read(given)
    names = labels or {}
    parts = []
    for match, conditions in sections:
        inner = [_words(names.get(field, field), operator, values) for field, operator, values in conditions]
        text = (", and " if match == "all" else ", or ").join(inner)
        parts.append(f"({text})" if len(sections) > 1 and len(inner) > 1 else text)
    return (", and " if outer == "all" else ", or ").join(parts)


def number_of(text: str) -> float | None:
    """A finite number; None for all else."""
    if len(text) > 40 or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def date_of(text: str) -> dt.datetime | None:
    """A date or a moment in ISO 8601, in UTC unless it says otherwise; None for all else."""
    try:
        found = dt.datetime.fromisoformat(text.strip().upper())
        return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def is_comparable(text: str) -> bool:
    """Whether “greater than” and “less than” make sense with this."""
    return number_of(text) is not None or date_of(text) is not None


def _greater(value: str, than: str) -> bool:
    number, wanted = number_of(value), number_of(than)
    if number is not None and wanted is not None:
        return number > wanted
    moment, since = date_of(value), date_of(than)
    return moment is not None and since is not None and moment > since


_FITS: Mapping[str, _Fits] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
    "greater_than": _greater,
    "less_than": lambda value, than: _greater(than, value),
}


def _read(given: Any) -> tuple[str, list[tuple[str, list[tuple[str, str, list[str]]]]]]:
    """The outer match and the sections as (match, [(field, operator, values)]). BadCondition for any other shape."""
    if not isinstance(given, Mapping) or not isinstance(given.get("sections"), list):
        raise BadCondition("There are no conditions yet. Add one.")
    sections = [(_match(section), list(_conditions(section))) for section in given["sections"]]
    sections = [section for section in sections if section[1]]
    if not sections:
        raise BadCondition("There are no conditions yet. Add one.")
    if len(sections) > MOST_SECTIONS:
        raise BadCondition(f"There are more than {MOST_SECTIONS} sections. Take some out.")
    return _match(given), sections


def _match(given: Any) -> str:
    match = given.get("match", "all") if isinstance(given, Mapping) else None
    if match not in MATCHES:
        raise BadCondition("Say whether all or any of the conditions must hold.")
    return str(match)


def _conditions(section: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    listed = section.get("conditions")
    if not isinstance(listed, list):
        return
    if len(listed) > MOST_CONDITIONS:
        raise BadCondition(f"A section has more than {MOST_CONDITIONS} conditions. Take some out.")
    for condition in listed:
        if not isinstance(condition, Mapping):
            raise BadCondition("A condition has a field, an operator and values.")
        values = condition.get("values", [])
        values = [values] if isinstance(values, str) else values
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise BadCondition("The values of a condition are a list of texts.")
        yield str(condition.get("field") or ""), str(condition.get("operator") or ""), values


def _given(values: Sequence[str]) -> list[str]:
    given = list(dict.fromkeys(each for value in values if (each := folded(value))))
    if len(given) > MOST_VALUES:
        raise BadCondition(
            f"There are {len(given):,} values; {MOST_VALUES} are the most. Use a list of values instead."
        )
    if any(len(each) > MOST_VALUE_CHARS for each in given):
        raise BadCondition(f"A value is longer than {MOST_VALUE_CHARS} characters. Shorten it.")
    return given


def _words(name: str, operator: str, values: Sequence[str]) -> str:
    known = OPERATORS.get(operator)
    if known is None:
        raise BadCondition(f"There is no operator “{_shown(operator)}”. Choose one of the list.")
    if known.bare:
        return f"{name} {known.words}"
    shown = [_shown(value) for value in values[:3]]
    if len(values) > 3:
        shown = [*shown[:2], f"{len(values) - 2:,} others"]
    between = " nor " if known.negated else " or "
    return f"{name} {known.words} {between.join([', '.join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)}"


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
