"""A form's JSON Schema says what intake does: both take and refuse the same."""

from __future__ import annotations

import datetime as dt
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from leads.form_schema import form_example, form_schema
from leads.forms import Cleaned, CompiledForm, FieldSpec, clean, compile_form
from leads.json_forms import json_form, pairs_of_json

# Longer than any number of JSON, written out.
MAX = 400


def spec(name: str, kind: str = "text", *, choices: tuple[str, ...] = (), **more: Any) -> FieldSpec:
    values = {"required": False, "multiple": False, "min_length": None, "max_length": None, **more}
    return FieldSpec(name, "", kind, choices=[{"value": choice} for choice in choices], **values)


def form_of(*fields: FieldSpec) -> CompiledForm:
    return compile_form(1, "Whitepaper", 3, fields)


def intake_takes(form: CompiledForm, said: dict[str, Any]) -> bool:
    pairs, errors = pairs_of_json(json_form(form), said)
    return not errors and isinstance(clean(form, pairs, MAX), Cleaned)


def schema_takes(form: CompiledForm, said: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(form_schema(form, MAX)).is_valid(said))


ONE = form_of(
    spec("firstName", required=True, max_length=8),
    spec("email", "email", required=True),
    spec("phone", "telephone"),
    spec("amount", "number"),
    spec("code", "number", max_length=4),
    spec("born", "date"),
    spec("country", "choice", choices=("DE", "U.K.", "a|b")),
    spec("size", "choice", choices=("small", "large"), required=True),
    spec("topics", "choice", choices=("a", "b, c", "d"), multiple=True),
    spec("terms", "checkbox", required=True),
    spec("news", "checkbox"),
    spec("optin", "optin", choices=("Email", "SMS")),
)
FREE = form_of(
    spec("note", min_length=3), spec("contact", "optin"), spec("lists", "choice", choices=("x",), multiple=True)
)
STRICT = form_of(
    spec("contact", "optin", required=True), spec("topics", "choice", choices=("x",), multiple=True, required=True)
)

# Values that are near what is taken: random text alone would be refused by both for the same simple reason.
words = st.text(st.sampled_from("aA0 .@-_+(),x\t\x00\u00a0\u2003ß1"), max_size=12)
near: st.SearchStrategy[Any] = st.one_of(
    words,
    st.sampled_from([
        "ada@example.test", " ada@example.test ", "a..b@example.test", ".a@example.test", "a.@example.test", "a@b", "a@b.1",
        "a@b-.com", "a@-b.com", "a@b.c-d", "a" * 64 + "@x.de", "a" * 65 + "@x.de", "a@" + "b" * 63 + ".de", "a@" + "b" * 64 + ".de",
        "a b@c.de", "a@b@c.de", 'a"@b.de', "a@b_c.de", "a@b.c_", "(+44)07123456789", "123", "1234", "+" * 40 + "1", "1" * 24,
        "1" * 25, "1" * 20 + " x12345", "1234 ext. 5", "1234 EXT5", "1 2-3.4/5 ", "1.5", ".5", "5.", "+1", "1e5", "--1", "12345",
        "2024-02-29", "2023-02-29", "1900-02-29", "2000-02-29", "0000-01-01", "0001-01-01", "2026-04-31", "2026-4-3", "9999-12-31",
        "DE", " DE ", "de", "U.K.", "UxK.", "a|b", "a", "b", "small", "large ", "1", "0", "true", "YES", " on ", "off", "maybe", "",
        " ", "\x00", "x" * 8, "x" * 9, "x" * 400, "x" * 401, " " + "x" * 400 + " ",
    ]),
    st.booleans(),
    st.none(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.sampled_from(["a", "b, c", " d ", "b", "", "Email", "x", "y,z", "\x00", "SMS "]), max_size=3),
    st.lists(st.integers(), max_size=2),
    st.fixed_dictionaries(
        {},
        optional={
            "terms": st.sampled_from([True, False, "1", "no", "", None, 1]),
            "contactTypes": st.one_of(st.none(), st.lists(st.sampled_from(["Email", "SMS", " x ", "a,b", "", "y" * 50, "y" * 51]))),
            "more": st.just(1),
        },
    ),
)  # fmt: skip


def bodies(form: CompiledForm) -> st.SearchStrategy[dict[str, Any]]:
    """What the form takes, with some members changed, added or left out."""
    names = [field.name for field in form.fields] + ["former", "$visitor", "syncToken"]

    def changed(changes: dict[str, Any], gone: set[str]) -> dict[str, Any]:
        said = {**form_example(form), **changes}
        return {name: value for name, value in said.items() if name not in gone}

    return st.builds(
        changed,
        st.dictionaries(st.sampled_from(names), near, max_size=3),
        st.sets(st.sampled_from(names), max_size=1),
    )


def agree(form: CompiledForm, said: dict[str, Any]) -> None:
    assert schema_takes(form, said) == intake_takes(form, said), ascii(said)


QUICK = settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(bodies(ONE))
def test_the_schema_refuses_what_intake_refuses_and_nothing_else(said: dict[str, Any]) -> None:
    agree(ONE, said)


@QUICK
@given(bodies(FREE))
@example({})
@example({"note": " "})
@example({"lists": []})
@example({"contact": {"contactTypes": ["Email"]}})
def test_they_agree_on_a_form_that_requires_nothing_but_at_least_one_value(said: dict[str, Any]) -> None:
    agree(FREE, said)


@QUICK
@given(bodies(STRICT))
def test_they_agree_on_lists_and_opt_ins_that_are_required(said: dict[str, Any]) -> None:
    agree(STRICT, said)


@QUICK
@given(st.sampled_from([field.name for field in ONE.fields]), near)
def test_they_agree_on_each_field_alone(name: str, value: Any) -> None:
    agree(ONE, {**form_example(ONE), name: value})


@given(st.dates())
def test_every_date_is_taken_by_both(day: dt.date) -> None:
    form = form_of(spec("born", "date", required=True))
    assert schema_takes(form, {"born": day.isoformat()})
    agree(form, {"born": day.isoformat()})


@pytest.mark.parametrize("form", [ONE, FREE, STRICT])
def test_the_example_is_taken_by_both_and_the_schema_is_one(form: CompiledForm) -> None:
    schema = form_schema(form, MAX)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert intake_takes(form, schema["examples"][0])
    assert schema_takes(form, schema["examples"][0])


def test_json_comes_in_as_a_form_post_would() -> None:
    pairs, errors = pairs_of_json(
        json_form(ONE),
        {
            "firstName": " Ada ",
            "email": "ada@example.test",
            "amount": 1.50,
            "size": "small",
            "topics": ["a", "b, c"],
            "terms": True,
            "optin": {"terms": False, "contactTypes": ["Email", "SMS"]},
            "phone": None,
            "$visitor": {"userId": "u-1"},
        },
    )
    assert not errors
    cleaned = clean(ONE, pairs, MAX)
    assert isinstance(cleaned, Cleaned)
    assert cleaned.values == {
        "firstName": "Ada",
        "email": "ada@example.test",
        "amount": "1.5",
        "size": "small",
        "topics": "a,b, c",
        "terms": "1",
        "optin.terms": "0",
        "optin.contactTypes": "Email,SMS",
    }
    assert cleaned.visitor == {"userId": "u-1"}
