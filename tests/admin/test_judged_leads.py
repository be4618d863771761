"""What the console says of leads that jobs judged: on the lead, while a job is configured, and of publishers' caps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from integrations.bulk import activity_work
from integrations.judging.arranging import job_add, job_store
from integrations.judging.job_sets import job_sets_forget
from integrations.models import Job
from integrations.processr import leads_process
from leads.models import Activity, Campaign, CampaignPublisher, Lead, User
from portal.roles import VIEWER
from tests.admin.pages import boxes, said, text


@pytest.fixture(autouse=True)
def nothing_compiled(db: None) -> None:
    """What is compiled is kept by campaign and version, which begin anew with each test."""
    job_sets_forget()


@pytest.fixture
def job_make(campaign: Campaign) -> Callable[..., Job]:
    def make(kind: str, *, on: bool = True, score: int = 10, hard_fail: bool = False, **settings: Any) -> Job:
        job = job_add(campaign, kind)
        job.settings |= settings
        job.enabled, job.score, job.hard_fail = on, score, hard_fail
        job_store(job)
        return job

    return make


@pytest.fixture
def judged(lead_make: Callable[..., Lead]) -> Callable[..., Lead]:
    """A lead that came, and was judged by the campaign's jobs."""

    def make(**more: Any) -> Lead:
        lead = lead_make(status="pending", **more)
        leads_process()
        lead.refresh_from_db()
        return lead

    return make


def _lead(lead: Lead) -> str:
    return f"/admin/leads/lead/{lead.pk}/change/"


def test_a_leads_timeline_has_its_score_and_each_job_that_it_did_not_pass_with_its_words(
    browser_client: Client, job_make: Callable[..., Job], judged: Callable[..., Lead]
) -> None:
    job_make("required_value", fields=["email"], score=50)
    job_make("length", fields=["firstName"], least=5, most=20, score=10)
    job_make("change_case", field="firstName", adds="upperName", case="upper")
    lead = judged()
    assert (lead.status, lead.score, lead.max_score) == ("caution", 50, 60)
    shown = text(browser_client.get(_lead(lead)))
    assert "Judged Caution, 50 of 60" in shown
    assert "Length: First name" in shown
    assert "Added by enrichment: upperName" in shown
    assert "In Caution: it waits for a person." in shown
    assert "ADA" in shown


def test_a_hard_fail_and_a_job_that_could_not_judge_are_told_apart(
    browser_client: Client, job_make: Callable[..., Job], judged: Callable[..., Lead]
) -> None:
    job_make("required_value", fields=["zip"], hard_fail=True)
    job_make("required_value", fields=["fax"])
    shown = text(browser_client.get(_lead(judged())))
    assert "(hard fail)" in shown
    assert "(could not be judged)" in shown


def test_what_enrichment_added_is_masked_for_those_who_may_not_see_personal_data(
    client: Client, job_make: Callable[..., Job], judged: Callable[..., Lead]
) -> None:
    job_make("change_case", field="firstName", adds="upperName", case="upper")
    user = User.objects.create_user("vera", password="a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name=VIEWER))
    client.force_login(user)
    shown = text(client.get(_lead(judged(values={"firstName": "Adalbert"}))))
    assert "ADALBERT" not in shown
    assert "A•••" in shown


def test_a_job_shows_the_last_leads_as_it_would_judge_them_before_it_is_saved(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job], lead_make: Callable[..., Lead]
) -> None:
    now = timezone.now()
    long, short = (lead_make(values={"firstName": name}, processed_at=now) for name in ("Adalbert", "Al"))
    job = job_make("length", on=False, fields=["firstName"])
    sent = boxes(browser_client.get(f"/admin/integrations/job/{job.pk}/change/"))
    response = browser_client.post(
        f"/admin/integrations/job/{job.pk}/check/", {**sent, "settings-s-fields": "firstName", "settings-s-least": "3"}
    )
    found = {row.lead.pk: (row.outcome, row.values) for row in response.context["preview"]}
    assert found[long.pk] == ("passed", [("First name", "Adalbert")])
    assert found[short.pk] == ("failed", [("First name", "Al")])
    assert "Fails" in text(response)
    short.refresh_from_db()
    assert (short.status, short.failed_jobs) == ("valid", [])
    bad = browser_client.post(f"/admin/integrations/job/{job.pk}/check/", {**sent, "settings-s-least": "x"})
    assert bad.context["preview"] is None


def test_an_enrichment_job_shows_the_new_value_beside_the_original(
    browser_client: Client, job_make: Callable[..., Job], lead_make: Callable[..., Lead]
) -> None:
    lead_make(values={"firstName": "ada"}, processed_at=timezone.now())
    job = job_make("change_case", on=False, field="firstName", adds="upperName", case="upper")
    [row] = browser_client.get(f"/admin/integrations/job/{job.pk}/change/").context["preview"]
    assert (row.values, row.added) == ([("First name", "ada")], [("upperName", "ADA")])


# --- caps -------------------------------------------------------------------------------------------------------


def _caps(contract: CampaignPublisher) -> str:
    return f"/admin/leads/campaign/{contract.campaign_id}/publishers/{contract.pk}/caps/"


def test_a_publishers_caps_are_set_with_their_history_and_the_tab_says_what_is_used(
    browser_client: Client, campaign: Campaign, judged: Callable[..., Lead]
) -> None:
    contract = campaign.contracts.get()
    page = f"/admin/leads/campaign/{campaign.pk}/publishers/"
    assert "as many as come" in text(browser_client.get(page))
    sent = boxes(browser_client.get(_caps(contract)), "caps")
    response = browser_client.post(_caps(contract), {**sent, "cap_day": "0", "over_cap": "hold"})
    assert "Write 1 or more, or nothing for no bound." in text(response)
    response = browser_client.post(
        _caps(contract), {**sent, "cap_day": "2", "cap_total": "5", "over_cap": "hold"}, follow=True
    )
    assert "Northbeam: saved." in said(response)
    judged()
    shown = text(browser_client.get(page))
    assert "1 of 2 today" in shown
    assert "1 of 5 in all" in shown
    judged()
    held = judged()
    assert held.held == "cap_day"
    assert "2 of 2 today" in text(browser_client.get(page))
    shown = text(browser_client.get(_lead(held)))
    assert "as many as are wanted in a day" in shown
    assert "goes out by itself when the next one begins" in shown
    history = text(browser_client.get(f"/admin/leads/campaign/{campaign.pk}/history/"))
    assert "Northbeam: In a day" in history


def test_a_lead_beyond_a_cap_that_is_taken_unbilled_says_so(
    browser_client: Client, campaign: Campaign, judged: Callable[..., Lead]
) -> None:
    contract = campaign.contracts.get()
    browser_client.post(_caps(contract), {"cap_total": "1", "over_cap": "unbilled"})
    judged()
    lead = judged()
    assert (lead.held, lead.billable) == ("", False)
    assert "No: its publisher had sent as many as are wanted" in text(browser_client.get(_lead(lead)))
    assert "beyond that: taken unbilled" in text(browser_client.get(f"/admin/leads/campaign/{campaign.pk}/publishers/"))


def test_caps_are_for_those_who_may_change_contracts(client: Client, campaign: Campaign) -> None:
    user = User.objects.create_user("vera", password="a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name=VIEWER))
    client.force_login(user)
    assert client.get(_caps(campaign.contracts.get())).status_code == 403
    assert "Caps" not in text(client.get(f"/admin/leads/campaign/{campaign.pk}/publishers/"))


# --- what waits for a person ------------------------------------------------------------------------------------


def _decide(client: Client, name: str, lead: Lead, **typed: str) -> Any:
    page = f"/admin/leads/lead/bulk/{name}/?ids={lead.pk}"
    sent = boxes(client.get(page), "ask") | typed
    response = client.post(page, sent, follow=True)
    activity = Activity.objects.latest("pk")
    activity_work(activity.pk)
    lead.refresh_from_db()
    return response


@pytest.fixture
def in_caution(job_make: Callable[..., Job], judged: Callable[..., Lead]) -> Lead:
    job_make("required_value", fields=["email"], score=90)
    job_make("required_value", fields=["zip"], score=10)
    return judged()


def test_a_lead_in_caution_waits_for_a_person_who_accepts_it(browser_client: Client, in_caution: Lead) -> None:
    assert (in_caution.status, in_caution.held) == ("caution", "caution")
    shown = text(browser_client.get(_lead(in_caution)))
    assert f"/admin/leads/lead/bulk/accept/?ids={in_caution.pk}" in shown
    assert f"/admin/leads/lead/bulk/reject/?ids={in_caution.pk}" in shown
    assert "would be accepted" in text(browser_client.get(f"/admin/leads/lead/bulk/accept/?ids={in_caution.pk}"))
    _decide(browser_client, "accept", in_caution, comment="I called her")
    assert (in_caution.status, in_caution.held) == ("valid", "")
    shown = text(browser_client.get(_lead(in_caution)))
    assert "Accepted by erin" in shown
    assert "Comment: I called her" in shown
    assert "bulk/accept" not in shown


def test_a_lead_in_caution_is_rejected_with_a_reason(browser_client: Client, in_caution: Lead) -> None:
    page = f"/admin/leads/lead/bulk/reject/?ids={in_caution.pk}"
    assert "Say why" in text(browser_client.post(page, boxes(browser_client.get(page), "ask")))
    _decide(browser_client, "reject", in_caution, comment="Nobody of this name there")
    assert (in_caution.status, in_caution.held) == ("invalid", "")
    assert "Rejected by erin" in text(browser_client.get(_lead(in_caution)))


def test_a_lead_that_is_reprocessed_says_by_whom_and_what_came_of_it(
    browser_client: Client, campaign: Campaign, in_caution: Lead
) -> None:
    job = Job.objects.get(settings__fields=["zip"])
    browser_client.post(f"/admin/leads/campaign/{campaign.pk}/processr/jobs/{job.pk}/pause/")
    _decide(browser_client, "reprocess", in_caution)
    assert in_caution.status == "valid"
    assert "Judged again by erin: Valid, 90 of 90" in text(browser_client.get(_lead(in_caution)))


# --- tried on the past ------------------------------------------------------------------------------------------


def test_a_job_is_tried_on_the_last_leads_before_it_is_saved(
    browser_client: Client, job_make: Callable[..., Job], judged: Callable[..., Lead]
) -> None:
    job_make("required_value", fields=["email"])
    long, short = judged(values={"firstName": "Adalbert"}), judged(values={"firstName": "Al"})
    job = job_make("length", on=False, fields=["firstName"], least=3)
    page = f"/admin/integrations/job/{job.pk}/change/"
    sent = {**boxes(browser_client.get(page)), "settings-s-fields": "firstName", "do": "try", "last": "500"}
    response = browser_client.post(page, sent)
    tried = response.context["tried"]
    assert (tried.leads, tried.differ) == (2, 1)
    [row] = response.context["tried_rows"]
    assert row["lead_id"] == short.pk
    shown = text(response)
    assert "1 of the last 2 leads would have been judged otherwise. Nothing is changed." in shown
    assert "First name is shorter than 3 characters." in shown
    short.refresh_from_db()
    job.refresh_from_db()
    assert (short.status, job.enabled) == ("valid", False)
    assert long.status == "valid"
    bad = browser_client.post(page, {**sent, "settings-s-least": "x"})
    assert "tried" not in bad.context
    assert "Enter a whole number." in text(bad)


def test_a_whole_changed_processr_is_tried_with_other_scores_and_without_some_jobs(
    browser_client: Client, campaign: Campaign, in_caution: Lead
) -> None:
    page = f"/admin/leads/campaign/{campaign.pk}/processr/try/"
    sent = boxes(browser_client.get(page), "try-all")
    assert browser_client.post(page, sent).context["tried"].differ == 0
    zip_code = Job.objects.get(settings__fields=["zip"])
    without = {name: value for name, value in sent.items() if name != f"on-{zip_code.pk}"}
    [row] = browser_client.post(page, without).context["tried_rows"]
    assert (row["lead_id"], row["no_more"]) == (in_caution.pk, True)
    tried = browser_client.post(page, {**sent, f"score-{zip_code.pk}": "80"}).context["tried"]
    assert tried.would == {"invalid": 1}
    zip_code.refresh_from_db()
    in_caution.refresh_from_db()
    assert (zip_code.score, zip_code.enabled, in_caution.status) == (10, True, "caution")
    assert browser_client.post(page, {"last": "x", f"score-{zip_code.pk}": "-1"}).status_code == 200
