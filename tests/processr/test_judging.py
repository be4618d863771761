"""What jobs make of leads: scores, hard fails, groups, enrichment, and what happens where a job can't judge."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from integrations.judging.arranging import job_remove
from integrations.judging.changes import processr_changed
from integrations.judging.weighing import KEYS_MISSING, status_of
from integrations.kit.jobs import JobLead
from integrations.models import Delivery, Job, JobTally, ValueList
from integrations.processr import leads_process
from leads.models import Campaign, Field, Form, Lead, LeadChange, LeadKey, Status
from tests.processr.conftest import add_group, add_job, duplicate, judge, make_campaign, receive, required

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("score", "max_score", "status"),
    [
        (50, 50, "valid"),
        (41, 50, "caution"),
        (40, 50, "invalid"),
        (0, 10, "invalid"),
        (0, 0, "valid"),
        (9, 10, "caution"),
    ],
)
def test_all_of_the_score_is_valid_over_80_percent_caution_and_less_invalid(
    score: int, max_score: int, status: str
) -> None:
    assert status_of(score, max_score, []) == status


def test_a_failed_hard_fail_is_invalid_whatever_the_score(campaign: Campaign) -> None:
    required(campaign, "email", score=1_000)
    required(campaign, "lastName", score=1, hard_fail=True)
    lead = judge(campaign, email="ada@example.test")
    assert (lead.status, lead.score, lead.max_score) == ("invalid", 1_000, 1_001)
    assert lead.failed_words == ["Required values are empty or missing: lastName."]
    assert not Delivery.objects.exists()


def test_a_lead_that_passes_all_jobs_is_valid_and_goes_out(campaign: Campaign) -> None:
    required(campaign, "email")
    lead = judge(campaign, email="ada@example.test")
    assert (lead.status, lead.score, lead.max_score, lead.failed_jobs, lead.held) == ("valid", 10, 10, [], "")
    assert Delivery.objects.get().lead_id == lead.pk


def test_a_lead_in_caution_waits_for_a_person(campaign: Campaign) -> None:
    required(campaign, "email", score=90)
    job = required(campaign, "lastName", score=10)
    lead = judge(campaign, email="ada@example.test")
    assert (lead.status, lead.score, lead.max_score, lead.held) == ("caution", 90, 100, "caution")
    assert lead.failed_jobs == [
        {
            "job": job.pk, "name": "lastName required", "reason": "Required values are empty or missing: lastName.",
            "field": "lastName", "hard": False, "unjudged": False,
        }
    ]  # fmt: skip
    assert not Delivery.objects.exists()


def test_a_campaign_may_let_out_leads_in_caution(campaign: Campaign) -> None:
    required(campaign, "email", score=90)
    required(campaign, "lastName", score=10)
    Campaign.objects.update(lets_out="caution")
    processr_changed(campaign.pk)
    lead = judge(campaign, email="ada@example.test")
    assert (lead.status, lead.held) == ("caution", "")
    assert Delivery.objects.count() == 1


def test_a_test_lead_is_judged_and_stays_a_test(campaign: Campaign) -> None:
    required(campaign, "lastName", hard_fail=True)
    duplicate(campaign)
    lead = judge(campaign, Status.TEST, email="ada@example.test")
    assert (lead.status, len(lead.failed_jobs), lead.score) == ("test", 1, 10)
    assert Delivery.objects.get().test
    assert not LeadKey.objects.exists()
    assert not JobTally.objects.exists()
    assert judge(campaign, email="ada@example.test", lastName="L").status == "valid"


def test_a_campaign_without_jobs_costs_what_it_always_cost(campaign: Campaign) -> None:
    receive(campaign, email="ada@example.test")
    with CaptureQueriesContext(
        connection,
    ) as plain:
        leads_process()
    assert LeadChange.objects.get().data == {}
    # Savepoints apart: leads, their update, their history, events that are told of, integrations, deliveries.
    said = [query["sql"] for query in plain if "SAVEPOINT" not in query["sql"]]
    assert not any("job" in sql.replace("failed_jobs", "") or "leadkey" in sql for sql in said), said


def test_what_changes_in_the_console_counts_for_the_next_lead(campaign: Campaign) -> None:
    job = required(campaign, "lastName", hard_fail=True)
    assert judge(campaign, email="a@example.test").status == "invalid"
    Job.objects.filter(pk=job.pk).update(enabled=False)
    processr_changed(campaign.pk)
    assert judge(campaign, email="b@example.test").status == "valid"
    job_remove(job)
    assert judge(campaign, email="c@example.test").status == "valid"


# --- groups --------------------------------------------------------------------------------------------------


def test_exactly_one_job_of_a_group_runs_and_counts_with_the_score_of_the_group(campaign: Campaign) -> None:
    group = add_group(campaign, "Telephone by country", score=30)
    required(campaign, "email", score=10)
    required(campaign, "telephone", group=group, when_field="country", when_values="GB; IE")
    required(campaign, "lastName", group=group)
    british = judge(campaign, email="a@example.test", country="ie", lastName="L")
    assert (british.status, british.score, british.max_score) == ("invalid", 10, 40)
    assert british.failed_words == ["Required values are empty or missing: telephone."]
    german = judge(campaign, email="b@example.test", country="DE", lastName="L")
    assert (german.status, german.score, german.max_score) == ("valid", 40, 40)


def test_a_lead_that_no_job_of_a_group_is_for_waits_with_the_reason(campaign: Campaign) -> None:
    group = add_group(campaign, "Telephone by country")
    required(campaign, "telephone", group=group, when_field="country", when_values="GB")
    lead = judge(campaign, email="a@example.test", country="DE")
    assert (lead.status, lead.held) == ("caution", "caution")
    assert lead.failed_words == ["No job of the group “Telephone by country” is for this lead. Add one for all others."]


# --- enrichment ----------------------------------------------------------------------------------------------


def test_added_values_stand_beside_what_was_posted_and_quality_jobs_read_them(campaign: Campaign) -> None:
    add_job(campaign, "combine", "Whole name", {"fields": ["firstName", "lastName"], "between": " ", "adds": "name"})
    required(campaign, "name", hard_fail=True)
    lead = judge(campaign, firstName="Ada", lastName="Lovelace")
    assert (lead.values, lead.enriched) == ({"firstName": "Ada", "lastName": "Lovelace"}, {"name": "Ada Lovelace"})
    assert lead.status == "valid"


def test_an_added_value_never_replaces_a_posted_one(campaign: Campaign) -> None:
    add_job(campaign, "change_case", "Loud", {"field": "firstName", "case": "upper", "adds": "lastName"})
    lead = judge(campaign, firstName="Ada", lastName="Lovelace")
    assert (lead.values["lastName"], lead.enriched) == ("Lovelace", None)


# --- what can't judge ----------------------------------------------------------------------------------------


def test_a_job_whose_field_was_deleted_lets_leads_wait_with_the_reason(campaign: Campaign) -> None:
    required(campaign, "lastName", hard_fail=True)
    required(campaign, "email", score=10)
    Field.objects.filter(name="lastName").delete()
    form = campaign.forms.get()
    form.version += 1
    form.save()
    lead = judge(campaign, email="ada@example.test")
    assert (lead.status, lead.score, lead.max_score, lead.held) == ("caution", 10, 10, "caution")
    assert lead.failed_words == ["It reads lastName, which no form of the campaign has any more. Configure it anew."]
    # What was posted before it was deleted can be judged.
    assert judge(campaign, email="bob@example.test", lastName="L").status == "valid"


def test_a_job_whose_kind_is_gone_lets_leads_wait(campaign: Campaign) -> None:
    add_job(campaign, "office_in_atlantis")
    lead = judge(campaign, email="ada@example.test")
    assert (lead.status, lead.failed_words) == (
        "caution", ["There is no job “office_in_atlantis” in this portal any more. Remove it."]
    )  # fmt: skip


def test_a_list_that_is_gone_lets_leads_wait(campaign: Campaign) -> None:
    countries = ValueList.objects.create(name="Countries", kind="values")
    countries.items.create(key="de")
    add_job(campaign, "value_list", "Country", {"field": "country", "list": countries.pk})
    assert judge(campaign, country="DE").status == "valid"
    assert judge(campaign, country="FR").status == "invalid"
    countries.delete()
    lead = judge(campaign, country="DE")
    assert (lead.status, lead.failed_jobs[0]["unjudged"]) == ("caution", True)


def test_a_job_that_fails_on_a_lead_leaves_its_neighbours_unharmed(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = required(campaign, "email", hard_fail=True)
    secret = "ada@example.test"
    broken = receive(campaign, email=secret)
    good = receive(campaign, email="bob@example.test")
    read = JobLead.value

    def breaks(self: JobLead, key: str) -> str:
        if self.values.get("email") == secret:
            raise ZeroDivisionError(secret)
        return read(self, key)

    monkeypatch.setattr(JobLead, "value", breaks)
    leads_process()
    broken.refresh_from_db()
    good.refresh_from_db()
    assert (broken.status, broken.held, good.status) == ("caution", "caution", "valid")
    assert f"job {job.pk} failed on lead {broken.pk}: ZeroDivisionError" in caplog.text
    assert secret not in caplog.text


def test_no_lead_stays_pending_whatever_its_jobs_are(campaign: Campaign) -> None:
    add_job(campaign, "pattern", "No expression", {"field": "email", "pattern": "("})
    add_job(campaign, "duplicate", "No fields", {})
    add_job(campaign, "nonsense")
    other = make_campaign("Autumn")
    duplicate(other, settings={"scope": "instance"})
    for number in range(5):
        receive(campaign, email=f"{number}@example.test")
        receive(other, email=f"{number}@example.test")
    leads_process()
    assert not campaign.leads.filter(processed_at=None).exists()
    assert set(campaign.leads.values_list("status", flat=True)) == {"caution"}
    assert not other.leads.exclude(status__in=["valid", "invalid"]).exists()


def test_while_keys_are_made_that_nothing_was_found_is_no_answer(campaign: Campaign) -> None:
    judge(campaign, email="ada@example.test")
    duplicate(campaign)
    Campaign.objects.update(judging_waits_until=None)
    lead = judge(campaign, email="bob@example.test")
    assert (lead.status, lead.failed_words) == ("caution", [KEYS_MISSING])


def test_reasons_call_fields_as_the_form_does_and_the_first_form_where_several_differ(campaign: Campaign) -> None:
    form = campaign.forms.get()
    form.fields.filter(name="email").update(label="E-mail")
    form.fields.filter(name="country").update(label="Country of work")
    other = Form.objects.create(name="Newer form")
    Field.objects.create(form=other, name="email", label="Your address")
    Field.objects.create(form=other, name="lastName", label="Surname")
    campaign.forms.add(other)
    required(campaign, "country", hard_fail=True)
    required(campaign, "lastName")
    required(campaign, "telephone")
    duplicate(campaign, "email")
    add_job(campaign, "email_address", settings={"field": "email"})
    add_job(
        campaign, "conditional",
        settings={"conditions": {"sections": [{"conditions": [{"field": "email", "operator": "equal", "values": ["x"]}]}]}},
    )  # fmt: skip
    judge(campaign, email="nobody")
    assert judge(campaign, email="nobody").failed_words == [
        "Required values are empty or missing: Country of work.",
        "Required values are empty or missing: Surname.",
        "Required values are empty or missing: telephone.",
        "An earlier lead in this campaign has the same E-mail.",
        "E-mail is no e-mail address.",
        "Does not meet the condition: E-mail is x.",
    ]
    assert [entry["field"] for entry in Lead.objects.order_by("-pk")[0].failed_jobs][3] == "email"
