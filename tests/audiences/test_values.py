"""Values that people typed, compared with what events and traits say; rules that are read back."""

from __future__ import annotations

from typing import Any

import pytest

from leads.audience_rules import Facts, Happening, Selector, answer
from leads.rule_checks import rule_checked
from leads.rule_values import passes, values_at
from leads.rule_words import rule_words
from tests.audiences.conftest import START, did, rule_of

SAID = {
    "total": 120.5, "count": "7", "first": True, "plan": " Gold  plus", "since": "2026-03-01", "empty": None, "a.b": {"c": 1},
    "products": [{"sku": "X-1", "price": 10}, {"sku": "Y-2", "price": 30}], "address": {"city": "Kiel"}, "huge": 10**400,
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "test", "typed", "holds"),
    [
        ("total", "equals", "120.50", True),
        ("total", "greater", "99", True),
        ("total", "greater", "1000", False),
        ("count", "less", "10", True),
        ("count", "equals", "7.0", True),
        ("first", "equals", "Yes", True),
        ("first", "equals", "1", False),
        ("first", "not_equals", "false", True),
        ("plan", "equals", "gold plus", True),
        ("plan", "starts_with", "GOLD", True),
        ("plan", "contains", "d p", True),
        ("plan", "one_of", "silver, gold plus", True),
        ("plan", "greater", "1", False),
        ("since", "greater", "2026-02-28", True),
        ("since", "less", "2026-03-01T00:00:01Z", True),
        ("empty", "exists", "", False),
        ("empty", "not_equals", "x", True),
        ("nothing", "equals", "", False),
        ("nothing", "not_exists", "", True),
        ("products.sku", "equals", "y-2", True),
        ("products.price", "greater", "20", True),
        ("products.price", "greater", "30", False),
        ("address.city", "equals", "kiel", True),
        ("a.b.c", "equals", "1", True),
        ("huge", "greater", "5", False),
    ],
)
def test_a_value_is_compared_as_a_person_means_it(path: str, test: str, typed: str, holds: bool) -> None:
    assert passes(SAID, path, test, typed) is holds


def test_a_path_that_leads_nowhere_finds_nothing() -> None:
    for path in ("x", "total.x", "products.x.y", "address", "..", "a.", "products"):
        assert all(isinstance(value, dict) for value in values_at(SAID, path))


@pytest.mark.parametrize("said", [b"{", b"[1]", b'{"properties": 5}', b'{"properties": {"total": 1e999}}'])
@pytest.mark.parametrize("compute", ["count", "sum", "first", "unique_list", "most_frequent"])
def test_no_message_makes_a_computation_fail(said: bytes, compute: str) -> None:
    facts = Facts({}, {Selector("track", "Bought"): [Happening(START, said)]})
    rule: dict[str, Any] = {"compute": compute, "event": "Bought", "property": "total"}
    assert answer(rule_checked(rule)[0], facts, START).value == (1 if compute == "count" else None)


def test_what_a_context_says_can_be_asked_for_too() -> None:
    events = {Selector("track", "Bought"): [Happening(START, b'{"context": {"campaign": {"source": "News"}}}')]}
    where = [{"path": "context.campaign.source", "test": "equals", "value": "news"}]
    assert answer(rule_of(did("Bought", where=where)), Facts({}, events), START).member


def test_rules_are_read_back_as_people_say_them() -> None:
    page = {**did("Prices", "at_most", 2, days=1), "type": "page"}
    any_page = {**did("", "never", days=7), "type": "page"}
    assert rule_words(rule_of(page, any_page)) == (
        "People who saw the page “Prices” at most twice in the last day and saw no page in the last 7 days."
    )
    given = {"compute": "most_frequent", "event": "Bought", "property": "category", "days": 90}
    assert rule_words(rule_checked(given)[0]) == "The most frequent category of “Bought” in the last 90 days."
    assert rule_words(rule_checked({"items": [{"kind": "event"}, {"kind": "trait"}]})[0])


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (did(""), "Which event?"),
        (did(times=0), "How many times?"),
        (did(days=0), "In the last how many days?"),
        (did(where=[{"path": "a..b", "test": "exists"}]), "Which property?"),
        (did(where=[{"path": "a", "test": "greater", "value": "many"}]), "Give a number, or a date"),
        ({"kind": "trait", "path": "a", "test": "one_of", "value": " , "}, "Give a value."),
        ({"match": "any", "items": []}, "This group is empty"),
    ],
)
def test_each_condition_says_what_is_wrong_with_it(item: Any, words: str) -> None:
    _, errors = rule_checked({"items": [did("Bought"), item]})
    assert set(errors) == {"1"}
    assert words in errors["1"]


def test_a_rule_of_too_many_conditions_is_refused() -> None:
    assert "20 conditions at most" in rule_checked({"items": [did("Bought")] * 21})[1][""]
    assert rule_checked({"items": []})[1][""] == "Add a condition: who is meant?"
