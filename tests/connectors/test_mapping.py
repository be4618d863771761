"""A lead becomes what the client's form wants, or says what it lacks. The cases are data: mapping_cases.json."""

from __future__ import annotations

import json
import timeit
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.kit.contract import RemoteField
from integrations.kit.mapping import (
    FACTS,
    TRANSFORMS,
    LeadFacts,
    MappingProblem,
    OwnField,
    Row,
    Suggestion,
    bare_name,
    compile_rows,
    map_lead,
    row_problem,
    suggest,
    template_names,
)

DATA = json.loads((Path(__file__).parent / "mapping_cases.json").read_text("utf-8"))
LEAD = LeadFacts(**DATA["lead"])


def rows_of(case: dict[str, Any]) -> list[Row]:
    return [Row(**{**row, "choices": frozenset(row.get("choices", ()))}) for row in case["rows"]]


@pytest.mark.parametrize("case", DATA["cases"], ids=[case["title"] for case in DATA["cases"]])
def test_mapping(case: dict[str, Any]) -> None:
    if "fields" in case:
        assert map_lead(rows_of(case), LEAD) == case["fields"]
    else:
        with pytest.raises(MappingProblem) as problem:
            map_lead(rows_of(case), LEAD)
        assert [list(each) for each in problem.value.problems] == case["problems"]
        assert str(problem.value) == " ".join(words for _, words in case["problems"])


def test_every_transform_is_shown_by_a_case() -> None:
    used = {step["name"] for case in DATA["cases"] for row in case["rows"] for step in row.get("transforms", ())}
    assert set(TRANSFORMS) <= used


def test_a_field_that_the_forms_no_longer_have_is_said_at_once() -> None:
    own = {"email"}
    assert row_problem(Row("form[a]", "A", source="field", value="fax"), own) == "A: your forms have no field “fax”."
    assert "“fax”" in row_problem(Row("form[a]", "A", source="template", value="{{ fax }}"), own)
    assert row_problem(Row("form[a]", "A", source="template", value="{{ email }} {{ ip }}"), own) == ""
    with pytest.raises(MappingProblem):
        compile_rows([Row("form[a]", source="field", value="fax")], own)(LEAD)


def test_what_a_template_names_can_be_listed() -> None:
    assert template_names("{{ firstName }} {{link.channel}} {{ firstName }}") == ("firstName", "link.channel")


def test_a_mapping_takes_microseconds() -> None:
    rows = [
        Row(f"form[f{number}]", f"F{number}", required=True, source="field", value=name)
        for number, name in enumerate(["firstName", "lastName", "email", "telephone", "country", "fullName"] * 2)
    ]
    compiled = compile_rows(rows)
    best = min(timeit.repeat(lambda: compiled(LEAD), number=1_000, repeat=5)) / 1_000
    assert best < 100e-6, f"{best * 1e6:.0f} us a lead"


text_values = st.dictionaries(st.sampled_from(["firstName", "email", "born"]), st.text(max_size=30))
steps = st.lists(
    st.sampled_from(
        [{"name": name} for name in TRANSFORMS] + [{"name": "telephone", "country": "GB", "format": "brackets"}, {}]
    ),
    max_size=3,
)


@given(
    values=text_values,
    source=st.sampled_from(["field", "fact", "fixed", "template", "", "odd"]),
    value=st.sampled_from(["firstName", "email", "{{ firstName }}-{{ ip }}", "{{ x", "ip"]) | st.text(max_size=20),
    transforms=steps,
    value_map=st.dictionaries(st.text(max_size=5) | st.just("*"), st.text(max_size=5), max_size=3),
    choices=st.frozensets(st.text(max_size=5), max_size=3),
    required=st.booleans(),
)
def test_a_mapping_ends_in_text_or_in_words(
    values: dict[str, str], source: str, value: str, transforms: Any, value_map: Any, choices: Any, required: bool
) -> None:
    row = Row("form[a]", "A", required, source, value, value_map, transforms, choices)
    made = made_of(row, LeadFacts(values, {name: "x" for name, _ in FACTS}))
    assert made.startswith("A: ") if isinstance(made, str) else all(made.values())


def made_of(row: Row, lead: LeadFacts) -> dict[str, str] | str:
    try:
        return map_lead([row], lead)
    except MappingProblem as problem:
        return str(problem)


# --- suggestions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remote", "own", "expected"),
    [
        (RemoteField("form[first_name]"), OwnField("firstName"), "same name"),
        (RemoteField("form[FIRST-NAME]"), OwnField("firstName"), "same name"),
        (RemoteField("form[optin][terms]"), OwnField("optin.terms"), "same name"),
        (RemoteField("form[a]", "Your employer"), OwnField("b", "your employer"), "same label"),
        (RemoteField("form[postcode]"), OwnField("zip_code"), "near name"),
        (RemoteField("form[x]", type="email"), OwnField("mailbox", type="email"), "the only email field"),
        (RemoteField("form[x]"), OwnField("y"), ""),
        (RemoteField("form[syncToken]", sync="token"), OwnField("syncToken"), ""),
    ],
)
def test_a_match_says_why(remote: RemoteField, own: OwnField, expected: str) -> None:
    found = suggest([remote], [own])
    assert found == ([Suggestion(remote.key, own.name, expected)] if expected else [])


def test_own_fields_may_be_bare_names() -> None:
    assert suggest([RemoteField("form[email]")], ["email"]) == [Suggestion("form[email]", "email", "same name")]


def test_the_same_name_wins_over_a_near_one() -> None:
    found = suggest([RemoteField("form[zip]"), RemoteField("form[postcode]")], ["postcode", "zip"])
    assert [(each.remote_key, each.name) for each in found] == [("form[zip]", "zip"), ("form[postcode]", "postcode")]


def test_two_fields_of_a_type_are_not_guessed() -> None:
    own = [OwnField("work", type="email"), OwnField("home", type="email")]
    assert suggest([RemoteField("form[x]", type="email")], own) == []


@pytest.mark.parametrize(
    ("key", "name"),
    [("form[firstName]", "firstName"), ("form[optin][terms]", "optin.terms"), ("email", "email"), ("form[]", "")],
)
def test_the_name_inside_a_posted_key(key: str, name: str) -> None:
    assert bare_name(key) == name
