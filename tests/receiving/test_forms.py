"""What a form makes of posted values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leads.forms import EXTRA_FIELDS, Cleaned, CompiledForm, FieldError, FieldSpec, clean, compile_form


def spec(name: str = "x", type: str = "text", **given: Any) -> FieldSpec:
    values = {"label": "", "required": False, "choices": [], "multiple": False, "min_length": None, "max_length": None}
    return FieldSpec(name=name, type=type, **{**values, **given})


def form(*fields: FieldSpec) -> CompiledForm:
    return compile_form(1, "Form", 1, fields or (spec(),))


def cleaned(made: CompiledForm, *pairs: tuple[str, str], max_chars: int = 100) -> Any:
    answer = clean(made, list(pairs), max_chars)
    return answer.values if isinstance(answer, Cleaned) else [tuple(error) for error in answer]


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("text", "Zoë 山田 محمد"),
        ("email", "ada.lovelace+leads@mail.example.co.uk"),
        ("email", "用户@例子.公司"),
        ("email", "o'neil@xn--bcher-kva.example"),
        ("telephone", "(+44)07123456789"),
        ("telephone", "+1 (212) 555-0100 x12"),
        ("number", "-12.50"),
        ("date", "2024-02-29"),
        ("hidden", "campaign-7"),
    ],
)
def test_a_good_value_is_kept_as_it_was_posted(type: str, value: str) -> None:
    assert cleaned(form(spec(type=type)), ("form[x]", value)) == {"x": value}


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("email", "ada"),
        ("email", "ada@example"),
        ("email", "a b@example.test"),
        ("email", "ada@example..test"),
        ("email", ".ada@example.test"),
        ("email", "a@b@example.test"),
        ("email", "ada@127.0.0.1"),
        ("telephone", "call me"),
        ("telephone", "12"),
        ("number", "1,5"),
        ("number", "١٢"),
        ("number", "NaN"),
        ("date", "2023-02-29"),
        ("date", "29/02/2024"),
        ("date", "20240229"),
        ("checkbox", "maybe"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_its_field(type: str, value: str) -> None:
    ((name, message),) = cleaned(form(spec(type=type)), ("form[x]", value))
    assert name == "form[x]"
    assert message


@pytest.mark.parametrize(("posted", "kept"), [("1", "1"), ("true", "1"), ("on", "1"), ("0", "0"), ("False", "0")])
def test_yes_and_no_are_kept_as_1_and_0_however_they_are_posted(posted: str, kept: str) -> None:
    assert cleaned(form(spec(type="checkbox")), ("form[x]", posted)) == {"x": kept}


def test_a_required_checkbox_has_to_be_ticked() -> None:
    made = form(spec(type="checkbox", required=True))
    assert cleaned(made, ("form[x]", "0")) == [("form[x]", "This has to be agreed to.")]
    assert cleaned(made, ("form[x]", "1")) == {"x": "1"}


def test_an_opt_in_is_two_inputs_and_a_no_is_an_answer() -> None:
    made = form(spec("optin", "optin", required=True))
    posted = (("form[optin][terms]", "false"), ("form[optin][contactTypes]", "Email, SMS"))
    assert cleaned(made, *posted) == {"optin.terms": "0", "optin.contactTypes": "Email,SMS"}
    assert cleaned(made, ("form[optin][contactTypes]", "Email")) == [("form[optin][terms]", "This value is missing.")]


def test_contact_types_can_be_restricted() -> None:
    made = form(spec("optin", "optin", choices=[{"value": "Email"}, {"value": "Post"}]))
    terms = ("form[optin][terms]", "1")
    assert cleaned(made, terms, ("form[optin][contactTypes]", "Post,Email"))["optin.contactTypes"] == "Post,Email"
    assert cleaned(made, terms, ("form[optin][contactTypes]", "Pigeon"))[0][0] == "form[optin][contactTypes]"


CHOICES = [{"value": "a", "label": "A"}, {"value": "b"}, {"value": "c, d"}]


def test_a_choice_takes_one_of_its_values() -> None:
    made = form(spec(type="choice", choices=CHOICES))
    assert cleaned(made, ("form[x]", "c, d")) == {"x": "c, d"}
    assert cleaned(made, ("form[x]", "a,b"))[0][0] == "form[x]"
    assert cleaned(made, ("form[x]", "A"))[0][0] == "form[x]"


@pytest.mark.parametrize(
    "posted",
    [
        [("form[x]", "a,c, d")],
        [("form[x]", "a , c, d , a")],
        [("form[x][]", "a"), ("form[x][]", "c, d")],
        [("form[x][0]", "a"), ("form[x][1]", "c, d")],
    ],
)
def test_several_choices_come_joined_by_commas_or_one_by_one(posted: list[tuple[str, str]]) -> None:
    made = form(spec(type="choice", multiple=True, choices=CHOICES))
    assert cleaned(made, *posted) == {"x": "a,c, d"}


def test_several_choices_are_all_checked() -> None:
    made = form(spec(type="choice", multiple=True, choices=CHOICES))
    assert cleaned(made, ("form[x]", "a,z"))[0][0] == "form[x]"
    assert cleaned(made, ("form[x]", "a,,b"))[0][0] == "form[x]"


def test_every_error_is_said_and_extra_fields_come_first() -> None:
    made = form(spec("a", required=True), spec("b", "email"), spec("c", max_length=3), spec("d", min_length=3))
    answer = cleaned(made, ("form[b]", "no"), ("form[c]", "long"), ("form[d]", "d"), ("form[z]", "1"), ("y", "2"))
    assert answer[0] == ("", EXTRA_FIELDS)
    assert [name for name, _ in answer[1:]] == ["form[a]", "form[b]", "form[c]", "form[d]"]


@pytest.mark.parametrize("name", ["x", "form[X]", "form[x][y]", "form[x][]", "form[]", "form", "form[x", "data[x]"])
def test_a_name_that_is_no_input_of_the_form_is_an_extra_field(name: str) -> None:
    assert ("", EXTRA_FIELDS) in cleaned(form(), (name, "1"), ("form[x]", "1"))


def test_an_empty_optional_value_is_left_out_and_of_two_the_last_one_counts() -> None:
    made = form(spec("a"), spec("b", "email"))
    assert cleaned(made, ("form[a]", "1"), ("form[a]", " 2 "), ("form[b]", " ")) == {"a": "2"}


def test_a_post_without_any_value_is_refused() -> None:
    assert cleaned(form())[0][0] == ""
    assert cleaned(form(), ("form[x]", " "))[0][0] == ""


def test_sync_tags_are_taken_beside_any_form_and_a_bad_one_is_ignored() -> None:
    token = "0123456789abcdef" * 2
    value = ("form[x]", "1")
    good = clean(form(), [value, ("form[syncToken]", token), ("form[syncSubdomain]", "acme")], 100)
    assert good == Cleaned({"x": "1"}, token, "acme")
    for bad in ([("form[syncToken]", token)], [("form[syncToken]", "x"), ("form[syncSubdomain]", "acme")]):
        assert clean(form(), [value, *bad], 100) == Cleaned({"x": "1"}, "", "")
    other_host = [("form[syncToken]", token), ("form[syncSubdomain]", "evil.example/")]
    assert clean(form(), [value, *other_host], 100) == Cleaned({"x": "1"}, "", "")


@pytest.mark.parametrize(
    ("value", "word"), [("a\x00b", "NUL"), ("\udcff", "UTF-8"), ("a" * 101, "longer than 100")], ids=str
)
def test_what_no_database_could_keep_is_refused_by_its_field(value: str, word: str) -> None:
    ((name, message),) = cleaned(form(), ("form[x]", value))
    assert name == "form[x]"
    assert word in message


EVERY_TYPE = form(
    *(spec(f"f{type}", type) for type in ("text", "email", "telephone", "number", "date", "checkbox", "hidden")),
    spec("one", "choice", choices=CHOICES),
    spec("several", "choice", choices=CHOICES, multiple=True),
    spec("optin", "optin"),
)
NAMES = st.one_of(st.sampled_from(sorted(EVERY_TYPE.inputs)), st.text(max_size=20), st.just("form[several][]"))


@given(st.lists(st.tuples(NAMES, st.text(alphabet=st.characters(exclude_categories=()), max_size=40)), max_size=12))
def test_whatever_is_posted_becomes_storable_values_or_errors(pairs: list[tuple[str, str]]) -> None:
    answer = clean(EVERY_TYPE, pairs, 30)
    if isinstance(answer, Cleaned):
        assert answer.values
        for value in answer.values.values():
            assert value
            assert len(value) <= 30
            assert "\x00" not in value
            value.encode()
    else:
        assert answer
        assert all(isinstance(error, FieldError) and error.message for error in answer)


@given(st.lists(st.sampled_from(["a", "b", "c, d"]), min_size=1, max_size=6))
def test_any_selection_of_several_choices_is_understood(chosen: list[str]) -> None:
    made = form(spec(type="choice", multiple=True, choices=CHOICES))
    assert cleaned(made, ("form[x]", ",".join(chosen))) == {"x": ",".join(dict.fromkeys(chosen))}
