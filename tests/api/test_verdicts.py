"""What clients' systems say of leads over the partner API."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from integrations.models import Delivery, DeliveryState, Integration, IntegrationState, StatusUpdate
from integrations.reconciliation import verdicts_apply
from leads.callback_hash import callback_hash
from leads.database import uuid7
from leads.models import Campaign, Flag, Lead, LeadChange
from leads.status import Decision, FlagChange, leads_decide, leads_flag, leads_note
from tests.api.conftest import Instance, Partner, key_for
from tests.api.test_keys import problem
from tests.api.test_leads import ADA, leads_path

NOW = dt.datetime(2026, 3, 4, 10, 30, tzinfo=dt.UTC)


@pytest.fixture
def lead(reach: Partner, instance: Instance) -> Lead:
    reach.post(leads_path(instance), ADA)
    return Lead.objects.get()


@pytest.fixture
def client_system(server: str, instance: Instance) -> Partner:
    """The client's own system, with a key for its campaign."""
    return Partner(server, key_for("verdicts:write", "leads:read", campaign=instance.campaign, name="Acme’s CRM"))


def delivered(lead: Lead, reference: str = "77", name: str = "Acme EU") -> Delivery:
    integration, _ = Integration.objects.get_or_create(
        campaign=lead.campaign, name=name, defaults={"connector": "webhook", "state": IntegrationState.ON}
    )
    return Delivery.objects.create(
        key=uuid7(),
        integration=integration,
        kind=Delivery.Kind.LEAD,
        lead=lead,
        state=DeliveryState.DELIVERED,
        delivered_at=timezone.now(),
        reference=reference,
    )


def say(partner: Partner, *words: dict[str, Any], **headers: str) -> Any:
    return partner.post("verdicts", list(words) if len(words) != 1 else words[0], headers=headers)


@pytest.mark.parametrize("by", ["id", "hash", "callback hash", "reference"])
def test_a_verdict_on_a_delivery_goes_through_the_ledger_and_flags_the_lead(
    client_system: Partner, lead: Lead, by: str
) -> None:
    delivery = delivered(lead)
    named = {
        "id": {"lead": str(lead.pk)},
        "hash": {"lead": lead.hash.hex},
        "callback hash": {"lead": callback_hash(lead.hash)},
        "reference": {"reference": "77"},
    }[by]
    word = {
        **named,
        "verdict": "returned",
        "reason_code": "DUP",
        "comment": "again",
        "by": "Kim",
        "decided_at": NOW.isoformat(),
    }
    answer = say(client_system, word)
    assert answer.status_code == 200
    assert answer.json() == {"accepted": 1, "refused": 0, "rows": [{"row": 1, "status": 200, "lead": lead.pk}]}
    verdicts_apply()
    update = StatusUpdate.objects.get()
    assert (update.delivery, update.via, update.by, update.state) == (delivery, "pushed", "Kim", "applied")
    lead.refresh_from_db()
    assert (lead.flag, lead.reason_code, lead.comment, lead.flagged_at) == (Flag.RETURNED, "DUP", "again", NOW)


def test_repeats_and_words_out_of_order_do_no_harm(client_system: Partner, lead: Lead) -> None:
    delivered(lead)
    later = {
        "reference": "77",
        "verdict": "invalid",
        "decided_at": (NOW + dt.timedelta(hours=1)).isoformat(),
        "event_id": "e-2",
    }
    earlier = {"reference": "77", "verdict": "valid", "decided_at": NOW.isoformat(), "event_id": "e-1"}
    for word in (later, earlier, later, earlier, later):
        assert say(client_system, word).status_code == 200
        verdicts_apply()
    lead.refresh_from_db()
    assert lead.flag == Flag.INVALID
    assert StatusUpdate.objects.count() == 2
    assert LeadChange.objects.filter(kind=LeadChange.Kind.FLAGGED).count() == 1


def test_a_lead_that_was_not_delivered_or_to_several_is_flagged_itself_with_the_same_rules(
    client_system: Partner, lead: Lead
) -> None:
    word = {
        "lead": lead.hash.hex,
        "verdict": "invalid",
        "reason_code": "X",
        "decided_at": NOW.isoformat(),
        "event_id": "1",
    }
    for each in (
        word,
        word,
        {**word, "verdict": "valid", "decided_at": (NOW - dt.timedelta(days=1)).isoformat(), "event_id": "0"},
    ):
        assert say(client_system, each).status_code == 200
    lead.refresh_from_db()
    assert (lead.flag, lead.flagged_by, lead.flagged_at) == (Flag.INVALID, "Acme’s CRM", NOW)
    assert LeadChange.objects.count() == 1
    delivered(lead, "1"), delivered(lead, "2", "Acme US")
    assert say(client_system, {"lead": str(lead.pk), "verdict": "valid"}).status_code == 200
    lead.refresh_from_db()
    assert lead.flag == Flag.VALID
    assert StatusUpdate.objects.count() == 0


def test_of_many_each_has_an_answer_and_the_good_ones_count(client_system: Partner, lead: Lead) -> None:
    delivered(lead)
    delivered(lead, "77", "Acme US")
    us = Integration.objects.get(name="Acme US").pk
    answer = say(
        client_system,
        {"reference": "77", "integration": us, "verdict": "valid"},
        {"reference": "77", "verdict": "valid"},
        {"reference": "78", "verdict": "valid"},
        {"lead": "1" * 18, "verdict": "valid"},
        {"lead": lead.hash.hex, "integration": 999, "verdict": "valid"},
        {"lead": lead.hash.hex, "verdict": "odd", "decided_at": "soon"},
        {"verdict": "valid"},
    )
    said = answer.json()
    assert (said["accepted"], said["refused"]) == (1, 6)
    assert [row["status"] for row in said["rows"]] == [200, 422, 404, 404, 404, 422, 422]
    assert [error["place"] for error in said["rows"][5]["errors"]] == [
        "row 6, field verdict",
        "row 6, field decided_at",
    ]
    assert {error["field"] for error in said["rows"][5]["errors"]} == {"verdict", "decided_at"}
    assert StatusUpdate.objects.count() == 1


def test_one_verdict_that_means_nothing_is_a_problem(client_system: Partner, lead: Lead) -> None:
    problem(say(client_system, {"reference": "1", "verdict": "valid"}), 404, "not-found")
    problem(say(client_system, {"lead": "x", "verdict": "valid"}), 422, "invalid")
    problem(client_system.post("verdicts", []), 422, "invalid")
    problem(client_system.post("verdicts", "x"), 422, "invalid")


def test_nobody_says_anything_of_leads_that_its_key_does_not_see(server: str, lead: Lead, instance: Instance) -> None:
    delivered(lead)
    other = Campaign.objects.create(advertiser=instance.campaign.advertiser, name="Autumn")
    for key in (key_for(campaign=other), key_for(publisher=instance.other_publisher)):
        stranger = Partner(server, key)
        for named in (
            {"lead": str(lead.pk)},
            {"lead": lead.hash.hex},
            {"lead": callback_hash(lead.hash)},
            {"reference": "77"},
        ):
            problem(say(stranger, {**named, "verdict": "invalid"}), 404, "not-found")
        problem(stranger.get(f"leads/{lead.pk}/timeline"), 404, "not-found")
    assert StatusUpdate.objects.count() == 0
    lead.refresh_from_db()
    assert lead.flag == ""


def test_a_call_under_a_key_counts_once(client_system: Partner, lead: Lead) -> None:
    delivered(lead)
    word = {"reference": "77", "verdict": "valid"}
    first, again = (client_system.post("verdicts", word, headers={"Idempotency-Key": "v"}) for _ in range(2))
    assert again.json() == first.json()
    assert StatusUpdate.objects.count() == 1


def test_a_leads_timeline_tells_its_way_and_where_it_went_to_no_publisher(
    client_system: Partner, reach: Partner, lead: Lead
) -> None:
    delivered(lead)
    say(client_system, {"reference": "77", "verdict": "invalid", "reason_code": "DUP"})
    verdicts_apply()
    entries = client_system.get(f"leads/{lead.hash.hex}/timeline").json()["data"]
    assert {entry["kind"] for entry in entries} == {"received", "delivery", "verdict", "flagged"}
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    [verdict] = [entry for entry in entries if entry["kind"] == "verdict"]
    assert (verdict["verdict"], verdict["integration"], verdict["state"]) == ("invalid", "Acme EU", "applied")
    theirs = reach.get(f"leads/{lead.pk}/timeline").json()["data"]
    assert [entry["kind"] for entry in theirs] == ["received", "flagged"]


def test_a_publisher_reads_in_a_timeline_no_word_that_is_for_colleagues_and_none_of_their_names(
    partner: Partner, client_system: Partner, reach: Partner, lead: Lead
) -> None:
    Lead.objects.filter(pk=lead.pk).update(status="caution", held="caution")
    with transaction.atomic():
        leads_decide({lead.pk: Decision(accepted=True, by="sam", comment="Acme owes us one.")})
    leads_note(LeadChange.Kind.MARKED, {lead.pk: "Marked delivered: Acme EU."}, by="sam", data={})
    leads_flag({lead.pk: FlagChange(Flag.INVALID, comment="No such street.", by="sam")})
    say(client_system, {"lead": str(lead.pk), "verdict": "valid", "by": "Ada of Acme"})
    ours = partner.get(f"leads/{lead.pk}/timeline").json()["data"]
    assert [entry["kind"] for entry in ours] == ["received", "released", "marked", "flagged", "flagged"]
    answer = reach.get(f"leads/{lead.pk}/timeline")
    theirs = answer.json()["data"]
    assert [(entry["kind"], entry["by"]) for entry in theirs] == [
        ("received", "Reach"),
        ("flagged", ""),
        ("flagged", "Ada of Acme"),
    ]
    assert theirs[1]["comment"] == "No such street."
    assert not any(word in answer.text for word in ("sam", "owes", "Acme EU"))


def test_whatever_happens_to_a_lead_is_of_a_kind_that_the_document_has(server: str, partner: Partner) -> None:
    document = partner.get("openapi.json").json()
    [kind] = [each for name, each in document["components"]["schemas"].items() if "received" in each.get("enum", ())]
    assert {*LeadChange.Kind.values, "received", "delivery", "attempt", "verdict"} == set(kind["enum"])
