"""Conditions on a lead's values: sections, all or any, and the platform's operators."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.kit.conditions import (
    OPERATORS,
    BadCondition,
    condition_compile,
    conditions_compile,
    conditions_fields,
    conditions_words,
)
from integrations.kit.jobs import JobLead

LEAD = JobLead({"country": " De ", "size": "1200", "born": "1815-12-10", "company": "Analytical  Engines", "fax": " "})


@pytest.mark.parametrize(
    ("field", "operator", "values", "holds"),
    [
        ("country", "equal", ["AT", "de"], True),
        ("country", "not_equal", ["AT", "de"], False),
        ("country", "not_equal", ["AT", "FR"], True),
        ("size", "equal", ["1200.0"], True),
        ("size", "equal", ["01200"], False),
        ("size", "equal", ["1.2e3"], False),
        ("company", "starts_with", ["analytical engines"], True),
        ("company", "not_starts_with", ["Difference"], True),
        ("company", "ends_with", ["ENGINES", "Ltd"], True),
        ("company", "not_ends_with", ["engines"], False),
        ("company", "contains", ["cal eng"], True),
        ("company", "not_contains", ["x", "cal"], False),
        ("company", "exists", [], True),
        ("fax", "exists", [], False),
        ("gone", "not_exists", [], True),
        ("size", "greater_than", ["999"], True),
        ("size", "greater_than", ["1200"], False),
        ("size", "not_greater_than", ["1200"], True),
        ("size", "less_than", ["1e4"], True),
        ("size", "not_less_than", ["1e4"], False),
        ("born", "less_than", ["1900-01-01"], True),
        ("born", "greater_than", ["1815-12-09T23:00:00+00:00"], True),
        ("company", "greater_than", ["10"], False),
        ("company", "not_greater_than", ["10"], True),
        # A field without a value fits nothing.
        ("fax", "equal", ["DE"], False),
        ("fax", "not_equal", ["DE"], True),
        ("fax", "less_than", ["10"], False),
        ("fax", "contains", ["x"], False),
    ],
)
def test_a_value_is_compared_as_people_mean_it(field: str, operator: str, values: list[str], holds: bool) -> None:
    assert condition_compile(field, operator, values)(LEAD) is holds


def conditions(outer: str, *sections: tuple[str, list[tuple[str, str, list[str]]]]) -> dict[str, Any]:
    return {
        "match": outer,
        "sections": [
            {"match": match, "conditions": [{"field": f, "operator": o, "values": v} for f, o, v in listed]}
            for match, listed in sections
        ],
    }


YES, NO = ("country", "equal", ["DE"]), ("country", "equal", ["FR"])


@pytest.mark.parametrize(
    ("given_conditions", "holds"),
    [
        (conditions("all", ("all", [YES, YES])), True),
        (conditions("all", ("all", [YES, NO])), False),
        (conditions("all", ("any", [YES, NO])), True),
        (conditions("all", ("any", [YES, NO]), ("all", [NO])), False),
        (conditions("any", ("any", [YES, NO]), ("all", [NO])), True),
        (conditions("any", ("all", [YES, NO]), ("all", [NO])), False),
        # A section that somebody has emptied says nothing.
        (conditions("all", ("all", []), ("all", [YES])), True),
    ],
)
def test_sections_hold_together_or_one_by_one(given_conditions: dict[str, Any], holds: bool) -> None:
    assert conditions_compile(given_conditions)(LEAD) is holds


@pytest.mark.parametrize(
    ("given_conditions", "words"),
    [
        (None, "There are no conditions yet. Add one."),
        ([], "There are no conditions yet. Add one."),
        (conditions("all"), "There are no conditions yet. Add one."),
        (conditions("some", ("all", [YES])), "Say whether all or any of the conditions must hold."),
        (conditions("all", ("all", [("", "equal", ["x"])])), "Section 1: A condition names no field. Choose one."),
        (conditions("all", ("all", [("a", "like", ["x"])])), "Section 1: There is no operator “like”."),
        (conditions("all", ("all", [YES]), ("any", [("a", "equal", [" "])])), "Section 2: a is: enter at least one"),
        (conditions("all", ("all", [("a", "less_than", ["ten"])])), "Section 1: “ten” is no number and no date."),
        (conditions("all", ("all", [("a", "equal", [str(n) for n in range(201)])])), "Section 1: There are 201 values"),
        (conditions("all", ("all", [("a", "equal", ["x" * 501])])), "Section 1: A value is longer than 500"),
        ({"match": "all", "sections": [{"conditions": ["x"]}]}, "A condition has a field, an operator and values."),
        ({"match": "all", "sections": [{"conditions": [{"values": 7}]}]}, "The values of a condition are a list of"),
        (conditions("all", *[("all", [YES])] * 21), "There are more than 20 sections."),
        (conditions("all", ("all", [YES] * 51)), "A section has more than 50 conditions."),
    ],
)
def test_what_makes_no_sense_says_where_and_why(given_conditions: Any, words: str) -> None:
    with pytest.raises(BadCondition) as problem:
        conditions_compile(given_conditions)
    assert str(problem.value).startswith(words)


def test_conditions_can_be_read_out() -> None:
    made = conditions(
        "all", ("any", [("country", "equal", ["DE", "AT"]), ("size", "not_less_than", ["10"])]), ("all", [YES])
    )
    assert conditions_words(made, {"country": "Country"}) == (
        "(Country is DE or AT, or size is not less than 10), and Country is DE"
    )
    assert conditions_words(conditions("all", ("all", [("a", "not_equal", ["1", "2", "3", "4"])]))) == (
        "a is not 1, 2 nor 2 others"
    )
    assert conditions_fields(made) == ("country", "size")
    assert conditions_fields("nothing") == ()


@given(
    operator=st.sampled_from(sorted(OPERATORS)),
    values=st.lists(st.text(max_size=20), max_size=3),
    value=st.text(max_size=40),
)
def test_a_negation_says_the_opposite(operator: str, values: list[str], value: str) -> None:
    opposite = operator.removeprefix("not_") if operator.startswith("not_") else f"not_{operator}"
    lead = JobLead({"a": value})
    try:
        holds = condition_compile("a", operator, values)
    except BadCondition:
        return
    assert holds(lead) is not condition_compile("a", opposite, values)(lead)
