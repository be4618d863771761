"""Add an integration, land on Configure, fill the boxes, map the client's fields."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from integrations.admin.mapping_rows import row_prefix
from integrations.models import FieldMapping, Integration, IntegrationState
from leads.models import Campaign
from tests.admin.client_instance import API_KEY, ClientInstance, remote_field
from tests.admin.pages import boxes, said, text

SETTINGS = {
    "settings-s-subdomain": "acme",
    "settings-s-api_key": API_KEY,
    "settings-s-campaign_id": "204",
    "settings-s-publisher_id": "31",
}


def page(integration: Integration) -> str:
    return reverse("admin:integrations_integration_change", args=[integration.pk])


def save(client: Client, integration: Integration, do: str = "save", **changes: str) -> Any:
    """Fill some boxes of the page as it is now and press a button; the page that comes of it."""
    filled = {**boxes(client.get(page(integration))), **changes, "do": do}
    return client.post(page(integration), filled, follow=True)


def place(key: str) -> str:
    """What the boxes of a row are named by."""
    return row_prefix(f"form[{key}]")


def row(integration: Integration, key: str) -> FieldMapping:
    return integration.mappings.get(remote_key=key)


def test_adding_takes_a_name_and_a_connector_and_lands_on_configure(browser_client: Client, campaign: Campaign) -> None:
    add = reverse("admin:integrations_integration_add")
    offered = text(browser_client.get(add, {"campaign": campaign.pk}))
    assert "Convertr Connect – Send leads straight into your client" in offered
    assert "status_sync" not in offered

    response = browser_client.post(add, {"campaign": campaign.pk, "name": "Acme EU", "connector": "convertr_connect"})

    made = Integration.objects.get()
    assert response["Location"] == page(made)
    labels = ["Subdomain", "API_Key", "Campaign ID", "Publisher ID", "Global Form", "Link"]
    shown = text(browser_client.get(page(made)))
    places = [shown.index(f">{label}") for label in labels]
    assert places == sorted(places)


def test_a_name_that_the_campaign_has_already_is_refused_in_words(
    browser_client: Client, integration: Integration
) -> None:
    add = reverse("admin:integrations_integration_add")
    taken = {"campaign": integration.campaign_id, "name": "Acme EU", "connector": "convertr_connect"}
    assert "Another integration of this campaign has this name" in text(browser_client.post(add, taken))


def test_saving_valid_settings_chooses_the_only_form_and_pulls_their_fields_matched_by_name(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    response = save(browser_client, integration, **SETTINGS)

    assert "4 fields of the client pulled in, 3 matched by their names" in said(response)
    integration.refresh_from_db()
    assert integration.settings["global_form"] == "7"
    assert (row(integration, "form[email]").source, row(integration, "form[email]").value) == ("field", "email")
    shown = text(response)
    assert "Business e-mail" in shown
    assert "1 required missing" in shown
    assert "Webinar sign-up 0 (4 fields)" in shown
    assert "Partners (API)" in shown


def test_what_was_saved_while_the_client_was_asked_is_not_written_back(
    browser_client: Client, integration: Integration, their_instance: ClientInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package has another module of this name by its attribute.
    configure: Any = importlib.import_module("integrations.admin.configure")
    ask = configure.settings_ask

    def meanwhile(*args: Any, **more: Any) -> Any:
        found = ask(*args, **more)
        row = Integration.objects.get(pk=integration.pk)
        Integration.objects.filter(pk=row.pk).update(settings={**row.settings, "publisher_id": "99"})
        return found

    monkeypatch.setattr(configure, "settings_ask", meanwhile)
    save(browser_client, integration, **SETTINGS)
    integration.refresh_from_db()
    assert (integration.settings["publisher_id"], integration.settings["global_form"]) == ("99", "7")
    history = text(browser_client.get(f"/admin/integrations/integration/{integration.pk}/history/"))
    assert "Global Form" in history


def test_of_several_forms_one_has_to_be_chosen_before_fields_are_pulled(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    their_instance.forms = 2
    response = save(browser_client, integration, **SETTINGS)
    assert "Global Form is missing" in said(response)
    assert "Webinar sign-up 1 (4 fields)" in text(response)
    assert not integration.mappings.exists()

    response = save(browser_client, integration, **{"settings-s-global_form": "8"})
    assert "4 fields of the client pulled in" in said(response)


def test_a_secret_is_never_shown_again_and_stays_when_the_box_is_left_empty(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    response = save(browser_client, integration, **SETTINGS)
    assert API_KEY not in text(response)
    assert "ends in 7f3c" in text(response)

    response = save(browser_client, integration, **{"settings-s-publisher_id": "32"})
    integration.refresh_from_db()
    assert integration.secrets == {"api_key": API_KEY}
    assert integration.settings["publisher_id"] == "32"
    assert API_KEY not in text(response)
    assert API_KEY not in str(integration.settings)
    history = reverse("admin:integrations_integration_history", args=[integration.pk])
    assert API_KEY not in text(browser_client.get(history))


def test_what_is_written_wrongly_is_said_beside_its_box_and_nothing_typed_is_lost(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    response = save(browser_client, integration, **{**SETTINGS, "settings-s-campaign_id": "two hundred"})
    shown = text(response)
    assert "Campaign ID is a number, such as 204" in shown
    assert boxes(response)["settings-s-subdomain"] == "acme"
    assert boxes(response)["settings-s-campaign_id"] == "two hundred"
    assert API_KEY not in shown
    integration.refresh_from_db()
    assert integration.settings == {}

    # The key need not be typed again: it went along sealed.
    mended = {**boxes(response), "settings-s-campaign_id": "204", "do": "save"}
    response = browser_client.post(page(integration), mended, follow=True)
    integration.refresh_from_db()
    assert integration.secrets == {"api_key": API_KEY}
    assert "4 fields of the client pulled in" in said(response)


def test_a_secret_that_was_sealed_for_another_integration_opens_nothing_here(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    other = Integration.objects.create(campaign=integration.campaign, name="Other", connector="convertr_connect")
    wrong = save(browser_client, integration, **{**SETTINGS, "settings-s-campaign_id": "x"})
    sealed = boxes(wrong)["settings-s-api_key-sealed"]
    assert sealed
    save(browser_client, other, **{"settings-s-subdomain": "acme", "settings-s-api_key-sealed": sealed})
    other.refresh_from_db()
    assert not other.secrets.get("api_key")


def test_unfinished_settings_are_saved_and_what_is_missing_is_named(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    response = save(browser_client, integration, **{"settings-s-subdomain": "acme"})
    assert "Saved, unfinished. API_Key is missing." in said(response)
    integration.refresh_from_db()
    assert integration.settings["subdomain"] == "acme"
    assert their_instance.asked == []


def test_a_refused_key_is_said_in_words_beside_its_box_and_the_settings_are_kept(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    filled = {**SETTINGS, "settings-s-api_key": "another-key-0000", "settings-s-global_form": "7"}
    response = save(browser_client, integration, **filled)
    assert "The client&#x27;s instance refused the API_Key" in text(response).replace("&#39;", "&#x27;")
    integration.refresh_from_db()
    assert integration.settings["campaign_id"] == "204"


def test_a_client_that_does_not_answer_costs_nothing_that_was_typed(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    their_instance.refuses_everything = True
    response = save(browser_client, integration, **{**SETTINGS, "settings-s-global_form": "7"})
    assert "the client’s fields were not pulled" in said(response)
    integration.refresh_from_db()
    assert integration.all_settings["api_key"] == API_KEY
    assert boxes(response)["settings-s-global_form"] == "7"


def test_choices_made_in_the_mapping_are_kept_when_the_fields_are_pulled_again(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    save(browser_client, integration, **SETTINGS)
    postcode = place("postcode")
    save(browser_client, integration, **{f"{postcode}-source": "field:zip"})

    their_instance.fields = [entry for entry in their_instance.fields if entry["key"] != "form[firstName]"]
    their_instance.fields.append(remote_field("form[jobTitle]", "Job title", required=True))
    response = save(browser_client, integration, "refresh")

    assert "1 field of the client pulled in, none of them matched" in said(response)
    assert "1 field no longer on their form: form[firstName]" in said(response)
    assert row(integration, "form[postcode]").value == "zip"
    assert row(integration, "form[firstName]").state == "vanished"
    assert row(integration, "form[jobTitle]").state == "new"
    assert "No longer on their form" in text(response)
    assert "1 required missing" in text(response)


def test_fixed_values_templates_value_maps_and_transforms_are_saved_with_their_row(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    save(browser_client, integration, **SETTINGS)
    first, postcode, country = (place(name) for name in ("firstName", "postcode", "country"))
    version = Integration.objects.get(pk=integration.pk).mapping_version
    response = save(
        browser_client,
        integration,
        **{
            f"{first}-source": "template:",
            f"{first}-text": "{{ firstName }} ({{ link.channel }})",
            f"{first}-transforms": "Trim\nTitle Case",
            f"{postcode}-source": "fixed:",
            f"{postcode}-text": "00000",
            f"{country}-value_map": "Germany = DE",
            "new-0-remote_key": "form[utm]",
            "new-0-source": "fact:link.channel",
        },
    )
    assert "Saved." in said(response)
    assert row(integration, "form[firstName]").value == "{{ firstName }} ({{ link.channel }})"
    assert row(integration, "form[firstName]").transforms == [{"name": "trim"}, {"name": "title"}]
    assert (row(integration, "form[postcode]").source, row(integration, "form[postcode]").value) == ("fixed", "00000")
    assert row(integration, "form[country]").value_map == {"Germany": "DE"}
    assert (row(integration, "form[utm]").state, row(integration, "form[utm]").value) == ("extra", "link.channel")
    assert Integration.objects.get(pk=integration.pk).mapping_version == version + 1

    # Shown as it was typed; saving it again is no change.
    again = boxes(response)
    assert again[f"{first}-transforms"] == "Trim\nTitle Case"
    assert again[f"{country}-value_map"] == "Germany = DE"
    save(browser_client, integration)
    assert Integration.objects.get(pk=integration.pk).mapping_version == version + 1


def test_a_mapping_that_cannot_work_is_refused_in_words_and_stays_typed(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    save(browser_client, integration, **SETTINGS)
    first, country = place("firstName"), place("country")
    response = save(
        browser_client,
        integration,
        **{
            f"{first}-source": "template:",
            f"{first}-text": "{{ nobody }}",
            f"{country}-value_map": "Germany = GER",
            f"{country}-transforms": "Sparkle",
        },
    )
    shown = text(response)
    assert "the template names “nobody”" in shown
    assert "“GER” is none of the client’s values: DE, France." in shown
    assert "“Sparkle” is no transform" in shown
    assert boxes(response)[f"{first}-text"] == "{{ nobody }}"
    assert row(integration, "form[firstName]").source == "field"


def test_values_of_ours_that_match_none_of_theirs_are_shown(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    response = save(browser_client, integration, **SETTINGS)
    assert "none of theirs: Germany" in text(response)


def test_it_cannot_be_switched_on_before_required_fields_are_mapped_and_says_which(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    save(browser_client, integration, **SETTINGS)
    response = save(browser_client, integration, "on")
    assert "It can’t be switched on yet. 1 required field of the client has no value yet: Postcode." in said(response)

    response = save(browser_client, integration, "on", **{f"{place('postcode')}-source": "field:zip"})
    assert "Acme EU is on" in said(response)
    integration.refresh_from_db()
    assert integration.state == IntegrationState.ON

    save(browser_client, integration, "pause")
    integration.refresh_from_db()
    assert integration.state == IntegrationState.PAUSED


def test_emptying_a_required_field_of_one_that_is_on_makes_its_leads_wait(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    save(browser_client, integration, **SETTINGS)
    postcode = place("postcode")
    save(browser_client, integration, "on", **{f"{postcode}-source": "field:zip"})
    response = save(browser_client, integration, **{f"{postcode}-source": ""})
    assert "Leads wait from now on" in said(response)
    integration.refresh_from_db()
    assert integration.state == IntegrationState.NEEDS_A_LOOK


def test_testing_the_connection_asks_the_client_and_says_what_came_of_it(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    save(browser_client, integration, **SETTINGS)
    assert "The client’s instance answered, and takes these settings." in said(
        save(browser_client, integration, "test")
    )
    their_instance.refuses_everything = True
    assert "The test failed." in said(save(browser_client, integration, "test"))


def test_required_marks_come_from_the_client_and_cannot_be_posted_away(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    save(browser_client, integration, **SETTINGS)
    postcode = place("postcode")
    save(browser_client, integration, **{f"{postcode}-remote_required": "", f"{postcode}-remote_label": "Forged"})
    stored = row(integration, "form[postcode]")
    assert stored.remote_required
    assert stored.remote_label == "Postcode"


def test_what_a_client_calls_its_fields_is_text_and_nothing_else(
    browser_client: Client, integration: Integration, their_instance: ClientInstance
) -> None:
    hostile = "<script>alert('x')</script>"
    their_instance.fields.append(remote_field("form[evil]", hostile + "W" * 10_000, type="choice", choices=[
        {"value": hostile, "label": '"><img src=x onerror=alert(1)>'},
    ]))  # fmt: skip
    shown = text(save(browser_client, integration, **SETTINGS))
    assert hostile not in shown
    assert "<img src=x" not in shown
    assert "&lt;script&gt;alert(" in shown


def test_the_engines_own_integrations_are_nobodys_to_configure(browser_client: Client, campaign: Campaign) -> None:
    made = Integration.objects.create(campaign=campaign, name="sync", connector="status_sync", managed=True, state="on")
    assert browser_client.get(page(made)).status_code == 404
    assert ">sync<" not in text(browser_client.get(reverse("admin:integrations_integration_changelist")))
