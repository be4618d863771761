"""Named transforms of a value on its way to the client: text in, text out, each compiled from its parameters once."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import phonenumbers

from integrations.kit.telephones import e164, is_possible, known_country, number_read

Change: TypeAlias = Callable[[str], str]


class CannotMake(Exception):
    """A value that a transform can't read. Its text goes on with "the lead's value …"."""


class BadParameter(Exception):
    """A transform that is set up wrongly, in words for the one who set it up."""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a transform, as the mapping page asks for it. `choices` are (value, label)."""

    name: str
    label: str
    default: str = ""
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Transform:
    """A named transform. `make` compiles it; BadParameter where the parameters make no sense."""

    name: str
    label: str
    help: str
    make: Callable[[Mapping[str, str]], Change]
    params: tuple[Param, ...] = ()


_WORD = re.compile(r"[^\W\d_]+")


def _title(text: str) -> str:
    """Capital letters as in names: o'neil-smith is O'Neil-Smith, but anna's is Anna's."""

    def capital(found: re.Match[str]) -> str:
        word, start = found[0], found.start()
        after_apostrophe = start > 0 and text[start - 1] in "'’"
        if after_apostrophe and not (start > 1 and (start == 2 or not text[start - 3].isalpha())):
            return word.lower()
        return word[:1].upper() + word[1:].lower()

    return _WORD.sub(capital, text)


def _first_word(text: str) -> str:
    return text.split(None, 1)[0] if text.strip() else ""


def _last_word(text: str) -> str:
    return text.rsplit(None, 1)[-1] if text.strip() else ""


def _email(text: str) -> str:
    """Trimmed, lower-case, NFC. Dots and +tags stay: to most providers they are another mailbox."""
    return unicodedata.normalize("NFC", text).strip().lower()


def _always(change: Change) -> Callable[[Mapping[str, str]], Change]:
    return lambda _params: change


# Longest first, so that YYYY is not read as YY twice.
_TOKENS = (
    ("YYYY", "%Y"), ("MMMM", "%B"), ("MMM", "%b"), ("DDDD", "%A"), ("YY", "%y"), ("MM", "%m"), ("DD", "%d"),
    ("HH", "%H"), ("mm", "%M"), ("ss", "%S"),
)  # fmt: skip
_FRIENDLY = re.compile("|".join(token for token, _ in _TOKENS))
_PATTERN_CHARS = re.compile(r"(?:%[aAbBdHIjmMpSyYzZ%]|[^%])+\Z")


_TRIED = dt.datetime(2026, 3, 4, 15, 16, 17, tzinfo=dt.UTC)


def date_pattern(text: str) -> str:
    """A pattern for strptime from a friendly one: DD/MM/YYYY is %d/%m/%Y; "iso" stays. BadParameter if it is neither."""
    text = text.strip()
    if text.lower() == "iso":
        return "iso"
    pattern = text if "%" in text else _FRIENDLY.sub(lambda found: dict(_TOKENS)[found[0]], text)
    if "%" not in pattern or not _PATTERN_CHARS.match(pattern):
        raise BadParameter(f"“{text}” is not a date format. Write it as in DD/MM/YYYY, or iso.")
    try:
        dt.datetime.strptime(_TRIED.strftime(pattern), pattern)  # noqa: DTZ007
    except (ValueError, re.error):
        # As DD/MM/YYYY HH:MM has the month twice: whoever wrote it meant the minutes.
        raise BadParameter(
            f"No date can be read that is written as “{text}”. Name each part once: the month is MM, minutes are mm."
        ) from None
    return pattern


def date_read(text: str, pattern: str) -> dt.datetime | None:
    """The date in a text that is written as a pattern of date_pattern() says; None where there is none."""
    text = text.strip()
    try:
        return dt.datetime.fromisoformat(text) if pattern == "iso" else dt.datetime.strptime(text, pattern)  # noqa: DTZ007
    except (ValueError, OverflowError):
        return None


def _date_format(params: Mapping[str, str]) -> Change:
    read, write = date_pattern(params["from"]), date_pattern(params["to"])

    def change(text: str) -> str:
        moment = date_read(text, read)
        if moment is None:
            raise CannotMake(f"is no date written as {params['from']}")
        if write == "iso":
            return moment.date().isoformat()
        try:
            # Years before 1000 come out short of a digit on some systems.
            return moment.strftime(write.replace("%Y", f"{moment.year:04d}"))
        except ValueError:
            raise CannotMake(f"can't be written as {params['to']}") from None

    return change


_TELEPHONE_FORMATS = (
    ("e164", "+447123456789"),
    ("national", "07123 456789"),
    ("brackets", "(+44)07123456789"),
    ("digits", "447123456789"),
)
_DIGITS = re.compile(r"\D+")


def _telephone(params: Mapping[str, str]) -> Change:
    country, wanted = params["country"].strip().upper(), params["format"]
    if country and not known_country(country):
        raise BadParameter(f"“{country}” is no country code. Write two letters, as in GB.")

    def change(text: str) -> str:
        number = number_read(text, country)
        if number is None:
            raise CannotMake("is no telephone number" + ("" if country else " with a country code"))
        if not is_possible(number):
            raise CannotMake("is no telephone number: it has too few or too many digits")
        if wanted == "e164":
            return e164(number)
        if wanted == "digits":
            return e164(number)[1:]
        national = str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL))
        if wanted == "national":
            return national
        return f"(+{number.country_code}){_DIGITS.sub('', national)}"

    return change


TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Transform(
                "trim",
                "Trim",
                "Drops spaces at both ends and double ones inside.",
                _always(lambda t: " ".join(t.split())),
            ),
            Transform("upper", "UPPER CASE", "ada becomes ADA.", _always(str.upper)),
            Transform("lower", "lower case", "ADA becomes ada.", _always(str.lower)),
            Transform("title", "Title Case", "For names: o'neil-smith becomes O'Neil-Smith.", _always(_title)),
            Transform("first_word", "First word", "Ada King Lovelace becomes Ada.", _always(_first_word)),
            Transform("last_word", "Last word", "Ada King Lovelace becomes Lovelace.", _always(_last_word)),
            Transform(
                "email_normal",
                "E-mail, normal form",
                "Trimmed and in lower case. Nothing else is changed.",
                _always(_email),
            ),
            Transform(
                "date_format",
                "Date format",
                "Reads a date in one format and writes it in another.",
                _date_format,
                (
                    Param("from", "Your format", "iso", "As in DD/MM/YYYY; iso is 2026-03-04."),
                    Param("to", "The client's format", "DD/MM/YYYY", "As in MM/DD/YYYY or DD MMM YYYY."),
                ),
            ),
            Transform(
                "telephone",
                "Telephone format",
                "Reads a telephone number and writes it as the client wants it.",
                _telephone,
                (
                    Param("country", "Country", "", "Two letters, for numbers without a country code, as in GB."),
                    Param("format", "Format", "e164", choices=_TELEPHONE_FORMATS),
                ),
            ),
        )
    }
)


def compile_transform(spec: Mapping[str, Any]) -> Change:
    """The function of one step of a row's transforms: {"name": ..., and its parameters, at once or under "params"}.

    BadParameter says what is wrong with it.
    """
    transform = TRANSFORMS.get(str(spec.get("name", "")))
    if transform is None:
        raise BadParameter(f"There is no transform “{spec.get('name', '')}”.")
    inner = spec.get("params")
    given = {**spec, **inner} if isinstance(inner, Mapping) else spec
    params = {}
    for param in transform.params:
        value = given.get(param.name)
        params[param.name] = str(value) if value not in (None, "") else param.default
        known = [choice for choice, _ in param.choices]
        if known and params[param.name] not in known:
            raise BadParameter(f"{transform.label}, {param.label}: choose one of {', '.join(known)}.")
    return transform.make(params)
