"""A form as a compiled check: posted pairs to clean values, or to what is wrong with them. Pure functions, no database.

Facts, sections 2, 4, 7 and 13: values are posted as form[name]; an opt-in as form[name][terms] and form[name][contactTypes];
choices of several are joined by commas; a field that the form does not have is refused.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from leads.models.form import SYNC_SUBDOMAIN_NAME, SYNC_TOKEN_NAME, FieldType
from leads.posted import Pairs, split_name

# A check returns the clean value and "", or anything and what is wrong.
Check = Callable[[str], tuple[str, str]]

EXTRA_FIELDS = "This form should not contain extra fields."
# Parameters that clients put into the body as well as into the query: they are no fields.
CONTROL_NAMES = frozenset({"access_token", "apikey", "campaignLinkId", "linkId", "publisherId", "test", "_charset_"})

# Whose visit it was, for those who track visitors: outside of form[…], where no field of a form can have these names.
VISITOR_NAMES = frozenset({"userId", "anonymousId"})
MAX_VISITOR_CHARS = 255

_SYNC_TOKEN = f"form[{SYNC_TOKEN_NAME}]"
_SYNC_SUBDOMAIN = f"form[{SYNC_SUBDOMAIN_NAME}]"
_TOKEN = re.compile(r"[0-9a-f]{32}")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class FieldSpec(NamedTuple):
    """What a form says of one of its fields; the columns of the model that matter here, in their order."""

    name: str
    label: str
    type: str
    required: bool
    choices: Sequence[Mapping[str, Any]]
    multiple: bool
    min_length: int | None
    max_length: int | None


class Input(NamedTuple):
    """One input of a form: how it is posted, under which key it is kept, and its check."""

    wire: str
    key: str
    required: bool
    is_list: bool
    check: Check


class FieldError(NamedTuple):
    """What is wrong with one input; with the whole post, where `name` is empty."""

    name: str
    message: str


class Cleaned(NamedTuple):
    """Values by key, the sync tags of the instance that sends the lead on (empty: none, or malformed), and who posted it.

    `visitor` has the userId and anonymousId that came along, for tracked events; None where there are none.
    """

    values: dict[str, str]
    sync_token: str
    sync_subdomain: str
    visitor: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CompiledForm:
    """A form version, ready to check posts. It is itself alone, so that what is made of it can be kept by it."""

    id: int
    name: str
    version: int
    fields: tuple[FieldSpec, ...]
    inputs: Mapping[str, Input]
    email_names: tuple[str, ...] = ()
    """Where an e-mail address is looked for, likeliest first."""

    def email_key(self, values: Mapping[str, str]) -> str:
        """The lead's e-mail address as it is looked up: the first one, in small letters; empty where there is none."""
        return email_key(self.email_names, values)


def email_names(fields: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Of fields (name, type), those with an e-mail address: by their type, then by their name."""
    named = [(name, kind) for name, kind in fields if kind == FieldType.EMAIL or "email" in name.lower()]
    return tuple(name for name, _ in sorted(named, key=lambda field: field[1] != FieldType.EMAIL))


def email_key(names: Iterable[str], values: Mapping[str, str]) -> str:
    """An e-mail address among the values, in small letters and cut to what its column holds."""
    for name in names:
        if value := values.get(name):
            return value.lower()[:254]
    return ""


def compile_form(form_id: int, name: str, version: int, fields: Iterable[FieldSpec]) -> CompiledForm:
    """Compile the enabled fields of a form version."""
    fields = tuple(fields)
    inputs = [made for spec in fields for made in _inputs(spec)]
    by_wire = {made.wire: made for made in inputs}
    return CompiledForm(form_id, name, version, fields, by_wire, email_names((spec.name, spec.type) for spec in fields))


def clean(form: CompiledForm, pairs: Pairs, max_chars: int) -> Cleaned | list[FieldError]:
    """Check posted pairs; return the values to keep, or every error.

    Values are trimmed; what is empty is left out; of a name that is there twice the last one counts, as PHP has it. The
    error for extra fields comes first and has no name (facts, section 7).
    """
    inputs = form.inputs
    extra = False
    sync = {_SYNC_TOKEN: "", _SYNC_SUBDOMAIN: ""}
    visitor: dict[str, str] | None = None
    posted = dict(pairs)
    if not posted.keys() <= inputs.keys():
        posted, others = {}, pairs
    else:
        others = []  # inputs and nothing else, as nearly always
    for name, value in others:
        if name in inputs:
            posted[name] = value
        elif name in sync:
            sync[name] = value.strip().lower()
        elif name in VISITOR_NAMES:
            # A bad one loses the tie to its visitor, never the lead.
            if (value := value.strip()) and not _unfit(value, MAX_VISITOR_CHARS):
                visitor = {**(visitor or {}), name: value}
        elif name not in CONTROL_NAMES and not _gathered(inputs, posted, name, value):
            extra = True
    errors = [FieldError("", EXTRA_FIELDS)] if extra else []
    values: dict[str, str] = {}
    for wire, (_, key, required, _, check) in inputs.items():
        value = posted.get(wire, "").strip()
        if not value:
            if required:
                errors.append(FieldError(wire, "This value is missing."))
            continue
        # What is short and plain is nearly everything: it is looked at without a call.
        plain = len(value) <= max_chars and value.isascii() and "\x00" not in value
        problem = "" if plain else _unfit(value, max_chars)
        if not problem and check is not _any_text:
            value, problem = check(value)
        if problem:
            errors.append(FieldError(wire, problem))
        else:
            values[key] = value
    if errors:
        return errors
    if not values:
        return [FieldError("", "No values were posted. Post them as form[name]=value.")]
    token, subdomain = sync[_SYNC_TOKEN], sync[_SYNC_SUBDOMAIN]
    # A bad tag loses the sync, never the lead.
    if not (_TOKEN.fullmatch(token) and _DNS_LABEL.fullmatch(subdomain)):
        token = subdomain = ""
    return Cleaned(values, token, subdomain, visitor)


def _gathered(inputs: Mapping[str, Input], posted: dict[str, str], name: str, value: str) -> bool:
    """A list posted piece by piece, form[x][]=a&form[x][]=b, joined as it would be when posted whole."""
    parts = split_name(name)
    if len(parts) < 3 or not (parts[-1] == "" or parts[-1].isdecimal()):
        return False
    wire = parts[0] + "".join(f"[{part}]" for part in parts[1:-1])
    if wire not in inputs or not inputs[wire].is_list:
        return False
    posted[wire] = f"{posted[wire]},{value}" if posted.get(wire) else value
    return True


def _unfit(value: str, max_chars: int) -> str:
    """What no value may be, whatever its field: too long, with NUL characters, no valid text."""
    if len(value) > max_chars:
        return f"This value is longer than {max_chars} characters."
    if "\x00" in value:
        return "This value has a NUL character in it."
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "This value is not valid UTF-8 text."
    return ""


def text_problem(value: str, max_chars: int) -> str:
    """What is wrong with a value of no known field; empty when it can be kept."""
    return _unfit(value, max_chars)


def _inputs(spec: FieldSpec) -> list[Input]:
    wire = f"form[{spec.name}]"
    if spec.type == FieldType.OPTIN:
        kinds = [str(choice["value"]) for choice in spec.choices]
        contact_types = _several_of(kinds) if kinds else _words
        # Required asks for an answer, and "no" is one.
        return [
            Input(f"{wire}[terms]", f"{spec.name}.terms", spec.required, False, _checkbox),
            Input(f"{wire}[contactTypes]", f"{spec.name}.contactTypes", False, True, contact_types),
        ]
    check: Check
    if spec.type == FieldType.CHOICE:
        values = [str(choice["value"]) for choice in spec.choices]
        check = _several_of(values) if spec.multiple else _one_of(values)
    elif spec.type == FieldType.CHECKBOX and spec.required:
        check = _ticked
    else:
        check = _CHECKS.get(spec.type, _any_text)
    if spec.min_length or spec.max_length:
        check = _with_length(check, spec.min_length, spec.max_length)
    return [Input(wire, spec.name, spec.required, spec.type == FieldType.CHOICE and spec.multiple, check)]


def _with_length(check: Check, shortest: int | None, longest: int | None) -> Check:
    def with_length(value: str) -> tuple[str, str]:
        if longest is not None and len(value) > longest:
            return value, f"This value is longer than {longest} characters."
        if shortest is not None and len(value) < shortest:
            return value, f"This value is shorter than {shortest} characters."
        return check(value)

    return with_length


def _any_text(value: str) -> tuple[str, str]:
    return value, ""


_DOMAIN_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")
_LOCAL_PART = re.compile(r"[^\s@()<>\[\],;:\\\"\x00-\x20\x7f]{1,64}")


def _email(value: str) -> tuple[str, str]:
    local, _, domain = value.rpartition("@")
    labels = domain.split(".")
    good = (
        len(value) <= 254
        and _LOCAL_PART.fullmatch(local)
        and ".." not in local
        and not local.startswith(".")
        and not local.endswith(".")
        and len(labels) > 1
        and not labels[-1].isdecimal()
        and all(_DOMAIN_LABEL.fullmatch(label) for label in labels)
    )
    return value, "" if good else "This is not an e-mail address."


_TELEPHONE = re.compile(r"[0-9()+./\s-]{4,40}(?:\s?(?:x|ext\.?)\s?[0-9]{1,8})?", re.ASCII | re.IGNORECASE)


def _telephone(value: str) -> tuple[str, str]:
    digits = sum(map(str.isdigit, value))
    good = _TELEPHONE.fullmatch(value) and 4 <= digits <= 24
    return value, "" if good else "This is not a telephone number. Write it as (+44)07123456789."


_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")


def _number(value: str) -> tuple[str, str]:
    return value, "" if _NUMBER.fullmatch(value) else "This is not a number. Write it as 1234.56."


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _date(value: str) -> tuple[str, str]:
    try:
        if _DATE.fullmatch(value):
            dt.date.fromisoformat(value)
            return value, ""
    except ValueError:
        pass
    return value, "This is not a date. Write it as YYYY-MM-DD."


_YES_NO = {
    **dict.fromkeys(("1", "true", "on", "yes"), "1"),
    **dict.fromkeys(("0", "false", "off", "no"), "0"),
}


def _checkbox(value: str) -> tuple[str, str]:
    known = _YES_NO.get(value.lower())
    return (value, "Post 1 or 0 here.") if known is None else (known, "")


def _ticked(value: str) -> tuple[str, str]:
    known, problem = _checkbox(value)
    return known, problem or ("" if known == "1" else "This has to be agreed to.")


_CHECKS: Mapping[str, Check] = {
    FieldType.EMAIL: _email,
    FieldType.TELEPHONE: _telephone,
    FieldType.NUMBER: _number,
    FieldType.DATE: _date,
    FieldType.CHECKBOX: _checkbox,
}


def _one_of(values: Sequence[str]) -> Check:
    known = frozenset(values)

    def one_of(value: str) -> tuple[str, str]:
        return value, "" if value in known else "This is not one of the choices."

    return one_of


def _several_of(values: Sequence[str]) -> Check:
    known = frozenset(values)
    # A choice may have commas of its own: the longest run of pieces that is a choice is taken.
    longest = 1 + max((value.count(",") for value in values), default=0)

    def several_of(value: str) -> tuple[str, str]:
        pieces = value.split(",")
        chosen: dict[str, None] = {}
        at = 0
        while at < len(pieces):
            for end in range(min(len(pieces), at + longest), at, -1):
                if (candidate := ",".join(pieces[at:end]).strip()) in known:
                    chosen[candidate] = None
                    at = end
                    break
            else:
                return value, "This is not among the choices. Join several with commas."
        return ",".join(chosen), ""

    return several_of


def _words(value: str) -> tuple[str, str]:
    words = dict.fromkeys(word.strip() for word in value.split(","))
    words.pop("", None)
    return ",".join(words), "" if all(len(word) <= 50 for word in words) else "Post a comma list, such as Email,SMS."
