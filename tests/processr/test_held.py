"""What waits and what becomes of it: Caution and caps, accepted, rejected, released; and leads that are judged once more."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db.models import Sum
from django.utils import timezone

from integrations.bulk import activity_work, bulk_dry_run, bulk_start
from integrations.delivery import deliveries_queue
from integrations.judging.arranging import job_store
from integrations.judging.held import leads_held_due, leads_held_release, leads_push_on, leads_turn_down
from integrations.judging.job_sets import job_spec
from integrations.judging.key_builds import keys_build
from integrations.judging.reprocessing import leads_reprocess
from integrations.judging.trying import jobs_try
from integrations.models import Delivery, DeliveryState, Integration
from integrations.processr import leads_process
from integrations.selections import LeadSelection
from leads.activity import ActivityError
from leads.models import ActivityItem, Campaign, CapCount, Flag, Lead, LeadChange, Publisher, Status
from leads.privacy import leads_erase
from leads.status import FlagChange, leads_flag
from tests.processr.conftest import add_job, cap, duplicate, judge, receive, required

pytestmark = pytest.mark.django_db


@pytest.fixture
def caution(campaign: Campaign) -> Lead:
    """A lead in Caution."""
    required(campaign, "email", score=90)
    required(campaign, "lastName", score=10)
    lead = judge(campaign, email="ada@example.test", sync_token="a" * 32)
    assert lead.held == "caution"
    return lead


def again(lead: Lead) -> Lead:
    lead.refresh_from_db()
    return lead


# --- Caution -------------------------------------------------------------------------------------------------


def test_an_accepted_lead_is_valid_and_goes_out_and_its_history_says_by_whom(caution: Lead) -> None:
    assert leads_push_on([caution.pk], by="grace", comment="Looks fine") == {caution.pk}
    lead = again(caution)
    assert (lead.status, lead.held, lead.released_at is not None, lead.is_billable) == ("valid", "", True, True)
    assert Delivery.objects.get().lead_id == lead.pk
    change = LeadChange.objects.get(kind="released")
    assert (change.status, change.by, change.comment, change.via, change.sync_due) == (
        "valid", "grace", "Looks fine", "admin", True,
    )  # fmt: skip
    # A second click does nothing.
    assert leads_push_on([lead.pk], by="grace") == set()
    assert Delivery.objects.count() == 1


def test_a_rejected_lead_is_invalid_and_its_origin_is_told_why(caution: Lead) -> None:
    assert leads_turn_down([caution.pk], by="grace", reason_code="NO_BUDGET") == {caution.pk}
    lead = again(caution)
    assert (lead.status, lead.held) == ("invalid", "")
    assert not Delivery.objects.exists()
    change = LeadChange.objects.filter(kind="judged").latest("pk")
    assert (change.status, change.reason_code, change.by, change.sync_due) == ("invalid", "NO_BUDGET", "grace", True)


@pytest.mark.parametrize("accepted", [True, False])
def test_of_a_lead_that_somebody_flagged_the_origin_hears_the_flag_whatever_is_decided_of_the_status(
    caution: Lead, accepted: bool
) -> None:
    leads_flag({caution.pk: FlagChange(Flag.RETURNED, "Unable to Contact", by="maria")})
    decided = (
        leads_push_on([caution.pk], by="grace")
        if accepted
        else leads_turn_down([caution.pk], by="grace", reason_code="NO_BUDGET")
    )
    assert decided == {caution.pk}
    assert list(LeadChange.objects.filter(sync_due=True).values_list("flag", flat=True)) == ["returned"]


def worked(name: str, leads: list[Lead], **params: Any) -> list[str]:
    """What a bulk action says of each lead."""
    selection = LeadSelection(ids=tuple(lead.pk for lead in leads))
    activity = bulk_start(name, selection, params, by="grace", token=name)
    activity_work(activity.pk)
    activity_work(activity.pk)
    return list(ActivityItem.objects.filter(activity=activity).order_by("subject").values_list("words", flat=True))


def test_leads_are_accepted_in_bulk(campaign: Campaign, caution: Lead) -> None:
    valid = judge(campaign, email="bob@example.test", lastName="L")
    run = bulk_dry_run("accept", LeadSelection(ids=(caution.pk, valid.pk)), {})
    assert (
        run.words()
        == "1 lead would be accepted; 1 can’t: it does not wait: it is neither in Caution nor beyond a cap 1."
    )
    assert worked("accept", [caution, valid]) == [
        "Accepted: it goes out.", "It does not wait: it is neither in Caution nor beyond a cap.",
    ]  # fmt: skip
    assert again(caution).status == "valid"


def test_a_lead_that_waits_is_not_delivered_by_hand_before_it_is_accepted(caution: Lead) -> None:
    params = {"integrations": list(Integration.objects.values_list("pk", flat=True))}
    run = bulk_dry_run("deliver", LeadSelection(ids=(caution.pk,)), params)
    assert (run.will, run.cant) == (0, {"it waits: accept it first": 1})


def test_leads_are_rejected_in_bulk_with_a_reason(caution: Lead) -> None:
    with pytest.raises(ActivityError, match="Say why"):
        bulk_start("reject", LeadSelection(ids=(caution.pk,)), {}, by="grace", token="t")
    assert worked("reject", [caution], comment="No") == ["Rejected: it is invalid."]
    assert again(caution).status == "invalid"


# --- caps ----------------------------------------------------------------------------------------------------


def states(campaign: Campaign) -> list[tuple[str, str]]:
    return list(campaign.leads.order_by("pk").values_list("status", "held"))


def test_what_comes_beyond_a_cap_is_held_and_says_by_which_cap(campaign: Campaign) -> None:
    cap(campaign, cap_day=2, cap_month=3)
    for number in range(3):
        receive(campaign, email=f"{number}@example.test")
    leads_process()
    assert states(campaign) == [("valid", ""), ("valid", ""), ("valid", "cap_day")]
    assert Delivery.objects.count() == 2
    lead = campaign.leads.latest("pk")
    tomorrow = timezone.now().date() + dt.timedelta(days=1)
    assert lead.held_until == dt.datetime.combine(tomorrow, dt.time(), dt.UTC)
    assert not lead.is_billable


def test_a_cap_counts_by_the_campaigns_time_zone(campaign: Campaign) -> None:
    Campaign.objects.update(time_zone="Pacific/Auckland")
    cap(campaign, cap_day=1)
    judge(campaign, email="a@example.test")
    lead = judge(campaign, email="b@example.test")
    assert lead.held_until is not None
    assert lead.held_until.astimezone(ZoneInfo("Pacific/Auckland")).time() == dt.time()


def test_beyond_a_cap_leads_may_be_accepted_unbilled(campaign: Campaign) -> None:
    cap(campaign, cap_total=1, over_cap="unbilled")
    first, second = judge(campaign, email="a@example.test"), judge(campaign, email="b@example.test")
    assert (second.status, second.held, second.billable) == ("valid", "", False)
    assert (first.is_billable, second.is_billable) == (True, False)
    assert Delivery.objects.count() == 2


def test_each_publisher_has_its_own_cap_and_tests_and_invalid_leads_take_no_room(campaign: Campaign) -> None:
    cap(campaign, cap_day=1)
    required(campaign, "email", hard_fail=True)
    southbeam = Publisher.objects.create(name="Southbeam")
    campaign.contracts.create(publisher=southbeam)
    assert judge(campaign, Status.TEST, email="t@example.test").status == "test"
    assert judge(campaign, firstName="Ada").status == "invalid"
    assert judge(campaign, email="a@example.test").held == ""
    assert judge(campaign, email="b@example.test").held == "cap_day"
    assert judge(campaign, email="c@example.test", publisher=southbeam).held == ""


def test_what_went_out_before_there_was_a_cap_counts(campaign: Campaign) -> None:
    for number in range(3):
        judge(campaign, email=f"{number}@example.test")
    Lead.objects.filter(pk=campaign.leads.latest("pk").pk).update(processed_at=timezone.now() - dt.timedelta(days=40))
    cap(campaign, cap_day=2, cap_total=100)
    assert judge(campaign, email="d@example.test").held == "cap_day"
    assert CapCount.objects.aggregate(sum=Sum("leads"))["sum"] == 3


def a_day_passes() -> None:
    """What was counted today was counted yesterday, and what waits for tomorrow waits no more."""
    CapCount.objects.update(day=timezone.now().date() - dt.timedelta(days=1))
    Lead.objects.exclude(held_until=None).update(held_until=timezone.now() - dt.timedelta(minutes=1))


def test_held_leads_go_out_the_next_day_as_far_as_there_is_room(campaign: Campaign) -> None:
    cap(campaign, cap_day=2)
    for number in range(5):
        receive(campaign, email=f"{number}@example.test")
    leads_process()
    assert not leads_held_due()
    a_day_passes()
    assert leads_held_due()
    assert leads_held_release() == 2
    assert [held for _, held in states(campaign)] == ["", "", "", "", "cap_day"]
    assert not leads_held_due()
    assert Delivery.objects.count() == 4
    assert LeadChange.objects.filter(kind="released", by="", via="processr").count() == 2


def test_an_erased_lead_waits_no_more_and_takes_no_room(campaign: Campaign) -> None:
    cap(campaign, cap_day=1)
    out, erased, waiting = (judge(campaign, email=f"{number}@example.test") for number in range(3))
    leads_erase([erased.pk], by="ada")
    assert (again(erased).held, again(erased).held_until, again(erased).is_billable) == ("", None, False)
    a_day_passes()
    assert leads_held_release() == 1
    assert set(Delivery.objects.values_list("lead_id", flat=True)) == {out.pk, waiting.pk}
    # Nor do those that were erased while they still waited.
    Lead.objects.filter(pk=erased.pk).update(held="cap_day", held_until=timezone.now() - dt.timedelta(minutes=1))
    assert not leads_held_due()
    assert leads_push_on([erased.pk], by="grace") == set()


def test_an_erased_lead_in_caution_goes_out_by_nobody(caution: Lead) -> None:
    leads_erase([caution.pk], by="ada")
    assert leads_push_on([caution.pk], by="grace") == set()
    assert deliveries_queue([caution.pk]).skipped == {"its personal data was erased": 1}
    assert not Delivery.objects.exists()


def test_a_raised_cap_lets_out_what_waited(campaign: Campaign) -> None:
    cap(campaign, cap_day=1)
    judge(campaign, email="a@example.test")
    judge(campaign, email="b@example.test")
    cap(campaign, cap_day=5)
    leads_held_release()
    assert states(campaign) == [("valid", ""), ("valid", "")]
    assert CapCount.objects.get().leads == 2


def test_where_the_campaign_wants_it_held_leads_wait_for_a_person(campaign: Campaign) -> None:
    Campaign.objects.update(releases_held=False)
    cap(campaign, cap_day=1)
    judge(campaign, email="a@example.test")
    lead = judge(campaign, email="b@example.test")
    assert (lead.held, lead.held_until) == ("cap_day", None)
    leads_push_on([lead.pk], by="grace")
    assert again(lead).held == ""
    # It took its room, beyond the cap.
    assert CapCount.objects.get().leads == 2


# --- judged once more ----------------------------------------------------------------------------------------


def test_a_lead_that_passes_the_jobs_of_now_goes_out(campaign: Campaign) -> None:
    job = required(campaign, "lastName", hard_fail=True)
    lead = judge(campaign, email="ada@example.test", sync_token="a" * 32)
    assert lead.status == "invalid"
    job.settings = {"fields": ["email"]}
    job_store(job)
    assert worked("reprocess", [lead]) == ["Valid, was invalid."]
    lead = again(lead)
    assert (lead.status, lead.judgements, lead.failed_jobs) == ("valid", 2, [])
    assert Delivery.objects.count() == 1
    # Its origin was told of an invalid one, and is told of this.
    assert list(LeadChange.objects.order_by("pk").values_list("status", "sync_due", "by")) == [
        ("invalid", True, ""), ("valid", True, "grace"),
    ]  # fmt: skip


def test_a_lead_that_is_judged_once_more_is_to_its_origin_what_its_flag_says(campaign: Campaign) -> None:
    job = required(campaign, "lastName", hard_fail=True)
    lead = judge(campaign, email="ada@example.test", sync_token="a" * 32)
    leads_flag({lead.pk: FlagChange(Flag.RETURNED, "Unable to Contact", by="maria")})
    job.settings = {"fields": ["email"]}
    job_store(job)
    assert worked("reprocess", [lead]) == ["Valid, was invalid."]
    assert again(lead).flag == "returned"
    told = LeadChange.objects.filter(sync_due=True).order_by("pk").values_list("status", "flag")
    assert list(told) == [("invalid", ""), ("", "returned")]


def test_a_lead_that_was_delivered_is_not_sent_a_second_time_unless_that_is_asked_for(campaign: Campaign) -> None:
    required(campaign, "email")
    lead = judge(campaign, email="ada@example.test")
    Delivery.objects.update(state=DeliveryState.DELIVERED, delivered_at=timezone.now())
    leads_reprocess([lead.pk], by="grace")
    assert Delivery.objects.count() == 1
    leads_reprocess([lead.pk], by="grace", deliver_again=True)
    assert list(Delivery.objects.order_by("pk").values_list("resend", flat=True)) == [False, True]
    # What is on its way is not doubled.
    leads_reprocess([lead.pk], by="grace", deliver_again=True)
    assert Delivery.objects.count() == 2


def test_what_had_not_gone_out_of_a_lead_that_fails_now_is_taken_back_until_it_passes_again(campaign: Campaign) -> None:
    lead = judge(campaign, email="ada@example.test")
    job = required(campaign, "lastName", hard_fail=True)
    leads_reprocess([lead.pk], by="grace")
    assert again(lead).status == "invalid"
    assert Delivery.objects.get().state == DeliveryState.NOT_SENT
    job.enabled = False
    job_store(job)
    leads_reprocess([lead.pk], by="grace")
    assert list(Delivery.objects.order_by("pk").values_list("state", flat=True)) == ["not_sent", "held"]


def test_leads_that_are_judged_once_more_are_compared_with_earlier_ones_alone(campaign: Campaign) -> None:
    leads = [judge(campaign, email="ada@example.test") for _ in range(3)]
    duplicate(campaign)
    keys_build()
    leads_reprocess([lead.pk for lead in leads], by="grace")
    assert [again(lead).status for lead in leads] == ["valid", "invalid", "invalid"]
    leads_reprocess([leads[0].pk], by="grace")
    assert again(leads[0]).status == "valid"


def test_a_lead_that_is_judged_once_more_keeps_its_place_in_the_cap(campaign: Campaign) -> None:
    cap(campaign, cap_day=1)
    first, second = judge(campaign, email="a@example.test"), judge(campaign, email="b@example.test")
    leads_reprocess([first.pk, second.pk], by="grace")
    assert [again(first).held, again(second).held] == ["", "cap_day"]
    assert CapCount.objects.get().leads == 1


def test_pending_and_erased_leads_can_t_be_judged_once_more(campaign: Campaign) -> None:
    pending = receive(campaign, email="a@example.test")
    erased = judge(campaign, email="b@example.test")
    Lead.objects.filter(pk=pending.pk).update(processed_at=None, status="pending")
    Lead.objects.filter(pk=erased.pk).update(erased_at=timezone.now())
    run = bulk_dry_run("reprocess", LeadSelection(ids=(pending.pk, erased.pk)), {})
    assert (run.will, run.cant) == (0, {"still pending": 1, "its personal data was erased": 1})
    assert leads_reprocess([pending.pk, erased.pk], by="grace") == {}


def test_what_enrichment_adds_is_made_anew(campaign: Campaign) -> None:
    lead = judge(campaign, firstName="Ada", lastName="Lovelace")
    add_job(campaign, "combine", "Whole name", {"fields": ["firstName", "lastName"], "between": " ", "adds": "name"})
    leads_reprocess([lead.pk], by="grace")
    assert again(lead).enriched == {"name": "Ada Lovelace"}


def test_judged_once_more_together_no_lead_counts_twice_for_those_after_it(campaign: Campaign) -> None:
    add_job(campaign, "sender_address", settings={"most": 3, "hours": 1}, hard_fail=True)
    leads = [judge(campaign, email=f"{number}@example.test", ip="192.0.2.1") for number in range(3)]
    assert [lead.status for lead in leads] == ["valid"] * 3
    assert jobs_try(campaign).differ == 0
    leads_reprocess([lead.pk for lead in leads], by="grace")
    assert [again(lead).status for lead in leads] == ["valid"] * 3
    # Nothing was taken back.
    assert set(Delivery.objects.values_list("state", flat=True)) == {"held"}


def test_judged_once_more_together_leads_count_as_this_judgement_has_them(campaign: Campaign) -> None:
    duplicate(campaign, settings={"against": "valid"})
    strict = required(campaign, "lastName", hard_fail=True, enabled=False)
    first = judge(campaign, email="ada@example.test")
    second = judge(campaign, email="ada@example.test", lastName="L")
    assert [first.status, second.status] == ["valid", "invalid"]
    assert [(each.lead_id, each.would) for each in jobs_try(campaign, [replace(job_spec(strict), enabled=True)]).otherwise] == [
        (second.pk, "valid"), (first.pk, "invalid"),
    ]  # fmt: skip
    strict.enabled = True
    job_store(strict)
    leads_reprocess([first.pk, second.pk], by="grace")
    assert [again(first).status, again(second).status] == ["invalid", "valid"]


@pytest.mark.parametrize("against", ["valid", "billable"])
def test_judged_once_more_together_a_lead_that_the_client_rejected_is_no_valid_one(
    campaign: Campaign, against: str
) -> None:
    duplicate(campaign, settings={"against": against})
    first = judge(campaign, email="ada@example.test")
    leads_flag({first.pk: FlagChange(Flag.INVALID, "WRONG_NUMBER")})
    second = judge(campaign, email="ada@example.test")
    assert second.status == "valid"
    assert jobs_try(campaign).differ == 0
    leads_reprocess([first.pk, second.pk], by="grace")
    assert again(second).status == "valid"


def test_a_failed_lead_that_somebody_found_valid_still_counts_after_it_was_judged_once_more(campaign: Campaign) -> None:
    duplicate(campaign, settings={"against": "valid"})
    required(campaign, "lastName", hard_fail=True)
    first = judge(campaign, email="ada@example.test")
    leads_flag({first.pk: FlagChange(Flag.VALID, "CONFIRMED")})
    leads_reprocess([first.pk], by="grace")
    assert judge(campaign, email="ada@example.test", lastName="L").status == "invalid"
