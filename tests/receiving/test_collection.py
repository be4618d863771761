"""The lead collection, for the instance's own users."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from leads.access import tokens_for_password
from leads.callback_hash import callback_hash
from leads.models import Campaign, Field, Flag, Lead, LeadChange, Status, User
from leads.publisher_api.collection import _filtered
from leads.status import FlagChange, leads_flag
from portal.roles import ACCOUNT_MANAGER, VIEWER, roles_write
from tests.receiving.conftest import GOOD, Client


@pytest.fixture
def staff(client: Client) -> Client:
    """Three leads came in; now an own user reads them."""
    for number in range(3):
        assert client.send({**GOOD, "form[optin][terms]": "1", "form[firstName]": f"Ada {number}"}).status_code == 201
    tokens = tokens_for_password("sam", "manage-it")
    assert tokens is not None
    client.session.headers["Authorization"] = f"Bearer {tokens.access_token}"
    return client


def members(client: Client, **params: Any) -> list[str]:
    answer = client.get("/api/v4/leads", params=params)
    assert answer.status_code == 200, answer.text
    return [member["firstName"] for member in answer.json()["hydra:member"]]


def test_a_lead_is_shown_with_its_hash_status_and_flag(staff: Client) -> None:
    lead = Lead.objects.latest("pk")
    Lead.objects.filter(pk=lead.pk).update(status=Status.VALID, processed_at=timezone.now())
    leads_flag({lead.pk: FlagChange(Flag.RETURNED, "Duplicate", "We knew her")})
    body = staff.get("/api/v4/leads").json()
    assert (body["@type"], body["hydra:totalItems"], body["@id"]) == ("hydra:Collection", 3, "/api/v4/leads")
    member = body["hydra:member"][0]
    assert member["id"] == lead.pk
    assert member["leadHash"] == callback_hash(lead.hash)
    assert member["leadStatus"] == {"name": "Valid"}
    assert member["leadFlag"] == {"name": "returned", "reason": "Duplicate", "comment": "We knew her"}
    assert member["processrStatus"] == 1000
    assert {"type": "hidden", "name": "leadHash", "value": callback_hash(lead.hash)} in member["leadData"]
    assert {"type": "email", "name": "email", "value": "ada@example.test"} in member["leadData"]
    assert {"type": "optin", "name": "optin.terms", "value": "1"} in member["leadData"]
    other = body["hydra:member"][1]
    assert (other["leadFlag"], other["leadStatus"]["name"]) == (None, "Pending")
    assert other["processrStatus"] != 1000


def test_it_is_answered_as_json_ld_to_those_who_ask(staff: Client) -> None:
    answer = staff.get("/api/v4/leads.jsonld", params={"itemsPerPage": "2"})
    assert answer.headers["Content-Type"].startswith("application/ld+json")
    view = answer.json()["hydra:view"]
    assert view["hydra:next"] == view["hydra:last"] == "/api/v4/leads.jsonld?itemsPerPage=2&page=2"
    assert len(staff.get(view["hydra:next"]).json()["hydra:member"]) == 1
    by_header = staff.get("/api/v4/leads", headers={"Accept": "application/ld+json"})
    assert by_header.headers["Content-Type"].startswith("application/ld+json")


def test_one_lead_can_be_read_alone(staff: Client) -> None:
    lead = Lead.objects.earliest("pk")
    answer = staff.get(f"/api/v4/leads/{lead.pk}")
    assert (answer.status_code, answer.json()["leadHash"]) == (200, callback_hash(lead.hash))
    assert staff.get("/api/v4/leads/999999").status_code == 404


def test_it_is_read_page_by_page_newest_first(staff: Client) -> None:
    assert members(staff) == ["Ada 2", "Ada 1", "Ada 0"]
    assert members(staff, itemsPerPage="2", page="2") == ["Ada 0"]
    assert members(staff, page="9") == []
    assert members(staff, itemsPerPage="100000")


def test_it_is_filtered_by_campaign_hash_and_time(staff: Client) -> None:
    other = Campaign.objects.create(advertiser=staff.instance.campaign.advertiser, name="Other")
    oldest, middle, newest = Lead.objects.order_by("pk")
    Lead.objects.filter(pk=oldest.pk).update(campaign=other, created_at=dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC))
    Lead.objects.filter(pk=middle.pk).update(created_at=dt.datetime(2026, 2, 2, tzinfo=dt.UTC))
    assert members(staff, **{"campaign.id": other.pk}) == ["Ada 0"]
    assert members(staff, leadHash=callback_hash(newest.hash)) == ["Ada 2"]
    assert members(staff, leadHash="x") == []
    assert members(staff, **{"createdTs[after]": "2026-01-03"}) == ["Ada 2", "Ada 1"]
    assert members(staff, **{"createdTs[after]": "2026-01-02", "createdTs[before]": "2026-02-02"}) == ["Ada 1", "Ada 0"]
    assert members(staff, **{"createdTs[before]": "2026-01-02T05:00:00+02:00"}) == ["Ada 0"]


def test_a_flag_makes_a_lead_updated(staff: Client) -> None:
    oldest = Lead.objects.earliest("pk")
    past = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    Lead.objects.update(created_at=past)
    assert members(staff, **{"updatedTs[after]": "2026-01-03"}) == []
    leads_flag({oldest.pk: FlagChange(Flag.VALID, "Confirmed", decided_at=past)})
    assert members(staff, **{"updatedTs[after]": "2026-01-03"}) == ["Ada 0"]
    assert members(staff, **{"updatedTs[before]": "2026-01-03"}) == ["Ada 2", "Ada 1"]
    shown = staff.get(f"/api/v4/leads/{oldest.pk}").json()["updatedTs"]
    assert dt.datetime.fromisoformat(shown) == LeadChange.objects.get().created_at


@pytest.mark.parametrize("name", ["updatedTs[after]", "updatedTs[before]"])
def test_what_changed_lately_is_found_without_reading_the_whole_history(staff: Client, name: str) -> None:
    plan = _filtered({name: "2026-01-03"}).explain()
    assert "SCAN leads_leadchange" not in plan
    assert "SCAN u0" not in plan
    assert "USING INDEX lead_change_created" in plan or name == "updatedTs[before]", plan


@pytest.mark.parametrize(
    "params",
    [
        {"page": "0"},
        {"page": "-1"},
        {"page": "x"},
        {"itemsPerPage": "٣"},
        {"campaign.id": "x"},
        {"createdTs[after]": "yesterday"},
        {"createdTs[after]": "2026-02-30"},
        {"createdTs[before]": "0001-01-01T00:00:00+14:00"},
        {"updatedTs[after]": "\x00"},
    ],
    ids=str,
)
def test_a_filter_that_can_not_be_read_is_said(staff: Client, params: dict[str, str]) -> None:
    answer = staff.get("/api/v4/leads", params=params)
    assert answer.status_code == 400
    assert answer.json()["code"] == 400


def as_user(client: Client, *groups: str) -> None:
    """From now on somebody of the instance's own reads, who is in these groups."""
    roles_write()
    user = User.objects.create_user("vic", "vic@acme.example", "look-at-it", is_staff=True)
    user.groups.set(Group.objects.filter(name__in=groups))
    tokens = tokens_for_password("vic", "look-at-it")
    assert tokens is not None
    client.session.headers["Authorization"] = f"Bearer {tokens.access_token}"


def test_who_may_not_see_personal_data_reads_it_masked_as_in_the_console(staff: Client) -> None:
    lead = Lead.objects.latest("pk")
    Field.objects.create(form=lead.form, name="note", position=9)
    Lead.objects.filter(pk=lead.pk).update(
        values={**lead.values, "note": "Lovelace"}, enriched={"town": "Marylebone"}, ip="203.0.113.77",
        status="invalid", failed_jobs=["Lovelace is on the list"], visitor={"userId": "u-7788"},
    )  # fmt: skip
    leads_flag({lead.pk: FlagChange(Flag.RETURNED, "Lovelace again", "ada@example.test, Marylebone, u-7788")})
    as_user(staff, VIEWER)
    answers = [staff.get("/api/v4/leads"), staff.get("/api/v4/leads.jsonld"), staff.get(f"/api/v4/leads/{lead.pk}")]
    for answer in answers:
        assert answer.status_code == 200
        for personal in ("Ada", "Lovelace", "ada@", "Marylebone", "203.0.113.77", "u-7788"):
            assert personal not in answer.text
    member = answers[2].json()
    assert (member["firstName"], member["email"], member["ip"]) == ("A•••", "a•••@e•••.test", "203.0.•••")
    assert {"type": "optin", "name": "optin.terms", "value": "1"} in member["leadData"]


def test_who_may_not_flag_leads_is_not_told_what_flags_them(staff: Client) -> None:
    lead = Lead.objects.latest("pk")
    as_user(staff, VIEWER)
    answer = staff.get(f"/api/v4/leads/{lead.pk}")
    assert answer.json()["leadHash"] is None
    assert callback_hash(lead.hash) not in answer.text


def test_an_account_manager_reads_it_in_clear(staff: Client) -> None:
    as_user(staff, ACCOUNT_MANAGER)
    member = staff.get("/api/v4/leads").json()["hydra:member"][0]
    assert member["email"] == "ada@example.test"
    assert member["leadHash"] == callback_hash(Lead.objects.latest("pk").hash)


def test_who_may_not_see_leads_does_not_see_it(staff: Client) -> None:
    as_user(staff)
    lead = Lead.objects.latest("pk")
    for path in ("/api/v4/leads", "/api/v4/leads.jsonld", f"/api/v4/leads/{lead.pk}", "/api/v4/leads/999999"):
        assert staff.get(path).status_code == 403


def test_publishers_do_not_see_it(client: Client) -> None:
    for path in ("/api/v4/leads", "/api/v4/leads.jsonld", "/api/v4/leads/1"):
        assert client.get(path).status_code == 403
    client.session.headers.pop("Authorization")
    assert client.get("/api/v4/leads").status_code == 401
