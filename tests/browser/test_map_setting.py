"""A map of own names to theirs on the Configure page: two columns, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from integrations.models import Integration
from leads.models import Campaign, User
from tests.admin.conftest import campaign, staff  # noqa: F401  fixtures
from tests.browser.conftest import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1280, 800])
def test_rows_are_added_changed_and_removed(
    width: int,
    live_server: Any,
    staff: User,  # noqa: F811
    campaign: Campaign,  # noqa: F811
    open_page: Callable[..., Any],
    axe: Callable[..., list[str]],
) -> None:
    made = Integration.objects.create(
        campaign=campaign,
        name="Convertro",
        connector="convertro",
        settings={
            "account": "baublebar",
            "events": [{"key": "Signed Up", "value": "registration"}, {"key": "B", "value": "b"}],
        },
    )
    page = open_page(width=width)
    here = f"/admin/integrations/integration/{made.pk}/change/"
    sign_in(page, live_server.url, "erin", "a-long-password-1", here)
    assert not page.locator("textarea[name=settings-s-events]").is_visible()
    page.get_by_label("Events, row 1: Convertro’s event").fill("signup")
    page.get_by_role("button", name="Events: remove row 2").click()
    page.get_by_role("button", name="Add row").focus()
    for key in ("Enter", "<script>", "Tab", "a=b", "Tab"):
        page.keyboard.press(key) if key in ("Enter", "Tab") else page.keyboard.type(key)
    assert axe(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("button[form=configure][value=save]").click()
    page.wait_for_selector("text=Saved.")
    made.refresh_from_db()
    assert made.settings["events"] == [{"key": "Signed Up", "value": "signup"}, {"key": "<script>", "value": "a=b"}]
    assert page.get_by_label("Events, row 2: Your event").input_value() == "<script>"
