"""The builder in headless Chromium, by the keyboard alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from leads.models import Audience, User
from tests.audiences.conftest import call, come, days, make_source, members, now_is
from tests.browser.conftest import axe as axe
from tests.browser.conftest import axe_script as axe_script
from tests.browser.conftest import chromium as chromium
from tests.browser.conftest import open_page as open_page
from tests.browser.conftest import sign_in
from tests.browser.conftest import troubles as troubles
from tests.receiving.conftest import server as server

pytestmark = pytest.mark.browser


@pytest.mark.usefixtures("transactional_db")
def test_an_audience_is_built_previewed_and_saved_by_the_keyboard(
    server: str, open_page: Callable[..., Any], axe: Callable[..., list[str]]
) -> None:
    source, now = make_source(), timezone.now()
    come(
        source,
        call(now - days(1), "u1", properties={"total": 80}),
        {"type": "identify", "userId": "u1", "traits": {"plan": "gold"}},
        call(now - days(1), "u2", properties={"total": 20}),
        call(now - days(1), "u3", "Looked", properties={"total": 99}),
    )
    user = User.objects.create_user("erin", "erin@example.test", "a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name="Account manager"))
    page = open_page(width=1280)
    sign_in(page, server, "erin", "a-long-password-1")
    page.goto(f"{server}/admin/leads/campaign/{source.campaign_id}/audiences/")
    page.get_by_role("link", name="New audience").press("Enter")
    page.locator("[name='0-event']").press_sequentially("Order Completed")
    page.locator("[name='0-days']").press_sequentially("30")
    page.get_by_role("button", name="+ where a property is…").press("Enter")
    page.wait_for_selector("[name='0-w0-path']:focus")  # one goes on typing where the new boxes are
    page.keyboard.type("total")
    page.keyboard.press("Tab")
    page.keyboard.type("is more")
    page.keyboard.press("Tab")
    page.keyboard.type("50")
    page.get_by_role("button", name="+ Group").press("Space")
    page.wait_for_selector("[name='1.0-type']:focus")
    page.locator("[name='1.0-event']").press_sequentially("Looked")
    page.get_by_role("button", name="+ Trait").first.press("Enter")
    page.wait_for_selector("[name='1.1-path']:focus")
    page.keyboard.type("plan")
    page.locator("[name='1.1-value']").press_sequentially("gold")
    page.locator("[name='1.1-value']").press("Enter")  # reads the rule back, and saves nothing
    page.wait_for_function("document.querySelector('#rule-words').innerText.includes('“gold”')")
    assert page.inner_text("#rule-words") == (
        "People who did “Order Completed”, where total is more than “50”, in the last 30 days "
        "and (did “Looked” at any time or have a trait plan that is “gold”)."
    )
    page.get_by_role("button", name="Preview").press("Enter")
    page.wait_for_selector("#preview")
    assert page.inner_text("#preview") == "1 person now"
    assert axe(page) == []
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    page.wait_for_selector("[role=alert]")
    assert "Give it a name" in page.inner_text("#builder")
    page.locator("#name").press_sequentially("Gold buyers")
    page.get_by_role("button", name="Save", exact=True).press("Enter")
    page.wait_for_url("**/change/")
    now_is(timezone.now())
    assert members(Audience.objects.get(key="gold_buyers")) == ["u1"]
    page.set_viewport_size({"width": 800, "height": 900})
    page.reload()
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 800
