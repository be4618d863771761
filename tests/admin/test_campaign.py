"""A campaign's page: its tabs, its integrations with how they stand, Add, and what people do there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.admin.tallies import in_trouble
from integrations.models import Delivery, FieldMapping, Integration
from leads.models import Advertiser, Campaign, Lead, Link
from tests.admin.client_instance import API_KEY, ClientInstance
from tests.admin.pages import boxes, said, text

READY = {"subdomain": "acme", "campaign_id": "204", "publisher_id": "31", "global_form": "77"}


def _page(campaign: Campaign, tab: str = "processr/") -> str:
    return f"/admin/leads/campaign/{campaign.pk}/{tab}"


def _job(integration: Integration, do: str) -> str:
    return f"/admin/leads/campaign/{integration.campaign_id}/processr/integrations/{integration.pk}/{do}/"


@pytest.mark.parametrize("tab", ["change/", "processr/", "leads/", "form/", "publishers/", "settings/", "history/"])
def test_each_tab_has_an_address_of_its_own_and_one_of_a_campaign_that_is_not_there_is_not_found(
    tab: str, browser_client: Client, campaign: Campaign, lead_make: Callable[..., Lead]
) -> None:
    lead_make()
    shown = text(browser_client.get(_page(campaign, tab)))
    assert "Spring webinar" in shown
    missing = browser_client.get(f"/admin/leads/campaign/{campaign.pk + 1}/{tab}")
    assert missing.status_code in (302, 404)


def test_the_tab_that_is_open_says_so_and_the_others_are_links(browser_client: Client, campaign: Campaign) -> None:
    shown = text(browser_client.get(_page(campaign)))
    assert f'href="{_page(campaign)}" aria-current="page">Processr' in shown
    for tab, name in (("change/", "Overview"), ("leads/", "Leads"), ("form/", "Form"), ("publishers/", "Publishers")):
        assert f'href="{_page(campaign, tab)}" >{name}' in shown


def test_quality_assurance_and_enrichment_say_what_it_means_that_there_is_no_job_and_offer_some(
    browser_client: Client, campaign: Campaign
) -> None:
    for kind, words in (("quality-assurance", "No quality job yet"), ("enrichment", "No enrichment job yet")):
        shown = text(browser_client.get(_page(campaign, f"processr/{kind}/")))
        assert words in shown
        assert "Add</summary>" in shown
    assert browser_client.get(_page(campaign, "processr/other/")).status_code == 404


def test_an_integration_shows_its_state_its_cause_and_its_numbers(
    browser_client: Client,
    switched_on: Integration,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
) -> None:
    now = timezone.now()
    for verdict in ("valid", "valid", "valid", "invalid"):
        made = delivery_make(lead_make(), state="delivered", delivered_at=now)
        Delivery.objects.filter(pk=made.pk).update(verdict=verdict, decided_at=now - dt.timedelta(minutes=2))
    delivery_make(lead_make(), state="delivered", delivered_at=now - dt.timedelta(days=2))
    delivery_make(lead_make(), state="delivered", delivered_at=now, test=True)
    delivery_make(lead_make(), state="queued")
    delivery_make(lead_make(), state="held", reason="Waiting: Postcode has no value.")
    [job] = browser_client.get(_page(switched_on.campaign)).context["jobs"]
    assert job["standing"].word == "On"
    numbers = job["numbers"]
    assert (numbers.delivered_today, numbers.waiting, numbers.valid, numbers.judged) == (4, 2, 3, 4)
    assert job["ago"] == "2 min ago"


@pytest.mark.parametrize(
    ("changes", "word", "cause"),
    [
        ({"state": "needs_setup", "settings": {"subdomain": "acme"}}, "Needs setup", "API_Key, Campaign ID"),
        (
            {"state": "needs_setup", "settings": READY, "secrets": {"api_key": API_KEY}},
            "Needs setup",
            "has not been pulled",
        ),
        ({"state": "paused"}, "Paused", "Leads wait until somebody resumes it."),
        (
            {"state": "needs_a_look", "state_reason": "The API_Key was refused."},
            "Needs a look",
            "The API_Key was refused.",
        ),
        ({"state": "on", "failures": 5, "state_reason": "acme.cvtr.io does not answer."}, "Failing", "does not answer"),
        ({"state": "needs_setup", "connector": "gone"}, "Needs setup", "no connector “gone” any more"),
    ],
)
def test_every_state_is_said_with_its_cause(
    changes: dict[str, Any], word: str, cause: str, browser_client: Client, integration: Integration
) -> None:
    for name, value in changes.items():
        setattr(integration, name, value)
    integration.save()
    response = browser_client.get(_page(integration.campaign))
    [job] = response.context["jobs"]
    assert job["standing"].word == word
    assert cause in job["standing"].cause
    assert word in text(response)


def test_required_fields_without_a_value_are_named_as_what_is_missing(
    browser_client: Client, integration: Integration
) -> None:
    Integration.objects.filter(pk=integration.pk).update(settings=READY, discovered_at=timezone.now())
    integration.refresh_from_db()
    integration.secrets = {"api_key": API_KEY}
    integration.save()
    for key, label in (("form[postcode]", "Postcode"), ("form[job]", "Job title")):
        FieldMapping.objects.create(integration=integration, remote_key=key, remote_label=label, remote_required=True)
    [job] = browser_client.get(_page(integration.campaign)).context["jobs"]
    assert "2 required fields of the client have no value yet: Postcode and Job title." in job["standing"].cause


def test_the_list_asks_as_often_for_twelve_integrations_as_for_one(
    browser_client: Client, campaign: Campaign, delivery_make: Callable[..., Delivery], lead_make: Callable[..., Lead]
) -> None:
    def queries(tab: str) -> int:
        browser_client.get(_page(campaign, tab))
        with CaptureQueriesContext(connection) as caught:
            assert browser_client.get(_page(campaign, tab)).status_code == 200
        return len(caught)

    delivery_make(lead_make(), state="held")
    Integration.objects.create(campaign=campaign, name="Unfinished", connector="convertr_connect")
    few = {tab: queries(tab) for tab in ("processr/", "change/", "leads/", "publishers/")}
    for number in range(11):
        state = ("needs_setup", "on", "paused", "needs_a_look")[number % 4]
        made = Integration.objects.create(
            campaign=campaign, name=f"Number {number}", connector="convertr_connect", state=state
        )
        delivery_make(lead_make(), integration=made, state=("held", "exhausted", "unknown")[number % 3])
    assert {tab: queries(tab) for tab in few} == few


def test_what_waits_for_a_person_is_counted_over_its_own_index(db: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("the plan of SQLite")
    plan = in_trouble().order_by().values("integration_id", "state").explain()
    assert "delivery_trouble" in plan


# --- Add ----------------------------------------------------------------------------------------------------


def _add(campaign: Campaign) -> str:
    return _page(campaign, "processr/integrations/add/")


@pytest.mark.parametrize("typed", ["conv", "CONNECT", "Enterprise to Enterprise", "e2e", "verdicts"])
def test_typing_finds_a_connector_by_its_name_its_former_names_and_what_it_does(
    typed: str, browser_client: Client, campaign: Campaign
) -> None:
    shown = text(browser_client.get(_add(campaign), {"q": typed}, headers={"HX-Request": "true"}))
    assert "Convertr Connect" in shown
    assert "<html" not in shown


def test_what_nothing_is_called_is_said_as_text(browser_client: Client, campaign: Campaign) -> None:
    shown = text(browser_client.get(_add(campaign), {"q": "<b>zzz"}, headers={"HX-Request": "true"}))
    assert "Nothing is called “&lt;b&gt;zzz”." in shown


def test_a_choice_makes_the_integration_under_a_free_name_and_leads_to_configure(
    browser_client: Client, campaign: Campaign
) -> None:
    response = browser_client.post(_add(campaign), {"offer": "convertr_connect"})
    first = Integration.objects.get()
    assert response["Location"] == f"/admin/integrations/integration/{first.pk}/change/"
    browser_client.post(_add(campaign), {"q": "enterprise"})
    browser_client.post(_add(campaign), {"q": "conv"})
    assert [row.name for row in Integration.objects.order_by("id")] == [
        "Convertr Connect",
        "Convertr Connect 2",
        "Convertr Connect 3",
    ]
    assert [row.position for row in Integration.objects.order_by("id")] == [1, 2, 3]


def test_enter_without_a_match_adds_nothing_and_the_engines_own_connectors_are_not_on_offer(
    browser_client: Client, campaign: Campaign
) -> None:
    assert "Nothing is called" in text(browser_client.post(_add(campaign), {"q": "zzz"}))
    assert browser_client.post(_add(campaign), {"q": ""}).status_code == 200
    assert browser_client.post(_add(campaign), {"offer": "status_sync"}).status_code == 404
    assert not Integration.objects.exists()


# --- what people do -----------------------------------------------------------------------------------------


def test_pause_parks_what_is_due_and_resume_says_why_it_cannot(
    browser_client: Client,
    switched_on: Integration,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
) -> None:
    waiting = delivery_make(lead_make())
    response = browser_client.post(_job(switched_on, "pause"), follow=True)
    assert "Paused: leads wait for it until it is resumed." in said(response)
    waiting.refresh_from_db()
    assert waiting.state == "held"

    fragment = browser_client.post(_job(switched_on, "resume"), headers={"HX-Request": "true"})
    assert "It can’t be switched on yet." in text(fragment)
    assert "<html" not in text(fragment)
    assert browser_client.get(_job(switched_on, "pause")).status_code == 405
    assert browser_client.post(_job(switched_on, "dance")).status_code == 404


def test_test_asks_the_client_and_says_what_it_answered(
    browser_client: Client, switched_on: Integration, their_instance: ClientInstance
) -> None:
    switched_on.settings, switched_on.secrets = READY | {"global_form": "75"}, {"api_key": "wrong-key-1234"}
    switched_on.save()
    shown = text(browser_client.post(_job(switched_on, "test"), headers={"HX-Request": "true"}))
    assert "The test failed." in shown
    assert "API_Key" in shown


def test_renaming_refuses_a_name_that_is_taken_and_keeps_what_was_typed(
    browser_client: Client, integration: Integration
) -> None:
    Integration.objects.create(campaign=integration.campaign, name="Northwind", connector="convertr_connect")
    response = browser_client.post(_job(integration, "rename"), {"name": "  Northwind "})
    assert "Another integration of this campaign has this name" in text(response)
    response = browser_client.post(_job(integration, "rename"), {"name": "Acme UK"}, follow=True)
    assert "“Acme EU” is called “Acme UK” now." in said(response)


def test_an_integration_is_removed_only_while_nothing_was_handed_to_it(
    browser_client: Client,
    switched_on: Integration,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
) -> None:
    unused = Integration.objects.create(campaign=switched_on.campaign, name="Unused", connector="convertr_connect")
    delivery_make(lead_make())
    shown = text(browser_client.get(_page(switched_on.campaign)))
    assert _job(unused, "remove") in shown
    assert _job(switched_on, "remove") not in shown
    assert browser_client.post(_job(switched_on, "remove")).status_code == 403
    assert "No lead was ever handed to it." in text(browser_client.get(_job(unused, "remove")))
    browser_client.post(_job(unused, "remove"))
    assert list(Integration.objects.all()) == [switched_on]
    history = text(browser_client.get(_page(switched_on.campaign, "history/")))
    assert "Integration “Unused” removed." in history


def test_an_integration_of_another_campaign_is_not_found_under_this_one(
    browser_client: Client, integration: Integration
) -> None:
    other = Campaign.objects.create(advertiser=Advertiser.objects.get(), name="Other")
    for do in ("pause", "rename", "remove"):
        address = f"/admin/leads/campaign/{other.pk}/processr/integrations/{integration.pk}/{do}/"
        assert browser_client.post(address).status_code == 404


def test_saving_the_settings_leads_back_to_the_campaign(browser_client: Client, campaign: Campaign) -> None:
    from tests.admin.pages import boxes

    sent = boxes(browser_client.get(_page(campaign, "settings/")), "campaign_form")
    sent["forms"] = str(campaign.forms.get().pk)
    response = browser_client.post(_page(campaign, "settings/"), {**sent, "name": "Autumn webinar"})
    assert response["Location"] == _page(campaign, "change/")
    campaign.refresh_from_db()
    assert campaign.name == "Autumn webinar"


def test_a_link_that_leads_came_through_is_removed_only_once_it_is_said_how_many_lose_it(
    browser_client: Client, campaign: Campaign, lead_make: Callable[..., Lead]
) -> None:
    used, unused = (Link.objects.create(campaign=campaign, name=name) for name in ("Newsletter", "Banner"))
    leads = [lead_make(link=used) for _ in range(2)]
    where = f"/admin/leads/campaign/{campaign.pk}/settings/"
    sent = {**boxes(browser_client.get(where), "campaign_form"), "forms": str(campaign.forms.get().pk)}
    sent |= {"links-0-DELETE": "on", "links-1-DELETE": "on"}
    asked = browser_client.post(where, sent)
    assert asked.status_code == 200
    assert "“Newsletter” (2 leads)" in text(asked)
    assert Link.objects.count() == 2
    # One more comes while it is read: what was agreed to is another number.
    more = lead_make(link=used)
    agreed = {**sent, "links_lost": f"{used.pk}:2"}
    asked = browser_client.post(where, agreed)
    assert "“Newsletter” (3 leads)" in text(asked)
    assert f'name="links_lost" value="{used.pk}:3"' in text(asked)
    assert browser_client.post(where, {**sent, "links_lost": f"{used.pk}:3"}).status_code == 302
    assert not Link.objects.filter(pk__in=[used.pk, unused.pk]).exists()
    assert Lead.objects.filter(pk__in=[*(lead.pk for lead in leads), more.pk], link=None).count() == 3
