"""The campaign webhook, opened by the campaign's own key, also from a browser on another site."""

from __future__ import annotations

import pytest
import requests

from leads.models import ApiKey, Campaign, CampaignPublisher, Lead
from tests.receiving.conftest import GOOD, Client
from tests.receiving.test_publisher_api import INPUTS


@pytest.fixture
def client(client: Client) -> Client:
    """Without a token, with the campaign's key."""
    client.session.headers.pop("Authorization")
    client.session.params = {"apikey": client.instance.campaign_key, "publisherId": str(client.instance.publisher.pk)}
    return client


def base(client: Client, version: str = "") -> str:
    return f"/webhook/campaign/{version}{client.instance.campaign.pk}"


@pytest.mark.parametrize("kind", ["form", "global-form"])
def test_fields_are_strings_in_the_oldest_and_the_first_version(client: Client, kind: str) -> None:
    answer = client.get(f"{base(client)}/{kind}/fields")
    assert answer.json() == [{"formName": "Whitepaper", "formId": client.instance.form.pk, "fields": INPUTS}]


def test_fields_are_objects_in_the_second_version(client: Client) -> None:
    fields = client.get(f"{base(client, 'v2/')}/global-form/fields").json()[0]["fields"]
    assert [field["key"] for field in fields] == INPUTS
    assert {"key", "hidden", "required"} <= set(fields[0])
    assert [field["hidden"] for field in fields] == [False] * 7 + [True]


def test_links_are_listed(client: Client) -> None:
    assert [link["id"] for link in client.get(f"{base(client)}/links").json()] == [client.instance.link.pk]


@pytest.mark.parametrize("path", ["/form/{}/leads", "/global-form/{}/leads", "v2/ /global-form/{}/leads"])
def test_a_lead_is_received_on_every_path(client: Client, path: str) -> None:
    version, _, rest = path.rpartition(" ")
    path = base(client, version) + rest.format(client.instance.form.pk)
    answer = client.post(path, GOOD, params={"campaignLinkId": client.instance.link.pk})
    lead = Lead.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {"code": 201, "message": "Lead was created successfully", "data": lead.pk}
    assert (lead.publisher, lead.link) == (client.instance.publisher, client.instance.link)


@pytest.mark.parametrize("publisher", ["999999", "0", "abc", "-1", ""])
def test_a_wrong_publisher_is_not_found(client: Client, publisher: str) -> None:
    answer = client.post(client.webhook_path, GOOD, params={"publisherId": publisher})
    assert (answer.status_code, answer.json()) == (404, {"code": 404, "message": "Publisher not found"})


def test_the_only_publisher_of_a_campaign_need_not_be_named(client: Client) -> None:
    CampaignPublisher.objects.filter(publisher=client.instance.other_publisher).delete()
    client.session.params = {"apikey": client.instance.campaign_key}
    assert client.post(client.webhook_path, GOOD).status_code == 201
    assert Lead.objects.get().publisher == client.instance.publisher


def test_a_wrong_key_is_denied(client: Client) -> None:
    for key in ("wrong", "", client.instance.api_key):
        for path in (f"{base(client)}/global-form/fields", f"{base(client)}/links"):
            answer = client.get(path, params={"apikey": key})
            assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "Access denied."})


def test_a_wrong_campaign_or_form_is_a_404_in_plain_text(client: Client) -> None:
    for path in ("/webhook/campaign/999999/global-form/1/leads", f"{base(client)}/global-form/999999/leads"):
        answer = client.post(path, GOOD)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")


def test_a_paused_campaign_answers_with_the_documented_403(client: Client) -> None:
    Campaign.objects.update(status="paused")
    answer = client.post(client.webhook_path, GOOD)
    assert (answer.status_code, answer.json()) == (403, {"code": "403", "error": "Campaign is inactive"})


def test_extra_and_wrong_fields_get_the_documented_400(client: Client) -> None:
    answer = client.post(client.webhook_path, {"form[email]": "no", "form[firstName]": "Ada", "form[x]": "1"})
    assert answer.status_code == 400
    body = answer.json()
    assert (body["code"], body["message"]) == (400, "Validation failed")
    assert body["data"][0] == {"message": "This form should not contain extra fields."}
    assert body["data"][1]["fieldName"] == "form[email]"


def test_a_repeated_submit_is_one_lead_here_too(client: Client) -> None:
    answers = [client.post(client.webhook_path, GOOD, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert Lead.objects.count() == 1


def test_browsers_may_call_it_from_any_site(client: Client) -> None:
    origin = {"Origin": "https://landing.example"}
    preflight = client.session.options(
        client.server + client.webhook_path,
        headers={
            **origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, idempotency-key",
        },
        timeout=20,
    )
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"] == "content-type, idempotency-key"
    answers = [
        client.post(client.webhook_path, GOOD, headers=origin),
        client.post(client.webhook_path, {}, headers=origin),
        client.post(client.webhook_path, GOOD, headers=origin, params={"apikey": "no"}),
        client.get("/webhook/campaign/9/nothing", headers=origin),
    ]
    assert [answer.status_code for answer in answers] == [201, 400, 401, 404]
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {"*"}


def test_the_publisher_api_is_not_for_other_sites(client: Client) -> None:
    answer = requests.get(client.server + "/api/v2.4/publisher/fields/1", timeout=20)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_when_the_campaign_s_key_was_last_used_is_known(client: Client) -> None:
    keys = ApiKey.objects.filter(campaign=client.instance.campaign)
    assert keys.get().last_used_at is None
    client.get(f"{base(client)}/links", params={"apikey": "another-one"})
    assert keys.get().last_used_at is None
    client.get(f"{base(client)}/links")
    assert keys.get().last_used_at is not None
