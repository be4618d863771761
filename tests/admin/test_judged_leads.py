"""What the console says of leads that jobs judged: on the lead, while a job is configured, and of publishers' caps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from integrations.arranging import job_add, job_store
from integrations.job_sets import job_sets_forget
from integrations.models import Job
from integrations.processr import leads_process
from leads.models import Campaign, CampaignPublisher, Lead, User
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
    assert "Length: firstName" in shown
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
    long, short = lead_make(values={"firstName": "Adalbert"}), lead_make(values={"firstName": "Al"})
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
    lead_make(values={"firstName": "ada"})
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
