"""What people may count on when they act on many leads at once."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.bulk import KINDS, bulk_dry_run, bulk_start
from integrations.handing_over import MARK_DELIVERED
from integrations.models import Delivery, Integration
from integrations.selections import DeliverySelection, LeadSelection
from leads.activity import ActivityError, activity_results
from leads.lead_search import LeadSearch
from leads.models import Activity, ActivityItem, Campaign, Lead, LeadChange, Status
from tests.activity.conftest import MakeDelivery, MakeLead, worked

pytestmark = pytest.mark.django_db

ALL = LeadSelection(search=LeadSearch())


def start(name: str, selection: Any = ALL, token: str = "", **params: Any) -> Activity:
    return bulk_start(name, selection, params, by="grace", token=token)


def test_flagging_all_that_match_flags_them_with_reason_and_comment_in_their_history(lead: MakeLead) -> None:
    for _ in range(3):
        lead()
    lead(Status.INVALID)
    search = LeadSelection(search=LeadSearch(status="valid"))
    activity = worked(start("flag", search, flag="returned", reason_code="wrong_number", comment="No such line"))
    assert (activity.state, activity.total, activity.done) == ("done", 3, 3)
    assert set(Lead.objects.filter(status="valid").values_list("flag", "reason_code", "comment", "flagged_by")) == {
        ("returned", "wrong_number", "No such line", "grace")
    }
    assert Lead.objects.get(status="invalid").flag == ""
    assert LeadChange.objects.filter(kind="flagged", by="grace").count() == 3


def test_a_dry_run_says_what_then_happens(acme: Integration, lead: MakeLead, delivery: MakeDelivery) -> None:
    for _ in range(4):
        lead()
    for made in [lead(), lead()]:
        delivery(made, acme)
    lead(Status.PENDING)
    foretold = bulk_dry_run("deliver", ALL, {"integrations": [acme.pk]})
    assert foretold.words() == "4 leads would be sent; 3 can’t: already handed to Acme EU 2, still pending 1."
    assert Delivery.objects.count() == 2
    activity = worked(start("deliver", integrations=[acme.pk]))
    assert (activity.done, activity.skipped) == (foretold.will, sum(foretold.cant.values()))
    assert Delivery.objects.filter(state="queued").count() == 4
    words = [item.words for item in activity_results(activity, state="skipped")]
    assert sorted(words) == ["Already handed to Acme EU."] * 2 + ["Still pending."]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("flag", {"flag": "valid", "reason_code": "", "comment": ""}),
        ("deliver", {}),
        ("resend", {}),
        ("mark_delivered", {}),
        ("mark_undelivered", {"comment": "They never got it"}),
        ("export", {"format": "csv"}),
        ("erase", {}),
        ("release", {}),
        ("replay", {}),
    ],
)
def test_every_action_does_to_as_many_rows_what_its_dry_run_said(
    name: str, params: dict[str, Any], acme: Integration, northwind: Integration, lead: MakeLead, delivery: MakeDelivery
) -> None:
    for state in ("delivered", "refused", "queued", "sending", "held", "unknown", "exhausted"):
        delivery(lead(), acme, state)
        delivery(lead(), northwind, state)
    both = lead()
    delivery(both, acme, verdict="valid")
    delivery(both, northwind, verdict="invalid")
    lead()
    lead(Status.PENDING)
    Lead.objects.filter(pk=lead().pk).update(flag="valid")
    chosen: Any = DeliverySelection(all_that_match=True) if name in ("release", "replay") else ALL
    asked = {"integrations": [acme.pk, northwind.pk], **params}
    foretold = bulk_dry_run(name, chosen, asked)
    activity = worked(bulk_start(name, chosen, asked, by="grace", token=""))
    assert activity.state == "done"
    assert foretold.will > 0
    assert foretold.cant or name == "export", "any lead can be exported"
    assert (activity.done, activity.skipped, activity.failed) == (foretold.will, sum(foretold.cant.values()), 0)
    said = {words[:1].upper() + words[1:] + "." for words in foretold.cant}
    assert {item.words for item in activity_results(activity, state="skipped")} == said


def test_two_clicks_on_one_page_are_one_activity(lead: MakeLead) -> None:
    lead()
    first = start("flag", token="page-1", flag="valid")
    second = start("flag", token="page-1", flag="valid")
    other = start("flag", token="page-2", flag="valid")
    assert first.pk == second.pk != other.pk


def test_leads_that_come_in_after_the_click_are_not_part_of_it(lead: MakeLead) -> None:
    lead()
    activity = start("flag", flag="valid")
    late = lead()
    assert worked(activity).total == 1
    late.refresh_from_db()
    assert late.flag == ""


def test_what_was_searched_for_is_forgotten_once_it_is_found(lead: MakeLead) -> None:
    lead(email="ada@example.test")
    activity = start("flag", LeadSelection(search=LeadSearch(text="ada@example.test")), flag="valid")
    assert worked(activity).done == 1
    assert "ada@example.test" not in str(activity.params)


def test_leads_go_to_an_integration_that_is_off_when_it_is_on_again(northwind: Integration, lead: MakeLead) -> None:
    lead()
    activity = worked(start("deliver", integrations=[northwind.pk]))
    assert activity_results(activity)[0].words == "Waits for Northwind, which is not on."
    assert Delivery.objects.get().state == "held"


def test_a_refused_lead_can_be_sent_again_and_one_that_the_client_accepted_can_not(
    acme: Integration, lead: MakeLead, delivery: MakeDelivery
) -> None:
    refused, accepted = lead(), lead()
    delivery(refused, acme, "refused")
    delivery(accepted, acme, verdict="valid")
    foretold = bulk_dry_run("resend", ALL, {"integrations": [acme.pk]})
    assert foretold.words() == "1 lead would be sent again; 1 can’t: accepted by Acme EU 1."
    worked(start("resend", integrations=[acme.pk]))
    again = Delivery.objects.get(resend=True)
    assert (again.lead_id, again.state) == (refused.pk, "queued")


def test_marking_by_hand_stops_tries_and_keeps_what_was(
    acme: Integration, lead: MakeLead, delivery: MakeDelivery
) -> None:
    waiting, never = lead(), lead()
    row = delivery(waiting, acme, "queued")
    worked(start("mark_delivered", integrations=[acme.pk], comment="Sent by post"))
    row.refresh_from_db()
    assert (row.state, row.next_try_at, row.reason) == ("delivered", None, "Marked delivered by grace. Sent by post")
    assert Delivery.objects.get(lead=never).state == "delivered"
    change = LeadChange.objects.get(lead=waiting, kind="marked")
    assert (change.by, change.comment) == ("grace", "Marked delivered: Acme EU (was queued). Sent by post")
    worked(start("mark_undelivered", integrations=[acme.pk]))
    row.refresh_from_db()
    assert (row.state, row.delivered_at) == ("exhausted", None)


def test_marking_leaves_alone_what_a_worker_took_since_it_was_looked_at(
    acme: Integration, lead: MakeLead, delivery: MakeDelivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = delivery(lead(), acme, "queued")
    decide = MARK_DELIVERED.deed.why_not  # type: ignore[attr-defined]

    def decide_while_it_is_claimed(deed: Any, facts: Any) -> str:
        Delivery.objects.update(state="sending", fence=1)
        return str(decide(deed, facts))

    monkeypatch.setattr(MARK_DELIVERED.deed, "why_not", decide_while_it_is_claimed)
    activity = worked(start("mark_delivered", integrations=[acme.pk]))
    assert [(item.state, item.words) for item in activity_results(activity)] == [
        ("skipped", "Being sent to Acme EU right now.")
    ]
    row.refresh_from_db()
    assert (row.state, row.fence) == ("sending", 1)
    assert not LeadChange.objects.filter(kind="marked").exists()


def test_replaying_with_a_mapping_that_is_not_kept_says_so(
    acme: Integration, lead: MakeLead, delivery: MakeDelivery
) -> None:
    delivery(lead(), acme, "refused")
    foretold = bulk_dry_run("replay", DeliverySelection(all_that_match=True), {"mapping": "then"})
    assert (
        foretold.words() == "0 deliveries would be replayed; 1 can’t: the mapping that it went out with is not kept 1."
    )
    with pytest.raises(ActivityError, match="of now or of then"):
        bulk_dry_run("replay", DeliverySelection(all_that_match=True), {"mapping": "tomorrow"})


def test_an_action_without_integrations_or_flag_is_not_begun(campaign: Campaign) -> None:
    with pytest.raises(ActivityError, match="at least one integration"):
        start("deliver", integrations=[])
    with pytest.raises(ActivityError, match="Choose a flag"):
        start("flag", flag="")
    assert not Activity.objects.exists()


def test_selections_by_deliveries_find_what_became_of_leads(
    acme: Integration, northwind: Integration, lead: MakeLead, delivery: MakeDelivery
) -> None:
    held, judged, never = lead(), lead(), lead()
    delivery(held, northwind, "held")
    delivery(judged, acme, verdict="invalid")

    def found(**filters: Any) -> list[int]:
        return sorted(LeadSelection(search=LeadSearch(), **filters).leads().values_list("pk", flat=True))

    assert found(delivery_state="held") == [held.pk]
    assert found(delivery_state="held", integration_id=acme.pk) == []
    assert found(verdict="invalid") == [judged.pk]
    assert found(delivery_state="none") == [never.pk]
    assert found(delivery_state="none", integration_id=acme.pk) == [held.pk, never.pk]


def test_every_kind_of_work_has_a_name_and_words() -> None:
    assert all(kind.label and name == kind.name for name, kind in KINDS.items())
    assert ActivityItem._meta.get_field("words")
