"""What is left of a person whose data was erased: nothing that says who it was, and all that was counted."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.utils import timezone

from integrations.bulk import bulk_dry_run, bulk_start
from integrations.claims import deliveries_claim
from integrations.delivery import deliveries_release
from integrations.erasing import ENDED, deliveries_erase
from integrations.models import Attempt, Delivery, Integration, StatusUpdate
from integrations.selections import LeadSelection
from leads.activity import activity_start, items_insert
from leads.database import uuid7
from leads.lead_search import LeadSearch
from leads.models import Flag, Lead, LeadChange
from leads.privacy import leads_erase
from leads.status import FlagChange, lead_append, leads_flag
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
