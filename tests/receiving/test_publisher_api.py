"""What a publisher's client gets from the publisher API, over the wire."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from django.utils import timezone

from leads.models import Campaign, Field, Flag, Held, Lead, LeadChange, Publisher, Status
from leads.status import FlagChange, leads_flag
from tests.receiving.conftest import GOOD, Client

VERSIONS = ["2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "3.0"]
INPUTS = [
    "form[firstName]",
    "form[email]",
    "form[telephone]",
    "form[industry]",
    "form[topics]",
    "form[optin][terms]",
    "form[optin][contactTypes]",
    "form[source]",
]


def test_fields_are_listed_as_strings(client: Client) -> None:
    answer = client.get(f"/api/v2.4/publisher/fields/{client.instance.campaign.pk}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Idempotency-Key-Honoured"] == "true"
    assert answer.json() == [{"formName": "Whitepaper", "formId": client.instance.form.pk, "fields": INPUTS}]


def test_fields_are_listed_as_objects_for_those_who_ask(client: Client) -> None:
    answer = client.get(f"/api/v2.4/publisher/fields/{client.instance.campaign.pk}", params={"list": "v2"})
    assert answer.headers["Idempotency-Key-Honoured"] == "true"
    items = {item["key"]: item for item in answer.json()[0]["fields"]}
    assert list(items) == [*INPUTS, "form[syncToken]", "form[syncSubdomain]"]
    assert items["form[firstName]"] == {
        "key": "form[firstName]",
        "hidden": False,
        "required": True,
        "label": "First name",
        "type": "text",
        "choices": [],
        "maxLength": 50,
    }
    assert items["form[industry]"]["choices"] == [{"value": "it", "label": "IT"}, {"value": "law", "label": "law"}]
    assert items["form[source]"]["hidden"] is True
    assert [items[key].get("sync") for key in items][-3:] == [None, "token", "subdomain"]


def test_a_changed_form_is_in_force_at_once(client: Client) -> None:
    Field.objects.create(form=client.instance.form, name="company", required=True, position=99)
    answer = client.send()
    assert answer.json()["data"] == [{"fieldName": "form[company]", "message": "This value is missing."}]


def test_links_are_listed(client: Client) -> None:
    link = client.instance.link
    expected = {"id": link.pk, "name": "Newsletter", "channel": "Email", "destination": "https://acme.example/"}
    assert client.get(f"/api/v2.4/publisher/links/{client.instance.campaign.pk}").json() == [expected]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_takes_fields_links_leads_and_results(client: Client, version: str) -> None:
    base, found = f"/api/v{version}/publisher", client.instance
    assert client.get(f"{base}/fields/{found.campaign.pk}").status_code == 200
    assert client.get(f"{base}/links/{found.campaign.pk}").status_code == 200
    sent = client.post(client.leads_path.replace("v2.4", f"v{version}"), GOOD)
    assert sent.status_code == 201
    assert client.get(f"{base}/{found.publisher.pk}/lead-result/{sent.json()['data']}").status_code == 202


@pytest.mark.parametrize("version", ["1.0", "2", "2.6", "2x4", "4", "2.4.0"])
def test_no_other_version_is_answered(client: Client, version: str) -> None:
    answer = client.get(f"/api/v{version}/publisher/fields/{client.instance.campaign.pk}")
    assert answer.status_code == 404


def test_a_lead_is_received_and_kept_as_it_was_posted(client: Client) -> None:
    answer = client.send(
        {
            **GOOD,
            "form[firstName]": "山田 太郎",
            "form[optin][terms]": "true",
            "form[optin][contactTypes]": "Email,SMS",
            "form[topics]": "a,b, c",
        },
        params={"linkId": client.instance.link.pk},
    )
    lead = Lead.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {"data": lead.pk, "message": "Lead was created successfully", "status": 201}
    assert lead.values == {
        "firstName": "山田 太郎",
        "email": "ada@example.test",
        "topics": "a,b, c",
        "optin.terms": "1",
        "optin.contactTypes": "Email,SMS",
    }
    assert (lead.campaign, lead.publisher, lead.form, lead.link) == (
        client.instance.campaign,
        client.instance.publisher,
        client.instance.form,
        client.instance.link,
    )
    assert (lead.status, lead.form_version, lead.ip, lead.processed_at) == (Status.PENDING, 1, "127.0.0.1", None)
    assert (lead.flag, lead.failed_jobs, lead.idempotency_key) == ("", [], None)
    assert abs(lead.created_at - timezone.now()) < dt.timedelta(minutes=1)


def test_a_multipart_lead_is_the_same_as_an_urlencoded_one(client: Client) -> None:
    assert client.send().status_code == 201
    parts = {name: (None, value) for name, value in GOOD.items()}
    assert client.post(client.leads_path, files=parts).status_code == 201
    first, second = Lead.objects.all()
    assert first.values == second.values


def test_a_blank_link_is_no_link(client: Client) -> None:
    assert client.send(params={"linkId": ""}).status_code == 201
    assert Lead.objects.get().link is None


def test_an_unknown_link_is_said_and_nothing_is_stored(client: Client) -> None:
    for link in ("999999", "x", "9" * 400, "١"):
        answer = client.send(params={"linkId": link})
        assert answer.status_code == 400
        assert answer.json()["data"][0]["fieldName"] == "linkId"
    assert not Lead.objects.exists()


def test_a_test_lead_is_marked(client: Client) -> None:
    assert client.send(params={"test": "1"}).status_code == 201
    assert Lead.objects.get().status == Status.TEST


def test_sync_tags_are_kept_beside_the_lead_and_not_among_its_values(client: Client) -> None:
    token = uuid.uuid4().hex
    client.send({**GOOD, "form[syncToken]": token, "form[syncSubdomain]": "sender"})
    lead = Lead.objects.get()
    assert (lead.sync_token, lead.sync_subdomain) == (token, "sender")
    assert set(lead.values) == {"firstName", "email"}


def test_an_extra_field_is_refused_with_the_documented_answer(client: Client) -> None:
    answer = client.send({**GOOD, "form[shoeSize]": "46"})
    assert answer.status_code == 400
    assert answer.json() == {
        "code": 400,
        "message": "Validation failed",
        "data": [{"message": "This form should not contain extra fields."}],
    }
    assert not Lead.objects.exists()


def test_every_wrong_field_is_named(client: Client) -> None:
    answer = client.send({"form[email]": "no", "form[former]": "x"})
    assert [item.get("fieldName") for item in answer.json()["data"]] == [None, "form[firstName]", "form[email]"]


@pytest.mark.parametrize("status", ["inactive", "paused", "ended", "setup_required"])
def test_a_closed_campaign_refuses_leads_and_still_shows_its_fields(client: Client, status: str) -> None:
    Campaign.objects.update(status=status)
    answer = client.send()
    assert (answer.status_code, answer.json()) == (403, {"code": "403", "error": "Campaign is inactive"})
    assert client.get(f"/api/v2.4/publisher/fields/{client.instance.campaign.pk}").status_code == 200


def test_another_publishers_id_is_not_found(client: Client) -> None:
    mine, other = client.instance.publisher.pk, client.instance.other_publisher.pk
    path = client.leads_path.replace(f"publisher/{mine}/", f"publisher/{other}/")
    answer = client.post(path, GOOD)
    assert (answer.status_code, answer.json()) == (404, {"code": 404, "message": "Publisher not found"})
    assert client.get(f"/api/v2.4/publisher/{other}/lead-result/1").status_code == 404
    assert not Lead.objects.exists()


def test_a_publisher_sees_only_campaigns_that_it_works_for(client: Client) -> None:
    client.instance.campaign.contracts.filter(publisher=client.instance.publisher).update(active=False)
    for path in (f"fields/{client.instance.campaign.pk}", f"links/{client.instance.campaign.pk}"):
        assert client.get(f"/api/v2.4/publisher/{path}").status_code == 404
    assert client.send().status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/api/v2.4/publisher/fields/999999",
        "/api/v2.4/publisher/fields/9999999999999999999999",
        "/api/v2.4/publisher/fields/abc",
        "/api/v2.4/publisher/nothing",
        "/api/v2.4/publisher/fields/1%00",
        "/webhook/campaign/1/nothing?apikey=x",
        "/oauth/v2/authorise",
    ],
)
def test_what_is_not_there_is_a_404_in_plain_text(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_an_unknown_form_is_a_404_in_plain_text(client: Client) -> None:
    answer = client.post(client.leads_path.replace("/forms/", "/forms/9"), GOOD)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")


def test_a_wrong_method_is_told_which_ones_there_are(client: Client) -> None:
    answer = client.get(client.leads_path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "OPTIONS, POST")
    fields = client.server + f"/api/v2.4/publisher/fields/{client.instance.campaign.pk}"
    assert client.session.delete(fields, timeout=20).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert client.session.options(fields, timeout=20).status_code == 204
    head = client.session.head(fields, timeout=20)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["Content-Length"]) > 0


# --- results -------------------------------------------------------------------------------------------------


@pytest.fixture
def lead_id(client: Client) -> int:
    return int(client.send().json()["data"])


def judged(lead_id: int, status: Status, failed_jobs: tuple[str, ...] = (), held: Held = Held.NO) -> None:
    Lead.objects.filter(pk=lead_id).update(
        status=status,
        failed_jobs=[{"job": None, "name": "A job", "reason": reason} for reason in failed_jobs],
        held=held,
        processed_at=timezone.now(),
    )


def test_a_lead_that_is_not_decided_is_202_in_words(client: Client, lead_id: int) -> None:
    for status, held in ((None, Held.NO), (Status.CAUTION, Held.CAUTION), (Status.VALID, Held.CAP_DAY)):
        if status:
            judged(lead_id, status, held=held)
        answer = client.result(lead_id)
        assert (answer.status_code, answer.text) == (202, "Lead has not been processed yet")
        assert client.result(lead_id, detail="1").status_code == 202


def test_a_valid_lead_is_200_and_empty(client: Client, lead_id: int) -> None:
    judged(lead_id, Status.VALID)
    answer = client.result(lead_id)
    assert (answer.status_code, answer.content) == (200, b"")


def test_an_invalid_lead_comes_with_its_reasons_and_data(client: Client, lead_id: int) -> None:
    judged(lead_id, Status.INVALID, ("Telephone does not fit its country",))
    answer = client.result(lead_id)
    assert answer.status_code == 200
    assert answer.json() == {
        "qaReasons": "",
        "failedJobs": ["Telephone does not fit its country"],
        "leadData": {"firstName": "Ada", "email": "ada@example.test"},
    }


@pytest.mark.parametrize("flag", [Flag.INVALID, Flag.RETURNED])
def test_a_later_flag_wins_over_the_status(client: Client, lead_id: int, flag: Flag) -> None:
    judged(lead_id, Status.VALID)
    leads_flag({lead_id: FlagChange(flag, "Unable to contact", "Called three times", by="Kim")})
    body = client.result(lead_id).json()
    assert body["failedJobs"] == ["Unable to contact: Called three times"]
    assert body["qaReasons"] == "Unable to contact"
    leads_flag({lead_id: FlagChange(Flag.VALID, "Confirmed")})
    assert client.result(lead_id).content == b""


def test_the_detail_of_a_result_is_the_verdict_as_it_was_given(client: Client, lead_id: int) -> None:
    decided_at = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
    change = FlagChange(Flag.RETURNED, "Duplicate", "We knew her", by="Kim", decided_at=decided_at)
    leads_flag({lead_id: change})
    verdict = client.result(lead_id, detail="1").json()["verdict"]
    assert verdict == {
        "state": "returned",
        "reason_code": "Duplicate",
        "comment": "We knew her",
        "by": "Kim",
        "decided_at": "2026-03-04T05:06:07+00:00",
        "event_id": LeadChange.objects.get().event_id.hex,
    }


def test_a_result_is_for_the_publisher_of_the_lead_only(client: Client, lead_id: int) -> None:
    Lead.objects.update(publisher=client.instance.other_publisher)
    assert client.result(lead_id).status_code == 404
    assert client.result(10**17).status_code == 404


# --- idempotency ---------------------------------------------------------------------------------------------


def keyed(client: Client, key: str = "order-1", data: dict[str, str] | None = None, **given: Any) -> Any:
    return client.send(data, headers={"Idempotency-Key": key}, **given)


def test_a_repeated_submit_gets_the_first_answer_and_makes_one_lead(client: Client) -> None:
    first, second = keyed(client), keyed(client)
    assert (second.status_code, second.content) == (201, first.content)
    parts = {name: (None, value) for name, value in GOOD.items()}
    other_encoding = client.post(client.leads_path, files=parts, headers={"Idempotency-Key": "order-1"})
    assert other_encoding.json() == first.json()
    assert Lead.objects.count() == 1
    assert keyed(client, "order-2").json()["data"] != first.json()["data"]


def test_a_key_that_came_with_another_lead_is_refused(client: Client) -> None:
    keyed(client)
    for answer in (
        keyed(client, data={**GOOD, "form[firstName]": "Grace"}),
        keyed(client, params={"test": "1"}),
        keyed(client, data={**GOOD, "form[email]": "broken"}),
    ):
        assert answer.status_code == 422
        assert answer.json()["code"] == 422
    assert Lead.objects.count() == 1


def test_the_first_answer_is_given_again_after_the_campaign_closed(client: Client) -> None:
    first = keyed(client)
    Campaign.objects.update(status="ended")
    assert keyed(client).json() == first.json()
    assert keyed(client, "new").status_code == 403


def test_a_refused_submit_does_not_use_its_key_up(client: Client) -> None:
    assert keyed(client, data={"form[email]": "broken"}).status_code == 400
    assert keyed(client).status_code == 201


def test_two_publishers_may_use_the_same_key(client: Client) -> None:
    keyed(client)
    other = Publisher.objects.get(name="Grow")
    Lead.objects.update(publisher=other)
    assert keyed(client).status_code == 201
    assert Lead.objects.count() == 2


def test_a_key_that_is_too_long_is_refused(client: Client) -> None:
    assert keyed(client, "k" * 255).status_code == 201
    assert keyed(client, "k" * 256).status_code == 400
