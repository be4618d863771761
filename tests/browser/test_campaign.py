"""The campaign's page, Add, Tracking Information, home and the publishers' own pages, as a browser shows them."""

# ruff: noqa: F811  fixtures are taken by their names

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from integrations.models import Delivery, Integration
from leads.models import Campaign, Lead, Link, Publisher, User
from portal.roles import roles_write
from tests.admin.client_instance import ClientInstance
from tests.admin.conftest import (  # noqa: F401  the same portal as the admin's own tests have
    campaign,
    delivery_make,
    integration,
    lead_make,
    switched_on,
    their_instance,
)
from tests.browser.conftest import sign_in

PASSWORD = "a-long-password-1"

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def staff(chromium: Any, transactional_db: None) -> User:
    # A database that was emptied after the test before has lost the groups that a migration made.
    roles_write()
    return User.objects.create_superuser("erin", "erin@example.test", PASSWORD)


@pytest.fixture
def signed_in(live_server: Any, open_page: Callable[..., Any]) -> Callable[..., Any]:
    """signed_in("erin", "/admin/") opens an address as a person."""

    def open_as(username: str, address: str) -> Any:
        page = open_page()
        sign_in(page, live_server.url, username, PASSWORD, address)
        return page

    return open_as


def test_the_box_under_add_filters_as_one_types_and_enter_takes_the_first_by_keyboard_alone(
    signed_in: Callable[..., Any], staff: User, campaign: Campaign
) -> None:
    page = signed_in("erin", f"/admin/leads/campaign/{campaign.pk}/processr/")
    page.locator("#add summary").focus()
    page.keyboard.press("Enter")
    entries = page.locator("#add-offers .pt-offers button")
    page.wait_for_function("document.activeElement.id === 'add-q'")

    page.keyboard.type("nothing like it")
    page.locator("#add-offers", has_text="Nothing is called").wait_for()
    page.keyboard.press("Control+A")
    page.keyboard.type("conv")
    entries.first.wait_for()
    assert "Convertr Connect" in entries.first.inner_text()

    page.keyboard.press("Escape")
    assert not page.locator("#add-q").is_visible()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"

    page.keyboard.press("Enter")
    page.keyboard.type("Enterprise to Enterprise")
    # Enter at once, before the list has followed what was typed.
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/integrations/integration/*/change/")
    made = Integration.objects.get(campaign=campaign)
    assert (made.name, made.connector) == ("Convertr Connect", "convertr_connect")


def test_an_integration_is_paused_and_resumed_in_its_row_and_the_focus_stays_where_it_was(
    signed_in: Callable[..., Any], staff: User, switched_on: Integration
) -> None:
    page = signed_in("erin", f"/admin/leads/campaign/{switched_on.campaign_id}/processr/")
    page.locator("button", has_text="Pause").focus()
    page.keyboard.press("Enter")
    page.locator(".pt-job-said", has_text="leads wait").wait_for()
    assert page.locator(".pt-job .pt-badge").inner_text().endswith("Paused")
    # The focus comes back when the row has settled, a moment after its words are there.
    page.wait_for_function("id => document.activeElement.id === id", arg=f"job-{switched_on.pk}-switch")
    switched_on.refresh_from_db()
    assert switched_on.state == "paused"


def test_tracking_information_opens_over_the_campaign_makes_a_key_once_and_escape_closes_it(
    signed_in: Callable[..., Any], staff: User, campaign: Campaign
) -> None:
    page = signed_in("erin", f"/admin/leads/campaign/{campaign.pk}/change/")
    opener = page.locator("a[data-modal]").first
    opener.focus()
    page.keyboard.press("Enter")
    page.locator("#modal", has_text="Publisher ID").wait_for()
    page.click("text=Make a key")
    page.locator("#cred-key").wait_for()
    key = page.locator("#cred-key").inner_text()
    assert key in page.locator("#cred-curl").inner_text()

    # An answer that comes late is not put over what was asked for since.
    late: list[Any] = []
    page.route("**/*tab=tracking*", lambda route: late.append(route))
    with page.expect_request("**/*tab=tracking*"):
        page.click("#modal >> text=Tracking >> nth=1")
    page.click("#modal nav >> text=API Credentials")
    page.locator("text=Rotate key").first.wait_for()
    late.pop().continue_()
    page.wait_for_load_state("networkidle")
    assert page.locator("text=Rotate key").first.is_visible()
    assert key not in page.content()
    assert key[-4:] in page.locator("#modal").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("#modal").is_visible()
    assert opener.evaluate("element => element === document.activeElement")


def test_without_javascript_add_tracking_and_the_menus_are_plain_pages(
    live_server: Any, open_page: Callable[..., Any], staff: User, campaign: Campaign
) -> None:
    page = open_page(java_script_enabled=False)
    sign_in(page, live_server.url, "erin", PASSWORD, f"/admin/leads/campaign/{campaign.pk}/processr/")
    page.click("#add summary")
    page.fill("#add-q", "no such thing")
    page.keyboard.press("Enter")
    page.locator("text=Nothing is called").wait_for()
    page.fill("#find", "enterprise")
    page.click("button:has-text('Find')")
    page.click(".pt-offers button")
    page.wait_for_url("**/admin/integrations/integration/*/change/")
    page.goto(f"{live_server.url}/admin/leads/campaign/{campaign.pk}/change/")
    page.click("a[data-modal]")
    page.wait_for_url("**/tracking/")
    page.locator("text=API Credentials").wait_for()


@pytest.fixture
def busy_campaign(
    staff: User,
    campaign: Campaign,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
    their_instance: ClientInstance,
) -> Campaign:
    """One with something of everything, and with words that nobody should have to see unescaped or in full."""
    evil = "<script>alert('x')</script>" + "W" * 9_000
    Link.objects.create(campaign=campaign, name="Newsletter", channel="Email")
    for state in ("held", "exhausted", "unknown", "refused"):
        delivery_make(lead_make(), state=state, reason=evil)
    lead = lead_make(values={"firstName": "W" * 10_000, "email": "ada@example.test"})
    made = delivery_make(lead, state="delivered", delivered_at=lead.created_at)
    Delivery.objects.filter(pk=made.pk).update(
        verdict="invalid", reason_code=evil[:200], decided_at=made.delivered_at, delivered_at=made.delivered_at
    )
    Integration.objects.create(campaign=campaign, name="W" * 190, connector="convertr_connect")
    Integration.objects.create(
        campaign=campaign, name="Look", connector="convertr_connect", state="needs_a_look", state_reason=evil
    )
    Publisher.objects.create(name="Other publisher")
    return campaign


def test_no_page_runs_off_the_screen_or_has_a_serious_finding_light_and_dark(
    signed_in: Callable[..., Any], live_server: Any, busy_campaign: Campaign, axe: Callable[[Any], list[str]]
) -> None:
    one = f"/admin/leads/campaign/{busy_campaign.pk}"
    pages = [
        "/admin/",
        f"{one}/change/",
        f"{one}/processr/",
        f"{one}/processr/enrichment/",
        f"{one}/processr/integrations/add/",
        f"{one}/leads/",
        f"{one}/form/",
        f"{one}/publishers/",
        f"{one}/tracking/",
        f"{one}/tracking/?tab=tracking",
        f"{one}/history/",
    ]
    page = signed_in("erin", "/admin/")
    findings = []
    for width, scheme in ((1280, "light"), (800, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for address in pages:
            page.goto(live_server.url + address)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (address, width)
            findings += [f"{address} {scheme} {found}" for found in axe(page)]
    page.goto(live_server.url + f"{one}/processr/")
    page.click("#add summary")
    findings += [f"add box {found}" for found in axe(page)]
    page.keyboard.press("Escape")
    page.click("text=Tracking")
    page.locator("#modal", has_text="Publisher ID").wait_for()
    findings += [f"dialog {found}" for found in axe(page)]
    assert findings == []


def test_a_publishers_user_signs_in_sees_its_campaigns_and_gets_the_credentials(
    signed_in: Callable[..., Any], live_server: Any, busy_campaign: Campaign, axe: Callable[[Any], list[str]]
) -> None:
    User.objects.create_user("pat", password=PASSWORD, publisher=Publisher.objects.get(name="Northbeam"))
    page = signed_in("pat", "/publisher/")
    findings = []
    for width, scheme in ((1280, "light"), (800, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{live_server.url}/publisher/")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        findings += axe(page)
        page.click("table >> text=Tracking")
        page.locator("#modal", has_text="Campaign ID").wait_for()
        findings += axe(page)
        page.click("#modal >> text=Close")
    assert findings == []
    page.click("text=Sign out")
    page.wait_for_url("**/admin/login/")
