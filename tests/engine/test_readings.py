"""What a reading finds is what the ORM finds, on the database of these tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.db.models import F

from integrations.models import Integration
from leads.models import Campaign, Lead
from leads.readings import Reading

MakeLead = Callable[..., Lead]

LEADS = Reading(
    lambda campaign, ids: (
        Lead.objects.filter(pk__among=ids, campaign=campaign)
        .order_by("pk")
        .annotate(name=F("campaign__name"))
        .values_list("pk", "hash", "values", "created_at", "name")
    ),
    lists=[1],
)


def test_a_reading_finds_what_the_orm_finds_however_often_it_is_asked(campaign: Campaign, lead: MakeLead) -> None:
    ids = [lead(firstName=name).pk for name in ("Ada", "Grace", "Mary")]
    for wanted in (ids, ids[:1], [], [*ids, 10**12]):
        plain = Lead.objects.filter(pk__in=wanted, campaign=campaign).order_by("pk")
        columns = plain.values_list("pk", "hash", "values", "created_at", "campaign__name")
        assert [tuple(row) for row in LEADS.rows(campaign.pk, wanted)] == list(columns)
    assert LEADS.rows(campaign.pk + 1, ids) == []


def test_a_reading_goes_by_the_time_that_it_is_given(lead: MakeLead) -> None:
    since = Reading(lambda at: Lead.objects.filter(created_at__gt=at).values_list("pk"), times=[0])
    made = lead()
    assert [tuple(row) for row in since.rows(made.created_at - dt.timedelta(seconds=1))] == [(made.pk,)]
    assert since.rows(made.created_at) == []


def test_models_of_a_reading_have_all_their_values_and_can_be_saved(integration: Integration) -> None:
    one = Reading(lambda pk: Integration.objects.filter(pk=pk))
    [found] = one.models(integration.pk)
    assert found.all_settings == integration.all_settings
    assert found.updated_at == integration.updated_at
    found.name = "Acme UK"
    found.save()
    assert one.models(integration.pk)[0].name == "Acme UK"


def test_a_reading_that_does_not_use_an_argument_says_so_at_once(db: None) -> None:
    with pytest.raises(ValueError, match="not in list"):
        Reading(lambda one, two: Lead.objects.filter(pk=one).values_list("pk")).rows(1, 2)
