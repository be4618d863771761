"""What only a browser shows: the way from Add to a mapping, and that nothing runs off the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integrations.models import Delivery, Integration
from leads.models import Campaign, Lead, User
from tests.admin.client_instance import API_KEY, ClientInstance, remote_field

CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no /usr/bin/chromium on this machine"),
    pytest.mark.django_db(transaction=True),
]


def _is_trouble(said: Any) -> bool:
    # htmx says so of a check that a newer one took the place of.
    return said.type == "error" and said.text not in ("htmx:sendAbort", "htmx:afterRequest")


def test_from_add_to_a_saved_mapping_at_two_widths_and_in_the_dark(
    live_server: Any,
    staff: User,
    campaign: Campaign,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
    their_instance: ClientInstance,
) -> None:
    their_instance.fields.append(remote_field("form[evil]", "<script>alert('x')</script>" + "W" * 9_000))
    lead = lead_make(values={"firstName": "W" * 10_000, "notes": "x" * 10_000})
    delivery = delivery_make(lead, state="refused", reason="r" * 10_000)
    troubles: list[str] = []
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage"])
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.on("console", lambda said: troubles.append(said.text) if _is_trouble(said) else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))

        page.goto(f"{live_server.url}/admin/login/?next=/admin/integrations/integration/add/?campaign={campaign.pk}")
        page.fill("[name=username]", "erin")
        page.fill("[name=password]", "a-long-password-1")
        page.click("button[type=submit]")
        page.fill("[name=name]", "Acme UK")
        page.select_option("[name=connector]", "convertr_connect")
        page.click("text=Add and configure")
        for name, value in {
            "subdomain": "acme",
            "api_key": API_KEY,
            "campaign_id": "204",
            "publisher_id": "31",
        }.items():
            page.fill(f"[name='settings-s-{name}']", value)
        page.wait_for_selector("text=5 client fields · 3 mapped")
        page.locator("button[form=configure][value=save]").click()
        page.wait_for_selector("text=Saved.")
        assert API_KEY not in page.content()

        postcode = page.locator(".pt-map-row", has_text="Postcode")
        text_box = postcode.locator("input[name$='-text']")
        assert not text_box.is_visible()
        postcode.get_by_role("combobox").click()
        postcode.get_by_role("option", name="Template…").click()
        text_box.fill("{{ zip }}-x")
        page.click("[data-add-extra]")
        page.fill("[name='new-0-remote_key']", "form[utm]")
        page.locator("[data-extra-row]").get_by_role("combobox").fill("portal")
        page.keyboard.press("Enter")
        page.locator("[name='new-0-remote_key']").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Nothing required is missing")

        pages = [
            page.url.removeprefix(live_server.url),
            "/admin/",
            "/admin/leads/lead/",
            f"/admin/leads/lead/{lead.pk}/change/",
            f"/admin/integrations/delivery/{delivery.pk}/change/",
            f"/admin/leads/campaign/{campaign.pk}/change/",
        ]
        for width, scheme in ((1280, "light"), (800, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            for address in pages:
                page.goto(live_server.url + address)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (address, width)
        browser.close()

    assert troubles == []
    made = Integration.objects.get(name="Acme UK")
    assert made.mappings.get(remote_key="form[postcode]").value == "{{ zip }}-x"
    assert made.mappings.get(remote_key="form[utm]").value == "portal"
