"""Telephone numbers as people write them, read in one way everywhere."""

from __future__ import annotations

import re
from typing import Any

import phonenumbers

_LOOKS_LIKE_ONE = re.compile(r"\(?(?:\+|00)?[\d\s().\-/]{7,40}\Z")
_MOST_CHARS = 60


def number_read(text: str, country: str = "") -> Any:
    """The number in a text, as phonenumbers has it; None where there is none. Whether it can exist is another question.

    `country` (two letters) is for numbers without a country code. The country code in brackets, as in (+44)07123456789, is the
    convention of the facts, section 4.
    """
    if len(text) > _MOST_CHARS:
        return None
    plain = text.strip().replace("(+", "+").replace("(00", "00")
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    try:
        return phonenumbers.parse(plain, country or None)
    except phonenumbers.NumberParseException:
        return None


def is_possible(number: Any) -> bool:
    """Whether it has as many digits as numbers of its country have."""
    return bool(phonenumbers.is_possible_number(number))


def is_valid(number: Any) -> bool:
    """Whether its digits are ones that its country gives out. That somebody answers is not said."""
    return bool(phonenumbers.is_valid_number(number))


def e164(number: Any) -> str:
    """A number as +447123456789."""
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def looks_like_a_number(text: str) -> bool:
    """Whether a text is made as telephone numbers are: at least seven digits and what stands between them."""
    return _LOOKS_LIKE_ONE.match(text) is not None and sum(map(str.isdigit, text)) >= 7


def known_country(text: str) -> bool:
    """Whether there are telephone numbers of a country with these two letters."""
    return text in phonenumbers.SUPPORTED_REGIONS
