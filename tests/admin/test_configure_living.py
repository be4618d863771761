"""What the Configure page asks for as it is typed, and two people on one page, over real HTTP to a client's instance."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from integrations.admin import asking
from integrations.admin.mapping_rows import row_prefix
from integrations.discovery import integration_discover
from integrations.drift import integration_pull
from integrations.kit.registry import connector
from integrations.models import Delivery, FieldMapping, Integration, IntegrationState
from leads.models import Campaign, Lead, User
from tests.admin.client_instance import API_KEY, ClientInstance, remote_field
from tests.admin.pages import boxes, said, text
from tests.admin.test_configure import SETTINGS, page, place, save


def part(name: str, integration: Integration) -> str:
    return reverse(f"admin:integrations_integration_{name}", args=[integration.pk])


def check(client: Client, integration: Integration, **typed: str) -> str:
    """What the page gets while it is typed; nothing is saved by it."""
    filled = {**boxes(client.get(page(integration))), **typed, "js": "1"}
    return text(client.post(part("check", integration), filled, headers={"HX-Request": "true"}))


def state(fragment: str, name: str) -> str:
    after = fragment.split(f"#state-{name}")[1]
    return after[: after.index("</div>")]


# --- the boxes ----------------------------------------------------------------------------------------------


def test_boxes_fill_from_what_was_typed_and_nothing_is_saved_by_it(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    found = check(browser_client, integration, **SETTINGS)
    assert "answers" in state(found, "subdomain")
    assert "accepted" in state(found, "api_key")
    assert "known there" in state(found, "publisher_id")
    assert '<option value="7" selected>Webinar sign-up 0 (4 fields)' in found
    assert '<option value="3">Partners (API)' in found
    assert "4 client fields · 3 mapped" in found
    assert API_KEY not in found
    integration.refresh_from_db()
    assert (integration.settings, integration.secrets, integration.mappings.count()) == ({}, {}, 0)


def test_with_half_of_the_boxes_it_says_what_it_knows_and_nags_about_none(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    found = check(browser_client, integration, **{"settings-s-subdomain": "acme", "settings-s-api_key": API_KEY})
    assert "accepted" in state(found, "api_key")
    assert "missing" not in found
    assert "pt-state-bad" not in found


def test_a_box_that_is_wrong_says_what_to_do_and_the_ones_above_it_stay_good(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    found = check(browser_client, integration, **{**SETTINGS, "settings-s-campaign_id": "999"})
    assert "knows no campaign 999 for this publisher" in state(found, "campaign_id")
    assert "accepted" in state(found, "api_key")
    found = check(browser_client, integration, **{**SETTINGS, "settings-s-api_key": "another"})
    assert "Copy it again from their campaign: Tracking, API Credentials." in state(found, "api_key")
    found = check(browser_client, integration, **{**SETTINGS, "settings-s-campaign_id": "two"})
    assert "Campaign ID is a number, such as 204." in state(found, "campaign_id")


def test_a_form_that_was_chosen_is_never_chosen_otherwise(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    their_instance.forms = 2
    found = check(browser_client, integration, **{**SETTINGS, "settings-s-global_form": "8"})
    assert '<option value="8" selected>' in found
    assert "filled in" not in state(found, "global_form")


def test_what_was_mapped_on_the_page_stays_when_another_box_is_typed(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    their_instance.forms = 2
    mapped = {f"{place('postcode')}-source": "fixed:", f"{place('postcode')}-text": "00000"}
    found = check(browser_client, integration, **{**SETTINGS, "settings-s-global_form": "8", **mapped})
    assert 'value="00000"' in found


def test_what_was_typed_never_stands_in_an_address(browser_client: Client, integration: Integration) -> None:
    for name in ("check", "look", "values"):
        assert browser_client.get(part(name, integration)).status_code == 405


def test_saving_a_page_that_pulled_their_form_itself_keeps_what_was_mapped_on_it(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    found = check(browser_client, integration, **SETTINGS)
    sealed = found.split('name="pulled" value="')[1].split('"')[0]
    asked = len(their_instance.asked)
    filled = {
        **boxes(browser_client.get(page(integration))), **SETTINGS, "settings-s-global_form": "7", "js": "1", "do": "save",
        "pulled": sealed, f"{place('postcode')}-source": "field:zip", f"{place('email')}-source": "field:email",
    }  # fmt: skip
    browser_client.post(page(integration), filled)
    assert integration.mappings.get(remote_key="form[postcode]").value == "zip"
    assert integration.mappings.count() == 4
    assert integration.versions.count() == 1
    # Their form was at hand: nobody was asked again.
    assert len(their_instance.asked) == asked


def test_a_form_that_was_pulled_for_another_integration_is_not_taken(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    sealed = check(browser_client, integration, **SETTINGS).split('name="pulled" value="')[1].split('"')[0]
    other = Integration.objects.create(campaign=integration.campaign, name="Other", connector="convertr_connect")
    save(browser_client, other, pulled=sealed, js="1")
    assert not other.mappings.exists()


def test_clients_that_do_not_answer_take_a_few_threads_and_no_more(
    db: None, their_instance: ClientInstance, settings: Any
) -> None:
    settings.CONFIGURE_CHECK_SECONDS = 30
    their_instance.silent = True
    values = {"subdomain": "acme", "api_key": API_KEY, "campaign_id": "204", "publisher_id": "31"}
    found = connector("convertr_connect")
    with asking._slot("elsewhere.example"), asking._slot("elsewhere.example"):
        with asking._slot("elsewhere.example") as third:
            assert not third
        threads = [threading.Thread(target=_hold, args=(f"127.0.0.1:{their_instance.port}", each)) for each in holds()]
        for thread in threads:
            thread.start()
        for each in HELD:
            each.wait(5)
        busy = asking.settings_ask(found, values)
        for each in DONE:
            each.set()
        for thread in threads:
            thread.join()
    assert busy.busy
    assert "tried again by itself" in busy.problem
    assert their_instance.asked == []


HELD: list[threading.Event] = []
DONE: list[threading.Event] = []


def holds() -> list[int]:
    HELD[:], DONE[:] = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]
    return [0, 1]


def _hold(host: str, number: int) -> None:
    with asking._slot(host):
        HELD[number].set()
        DONE[number].wait(10)


# --- the table ----------------------------------------------------------------------------------------------


@pytest.fixture
def mapped(browser_client: Client, integration: Integration, their_instance: ClientInstance) -> Integration:
    save(browser_client, integration, **SETTINGS)
    integration.refresh_from_db()
    return integration


def look(client: Client, integration: Integration, **typed: str) -> str:
    filled = {**boxes(client.get(page(integration))), **typed, "js": "1"}
    return text(client.post(part("look", integration), filled, headers={"HX-Request": "true"}))


def cell(fragment: str, key: str, which: str) -> str:
    after = fragment.split(f"#{place(key)}-{which}")[1]
    return after[: after.index("</div>")]


def test_the_column_shows_what_becomes_of_the_lead_that_was_chosen(
    browser_client: Client, mapped: Integration, lead_make: Callable[..., Lead]
) -> None:
    first = lead_make(values={"firstName": " grace ", "country": "france"})
    lead_make()
    typed = {"lead": str(first.pk), f"{place('firstName')}-transforms": "Trim\nTitle Case"}
    found = look(browser_client, mapped, **typed)
    assert "Grace" in cell(found, "firstName", "value")
    assert "France" in cell(found, "country", "value")
    assert "suggested" in cell(found, "postcode", "note")
    found = look(browser_client, mapped, **{f"{place('country')}-source": "fixed:", f"{place('country')}-text": "Mars"})
    assert "“Mars” is none of the client&#x27;s choices" in cell(found, "country", "value")


def test_a_lead_of_another_campaign_is_not_shown(
    browser_client: Client, mapped: Integration, lead_make: Callable[..., Lead]
) -> None:
    elsewhere = Campaign.objects.create(advertiser=mapped.campaign.advertiser, name="Other")
    lead = lead_make(campaign=elsewhere, values={"firstName": "Secret"})
    assert "Secret" not in look(browser_client, mapped, lead=str(lead.pk))


def test_matching_values_counts_leads_and_knows_what_things_are_called(
    browser_client: Client, mapped: Integration, lead_make: Callable[..., Lead]
) -> None:
    for country in ("Germany", "Germany", "Atlantis", "france"):
        lead_make(values={"country": country})
    filled = {**boxes(browser_client.get(page(mapped))), "js": "1"}
    asked = f"{part('values', mapped)}?row={place('country')}"
    found = text(browser_client.post(asked, filled, headers={"HX-Request": "true"}))
    rows = found.split("<tr data-own=")[1:]
    assert rows[0].startswith('"Atlantis"')
    assert '<option value="hold" selected>hold the lead' in rows[0]
    germany = next(row for row in rows if row.startswith('"Germany"'))
    assert ">2<" in germany
    # Theirs is DE, and they call it Germany.
    assert '<option value="to:DE" selected>' in germany


def test_the_preview_shows_what_stands_on_the_page_sends_nothing_and_saves_nothing(
    browser_client: Client, mapped: Integration, their_instance: ClientInstance, lead_make: Callable[..., Lead]
) -> None:
    lead_make(values={"zip": "N1"})
    asked, version = len(their_instance.asked), mapped.mapping_version
    filled = {
        **boxes(browser_client.get(page(mapped))), f"{place('postcode')}-source": "field:zip", "js": "1",
    }  # fmt: skip
    found = text(browser_client.post(part("preview", mapped), filled, headers={"HX-Request": "true"}))
    assert "Nothing is sent." in found
    assert "/api/v2.4/publisher/31/forms/7/campaign/204/leads" in found
    assert "N1" in found
    assert "Zip code" in found
    assert API_KEY not in found
    mapped.refresh_from_db()
    assert mapped.mappings.get(remote_key="form[postcode]").source == ""
    assert mapped.mapping_version == version
    assert len(their_instance.asked) == asked


def test_a_test_lead_is_really_sent_and_the_clients_answer_is_shown_in_words(
    browser_client: Client, mapped: Integration, their_instance: ClientInstance, lead_make: Callable[..., Lead]
) -> None:
    lead_make(values={"zip": "N1"})
    their_instance.says = (400, {"data": [{"fieldName": "postcode", "message": "No such place."}]})
    filled = {
        **boxes(browser_client.get(page(mapped))),
        f"{place('postcode')}-source": "field:zip",
        "send": "1",
        "test-lead-firstName": "Ada",
        "test-lead-email": "ada@example.test",
        "test-lead-zip": "N1",
        "js": "1",
    }
    found = text(browser_client.post(part("test_lead", mapped), filled, headers={"HX-Request": "true"}))
    assert "The client refused it." in found
    assert "No such place." in found
    delivery = Delivery.objects.get()
    assert (delivery.test, delivery.state, delivery.lead.status if delivery.lead else "") == (True, "refused", "test")

    their_instance.says = (201, {"data": 77})
    again = {**filled, **boxes(browser_client.get(page(mapped))), "send": "1"}
    found = text(browser_client.post(part("test_lead", mapped), again, headers={"HX-Request": "true"}))
    assert "The client took it" in found
    assert "their lead 77" in found


# --- two people ---------------------------------------------------------------------------------------------


def test_the_second_save_is_told_what_the_first_changed_and_loses_nothing(
    browser_client: Client, mapped: Integration
) -> None:
    mine = boxes(browser_client.get(page(mapped)))
    save(browser_client, mapped, **{"settings-s-publisher_id": "32", f"{place('postcode')}-source": "field:zip"})

    typed = {**mine, f"{place('firstName')}-transforms": "UPPER CASE", "do": "save"}
    response = browser_client.post(page(mapped), typed)
    shown = text(response)
    assert "erin changed this" in shown
    assert ">31<" in shown
    assert ">32<" in shown
    assert "your field Zip code" in shown
    again = boxes(response)
    assert again[f"{place('firstName')}-transforms"] == "UPPER CASE"
    assert again["settings-s-publisher_id"] == "31"
    assert mapped.mappings.get(remote_key="form[firstName]").transforms == []

    # Both: theirs where nothing was changed here, mine where it was.
    browser_client.post(page(mapped), {**again, "do": "merge"})
    mapped.refresh_from_db()
    assert mapped.settings["publisher_id"] == "32"
    assert mapped.mappings.get(remote_key="form[postcode]").value == "zip"
    assert mapped.mappings.get(remote_key="form[firstName]").transforms == [{"name": "upper"}]


def test_the_second_may_save_over_the_first_once_it_has_seen_what_it_drops(
    browser_client: Client, mapped: Integration
) -> None:
    mine = boxes(browser_client.get(page(mapped)))
    save(browser_client, mapped, **{"settings-s-publisher_id": "32"})
    told = browser_client.post(page(mapped), {**mine, "do": "over"})
    assert "changed this" in text(told)

    # A third change meanwhile is told of too.
    save(browser_client, mapped, **{"settings-s-publisher_id": "33"})
    told = browser_client.post(page(mapped), {**boxes(told), "do": "over"})
    assert ">33<" in text(told)

    browser_client.post(page(mapped), {**boxes(told), "do": "over"})
    mapped.refresh_from_db()
    assert mapped.settings["publisher_id"] == "31"


def test_what_both_changed_is_shown_with_both_values(browser_client: Client, mapped: Integration) -> None:
    mine = boxes(browser_client.get(page(mapped)))
    save(browser_client, mapped, **{"settings-s-publisher_id": "32"})
    told = text(browser_client.post(page(mapped), {**mine, "settings-s-publisher_id": "99", "do": "save"}))
    assert "<strong>99</strong>" in told


# --- their form changed, and versions -----------------------------------------------------------------------


@pytest.fixture
def drifted(
    browser_client: Client, mapped: Integration, their_instance: ClientInstance, lead_make: Callable[..., Lead]
) -> Integration:
    """Switched on, then the client's form gets a required field; a lead waits."""
    save(browser_client, mapped, "on", **{f"{place('postcode')}-source": "field:zip"})
    their_instance.fields.append(remote_field("form[jobTitle]", "Job title", required=True))
    mapped.refresh_from_db()
    integration_pull(mapped)
    mapped.refresh_from_db()
    lead = lead_make(values={"zip": "N1", "country": "France"})
    Delivery.objects.create(key=lead.hash, integration=mapped, kind="lead", lead=lead, state="held", next_try_at=None)
    return mapped


def test_a_change_of_their_form_is_shown_previewed_and_accepted_with_a_choice(
    browser_client: Client, drifted: Integration
) -> None:
    assert drifted.state == IntegrationState.NEEDS_A_LOOK
    assert "Review change" in text(browser_client.get(page(drifted)))
    drift = part("drift", drifted)
    shown = browser_client.get(drift)
    assert "Job title" in text(shown)
    assert "new, required" in text(shown)
    filled = {**boxes(shown), "do": "preview"}
    assert "Required and without a value, so nothing goes: Job title" in text(browser_client.post(drift, filled))

    chosen = {f"{place('jobTitle')}-source": "fixed:", f"{place('jobTitle')}-text": "Unknown"}
    assert "1 of 1 lead" in text(browser_client.post(drift, {**filled, **chosen}))
    response = browser_client.post(drift, {**filled, **chosen, "do": "accept"}, follow=True)
    assert "1 lead on the way" in said(response)
    drifted.refresh_from_db()
    assert drifted.state == IntegrationState.ON
    assert drifted.mappings.get(remote_key="form[jobTitle]").value == "Unknown"
    assert drifted.versions.first().why == "accepted"


def test_keeping_it_waiting_changes_nothing(browser_client: Client, drifted: Integration) -> None:
    version = drifted.mapping_version
    response = browser_client.post(part("drift", drifted), {"do": "keep"}, follow=True)
    assert "Kept waiting: 1 lead" in said(response)
    drifted.refresh_from_db()
    assert (drifted.mapping_version, drifted.pending_form is not None) == (version, True)


def test_versions_say_who_when_and_why_and_are_compared_and_restored(
    browser_client: Client, mapped: Integration, staff: User
) -> None:
    save(browser_client, mapped, **{f"{place('postcode')}-source": "field:zip"})
    versions = part("versions", mapped)
    shown = text(browser_client.get(versions))
    assert "erin" in shown
    assert "Saved" in shown
    compared = text(browser_client.get(versions, {"a": 1, "b": 2}))
    assert "now from your field Zip code · zip, was from nothing" in compared
    assert "Where it came from" in text(browser_client.get(versions, {"see": 1}))

    response = browser_client.post(versions, {"restore": "1", "version": "2"}, follow=True)
    assert "The mapping is again as in version 1" in said(response)
    assert mapped.mappings.get(remote_key="form[postcode]").source == ""
    assert mapped.versions.first().number == 3


def test_pages_of_rows_by_the_hundred_run_a_handful_of_queries(
    browser_client: Client,
    mapped: Integration,
    lead_make: Callable[..., Lead],
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    FieldMapping.objects.bulk_create(
        FieldMapping(integration=mapped, remote_key=f"form[more{number}]", position=number) for number in range(100)
    )
    for _ in range(30):
        lead_make()
    with django_assert_max_num_queries(40):
        shown = text(browser_client.get(page(mapped)))
    assert shown.count(row_prefix("form[more99]")) > 3
    integration_discover(mapped)


def test_values_that_were_matched_to_a_choice_they_have_no_longer_are_to_be_matched_again(
    browser_client: Client, mapped: Integration, their_instance: ClientInstance
) -> None:
    save(browser_client, mapped, **{f"{place('country')}-value_map": "Germany = DE"})
    their_instance.fields[3]["choices"] = [{"value": "GER", "label": "Germany"}, {"value": "France", "label": "France"}]
    shown = text(save(browser_client, mapped, "refresh"))
    assert "1 of 2 matched" in shown
    assert "none of theirs: Germany" in shown
    # It keeps nobody from saving what else is on the page.
    assert "Saved." in said(save(browser_client, mapped, **{f"{place('postcode')}-source": "field:zip"}))
