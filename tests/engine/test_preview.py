"""Before an integration goes live: what would be sent, and a test lead that really is."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from django.conf import LazySettings

from integrations import test_lead as trial
from integrations.delivery import integration_switch
from integrations.dispatch import integration_deliver
from integrations.models import Attempt, Delivery, FieldMapping, Integration, IntegrationState
from integrations.preview import delivery_preview, mapping_values
from integrations.processr import leads_process
from integrations.versions import mapping_save
from leads.models import Campaign, Lead
from tests.engine.client import Answer, Client

pytestmark = pytest.mark.django_db

MakeLead = Callable[..., Lead]


# --- preview ------------------------------------------------------------------------------------------------


def test_the_preview_is_the_request_that_is_sent_later_with_its_secrets_masked(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    integration.mappings.create(
        remote_key="form[source]", state="extra", source="template", value="{{ publisher.name }}-x", position=9
    )
    integration.mappings.filter(remote_key="form[company]").update(
        source="fixed", value="Acme", transforms=[{"name": "upper"}]
    )
    mapping_save(integration, "maria")
    posted = lead()
    leads_process()
    calls = len(client.seen)
    shown = delivery_preview(integration, posted)
    assert shown.can_go
    assert len(client.seen) == calls, "nothing is sent"
    integration_deliver(integration.pk)
    sent = client.posts()[0]
    assert shown.method == sent.method
    assert shown.url == f"http://{client.host}{sent.path}"
    assert {field.key: field.value for field in shown.fields} == sent.form
    assert [field.key for field in shown.fields] == list(sent.form)
    headers = dict(shown.headers)
    assert headers["Authorization"] == "Bearer ••••"
    assert headers["Idempotency-Key"] == sent.headers["idempotency-key"]
    assert headers["Content-Type"] == sent.headers["content-type"]
    assert client.good_key not in repr(shown)
    assert "token-1" not in repr(shown)
    origins = {field.key: field.origin for field in shown.fields}
    assert origins == {
        "form[firstName]": "your field firstName",
        "form[email]": "your field email",
        "form[company]": "the fixed value “Acme”, changed by UPPER CASE",
        "form[source]": "the template {{ publisher.name }}-x",
        "form[syncToken]": "placed for you (sync tag)",
        "form[syncSubdomain]": "placed for you (sync tag)",
    }


def test_a_lead_that_can_t_be_sent_shows_what_is_missing_per_field(integration: Integration, lead: MakeLead) -> None:
    shown = delivery_preview(integration, lead(firstName="", email=""))
    assert not shown.can_go
    assert [(problem.key, problem.label) for problem in shown.problems] == [
        ("form[firstName]", "First name"),
        ("form[email]", "E-mail"),
    ]
    assert "the lead has no value for email" in shown.problems[1].words
    assert shown.url == ""


def test_settings_that_can_t_make_a_request_are_a_problem_in_words(integration: Integration, lead: MakeLead) -> None:
    integration.settings = {**integration.settings, "link": "not a number"}
    shown = delivery_preview(integration, lead())
    assert [problem.key for problem in shown.problems] == [""]
    assert "Link" in shown.problems[0].words


def test_the_preview_column_has_a_value_or_a_problem_for_each_row_saved_or_not(
    integration: Integration, lead: MakeLead
) -> None:
    posted = lead(company="Acme")
    assert {key: str(made) for key, made in mapping_values(integration, posted).items()} == {
        "form[firstName]": "Ada",
        "form[email]": "ada@example.test",
        "form[company]": "Acme",
    }
    rows = [
        FieldMapping(
            remote_key="form[country]", source="fixed", value="GB", remote_choices=[{"value": "UK", "label": ""}]
        ),
        FieldMapping(remote_key="form[name]", source="fact", value="publisher.name"),
    ]
    made = mapping_values(integration, posted, rows)
    assert made["form[country]"].problem == "form[country]: “GB” is none of the client's choices."
    assert made["form[name]"].value == "Northbeam"


# --- a test lead --------------------------------------------------------------------------------------------


def test_a_test_lead_is_really_sent_marked_as_a_test_also_before_the_integration_is_on(
    integration: Integration, client: Client, campaign: Campaign
) -> None:
    integration_switch(integration, on=False)
    answer = trial.test_lead_send(integration, {"firstName": "Ada", "email": "ada@example.test"}, "maria")
    assert answer.outcome is not None
    assert (answer.outcome.kind, answer.outcome.reference) == ("delivered", "1")
    assert client.posts()[0].query["test"] == "1"
    assert answer.exchanges[-1]["response"]["status"] == 201
    made, delivery = Lead.objects.get(), Delivery.objects.get()
    assert (made.pk, delivery.pk) == (answer.lead_id, answer.delivery_id)
    assert (made.status, made.campaign, made.publisher.name) == ("test", campaign, trial.HOUSE)
    assert not made.publisher.active
    assert (delivery.state, delivery.test, delivery.reference) == ("delivered", True, "1")
    assert Attempt.objects.get().outcome == "delivered"
    integration.refresh_from_db()
    assert integration.state == IntegrationState.PAUSED


def test_a_test_lead_goes_to_this_integration_alone_and_once(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    other = Integration.objects.create(
        campaign=integration.campaign,
        name="Acme US",
        connector=integration.connector,
        settings=integration.settings,
        secrets=integration.secrets,
        state=IntegrationState.ON,
    )
    trial.test_lead_send(integration, lead(status="valid"), "maria")
    Lead.objects.filter(status="valid").delete()
    assert leads_process() == 0
    integration_deliver(integration.pk)
    integration_deliver(other.pk)
    assert len(client.posts()) == 1
    assert Delivery.objects.count() == 1


def test_a_copied_lead_keeps_its_publisher_so_that_the_client_sees_the_same_values(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    integration.mappings.filter(remote_key="form[company]").update(source="fact", value="publisher.name")
    mapping_save(integration, "maria")
    original = lead()
    answer = trial.test_lead_send(integration, original, "maria")
    assert client.leads[0]["form[company]"] == "Northbeam"
    assert answer.lead_id != original.pk
    original.refresh_from_db()
    assert original.status == "pending"


def test_values_that_the_form_refuses_are_named_and_nothing_is_made_of_them(
    integration: Integration, client: Client, campaign: Campaign
) -> None:
    campaign.forms.get().fields.filter(name="email").update(type="email", required=True)
    answer = trial.test_lead_send(integration, {"firstName": "Ada", "email": "no address"}, "maria")
    assert answer.outcome is None
    assert [field for field, _ in answer.problems] == ["email"]
    assert not Lead.objects.exists()
    assert client.posts() == []


def test_a_test_lead_that_can_t_be_mapped_says_which_field_is_missing(integration: Integration, client: Client) -> None:
    answer = trial.test_lead_send(integration, {"firstName": "Ada"}, "maria")
    assert answer.outcome is None
    assert answer.problems[0][0] == "form[email]"
    assert client.posts() == []
    assert Delivery.objects.get().state == "exhausted"


def test_the_client_s_refusal_of_a_test_lead_is_shown_and_nothing_follows_from_it(
    integration: Integration, client: Client
) -> None:
    words = {"fieldName": "form[email]", "message": "This address is not known."}
    client.say.append(Answer(400, {"code": 400, "message": "Validation failed", "data": [words]}))
    answer = trial.test_lead_send(integration, {"firstName": "Ada", "email": "ada@example.test"}, "maria")
    assert answer.outcome is not None
    assert (answer.outcome.kind, answer.problems) == ("refused", (("form[email]", "This address is not known."),))
    client.say.append(Answer(403, {"code": 403, "message": "Access denied."}))
    answer = trial.test_lead_send(integration, {"firstName": "Ada", "email": "ada@example.test"}, "maria")
    assert answer.outcome is not None
    assert answer.outcome.kind == "misconfigured"
    integration.refresh_from_db()
    assert integration.state == IntegrationState.ON
    assert integration_deliver(integration.pk) == 0, "it is tried once"


def test_an_ended_token_is_renewed_for_a_test_lead(integration: Integration, client: Client) -> None:
    client.refuse_tokens.add("token-1")
    answer = trial.test_lead_send(integration, {"firstName": "Ada", "email": "ada@example.test"}, "maria")
    assert answer.outcome is not None
    assert answer.outcome.kind == "delivered"


def test_a_dead_client_s_silence_is_an_answer_too_and_comes_in_time(
    integration: Integration, client: Client, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        settings.CONNECTOR_PRIVATE_HOSTS = [host]
        settings.CONNECTOR_ENVIRONMENT = {
            **settings.CONNECTOR_ENVIRONMENT,
            "CONVERTR_INSTANCES": f"acme=http://{host}",
        }
        answer = trial.test_lead_send(integration, {"firstName": "Ada", "email": "ada@example.test"}, "maria")
    assert answer.outcome is not None
    assert answer.outcome.kind in ("retry", "unknown")
    assert host in answer.outcome.message
    assert answer.took_ms < 2_000
    assert Delivery.objects.get().state in ("exhausted", "unknown")
