"""What makes two values the same: for duplicates, lists and suppression."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.kit.lists import LIST_KINDS, suppression_key, suppression_lookups
from integrations.kit.normal_forms import normal_domain, normal_text, normal_value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (" Ada@Example.TEST ", "ada@example.test"),
        ("(+44)07123456789", "+44 7123 456789"),
        ("0044 7123 456789", "+447123456789"),
        ("07123 456789", "+447123456789"),
        ("Analytical  Engines\t", "analytical engines"),
        ("Jose\u0301", "JOS\u00c9"),
        ("STRASSE", "straße"),
        # As an address book gives it out, with signs around it that turn the direction of writing.
        ("\u202a+44 7123 456789\u202c", "+447123456789"),
        ("+44 7123\u2011456789", "+447123456789"),
        ("\uff0b44 7123 456789", "+447123456789"),
        ("\uff10\uff17\uff11\uff12\uff13 456789", "+447123456789"),
        ("ada@exam\u200bple.test\ufeff", "ada@example.test"),
        ("A\u0308rzte\u00adkammer", "\u00e4rztekammer"),
    ],
)
def test_values_that_people_take_for_the_same_have_one_normal_form(one: str, other: str) -> None:
    assert normal_value(one, "GB") == normal_value(other, "GB")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada+x@example.test", "ada@example.test"),
        # A customer number is no telephone number, though it has as many digits.
        ("012345678", "12345678"),
        ("07123 456789", "+497123456789"),
        # Two desks behind one number.
        ("+44 20 7946 0958 ext. 12", "+44 20 7946 0958 ext. 13"),
        ("x" * 3_000, "x" * 3_000 + "y"),
    ],
)
def test_values_that_differ_stay_apart(one: str, other: str) -> None:
    assert normal_value(one, "GB") != normal_value(other, "GB")


@given(st.text(max_size=60), st.sampled_from(["", "GB", "DE"]))
def test_a_normal_form_is_its_own(text: str, country: str) -> None:
    normal = normal_value(text, country)
    assert normal_text(normal) == normal
    assert "\x00" not in normal
    for kind in LIST_KINDS.values():
        assert len(kind.key(text)) <= 500


def test_a_key_that_was_given_out_can_be_taken_in_again() -> None:
    for length in (400, 401, 464, 465, 9_000):
        normal = normal_text("x" * length)
        assert normal_text(normal) == normal
        assert len(normal) <= 464


def test_a_domain_is_kept_as_it_stands_in_addresses() -> None:
    assert normal_domain(" @Mail.Example.TEST. ") == "mail.example.test"
    assert normal_domain("bücher.example") == "xn--bcher-kva.example"


def test_a_suppressed_address_is_found_however_the_list_was_hashed() -> None:
    lookups = suppression_lookups(" Ada@Example.test ")
    assert hashlib.sha256(b"ada@example.test").hexdigest() in lookups
    assert hashlib.md5(b"ada@example.test").hexdigest() in lookups
    for written in ("ada@example.test", "ADA@example.test", hashlib.md5(b"ada@example.test").hexdigest().upper()):
        assert suppression_key(written) in lookups
    assert hashlib.sha256(b"447123456789").hexdigest() in suppression_lookups("07123456789", "GB")
    assert suppression_key("  ") == ""
    assert suppression_lookups("") == ()
