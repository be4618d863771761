"""Countries by whatever people call them: ISO 3166 names and codes."""

from __future__ import annotations

from functools import cache
from typing import Any

import pycountry

from integrations.kit.normal_forms import folded

# What people write that no standard has.
_ALSO = {
    "uk": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB",
    "usa": "US", "u.s.a.": "US", "u.s.": "US", "america": "US", "united states of america": "US",
    "holland": "NL", "czech republic": "CZ", "turkey": "TR", "south korea": "KR", "north korea": "KP", "russia": "RU",
    "ivory coast": "CI", "vietnam": "VN", "laos": "LA", "syria": "SY", "moldova": "MD", "tanzania": "TZ", "bolivia": "BO",
    "venezuela": "VE", "iran": "IR", "macau": "MO", "swaziland": "SZ", "cape verde": "CV", "east timor": "TL",
    "deutschland": "DE", "österreich": "AT", "schweiz": "CH", "españa": "ES", "italia": "IT", "uae": "AE",
    "republic of ireland": "IE", "eire": "IE", "macedonia": "MK", "burma": "MM", "brunei": "BN", "palestine": "PS",
}  # fmt: skip
_NAMES = ("name", "common_name", "official_name", "alpha_2", "alpha_3")


@cache
def _by_words() -> dict[str, str]:
    found = dict(_ALSO)
    for country in pycountry.countries:
        for name in _NAMES:
            if written := getattr(country, name, ""):
                found.setdefault(_plain(written), country.alpha_2)
    return found


def _plain(text: str) -> str:
    # Telephones write the apostrophe of Côte d’Ivoire so.
    return folded(text).replace("’", "'")


def country_code(text: str) -> str:
    """The two letters of a country that is written by a name or a code; "" for no country."""
    return _by_words().get(_plain(text), "")


def country_of(code: str) -> Any:
    """What pycountry knows of a country with these two letters: alpha_2, alpha_3, name; None for no country."""
    return pycountry.countries.get(alpha_2=code)
