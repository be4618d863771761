"""The Processr as a person works with it: a job is added, configured, previewed and switched on; what it finds waits, and is accepted."""

# ruff: noqa: F811  fixtures are taken by their names

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from integrations.bulk import activity_work
from integrations.judging.arranging import job_add, job_store
from integrations.judging.job_sets import job_sets_forget
from integrations.judging.key_builds import keys_build
from integrations.models import Job
from integrations.processr import leads_process
from leads.models import Activity, Campaign, Lead, User
from portal.roles import roles_write
from tests.admin.conftest import campaign, lead_make  # noqa: F401  the same portal as the admin's own tests have
from tests.browser.conftest import sign_in

PASSWORD = "a-long-password-1"

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def staff(chromium: Any, transactional_db: None) -> User:
    # A database that was emptied after the test before has lost the groups that a migration made.
    roles_write()
    job_sets_forget()
    return User.objects.create_superuser("erin", "erin@example.test", PASSWORD)


def _fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_duplicate_job_from_add_to_a_lead_in_caution_that_is_accepted(
    live_server: Any,
    open_page: Callable[..., Any],
    axe: Callable[..., list[str]],
    staff: User,
    campaign: Campaign,
    lead_make: Callable[..., Lead],
) -> None:
    for name in ("Ada", "Grace"):
        lead_make(values={"firstName": name, "email": f"{name}@example.test".lower()}, processed_at=timezone.now())
    there = job_add(campaign, "required_value")
    there.settings["fields"], there.score, there.enabled = ["email"], 90, True
    job_store(there)
    tab = f"/admin/leads/campaign/{campaign.pk}/processr/quality-assurance/"
    page = open_page()
    sign_in(page, live_server.url, "erin", PASSWORD, tab)

    # Added, by keyboard alone.
    page.locator("#add summary").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'add-q'")
    page.keyboard.type("Enterprise Dup")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/integrations/job/*/change/")
    job = Job.objects.latest("pk")
    assert (job.kind, job.enabled, job.hard_fail) == ("duplicate", False, True)
    assert not page.locator("#label-campaigns").is_visible()

    # Configured: a box that matters shows, the last leads follow what is chosen, and nothing is saved yet.
    page.get_by_label("Compared with leads of").select_option("campaigns")
    page.locator("#label-campaigns").wait_for()
    page.get_by_label("Compared with leads of").select_option("campaign")
    page.get_by_label("Fields, 1").select_option("email")
    page.locator("#preview tbody tr").nth(1).wait_for()
    assert "ada@example.test" in page.locator("#preview").inner_text()
    page.get_by_label("Fields, 2").select_option("firstName")
    page.locator("#preview th", has_text="First name").wait_for()
    page.get_by_label("Fields, 2").select_option("")
    page.wait_for_function("document.querySelectorAll('[data-fields] select').length === 2")
    page.locator("#preview th", has_text="First name").wait_for(state="detached")
    page.locator("#try").click()
    page.locator("#tried", has_text="None of the last 2 leads would have been judged otherwise.").wait_for()
    page.locator("[name=settings-hard_fail]").uncheck(force=True)
    assert axe(page) == []
    page.locator("button[name=do][value=on]").click()
    page.locator("text=is on: leads that come from now on").wait_for()
    job.refresh_from_db()
    assert (job.enabled, job.hard_fail, job.settings["fields"]) == (True, False, ["email"])

    # Moved up in the list, with the focus where it was.
    page.goto(f"{live_server.url}{tab}")
    page.locator(f"#job-{job.pk}-up").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("id => document.querySelector('.pt-jobs > li').id === id", arg=f"job-{job.pk}")
    page.wait_for_function("id => document.activeElement.id === id", arg=f"job-{job.pk}-up")
    assert axe(page) == []

    # The same person comes twice: the second waits.
    keys_build()
    for _ in range(2):
        lead_make(values={"email": "emmy@example.test"}, status="pending")
    leads_process()
    waits = Lead.objects.latest("pk")
    assert (waits.status, waits.held) == ("caution", "caution")
    page.goto(f"{live_server.url}/admin/")
    page.locator(".pt-needs li", has_text="1 lead waits in Caution").get_by_role("link").click()
    page.wait_for_url("**/admin/leads/lead/**")
    page.goto(f"{live_server.url}/admin/leads/lead/{waits.pk}/change/")
    assert "An earlier lead in this campaign has the same E-mail." in page.locator(".pt-time").inner_text()
    assert axe(page) == []
    page.get_by_role("link", name="Accept", exact=True).click()
    page.locator("#go").click()
    page.wait_for_url("**/admin/leads/activity/**")
    activity_work(Activity.objects.latest("pk").pk)
    page.goto(f"{live_server.url}/admin/leads/lead/{waits.pk}/change/")
    page.locator("text=Accepted by erin").wait_for()
    waits.refresh_from_db()
    assert (waits.status, waits.held) == ("valid", "")


@pytest.mark.parametrize("width", [1280, 800])
def test_conditions_are_built_in_place_and_every_page_fits(
    width: int,
    live_server: Any,
    open_page: Callable[..., Any],
    axe: Callable[..., list[str]],
    staff: User,
    campaign: Campaign,
    lead_make: Callable[..., Lead],
) -> None:
    lead_make(values={"country": "Germany"}, processed_at=timezone.now())
    job = job_add(campaign, "conditional")
    here = f"/admin/integrations/job/{job.pk}/change/"
    page = open_page(width=width)
    sign_in(page, live_server.url, "erin", PASSWORD, here)
    condition = page.get_by_role("group", name="Condition 1.1")
    condition.get_by_label("Field").select_option("country")
    condition.get_by_label("Values").fill("Germany; France")
    page.get_by_role("button", name="+ Section").click()
    second = page.get_by_role("group", name="Condition 2.1")
    second.get_by_label("Field").select_option("zip")
    second.get_by_label("How it is compared").select_option("exists")
    assert not second.get_by_label("Values").is_visible()
    page.locator("#preview .pt-badge", has_text="Fails").wait_for()
    page.get_by_label("It holds where").select_option("any")
    page.locator("#preview .pt-badge", has_text="Passes").wait_for()
    assert axe(page) == []
    assert _fits(page)
    page.locator("button[form=configure][value=save]").click()
    page.locator("text=Saved.").wait_for()
    job.refresh_from_db()
    assert [len(each["conditions"]) for each in job.settings["conditions"]["sections"]] == [1, 1]
    campaign_page = f"{live_server.url}/admin/leads/campaign/{campaign.pk}"
    contract = campaign.contracts.get()
    for address in (
        f"{campaign_page}/processr/quality-assurance/", f"{campaign_page}/processr/enrichment/",
        f"{campaign_page}/processr/groups/new/", f"{campaign_page}/processr/try/", f"{campaign_page}/processr/statistics/",
        f"{campaign_page}/publishers/", f"{campaign_page}/publishers/{contract.pk}/caps/",
        f"{live_server.url}/admin/integrations/valuelist/", f"{live_server.url}/admin/integrations/valuelist/add/",
    ):  # fmt: skip
        page.goto(address)
        assert axe(page) == [], address
        assert _fits(page), address
