"""Where a judgement is read: the mapping, the lead collection, statistics, and what is left of it when a person is erased."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from integrations.discovery import own_inputs
from integrations.handing_over import ERASE
from integrations.judging.tallies import OTHERS, job_reasons, job_tallies
from integrations.mapping import leads_facts
from integrations.models import Integration, JobReason
from leads.models import Activity, Campaign, LeadChange, Publisher
from leads.publisher_api.collection import _members, _Reader
from tests.processr.conftest import add_job, cap, duplicate, judge, required

pytestmark = pytest.mark.django_db


def test_what_enrichment_adds_is_mapped_as_a_field_is(campaign: Campaign) -> None:
    add_job(campaign, "combine", "Whole name", {"fields": ["firstName", "lastName"], "between": " ", "adds": "name"})
    lead = judge(campaign, firstName="Ada", lastName="Lovelace")
    integration = Integration.objects.get()
    assert "name" in [entry.name for entry in own_inputs(integration)]
    assert leads_facts([lead.pk])[lead.pk].values["name"] == "Ada Lovelace"


def test_the_lead_collection_says_what_a_judgement_came_to(campaign: Campaign) -> None:
    cap(campaign, cap_day=1)
    required(campaign, "email", hard_fail=True)
    good, bad = judge(campaign, email="ada@example.test"), judge(campaign, firstName="Ada")
    held = judge(campaign, email="bob@example.test")
    names = ("score", "maxScore", "hardfail", "overAllocation", "publisherBillable", "processingCounter")
    assert [
        [member[name] for name in names] for member in _members([good, bad, held], _Reader(clear=True, may_flag=True))
    ] == [
        [10, 10, False, False, True, 1],
        [0, 10, True, False, False, 1],
        [10, 10, False, True, False, 1],
    ]


def test_tallies_are_read_by_job_publisher_and_day_with_the_words_of_the_reasons(campaign: Campaign) -> None:
    southbeam = Publisher.objects.create(name="Southbeam")
    job, other = required(campaign, "email"), required(campaign, "lastName")
    judge(campaign, email="ada@example.test", lastName="L")
    judge(campaign, lastName="L", publisher=southbeam)
    assert [(tally.job_id, tally.passed, tally.failed, tally.share) for tally in job_tallies([job.pk, other.pk])] == [
        (job.pk, 1, 1, 0.5), (other.pk, 2, 0, 1.0),
    ]  # fmt: skip
    today = timezone.now().date()
    by_all = job_tallies([job.pk], since=today, until=today, by=("publisher", "day"))
    assert [(tally.publisher_id == southbeam.pk, tally.day, tally.failed) for tally in by_all] == [
        (False, today, 0), (True, today, 1),
    ]  # fmt: skip
    assert job_tallies([job.pk], until=today - dt.timedelta(days=1)) == []
    assert job_reasons([job.pk]) == [(job.pk, "Required values are empty or missing: email.", 1)]


def test_reasons_that_are_counted_name_nothing_that_was_posted_and_are_bounded(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = add_job(campaign, "email_address", "E-mail", {"field": "email"})
    monkeypatch.setattr("integrations.judging.tallies.MOST_REASONS", 1)
    for email in ("lovelace-at-home", "ada@@example.com"):
        judge(campaign, email=email)
    kept = " ".join(JobReason.objects.values_list("reason", flat=True))
    assert "lovelace" not in kept
    assert JobReason.objects.filter(job=job).count() <= 2
    assert set(JobReason.objects.values_list("reason", flat=True)) - {OTHERS}


def test_a_reason_names_its_field_whatever_was_posted(campaign: Campaign) -> None:
    job = required(campaign, "email")
    judge(campaign, firstName="email", email="")
    assert job_reasons([job.pk]) == [(job.pk, "Required values are empty or missing: email.", 1)]


def test_of_an_erased_person_no_judgement_tells(campaign: Campaign) -> None:
    duplicate(campaign)
    add_job(campaign, "change_case", "Loud", {"field": "firstName", "case": "upper", "adds": "loud"})
    group = add_job(campaign, "value_list", "Country", {"field": "country", "list": 1})
    lead = judge(campaign, firstName="Augusta", email="ada@example.test", country="Ruritania")
    assert lead.enriched == {"loud": "AUGUSTA"}
    lead.failed_jobs = [{"job": group.pk, "name": "Country", "reason": "Ruritania is not on the list.", "hard": False}]
    lead.save()
    deed = ERASE.deed({})
    deed.act(Activity(by="grace"), [{"pk": lead.pk}])
    lead.refresh_from_db()
    assert (lead.enriched, lead.failed_words) == (None, ["••• is not on the list."])
    told = str(list(LeadChange.objects.values_list("reason_code", "comment", "data")))
    assert "Ruritania" not in told
    assert "ada@example.test" not in told.lower()
