"""What is left of a person whose data was erased: nothing that says who it was, and all that was counted."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import transaction
from django.utils import timezone

from integrations.bulk import bulk_dry_run, bulk_start
from integrations.claims import deliveries_claim
from integrations.delivery import deliveries_release
from integrations.erasing import ENDED, deliveries_erase
from integrations.handing_over import ERASE
from integrations.kit.contract import Verdict
from integrations.models import Attempt, Delivery, Integration, StatusUpdate
from integrations.reconciliation import Message, messages_store, verdicts_apply
from integrations.records import Journal, Record
from integrations.selections import LeadSelection
from leads.activity import activity_start, items_insert
from leads.admin.timeline import lead_entries
from leads.appending import lead_append
from leads.bulk import NotDone
from leads.database import uuid7
from leads.lead_search import LeadSearch
from leads.models import Activity, Flag, Lead, LeadChange, OutboxEvent, ReasonCode
from leads.privacy import leads_erase
from leads.status import FlagChange, leads_flag
from tests.activity.conftest import MakeDelivery, MakeLead, worked

pytestmark = pytest.mark.django_db

EMAIL, PHONE = "ada.lovelace@example.test", "07123 456789"


def texts_of_all_tables() -> str:
    """Everything that the database keeps, as one text."""
    kept = []
    for model in apps.get_models():
        for row in model._default_manager.values_list():
            kept.append(str(row))
    return "\n".join(kept)


@pytest.fixture
def traces(acme: Integration, lead: MakeLead, delivery: MakeDelivery) -> Lead:
    """A lead with everything that may be kept of it."""
    made = lead(firstName="Adalind", email=EMAIL, phone=PHONE)
    Lead.objects.filter(pk=made.pk).update(ip="203.0.113.77", idempotency_key=EMAIL, body_digest="f" * 64)
    lead_append(made.pk, {"mobile": "+49 170 5550199", "email": EMAIL.upper()}, by="grace")
    leads_flag({made.pk: FlagChange(Flag.INVALID, reason_code="wrong_number", comment=f"{PHONE} is not {EMAIL}’s")})
    row = delivery(
        made, acme, "delivered", reference="8812", reason=f"{EMAIL} taken", comment=EMAIL, verdict="invalid",
        problems=[["form[email]", f"{EMAIL} is known"]],
    )  # fmt: skip
    Attempt.objects.create(
        delivery=row, number=1, started_at=timezone.now(), outcome="delivered", message=EMAIL,
        exchanges=[{"request": {"form": [["email", EMAIL]]}, "response": {"body": PHONE}}],
    )  # fmt: skip
    StatusUpdate.objects.create(
        key=uuid7().hex, delivery=row, verdict="invalid", comment=f"called {PHONE}", by="Acme", decided_at=timezone.now(),
        via="pushed", raw=f"email={EMAIL}",
    )  # fmt: skip
    delivery(made, acme, "held")
    delivery(made, acme, "delivered", kind="status", data={"comment": f"not {EMAIL}", "token": "ab" * 16})
    failed_import = activity_start("import", {}, by="grace")
    items_insert([(failed_import.pk, 2, None, "failed", "Column C (Telephone): …", {"cells": ["Adalind", EMAIL, "x"]})])
    return made


def test_nothing_in_any_table_says_who_it_was(traces: Lead, lead: MakeLead) -> None:
    other = lead(email="grace@example.test")
    assert EMAIL in texts_of_all_tables()
    search = LeadSelection(search=LeadSearch(text=EMAIL))
    assert bulk_dry_run("erase", search, {}).words() == "1 lead would be erased for good."
    activity = worked(bulk_start("erase", search, {}, by="grace", token=""))
    assert (activity.state, activity.done) == ("done", 1)
    left = texts_of_all_tables()
    for trace in (EMAIL, EMAIL.upper(), "Adalind", PHONE, "5550199", "203.0.113.77", "f" * 64):
        assert trace.lower() not in left.lower()
    other.refresh_from_db()
    assert other.values["email"] == "grace@example.test"


def test_counts_hashes_and_verdicts_stay_and_it_is_written_down_who_erased(traces: Lead) -> None:
    changes = LeadChange.objects.filter(lead=traces).count()
    worked(bulk_start("erase", LeadSelection(ids=(traces.pk,)), {}, by="grace", token=""))
    after = Lead.objects.get(pk=traces.pk)
    assert (after.hash, after.status, after.flag, after.reason_code) == (
        traces.hash,
        "valid",
        "invalid",
        "wrong_number",
    )
    assert (after.values, after.ip) == ({}, None)
    assert after.erased_at is not None
    first, held, status = traces.deliveries.order_by("pk")
    assert (first.state, first.verdict, first.reference) == ("delivered", "invalid", "8812")
    assert (held.state, held.reason) == ("exhausted", "Its personal data was erased: there is nothing left to send.")
    assert status.data["token"] == "ab" * 16
    assert Attempt.objects.get().outcome == "delivered"
    assert LeadChange.objects.filter(lead=traces).count() == changes + 1
    assert LeadChange.objects.get(lead=traces, kind="erased").by == "grace"


def test_erased_leads_are_not_sent_and_not_erased_twice(traces: Lead, acme: Integration) -> None:
    chosen = LeadSelection(ids=(traces.pk,))
    worked(bulk_start("erase", chosen, {}, by="grace", token=""))
    assert bulk_dry_run("erase", chosen, {}).cant == {"erased before": 1}
    assert bulk_dry_run("resend", chosen, {"integrations": [acme.pk]}).cant == {"its personal data was erased": 1}


def test_a_lead_on_the_wire_is_not_erased_under_the_hands_of_its_worker(
    lead: MakeLead, acme: Integration, delivery: MakeDelivery
) -> None:
    made = lead()
    delivery(made, acme, "sending")
    assert bulk_dry_run("erase", LeadSelection(ids=(made.pk,)), {}).cant == {"being sent right now": 1}


def test_a_lead_that_was_erased_while_it_went_out_is_not_tried_again(
    lead: MakeLead, acme: Integration, delivery: MakeDelivery
) -> None:
    row = delivery(lead(), acme, "sending", fence=1, tries=1)
    other = delivery(lead(), acme, "queued", next_try_at=timezone.now())
    deliveries_erase(leads_erase([row.lead_id or 0], by="grace"))
    # Its try came to nothing, and the next one would carry an empty lead.
    Delivery.objects.filter(pk=row.pk).update(state="queued", next_try_at=timezone.now())
    assert [item.id for item in deliveries_claim(acme, 10)] == [other.pk]
    row.refresh_from_db()
    assert (row.state, row.reason, row.lease_until) == ("exhausted", ENDED, None)
    assert deliveries_release([row.pk]) == 0


# --- what comes later ----------------------------------------------------------------------------------------

LATE = "ada.king@example.test"


@pytest.fixture
def erased(traces: Lead) -> Lead:
    worked(bulk_start("erase", LeadSelection(ids=(traces.pk,)), {}, by="grace", token=""))
    return traces


def test_values_that_a_client_adds_later_are_not_kept_and_the_timeline_says_that_they_came(erased: Lead) -> None:
    assert lead_append(erased.pk, {"email": LATE, "firstName": "Adalind"}, by="Acme")
    left = texts_of_all_tables()
    assert LATE not in left
    assert "Adalind" not in left
    entry = lead_entries(Lead.objects.get(pk=erased.pk))[-1]
    assert entry.title == "Data sent by Acme"
    assert entry.lines == ["2 values came and were not kept: its personal data was erased."]
    assert Lead.objects.get(pk=erased.pk).email_key == ""


def test_of_a_later_flag_the_comment_and_words_of_their_own_are_not_kept(erased: Lead) -> None:
    ReasonCode.objects.get_or_create(flag="returned", code="duplicate")
    leads_flag({erased.pk: FlagChange(Flag.RETURNED, reason_code="duplicate", comment=f"{LATE} is here twice")})
    leads_flag({erased.pk: FlagChange(Flag.VALID, reason_code=f"{LATE} is fine", comment="Adalind called")})
    left = texts_of_all_tables()
    assert LATE not in left
    assert "Adalind" not in left
    returned, valid = LeadChange.objects.filter(lead=erased, kind="flagged").order_by("pk")[1:]
    assert (returned.flag, returned.reason_code, returned.comment) == ("returned", "duplicate", "")
    assert (valid.flag, valid.reason_code) == ("valid", "")
    assert "not kept" in " ".join(lead_entries(Lead.objects.get(pk=erased.pk))[-1].lines)


def test_of_a_client_s_later_verdict_the_verdict_is_kept_and_its_words_are_not(erased: Lead) -> None:
    delivery = erased.deliveries.order_by("pk")[0]
    said = Verdict(state="valid", reason_code=f"{LATE}", comment=f"Adalind, {LATE}", by="Acme", raw=f"email={LATE}")
    with transaction.atomic():
        messages_store([Message(delivery.pk, said, StatusUpdate.Via.PUSHED, timezone.now())])
    verdicts_apply()
    left = texts_of_all_tables()
    assert LATE not in left
    assert "Adalind" not in left
    delivery.refresh_from_db()
    erased.refresh_from_db()
    assert (delivery.verdict, erased.flag) == ("valid", "valid")


def test_what_came_since_is_erased_by_erasing_once_more_and_then_there_is_nothing_left(erased: Lead) -> None:
    """As leads may be that were erased before what comes later was looked at."""
    chosen = LeadSelection(ids=(erased.pk,))
    Lead.objects.filter(pk=erased.pk).update(values={"email": LATE}, email_key=LATE, comment=f"{PHONE}?")
    common = {"lead": erased, "via": "webhook", "decided_at": timezone.now()}
    LeadChange.objects.create(kind="appended", data={"email": LATE}, event_id=uuid7(), **common)
    LeadChange.objects.create(kind="flagged", flag="valid", comment=f"{PHONE}?", event_id=uuid7(), **common)
    StatusUpdate.objects.create(
        key=uuid7().hex, delivery=erased.deliveries.last(), verdict="valid", comment=f"{PHONE} works", by="Acme",
        decided_at=timezone.now(), received_at=timezone.now(), via="pushed", raw=f"phone={PHONE}",
    )  # fmt: skip
    assert bulk_dry_run("erase", chosen, {}).cant == {}
    assert worked(bulk_start("erase", chosen, {}, by="grace", token="")).done == 1
    left = texts_of_all_tables()
    assert LATE not in left
    assert PHONE not in left
    assert bulk_dry_run("erase", chosen, {}).cant == {"erased before": 1}


def test_a_lead_that_a_worker_took_in_the_meantime_is_left_for_later(
    lead: MakeLead, acme: Integration, delivery: MakeDelivery
) -> None:
    made = lead(email=EMAIL)
    delivery(made, acme, "sending")
    row = {"pk": made.pk}
    done = ERASE.deed({}).act(Activity(by="grace"), [row])
    assert done == {made.pk: "being sent right now"}
    assert isinstance(done[made.pk], NotDone)
    assert Lead.objects.get(pk=made.pk).values["email"] == EMAIL


def test_a_worker_that_comes_back_late_leaves_nothing_of_what_it_had_sent(
    lead: MakeLead, acme: Integration, delivery: MakeDelivery
) -> None:
    made = lead(email=EMAIL)
    row = delivery(made, acme, "queued", fence=2)
    worked(bulk_start("erase", LeadSelection(ids=(made.pk,)), {}, by="grace", token=""))
    record = Record(rows=[(row.pk, 1, "delivered", "", [], None, None, "77", timezone.now(), None, 1, 1, False)])
    record.attempts.append(
        (row.pk, 1, timezone.now(), 5, "delivered", EMAIL, [{"request": {"form": [["email", EMAIL]]}}])
    )
    Journal(acme.pk).write(record, host="acme.example", probing=False)
    assert Attempt.objects.get().outcome == "delivered"
    assert EMAIL not in texts_of_all_tables()


def test_what_waits_to_be_told_to_webhooks_says_nothing_of_an_erased_lead(lead: MakeLead) -> None:
    made = lead(email=EMAIL)
    OutboxEvent.objects.create(
        event="lead.judged", campaign_id=made.campaign_id, publisher_id=made.publisher_id, lead_id=made.pk,
        data={"failed_jobs": [f"{EMAIL} is known"]}, at=timezone.now(),
    )  # fmt: skip
    worked(bulk_start("erase", LeadSelection(ids=(made.pk,)), {}, by="grace", token=""))
    assert "is known" in texts_of_all_tables()
    assert EMAIL not in texts_of_all_tables()
