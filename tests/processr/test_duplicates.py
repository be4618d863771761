"""Leads that came before: scopes, times, what counts, and keys of the leads before a job."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from integrations.judging.appended import lead_append
from integrations.judging.arranging import job_remove
from integrations.judging.changes import processr_changed
from integrations.judging.key_builds import key_builds_due, keys_build, keys_clean
from integrations.models import KeyBuild
from integrations.processr import leads_due, leads_process
from leads.models import Campaign, Flag, KeyKind, Lead, LeadKey, Publisher, Status
from leads.privacy import leads_erase
from leads.status import FlagChange, leads_flag
from tests.processr.conftest import add_job, days_ago, duplicate, judge, make_campaign, receive, required

pytestmark = pytest.mark.django_db
ADA = "ada@example.test"


def fails(campaign: Campaign, **columns: Any) -> bool:
    """Whether a lead that comes now is a duplicate."""
    return judge(campaign, **{"email": ADA, **columns}).status == "invalid"


def test_the_second_lead_with_the_same_value_fails_however_it_is_written(campaign: Campaign) -> None:
    duplicate(campaign)
    assert judge(campaign, email=ADA).status == "valid"
    assert fails(campaign, email=" ADA@Example.TEST ")
    assert not fails(campaign, email="bob@example.test")


def test_a_lead_without_an_e_mail_is_no_duplicate(campaign: Campaign) -> None:
    duplicate(campaign)
    assert judge(campaign, firstName="Ada").status == "valid"
    assert judge(campaign, firstName="Ada").status == "valid"


def test_several_fields_have_to_be_the_same_together(campaign: Campaign) -> None:
    duplicate(campaign, "firstName", "telephone")
    assert not fails(campaign, firstName="Ada", telephone="(+44)07123451234")
    assert not fails(campaign, firstName="Bob", telephone="(+44)07123451234")
    assert fails(campaign, firstName="ada", telephone="+44 7123 451234")


def test_of_leads_that_are_judged_together_the_first_passes(campaign: Campaign) -> None:
    duplicate(campaign)
    leads = [receive(campaign, email=ADA) for _ in range(5)]
    leads_process()
    assert list(Lead.objects.order_by("pk").values_list("status", flat=True)) == ["valid", *["invalid"] * 4]
    assert leads[0].pk == Lead.objects.get(status="valid").pk


@pytest.mark.parametrize(
    "scope", ["campaign", "publisher_campaign", "publisher", "advertiser", "instance", "campaigns"]
)
def test_a_scope_says_whose_leads_count(campaign: Campaign, scope: str) -> None:
    same, other = make_campaign("Autumn"), make_campaign("Winter", "Globex")
    southbeam = Publisher.objects.create(name="Southbeam")
    settings: dict[str, object] = {"scope": scope}
    if scope == "campaigns":
        settings["campaigns"] = [other.pk]
    duplicate(campaign, settings=settings)
    found = {}
    for name, where, publisher in [
        ("publisher_campaign", campaign, None),
        ("campaign", campaign, southbeam),
        ("publisher", other, None),
        ("advertiser", same, southbeam),
        ("instance", other, southbeam),
    ]:
        email = f"{name}@example.test"
        whose: dict[str, Any] = {"publisher": publisher} if publisher else {}
        judge(where, email=email, **whose)
        found[name] = fails(campaign, email=email)
    assert {name for name, failed in found.items() if failed} == {
        "publisher_campaign": {"publisher_campaign"},
        "campaign": {"publisher_campaign", "campaign"},
        "publisher": {"publisher_campaign", "publisher"},
        "advertiser": {"publisher_campaign", "campaign", "advertiser"},
        "instance": {"publisher_campaign", "campaign", "publisher", "advertiser", "instance"},
        "campaigns": {"publisher", "instance"},
    }[scope]


def test_leads_of_a_campaign_that_is_newer_than_the_job_count_too(campaign: Campaign) -> None:
    duplicate(campaign, settings={"scope": "instance"})
    judge(campaign, email="bob@example.test")
    assert judge(make_campaign("Autumn"), email=ADA).status == "valid"
    assert fails(campaign)


def test_leads_beyond_the_days_do_not_count(campaign: Campaign) -> None:
    duplicate(campaign, settings={"days": 30})
    judge(campaign, email=ADA, created_at=days_ago(31))
    assert not fails(campaign)
    assert fails(campaign)


def test_leads_outside_of_the_dates_do_not_count(campaign: Campaign) -> None:
    today = timezone.now().date()
    duplicate(campaign, settings={"until": (today - dt.timedelta(days=10)).isoformat()})
    assert not fails(campaign)
    assert not fails(campaign)
    judge(campaign, email="bob@example.test", created_at=days_ago(12))
    assert fails(campaign, email="bob@example.test")


def test_days_of_jobs_are_days_of_the_campaign(campaign: Campaign) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(time_zone="Pacific/Auckland")
    duplicate(campaign, settings={"from": "2026-03-05"})
    # The fifth begins at eleven in the morning of the fourth, UTC.
    for hour, counts in [(10, False), (12, True)]:
        email = f"{hour}@example.test"
        judge(campaign, email=email, created_at=dt.datetime(2026, 3, 4, hour, tzinfo=dt.UTC))
        assert fails(campaign, email=email) is counts


def test_against_valid_leads_those_that_failed_or_were_turned_down_since_do_not_count(campaign: Campaign) -> None:
    duplicate(campaign, settings={"against": "valid"})
    required(campaign, "lastName", hard_fail=True)
    assert judge(campaign, email=ADA).status == "invalid"
    first = judge(campaign, email=ADA, lastName="L")
    assert first.status == "valid"
    assert fails(campaign, lastName="L")
    leads_flag({first.pk: FlagChange(Flag.INVALID, "WRONG_NUMBER")})
    second = judge(campaign, email=ADA, lastName="L")
    assert second.status == "valid"


def test_a_failed_lead_that_somebody_finds_valid_counts_as_valid(campaign: Campaign) -> None:
    duplicate(campaign, settings={"against": "valid"})
    required(campaign, "lastName", hard_fail=True)
    first = judge(campaign, email=ADA)
    leads_flag({first.pk: FlagChange(Flag.VALID, "CONFIRMED")})
    assert fails(campaign, lastName="L")


def test_it_does_so_for_a_job_that_is_newer_too(campaign: Campaign) -> None:
    required(campaign, "lastName", hard_fail=True)
    first = judge(campaign, email=ADA)
    leads_flag({first.pk: FlagChange(Flag.VALID, "CONFIRMED")})
    duplicate(campaign, settings={"against": "valid"})
    keys_build()
    assert fails(campaign, lastName="L")


def test_against_billable_leads_those_beyond_a_cap_do_not_count(campaign: Campaign) -> None:
    duplicate(campaign, settings={"against": "billable"})
    first = judge(campaign, email=ADA)
    assert fails(campaign)
    Lead.objects.filter(pk=first.pk).update(billable=False)
    assert not fails(campaign)


def test_a_test_lead_is_no_earlier_lead(campaign: Campaign) -> None:
    duplicate(campaign)
    judge(campaign, Status.TEST, email=ADA)
    assert not fails(campaign)


def test_a_person_who_was_erased_is_not_remembered(campaign: Campaign) -> None:
    duplicate(campaign)
    lead = judge(campaign, email=ADA)
    assert LeadKey.objects.filter(lead=lead).exists()
    leads_erase([lead.pk], by="ada")
    assert not LeadKey.objects.exists()
    assert not fails(campaign)


def test_a_lead_whose_values_changed_later_is_found_by_the_new_ones_and_no_more_by_the_old(campaign: Campaign) -> None:
    duplicate(campaign)
    first = judge(campaign, email=ADA)
    assert lead_append(first.pk, {"email": "countess@example.test"})
    assert fails(campaign, email="COUNTESS@example.test")
    assert not fails(campaign, email=ADA)


def test_a_lead_that_is_yet_to_be_judged_and_one_that_was_erased_get_no_keys_by_later_values(
    campaign: Campaign,
) -> None:
    duplicate(campaign)
    waiting, erased = receive(campaign, email=ADA), judge(campaign, email="bob@example.test")
    lead_append(waiting.pk, {"email": "countess@example.test"})
    leads_erase([erased.pk], by="ada")
    lead_append(erased.pk, {"email": "bob@example.test"})
    assert not LeadKey.objects.filter(lead=erased).exists()
    leads_process()
    assert LeadKey.objects.filter(lead=waiting).count() == 1
    assert fails(campaign, email="countess@example.test")


def test_a_lead_that_a_person_found_valid_stays_a_good_one_when_values_are_added(campaign: Campaign) -> None:
    duplicate(campaign, settings={"against": "valid"})
    required(campaign, "lastName", hard_fail=True)
    first = judge(campaign, email=ADA)
    leads_flag({first.pk: FlagChange(Flag.VALID, "CONFIRMED")})
    lead_append(first.pk, {"email": "countess@example.test"})
    assert fails(campaign, email="countess@example.test", lastName="L")


# --- leads before the job ------------------------------------------------------------------------------------


def test_leads_before_the_job_count_once_their_keys_are_made(campaign: Campaign) -> None:
    judge(campaign, email=ADA)
    duplicate(campaign)
    lead = receive(campaign, email=ADA)
    assert key_builds_due()
    assert not leads_due()
    leads_process()
    lead.refresh_from_db()
    assert lead.status == "pending"
    keys_build()
    assert not key_builds_due()
    leads_process()
    lead.refresh_from_db()
    assert lead.status == "invalid"


def test_keys_are_made_in_pieces_that_go_on_where_they_stopped(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        receive(campaign, email=f"{number}@example.test")
    leads_process()
    duplicate(campaign)
    monkeypatch.setattr("integrations.judging.key_builds.BATCH", 3)
    monkeypatch.setattr("integrations.judging.key_builds.BATCHES", 1)
    assert [keys_build(), keys_build()] == [3, 3]
    assert KeyBuild.objects.get().finished_at is None
    keys_build()
    assert KeyBuild.objects.get().finished_at
    assert LeadKey.objects.count() == 7
    assert fails(campaign, email="0@example.test")
    assert fails(campaign, email="6@example.test")


def test_leads_that_were_at_judgement_when_the_job_was_added_are_looked_at_once_more(campaign: Campaign) -> None:
    judge(campaign, email="bob@example.test")
    waiting = receive(campaign, email=ADA)
    duplicate(campaign)
    # Judged by a worker that knew of no such job.
    keys_build()
    Lead.objects.filter(pk=waiting.pk).update(status="valid", processed_at=timezone.now())
    KeyBuild.objects.update(again_at=timezone.now() - dt.timedelta(minutes=1))
    keys_build()
    assert not key_builds_due()
    assert fails(campaign)


def test_a_job_that_compares_something_else_now_has_its_keys_made_anew(campaign: Campaign) -> None:
    job = duplicate(campaign)
    judge(campaign, email=ADA, telephone="+447123451234")
    assert not key_builds_due()
    job.settings = {"fields": ["telephone"]}
    job.save()
    processr_changed(campaign.pk)
    assert key_builds_due()
    keys_build()
    assert fails(campaign, email="bob@example.test", telephone="+447123451234")
    # What nobody compares any more goes.
    while keys_clean():
        pass
    assert set(KeyKind.objects.values_list("fields", flat=True)) == {'["telephone"]'}
    assert set(LeadKey.objects.values_list("kind__fields", flat=True)) == {'["telephone"]'}


def test_keys_are_made_anew_where_numbers_are_read_by_another_country_now(campaign: Campaign) -> None:
    job = duplicate(campaign, "telephone")
    judge(campaign, telephone="07123 456789")
    job.settings = {"fields": ["telephone"], "country": "GB"}
    job.save()
    processr_changed(campaign.pk)
    # Until they are, it can't be told.
    Campaign.objects.update(judging_waits_until=None)
    assert judge(campaign, telephone="+44 7123 456789").status == "caution"
    keys_build()
    assert judge(campaign, telephone="07123456789").status == "invalid"


def test_switching_a_job_off_and_on_again_forgets_nothing(campaign: Campaign) -> None:
    job = duplicate(campaign)
    for enabled in (False, True):
        job.enabled = enabled
        job.save()
        processr_changed(campaign.pk)
        if not enabled:
            assert not fails(campaign)
    assert not key_builds_due()
    assert fails(campaign)


def test_other_campaigns_stop_writing_keys_for_a_job_that_is_removed(campaign: Campaign) -> None:
    other = make_campaign("Autumn")
    job = duplicate(campaign, settings={"scope": "instance"})
    judge(other, email=ADA)
    assert LeadKey.objects.count() == 1
    job_remove(job)
    judge(other, email="bob@example.test")
    assert LeadKey.objects.count() == 1
    while keys_clean():
        pass
    assert not LeadKey.objects.exists()
    assert not KeyKind.objects.exists()


# --- senders -------------------------------------------------------------------------------------------------


def test_a_lead_from_the_same_address_seconds_after_another_fails(campaign: Campaign) -> None:
    add_job(campaign, "rapid_posts", settings={"seconds": 30}, hard_fail=True)
    now = timezone.now()
    came = [(0, "192.0.2.1"), (20, "192.0.2.1"), (25, "192.0.2.2"), (60, "192.0.2.1"), (70, None), (71, None)]
    for seconds, ip in came:
        receive(campaign, email=ADA, ip=ip, created_at=now + dt.timedelta(seconds=seconds))
    leads_process()
    found = list(Lead.objects.order_by("pk").values_list("status", flat=True))
    assert found == ["valid", "invalid", "valid", "valid", "valid", "valid"]


def test_more_leads_from_an_address_than_may_come_fail(campaign: Campaign) -> None:
    add_job(campaign, "sender_address", settings={"most": 2, "hours": 1}, hard_fail=True)
    assert [judge(campaign, email=ADA, ip="192.0.2.1").status for _ in range(3)] == ["valid", "valid", "invalid"]
    assert judge(campaign, email=ADA, ip="192.0.2.9").status == "valid"
