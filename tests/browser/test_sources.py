"""A source's page and the box that makes events of leads, as a browser shows them; and the demo's site and stand-in."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from demo.convertro import StandIn
from leads.models import Advertiser, Campaign, LeadEvents, Source, User
from leads.tracking import names, sources
from leads.tracking.messages import MAX_MESSAGE_BYTES
from portal.roles import roles_write
from tests.browser.conftest import sign_in
from tests.browser.site import until
from tests.receiving.conftest import server as server
from tests.tracking.conftest import said
from tests.tracking.test_routing import convertro

PASSWORD = "a-long-password-1"
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def source(chromium: Any, transactional_db: None, settings: Any) -> Source:
    # A database that was emptied after the test before has lost the groups that a migration made.
    roles_write()
    settings.CATALOG_MAX_AGE_SECONDS = 0
    sources.forget()
    names.forget()
    User.objects.create_superuser("erin", "erin@example.test", PASSWORD)
    campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
    return Source.objects.create(campaign=campaign, name="Shop")


@pytest.fixture
def signed_in(live_server: Any, open_page: Callable[..., Any]) -> Callable[..., Any]:
    """signed_in("/admin/", width=800) opens an address as an administrator."""

    def open_as(address: str, **given: Any) -> Any:
        page = open_page(**given)
        sign_in(page, live_server.url, "erin", PASSWORD, address)
        return page

    return open_as


def page_of(source: Source) -> str:
    return f"/admin/leads/source/{source.pk}/change/"


def test_events_show_as_they_come_and_test_tells_the_first_after_it_was_pressed(
    signed_in: Callable[..., Any], source: Source
) -> None:
    convertro(source.campaign)
    said(source, {"userId": "u1", "event": "Before"})
    page = signed_in(page_of(source))
    page.locator("[data-live] a", has_text="Before").wait_for()
    # It has asked which event is the newest once it asks for what comes after that one.
    with page.expect_response(lambda answer: "?after=" in answer.url):
        page.locator("[data-test]").click()
    page.locator("[data-test-said]", has_text="Waiting").wait_for()
    said(source, {"userId": "u2", "event": "Signed Up"}, {"userId": "u3", "event": "Later"})
    page.locator("[data-test-said]", has_text="It arrived: Track “Signed Up” from u2").wait_for()
    rows = page.locator("[data-live] tr")
    until(page, lambda: rows.count() == 3, "three rows")
    assert [name.strip() for name in page.locator("[data-live] a").all_inner_texts()] == [
        "Track “Later”",
        "Track “Signed Up”",
        "Track “Before”",
    ]
    assert "Not sent" in rows.nth(0).inner_text()
    assert "No device id" in rows.nth(0).inner_text()

    # By keyboard: an event opens in a dialog, and Escape gives the focus back.
    rows.nth(0).locator("a").focus()
    page.keyboard.press("Enter")
    page.locator("#modal", has_text="Track Later").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("document.activeElement.textContent.includes('Later')")

    page.locator("[data-live-pause]").click()
    said(source, {"userId": "u4", "event": "While paused"})
    # As long as it takes to look twice.
    page.wait_for_timeout(2_000)
    assert rows.count() == 3
    page.locator("[data-live-pause]").click()
    page.locator("[data-live] a", has_text="While paused").wait_for()


@pytest.mark.parametrize("width", [1280, 800])
def test_hostile_events_run_nothing_and_leave_the_page_as_wide_as_it_was(
    signed_in: Callable[..., Any], source: Source, axe: Callable[..., list[str]], width: int
) -> None:
    huge = {f"{HOSTILE}{place}": "x" * 900 for place in range(25)}
    assert sum(len(name) + 900 for name in huge) < MAX_MESSAGE_BYTES
    said(
        source,
        {"userId": HOSTILE, "event": HOSTILE, "properties": huge},
        {"userId": "x" * 3000, "event": "W" * 3000},
        *({"userId": f"u{place}", "event": f"{HOSTILE} {place}"} for place in range(200)),
        {"userId": HOSTILE, "event": HOSTILE, "properties": huge},
    )
    page = signed_in(page_of(source), width=width)
    until(page, lambda: page.locator("[data-live] tr").count() == 50, "fifty rows")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert axe(page) == []
    page.locator("[data-live] a").first.click()
    page.locator("#modal pre").wait_for()
    assert HOSTILE in page.locator("#modal").inner_text()
    assert page.evaluate("document.querySelectorAll('#modal img, [data-live] img, #modal script').length") == 0
    assert axe(page) == []


@pytest.mark.parametrize("width", [1280, 800])
def test_leads_as_events_are_switched_on_by_keyboard(
    signed_in: Callable[..., Any], source: Source, axe: Callable[..., list[str]], width: int
) -> None:
    page = signed_in(f"/admin/leads/campaign/{source.campaign_id}/sources/", width=width)
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.get_by_label("Lead Validated").focus()
    page.keyboard.press("Space")
    page.get_by_label("Worth of a valid lead").fill("40")
    page.get_by_label("Currency").fill("gbp")
    page.keyboard.press("Enter")
    page.locator("text=Leads as events: Lead Validated, of Shop.").wait_for()
    rule = LeadEvents.objects.get()
    assert (rule.valid, rule.returned, str(rule.revenue), rule.currency) == (True, False, "40.00", "GBP")
    assert page.get_by_label("Lead Validated").is_checked()


@pytest.fixture
def stand_in(server: str, source: Source) -> Iterator[str]:
    """The demo's stand-in for Convertro, whose site is tracked by this portal."""
    listening = socket.create_server(("127.0.0.1", 0))
    told = {"portal": server, "write_key": source.write_key, "lead_url": f"{server}/nowhere"}
    made = StandIn(listening, told)
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()


def test_what_is_clicked_on_the_demos_site_shows_in_words_and_can_be_emptied(
    open_page: Callable[..., Any], source: Source, stand_in: str, axe: Callable[..., list[str]]
) -> None:
    mapped = {
        "account": "acme",
        "clientName": "acme",
        "domain": "acme.example",
        "siteId": "7",
        "events": {"Signed Up": "signup"},
    }
    convertro(source.campaign, settings=mapped)
    page = open_page(width=800)
    page.goto(f"{stand_in}/site")
    page.wait_for_function("analytics.initialized")
    assert axe(page) == []
    page.get_by_role("button", name="Sign up").click()
    page.get_by_role("button", name="Order completed", exact=True).click()
    page.get_by_role("button", name="Something else").click()
    sent = page.locator("[data-received]")
    sent.get_by_text("“signup”.").wait_for()
    sent.get_by_text("“sale.new” with order id o-").wait_for()
    sent.get_by_text("This visitor is the user u-").wait_for()
    assert sent.locator("li").count() == 3
    got = requests.get(f"{stand_in}/received", timeout=10).json()
    assert sorted(one["path"] for one in got) == ["/page/trackEvent", "/page/trackEvent", "/page/trackUser"]

    page.goto(stand_in)
    page.locator("[data-count]", has_text="3 calls").wait_for()
    assert axe(page) == []
    page.get_by_role("button", name="Empty it").click()
    page.get_by_text("Nothing yet.").wait_for()
    assert requests.get(f"{stand_in}/received", timeout=10).json() == []
