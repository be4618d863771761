"""What makes two values the same: each has one normal form, and values are the same where their normal forms are.

Duplicates, lists of values and suppression all compare by these, so a change here makes keys that are kept already worthless.
"""

from __future__ import annotations

import hashlib
import unicodedata

from integrations.kit.telephones import e164, is_possible, is_valid, looks_like_a_number, number_read

MOST_CHARS = 400
_MOST_DOMAIN_CHARS, _DIGEST_CHARS = 253, 64
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")


def folded(text: str) -> str:
    """Without regard to letter case, to outer and double spaces, to how letters with accents are composed, and to signs that
    can't be seen, such as those that come along when a number is copied from an address book.

    NUL is dropped, as no database keeps it.
    """
    plain = " ".join(_seen(unicodedata.normalize("NFKC", text)).replace("\x00", "").casefold().split())
    # Folding can take letters apart that normalization puts together.
    return unicodedata.normalize("NFKC", plain)


def _seen(text: str) -> str:
    """Without what formats text and is not seen itself."""
    return text if text.isascii() else "".join(sign for sign in text if unicodedata.category(sign) != "Cf")


def normal_text(text: str) -> str:
    """Folded, and short enough for an index: of what is longer than that, all behind 400 characters is a digest.

    What comes out is its own normal form, so that keys that were given out can be taken in again.
    """
    plain = folded(text)
    if len(plain) <= MOST_CHARS + _DIGEST_CHARS:
        return plain
    rest = hashlib.sha256(plain[MOST_CHARS:].encode("utf-8", "replace")).hexdigest()
    return plain[:MOST_CHARS] + rest


def normal_telephone(text: str, country: str = "") -> str:
    """As +447123456789 where it is a number, else folded. A number without a country code is read as one of `country`.

    One with a country code need only be possible; one without has to be valid in that country, for else any other figure
    of so many digits would be taken for a telephone number.
    """
    plain = _seen(unicodedata.normalize("NFKC", text)).translate(_DASHES).strip()
    number = number_read(plain, country) if looks_like_a_number(plain) else None
    if number is None:
        return normal_text(text)
    international = plain.lstrip("(").startswith(("+", "00"))
    return e164(number) if (is_possible if international else is_valid)(number) else normal_text(text)


def normal_value(text: str, country: str = "") -> str:
    """The normal form of a value of no known type: a telephone number where it looks like one, else folded.

    An e-mail address folds to itself in lower case.
    """
    return normal_text(text) if "@" in text else normal_telephone(text, country)


def normal_domain(text: str) -> str:
    """A domain in lower case, as it is written in ASCII, without a leading @ or full stops around it; "" for what is too long."""
    plain = folded(text).removeprefix("@").strip(".")
    if not plain.isascii():
        try:
            plain = plain.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return plain if len(plain) <= _MOST_DOMAIN_CHARS else ""
