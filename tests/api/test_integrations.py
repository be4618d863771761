"""Integrations over the API: how they do, and what the account manager's own automation does with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integrations.delivery import integration_hold, integration_switch
from integrations.discovery import integration_discover
from integrations.dispatch import integration_deliver
from integrations.models import Integration
from integrations.processr import leads_process
from leads.models import Campaign
from tests.api.conftest import Instance, Partner, key_for
from tests.api.test_keys import problem
from tests.engine.client import Answer, Client
from tests.hooks.test_subscriptions import take_in


@pytest.fixture
def client(settings: Any) -> Iterator[Client]:
    found = Client()
    settings.CONNECTOR_ENVIRONMENT = {
        **settings.CONNECTOR_ENVIRONMENT,
        "CONVERTR_INSTANCES": f"acme=http://{found.host}",
    }
    settings.CONNECTOR_PRIVATE_HOSTS = [found.host]
    yield found
    found.close()


@pytest.fixture
def integration(instance: Instance, client: Client) -> Integration:
    made = Integration.objects.create(
        campaign=instance.campaign,
        name="Acme EU",
        connector="convertr_connect",
        settings={"subdomain": "acme", "campaign_id": "204", "publisher_id": "31", "global_form": "75"},
        secrets={"api_key": client.good_key},
        release_per_minute=0,
    )
    integration_discover(made)
    made.refresh_from_db()
    integration_switch(made, on=True)
    return made


def test_integrations_are_listed_with_their_state_in_words_and_none_of_their_secrets(
    partner: Partner, integration: Integration, client: Client
) -> None:
    [row] = partner.get("integrations").json()["data"]
    assert (row["name"], row["connector_name"], row["state"], row["state_words"]) == (
        "Acme EU",
        "Convertr Connect",
        "on",
        "On",
    )
    assert client.good_key not in partner.get(f"integrations/{integration.pk}").text
    assert partner.get("integrations", state="paused").json()["data"] == []
    assert partner.get("integrations", campaign=987_654).json()["data"] == []
    problem(partner.get("integrations", state="asleep"), 422, "invalid")
    problem(partner.get("integrations", campaign="x"), 422, "invalid")
    problem(partner.get("integrations", campain=1), 422, "invalid")


def test_a_paused_one_keeps_what_comes_and_lets_it_out_when_it_is_resumed(
    partner: Partner, instance: Instance, integration: Integration, client: Client
) -> None:
    assert partner.post(f"integrations/{integration.pk}/pause").json()["state"] == "paused"
    assert partner.post(f"integrations/{integration.pk}/pause").status_code == 200
    take_in(instance.campaign)
    leads_process()
    health = partner.get(f"integrations/{integration.pk}/health").json()
    assert (health["state_words"], health["works"], health["waiting"], health["queued"]) == ("Paused", False, 1, 0)
    assert partner.post(f"integrations/{integration.pk}/resume").json()["state"] == "on"
    integration_deliver(integration.pk)
    health = partner.get(f"integrations/{integration.pk}/health").json()
    assert (health["works"], health["delivered_today"], health["waiting"]) == (True, 1, 0)
    assert health["last_delivered_at"] is not None


def test_health_says_why_nothing_goes_out_and_since_when(
    partner: Partner, instance: Instance, integration: Integration, client: Client
) -> None:
    client.say.extend([Answer(503)] * 5)
    for _ in range(5):
        take_in(instance.campaign)
    leads_process()
    integration_deliver(integration.pk)
    health = partner.get(f"integrations/{integration.pk}/health").json()
    assert (health["answers"], health["works"], health["queued"]) == (False, False, 5)
    assert health["failing_since"] is not None
    assert "does not answer as it should" in health["words"]
    integration_hold(integration.pk, "The client's instance refused the API_Key.")
    health = partner.get(f"integrations/{integration.pk}/health").json()
    assert (health["state"], health["words"]) == ("needs_a_look", "The client's instance refused the API_Key.")


def test_what_can_not_be_done_says_why(partner: Partner, instance: Instance, client: Client) -> None:
    bare = Integration.objects.create(campaign=instance.campaign, name="Bare", connector="convertr_connect")
    problem(partner.post(f"integrations/{bare.pk}/pause"), 409, "conflict")
    said = problem(partner.post(f"integrations/{bare.pk}/resume"), 409, "conflict")
    assert "Subdomain is missing" in said["detail"]
    problem(partner.post(f"integrations/{bare.pk}/refresh"), 409, "conflict")
    check = partner.post(f"integrations/{bare.pk}/check").json()
    assert check["works"] is False
    assert "is missing" in check["said"]


def test_a_check_asks_the_client_and_a_refresh_pulls_its_form(
    partner: Partner, integration: Integration, client: Client
) -> None:
    assert partner.post(f"integrations/{integration.pk}/check").json() == {"works": True, "said": "", "setting": ""}
    client.add("form[jobTitle]", "Job title")
    report = partner.post(f"integrations/{integration.pk}/refresh").json()
    assert report["added"] == ["form[jobTitle]"]
    client.good_key = "another"
    assert partner.post(f"integrations/{integration.pk}/check").json()["works"] is False


def test_a_publisher_s_key_and_one_of_another_campaign_see_no_integration(
    server: str, reach: Partner, instance: Instance, integration: Integration
) -> None:
    other = Campaign.objects.create(advertiser=instance.campaign.advertiser, name="Autumn")
    for stranger in (reach, Partner(server, key_for(campaign=other))):
        assert stranger.get("integrations").json()["data"] == []
        for method, path in (
            ("GET", ""),
            ("GET", "/health"),
            ("POST", "/pause"),
            ("POST", "/resume"),
            ("POST", "/check"),
            ("POST", "/refresh"),
        ):
            problem(stranger.call(method, f"integrations/{integration.pk}{path}"), 404, "not-found")
    of_campaign = Partner(server, key_for(campaign=instance.campaign))
    assert of_campaign.get(f"integrations/{integration.pk}").status_code == 200
    reader = Partner(server, key_for("integrations:read"))
    assert (
        "integrations:write"
        in problem(reader.post(f"integrations/{integration.pk}/pause"), 403, "scope-missing")["detail"]
    )


def test_the_engine_s_own_integrations_are_not_among_them(partner: Partner, instance: Instance) -> None:
    own = Integration.objects.create(campaign=instance.campaign, name="Status", connector="status_sync", managed=True)
    assert partner.get("integrations").json()["data"] == []
    problem(partner.get(f"integrations/{own.pk}"), 404, "not-found")
