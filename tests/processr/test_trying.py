"""Changed jobs tried on leads of the past, without a trace."""

from __future__ import annotations

from dataclasses import replace

import pytest

from integrations.judging.job_sets import job_spec
from integrations.judging.steps import JobSpec
from integrations.judging.trying import jobs_try, leads_preview
from integrations.models import JobTally
from leads.models import Campaign, Lead, LeadChange, LeadKey
from tests.processr.conftest import duplicate, judge, make_campaign, required

pytestmark = pytest.mark.django_db


def test_a_changed_job_says_who_would_have_been_judged_otherwise_and_why(campaign: Campaign) -> None:
    job = required(campaign, "email", hard_fail=True)
    first = judge(campaign, email="ada@example.test")
    judge(campaign, email="bob@example.test", lastName="L")
    third = judge(campaign, lastName="L")
    before = list(Lead.objects.order_by("pk").values()), LeadChange.objects.count(), JobTally.objects.get().passed
    tried = jobs_try(campaign, [replace(job_spec(job), settings={"fields": ["lastName"]})])
    assert (tried.leads, tried.differ, tried.among_themselves) == (3, 2, False)
    assert [(each.lead_id, each.was, each.would, each.was_because, each.because) for each in tried.otherwise] == [
        (third.pk, "invalid", "valid", ("Required values are empty or missing: email.",), ()),
        (first.pk, "valid", "invalid", (), ("Required values are empty or missing: lastName.",)),
    ]
    assert (dict(tried.was), dict(tried.would)) == ({"valid": 2, "invalid": 1}, {"valid": 2, "invalid": 1})
    assert before == (
        list(Lead.objects.order_by("pk").values()), LeadChange.objects.count(), JobTally.objects.get().passed,
    )  # fmt: skip


def test_a_new_duplicate_check_compares_the_leads_that_are_tried_with_each_other(campaign: Campaign) -> None:
    leads = [judge(campaign, email="ada@example.test") for _ in range(3)]
    tried = jobs_try(campaign, [JobSpec(0, "duplicate", "New", {"fields": ["email"]}, hard_fail=True)])
    assert [each.lead_id for each in tried.otherwise] == [leads[2].pk, leads[1].pk]
    assert tried.among_themselves
    assert not LeadKey.objects.exists()


def test_a_comparison_that_leads_before_have_no_keys_for_says_that_they_were_compared_with_each_other(
    campaign: Campaign,
) -> None:
    other = make_campaign("Autumn")
    job = duplicate(other, "telephone")
    judge(other, telephone="07123 456789")
    assert not jobs_try(other).among_themselves
    # The campaign next door has such a job, and none of this one's leads has a key for it.
    new = JobSpec(0, "duplicate", "New", {"fields": ["telephone"]})
    assert jobs_try(campaign, [new]).among_themselves
    by_country = replace(job_spec(job), settings={"fields": ["telephone"], "country": "GB"})
    assert jobs_try(other, [by_country]).among_themselves


def test_a_job_that_is_taken_out_is_tried_too_and_only_on_the_last_leads(campaign: Campaign) -> None:
    job = duplicate(campaign)
    for _ in range(4):
        judge(campaign, email="ada@example.test")
    tried = jobs_try(campaign, removed=[job.pk], last=2)
    assert (tried.leads, tried.differ) == (2, 2)
    assert jobs_try(campaign).differ == 0


def test_what_a_person_made_of_a_lead_since_is_no_difference(campaign: Campaign) -> None:
    required(campaign, "email")
    lead = judge(campaign, email="ada@example.test")
    Lead.objects.filter(pk=lead.pk).update(status="invalid")
    assert jobs_try(campaign).differ == 0


def test_one_job_is_previewed_on_the_newest_leads(campaign: Campaign) -> None:
    first, second = judge(campaign, email="ada@example.test"), judge(campaign, firstName="Ada")
    spec = JobSpec(0, "required_value", "New", {"fields": ["email"]})
    found = leads_preview(campaign, spec)
    assert [(lead.pk, [entry["reason"] for entry in judged.failed]) for lead, judged in found] == [
        (second.pk, ["Required values are empty or missing: email."]), (first.pk, []),
    ]  # fmt: skip
    case = JobSpec(0, "change_case", "Loud", {"field": "firstName", "case": "upper", "adds": "loud"})
    assert [judged.enriched for _, judged in leads_preview(campaign, case)] == [{"loud": "ADA"}, None]


def test_a_job_that_is_previewed_alone_compares_with_leads_as_they_stand(campaign: Campaign) -> None:
    required(campaign, "lastName", hard_fail=True)
    assert judge(campaign, email="ada@example.test").status == "invalid"
    judge(campaign, email="ada@example.test", lastName="L")
    spec = JobSpec(0, "duplicate", "New", {"fields": ["email"], "against": "valid"})
    assert [judged.failed for _, judged in leads_preview(campaign, spec)] == [[], []]
