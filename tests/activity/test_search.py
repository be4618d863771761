"""How leads are found by what a person types."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from leads.appending import lead_append
from leads.callback_hash import callback_hash
from leads.lead_search import LeadSearch
from leads.models import Lead, Status
from tests.activity.conftest import MakeLead

pytestmark = pytest.mark.django_db


def found(text: str = "", **filters: object) -> list[int]:
    return sorted(LeadSearch(text=text, **filters).leads().values_list("pk", flat=True))  # type: ignore[arg-type]


@pytest.fixture
def ada(lead: MakeLead) -> Lead:
    return lead(
        firstName="Ada",
        lastName="Lovelace",
        email="Ada.Lovelace@Example.test",
        phone="(+44)07123 456-789",
        notes='6" "q"',
    )


@pytest.fixture
def joergen(lead: MakeLead) -> Lead:
    return lead(firstName="Jørgen", lastName="Ærø Öz", email="j@example.test", phone="030 1234567")


@pytest.mark.parametrize(
    "text",
    [
        "ada.lovelace@example.test",
        " ADA.LOVELACE@EXAMPLE.TEST ",
        "lovelace@ex",
        "ada",
        "Lovelace Ada",
        "love",
        "07123456789",
        "+44 7123 456789",
        "(07123) 45 67 89",
    ],
)
def test_a_lead_is_found_by(text: str, ada: Lead, joergen: Lead) -> None:
    assert found(text) == [ada.pk]


@pytest.mark.parametrize("text", ["Jørgen", "jørgen", "JØRGEN", "ærø", "öz", "030/1234567"])
def test_letters_beyond_ascii_are_found_in_any_case(text: str, ada: Lead, joergen: Lead) -> None:
    assert found(text) == [joergen.pk]


@pytest.mark.parametrize("text", ["firstName", "email", "lace", "grace@example.test", "%", "_", "'", "0712345670"])
def test_names_of_fields_wildcards_and_middles_of_words_find_nothing(text: str, ada: Lead, joergen: Lead) -> None:
    assert found(text) == []


def test_ids_and_hashes_are_one_lead(ada: Lead, joergen: Lead) -> None:
    for text in (str(ada.pk), f"#{ada.pk}", ada.hash.hex, str(ada.hash), ada.hash.hex.upper(), callback_hash(ada.hash)):
        assert found(text) == [ada.pk]
    assert found("9" * 30) == []


def test_filters_narrow_what_is_found(ada: Lead, lead: MakeLead) -> None:
    invalid = lead(Status.INVALID)
    Lead.objects.filter(pk=ada.pk).update(
        flag="returned", reason_code="late", created_at=timezone.now() - dt.timedelta(days=3)
    )
    yesterday = timezone.now() - dt.timedelta(days=1)
    assert found(status="invalid") == [invalid.pk]
    assert found(flag="returned", reason_code="late") == [ada.pk]
    assert found(flag="none") == [invalid.pk]
    assert found(since=yesterday) == [invalid.pk]
    assert found(until=yesterday, campaign_id=ada.campaign_id, publisher_id=ada.publisher_id) == [ada.pk]
    assert found(campaign_id=ada.campaign_id + 1) == []


def test_an_address_that_was_added_later_is_found_too(lead: MakeLead) -> None:
    made = lead(email="old@example.test")
    lead_append(made.pk, {"email": "New@Example.test"})
    assert found("new@example.test") == [made.pk]
    assert found("old@example.test") == []
