"""The way from Add to a lead that arrived, on the Configure page: by mouse, by keyboard alone, and as axe sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from integrations.form_diff import form_as_dict
from integrations.kit.contract import RemoteField, RemoteForm
from integrations.models import Integration
from leads.models import Lead, User
from tests.admin.client_instance import API_KEY, ClientInstance, remote_field
from tests.admin.conftest import campaign, integration, lead_make, staff, their_instance  # noqa: F401  fixtures
from tests.browser.conftest import sign_in
from tests.portals.world import Portal, wait_until
from tests.running.portal_process import PortalProcess, connected

pytestmark = pytest.mark.browser

# What the client's form has more than ours, and the other way round.
_THEIRS_TOO = """
from leads.models import *
form = Form.objects.get()
Field.objects.create(form=form, name="postcode", label="Postcode", required=True, position=7)
Field.objects.filter(name="country").update(type="choice", choices=[{"value": "DE", "label": "Germany"}, {"value": "FR", "label": "France"}])
Form.objects.update(version=2)
"""
_OURS_TOO = """
from leads.models import *
form = Form.objects.get()
Field.objects.create(form=form, name="zip", label="Zip code", position=7)
Field.objects.filter(name="country").update(type="choice", choices=[{"value": "DE", "label": "DE"}, {"value": "Frankreich", "label": "Frankreich"}])
Form.objects.update(version=2)
"""
_THEIRS_CHANGED = """
from leads.models import *
Field.objects.create(form=Form.objects.get(), name="jobTitle", label="Job title", required=True, position=8)
Form.objects.update(version=3)
"""


@pytest.fixture
def portals(tmp_path: Path) -> Iterator[tuple[Portal, Portal]]:
    """Ours and the client's, both running, that know how to reach each other and nothing more."""
    # A client's form is looked at every two seconds here, every hour in life.
    env = {"LOG_LEVEL": "WARNING", "DISCOVERY_SECONDS": "2"}
    processes = [PortalProcess(tmp_path / name, env=env) for name in ("ours", "theirs")]
    connected(*processes)
    client, ours = Portal(processes[1], ["The agency"]), Portal(processes[0], ["Northbeam"])
    client.process.manage("shell", "-v0", "-c", _THEIRS_TOO)
    ours.process.manage("shell", "-v0", "-c", _OURS_TOO)
    for process in processes:
        process.start()
    yield ours, client
    for process in processes:
        process.kill()


@pytest.mark.portals
def test_from_add_to_a_lead_that_arrived_and_on_when_the_client_changes_their_form(
    portals: tuple[Portal, Portal], open_page: Callable[..., Any]
) -> None:
    ours, client = portals
    assert ours.post_leads(["ada@example.test"])[201] == 1
    publisher, key = next(iter(client.keys.items()))
    page = open_page()
    add = f"/admin/integrations/integration/add/?campaign={ours.campaign_id}"
    sign_in(page, ours.url, "admin", "a-password-for-tests", add)
    page.fill("[name=name]", "Acme EU")
    page.select_option("[name=connector]", "convertr_connect")
    page.click("text=Add and configure")

    # Each box says what is wrong, and fills the ones below it.
    page.fill("[name=settings-s-subdomain]", "client")
    page.fill("[name=settings-s-api_key]", "not-the-key")
    page.wait_for_selector("#state-api_key :text('refused the API_Key. Copy it again')")
    page.fill("[name=settings-s-api_key]", key)
    page.wait_for_selector("#state-api_key :text('accepted')")
    page.fill("[name=settings-s-campaign_id]", str(client.campaign_id))
    page.wait_for_selector("#state-global_form :text('filled in from the client')")
    page.fill("[name=settings-s-publisher_id]", str(publisher))
    page.wait_for_selector("#state-publisher_id :text('known there')")
    assert page.input_value("[name=settings-s-global_form]") == str(client.form_id)
    assert page.input_value("[name=settings-s-link]") == ""

    # Their form is there, with what became of a real lead, and nothing was saved yet.
    page.wait_for_selector("text=4 client fields · 3 mapped")
    page.wait_for_selector("text=1 required missing")
    email = page.locator(".pt-map-row[data-key='form[email]']")
    assert "ada@example.test" in email.inner_text()
    postcode = page.locator(".pt-map-row[data-key='form[postcode]']")
    postcode.get_by_text("suggested: Zip code").wait_for()
    page.click("text=Accept 1 suggestion")
    page.wait_for_selector("text=Nothing required is missing")
    # Ours has none for this lead; what is typed and is no field of ours can be a fixed value.
    assert postcode.get_by_role("combobox").input_value() == "Zip code · zip"
    postcode.get_by_role("combobox").fill("00000")
    page.keyboard.press("Enter")
    postcode.locator(".pt-map-value:has-text('00000')").wait_for()

    # Values of ours that are none of theirs are matched in a dialog.
    country = page.locator(".pt-map-row[data-key='form[country]']")
    country.locator("text=1 of 2 matched").wait_for()
    country.get_by_role("button", name="Match values").click()
    page.get_by_label("Theirs for Frankreich").select_option("to:FR")
    page.click("text=Use these")
    country.locator("text=2 of 2 matched").wait_for()

    page.click("button:has-text('Preview')")
    dialog = page.locator("dialog[open]")
    dialog.locator("text=Nothing is sent.").wait_for()
    shown = dialog.inner_text()
    assert f"/forms/{client.form_id}/campaign/{client.campaign_id}/leads" in shown
    assert "Bearer ••••" in shown
    assert key not in page.content()
    page.keyboard.press("Escape")
    assert client.leads() == []

    page.click("button:has-text('Send test lead')")
    dialog.get_by_role("button", name="Send test lead").click()
    dialog.locator("text=The client took it").wait_for()
    assert [lead["email"] for lead in client.leads()] == ["ada@example.test"]
    dialog.get_by_role("button", name="Close").click()

    # What was typed is saved by now; switched on, the next lead goes out by itself.
    page.wait_for_selector("text=version 1")
    page.click("text=Switch on")
    page.wait_for_selector("text=Acme EU is on")
    ours.post_leads(["grace@example.test"])
    wait_until(lambda: len(client.leads()) == 2, 20)
    assert key not in page.content()

    # Their form changes: that is found by itself, what it would break waits, and goes out once it is accepted.
    client.process.manage("shell", "-v0", "-c", _THEIRS_CHANGED)
    configure = page.url.partition("/change/")[0]

    def drift_says(words: str) -> bool:
        page.goto(f"{configure}/drift/")
        return bool(page.get_by_text(words).count())

    wait_until(lambda: drift_says("changed “Sign-up”"), 20)
    ours.post_leads(["lin@example.test"])
    wait_until(lambda: drift_says("1 lead waits for you"), 20)
    assert len(client.leads()) == 2
    title = page.locator(".pt-map-row[data-key='form[jobTitle]']")
    title.get_by_role("combobox").fill("Engineer")
    page.keyboard.press("Enter")
    title.locator(".pt-map-value:has-text('Engineer')").wait_for()
    page.click("text=Accept and send")
    wait_until(lambda: len(client.leads()) == 3, 20)


@pytest.fixture
def manager(staff: User, live_server: Any, open_page: Callable[..., Any]) -> Callable[..., Any]:  # noqa: F811
    """A tab in which the account manager stands on the page of an integration."""

    def on(integration: Integration, **look: Any) -> Any:  # noqa: F811
        page = open_page(**look)
        sign_in(page, live_server.url, "erin", "a-long-password-1", address(integration))
        return page

    return on


def address(integration: Integration) -> str:  # noqa: F811
    return f"/admin/integrations/integration/{integration.pk}/change/"


def press(page: Any, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


@pytest.mark.django_db(transaction=True)
def test_all_of_it_by_keyboard_alone(
    manager: Callable[..., Any],
    integration: Integration,  # noqa: F811
    their_instance: ClientInstance,  # noqa: F811
    lead_make: Callable[..., Lead],  # noqa: F811
) -> None:
    lead_make(values={"zip": "N1 9GU"})
    page = manager(integration)
    page.locator("[name=settings-s-subdomain]").focus()
    for typed in ("acme", API_KEY, "204", "31"):
        page.keyboard.type(typed)
        press(page, "Tab")
    page.wait_for_selector("text=4 client fields · 3 mapped")

    focused = "document.activeElement"
    row = page.locator(".pt-map-row[data-key='form[postcode]']")
    row.locator("text=(near name)").wait_for()
    for _ in range(60):
        press(page, "Tab")
        if page.evaluate(f"{focused}.getAttribute('aria-label')") == "Where Postcode comes from":
            break
    assert page.evaluate(f"{focused}.getAttribute('role')") == "combobox"
    outline = page.evaluate(f"getComputedStyle({focused}).outlineStyle")
    assert outline != "none"
    page.keyboard.type("zip")
    assert page.evaluate(f"document.getElementById({focused}.getAttribute('aria-activedescendant')).textContent") == (
        "Zip code · zip"
    )
    press(page, "Enter")
    row.locator(".pt-map-value:has-text('N1 9GU')").wait_for()

    # A transform, with its result beside.
    press(page, "Tab")
    while page.evaluate(f"!{focused}.hasAttribute('data-transforms')"):
        press(page, "Tab")
    press(page, "Enter")
    page.keyboard.type("lower")
    row.locator(".pt-map-value:has-text('n1 9gu')").wait_for()

    # Enter in a closed box saves, all that was typed with it.
    page.locator("[name=settings-s-publisher_id]").focus()
    press(page, "Enter")
    page.wait_for_selector("text=Saved.")
    stored = integration.mappings.get(remote_key="form[postcode]")
    assert (stored.value, stored.transforms) == ("zip", [{"name": "lower"}])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (800, True)])
def test_axe_finds_nothing_serious_and_hostile_words_break_nothing(
    width: int,
    dark: bool,
    manager: Callable[..., Any],
    axe: Callable[..., list[str]],
    integration: Integration,  # noqa: F811
    their_instance: ClientInstance,  # noqa: F811
    lead_make: Callable[..., Lead],  # noqa: F811
) -> None:
    hostile = "<script>alert('x')</script>"
    their_instance.fields.append(
        remote_field(
            "form[evil]",
            hostile + "W" * 10_000,
            required=True,
            type="choice",
            choices=[{"value": hostile, "label": '"><img src=x onerror=alert(1)>' + "M" * 10_000}],
        )
    )
    lead_make(values={"firstName": hostile + "W" * 9_000})
    page = manager(integration, width=width, dark=dark)
    assert axe(page) == []
    for name, value in {"subdomain": "acme", "api_key": API_KEY, "campaign_id": "204", "publisher_id": "31"}.items():
        page.fill(f"[name=settings-s-{name}]", value)
    page.wait_for_selector("#state-publisher_id :text('known there')")
    page.wait_for_selector("text=5 client fields")
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(fits)
    assert axe(page) == []

    for button, ready in (("Preview", "Nothing is sent."), ("Send test lead", "really sent")):
        page.click(f"button:has-text('{button}')")
        page.locator("dialog[open]").locator(f"text={ready}").wait_for()
        assert page.evaluate(fits)
        assert axe(page) == []
        page.locator("dialog[open] [data-close-dialog]").click()
    country = page.locator(".pt-map-row[data-key='form[country]']")
    country.get_by_role("button", name="Match values").click()
    page.locator("#match-values").wait_for()
    assert axe(page) == []
    page.locator("dialog[open] [data-close-dialog]").click()
    page.get_by_role("combobox", name="Where Postcode comes from").click()
    assert axe(page) == []
    page.keyboard.press("Escape")

    # The pages behind it: versions, a change of their form, and what somebody else changed meanwhile.
    page.locator("button[form=configure][value=save]").click()
    page.wait_for_selector("text=Saved.")
    integration.refresh_from_db()
    theirs = {**form_as_dict(RemoteForm((RemoteField("form[new]", hostile + "V" * 9_000, required=True),), hostile))}
    pending = {"form": theirs, "digest": "d", "found_at": timezone.now().isoformat(), "held": False, "reason": "x"}
    Integration.objects.filter(pk=integration.pk).update(pending_form=pending)
    base = page.url.removesuffix("change/")
    for address_of in ("versions/?see=1", "drift/"):
        page.goto(base + address_of)
        assert page.evaluate(fits)
        assert axe(page) == []
    page.click("button:has-text('Preview 0')")
    page.wait_for_selector("text=Required and without a value")
    page.goto(base + "change/")
    Integration.objects.filter(pk=integration.pk).update(settings={**integration.settings, "link": "3"})
    page.locator("button[form=configure][value=save]").click()
    page.wait_for_selector("text=after you opened it")
    assert page.evaluate(fits)
    assert axe(page) == []


@pytest.mark.django_db(transaction=True)
def test_a_client_that_does_not_answer_keeps_nobody_from_working(
    manager: Callable[..., Any],
    integration: Integration,  # noqa: F811
    their_instance: ClientInstance,  # noqa: F811
    settings: Any,
) -> None:
    settings.CONFIGURE_CHECK_SECONDS = 3
    their_instance.silent = True
    page = manager(integration)
    for name, value in {"subdomain": "acme", "api_key": API_KEY, "campaign_id": "204"}.items():
        page.fill(f"[name=settings-s-{name}]", value)
    page.wait_for_selector("#state-subdomain :text('no answer yet')")
    page.fill("[name=settings-s-publisher_id]", "31")
    page.wait_for_selector("#state-subdomain :text('has not answered for 3 seconds. You can save now')")
    assert page.input_value("[name=settings-s-publisher_id]") == "31"
    page.locator("button[form=configure][value=save]").click()
    page.wait_for_selector("text=Saved, unfinished.")
    integration.refresh_from_db()
    assert integration.settings["publisher_id"] == "31"


@pytest.mark.django_db(transaction=True)
def test_a_pasted_list_matches_values_also_those_that_no_lead_has_carried_yet(
    manager: Callable[..., Any],
    integration: Integration,  # noqa: F811
    their_instance: ClientInstance,  # noqa: F811
) -> None:
    page = manager(integration)
    for name, value in {"subdomain": "acme", "api_key": API_KEY, "campaign_id": "204", "publisher_id": "31"}.items():
        page.fill(f"[name=settings-s-{name}]", value)
    page.wait_for_selector("#state-publisher_id :text('known there')")
    page.locator(".pt-map-row[data-key='form[country]']").get_by_role("button", name="Match values").click()
    page.click("text=Paste or upload a list")
    page.fill("#match-csv", 'Germany,DE\n"Deutschland, West",DE\nAtlantis,\nMars,XX')
    page.click("text=Take the list")
    page.wait_for_selector("text=3 taken. Not known here: Mars → XX.")
    page.click("text=Use these")
    page.wait_for_selector("text=2 of 2 matched")
    page.locator("button[form=configure][value=save]").click()
    page.wait_for_selector("text=Saved.")
    stored = integration.mappings.get(remote_key="form[country]")
    assert stored.value_map == {"Germany": "DE", "Deutschland, West": "DE", "Atlantis": ""}
