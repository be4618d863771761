"""Leads in the browser: a bulk flag that reaches the other portal, an import with bad rows, keys alone, and as axe sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from integrations.bulk import activity_work
from integrations.models import Delivery, Integration
from leads.models import Activity, ActivityItem, Campaign, ImportFile, Lead, ReasonCode, User
from tests.admin.conftest import (  # noqa: F401  fixtures
    campaign,
    delivery_make,
    integration,
    lead_make,
    staff,
    switched_on,
)
from tests.browser.conftest import sign_in
from tests.portals.world import Portal, wait_until
from tests.running.portal_process import PortalProcess, connected

pytestmark = pytest.mark.browser

PASSWORD = "a-password-for-tests"
LIST = "/admin/leads/lead/"
_REASON = 'from leads.models import ReasonCode; ReasonCode.objects.create(flag="invalid", code="wrong-country")'
EVIL = "<script>alert('x')</script>" + "W" * 9_000


@pytest.fixture
def portals(tmp_path: Path) -> Iterator[tuple[Portal, Portal]]:
    """Ours and the client's, connected and running."""
    processes = [PortalProcess(tmp_path / name, env={"LOG_LEVEL": "WARNING"}) for name in ("ours", "theirs")]
    connected(*processes)
    client, ours = Portal(processes[1], ["The agency"]), Portal(processes[0], ["Northbeam"])
    client.process.manage("shell", "-v0", "-c", _REASON)
    processes[1].start()
    ours.connect_to(client, "client")
    processes[0].start()
    yield ours, client
    for process in processes:
        process.kill()


@pytest.mark.portals
def test_a_bulk_flag_over_all_that_match_reaches_the_other_portal(
    portals: tuple[Portal, Portal], open_page: Callable[..., Any]
) -> None:
    ours, client = portals
    emails = [f"lead{number}@example.test" for number in range(60)]
    assert ours.post_leads(emails)[201] == 60
    wait_until(lambda: len(client.leads()) == 60, 60)

    page = open_page()
    sign_in(page, client.url, "admin", PASSWORD, LIST)
    page.check("#action-toggle")
    page.click("text=Select all 60 leads")
    page.select_option("select[name=action]", "flag")
    page.click("button:text('Run')")
    page.wait_for_selector("h2:text('Flag: 60 leads')")
    page.wait_for_selector("text=Choose a flag")
    page.get_by_label("Invalid").check()
    page.wait_for_selector("#dry-run :text('60 leads would be flagged.')")
    page.select_option("[name=reason_code]", "wrong-country")
    page.fill("[name=comment]", "Outside <b>our</b> countries")
    page.click("#go")
    page.wait_for_url("**/admin/leads/activity/*/change/")
    # The page follows by itself, and stops when it is done.
    page.wait_for_selector("#progress:not([hx-trigger]) :text('Of 60 leads: 60 done.')")
    wait_until(lambda: ours.flags()["lead7@example.test"][0] == "invalid", 60)
    told = ("invalid", "wrong-country", "Outside <b>our</b> countries")
    wait_until(lambda: set(ours.flags().values()) == {told}, 60)

    # It is found again, and our lead's page tells where its flag came from.
    page.goto(f"{client.url}/admin/leads/activity/")
    page.click("text=Flag invalid (wrong-country)")
    page.wait_for_selector("text=Of 60 leads: 60 done.")
    sender = open_page()
    sign_in(sender, ours.url, "admin", PASSWORD, f"{LIST}?q=lead7@example.test")
    sender.click("#result_list th a, #result_list td.field-number a")
    sender.wait_for_selector("text=Flagged Invalid by the client’s verdict")
    sender.wait_for_selector("text=Reason: wrong-country")


@pytest.mark.portals
def test_an_import_with_bad_rows_is_mended_and_uploaded_again(
    portals: tuple[Portal, Portal], open_page: Callable[..., Any], tmp_path: Path
) -> None:
    ours, client = portals
    file = tmp_path / "june.csv"
    rows = [f"Ada,ada{number}@example.test,DE" for number in range(20)]
    rows[4], rows[11] = "Ada,nonsense,DE", "Ada,,DE"
    file.write_text("\n".join(["Given,Mail,Country", *rows, ""]))
    page = open_page(accept_downloads=True)
    sign_in(page, ours.url, "admin", PASSWORD, LIST)
    page.click("text=Import…")
    page.select_option("[name=campaign]", label="Spring webinar (Acme)")
    page.set_input_files("[name=file]", file)
    page.click("button:text('Upload')")

    # What was chosen stays when something is missing.
    page.get_by_label("Given").select_option("firstName")
    page.click("#check")
    page.wait_for_selector("text=Email is required, and no column is mapped to it.")
    assert page.get_by_label("Given").input_value() == "firstName"
    page.get_by_label("Mail").select_option("email")
    page.click("#check")
    page.wait_for_selector("text=18 rows can be taken in, 2 can’t. Nothing is taken in yet.")
    page.wait_for_selector("tr:has-text('Row 6'):has-text('Column B (Email)'):has-text('nonsense')")
    assert ours.leads() == []

    with page.expect_download() as download:
        page.click("text=Download failed rows")
    mended = tmp_path / "mended.csv"
    mended.write_text(
        download.value.path()
        .read_text("utf-8-sig")
        .replace("nonsense", "ada4@example.test")
        .replace(",,", ",ada11@example.test,")
    )
    page.check("[name=lawful_basis]")
    page.click("#take")
    page.wait_for_selector("#progress:not([hx-trigger]) :text('Of 20 rows: 18 done, 2 failed.')")

    page.click("text=Upload again")
    page.set_input_files("[name=file]", mended)
    page.click("button:text('Upload')")
    # The mapping of last time is offered.
    assert page.get_by_label("Mail").input_value() == "email"
    page.click("#check")
    page.wait_for_selector("text=2 rows can be taken in")
    page.check("[name=lawful_basis]")
    page.click("#take")
    page.wait_for_selector("#progress:not([hx-trigger]) :text('Of 2 rows: 2 done.')")
    wait_until(lambda: len(client.leads()) == 20, 60)


@pytest.fixture
def console(
    staff: User,  # noqa: F811
    campaign: Campaign,  # noqa: F811
    lead_make: Callable[..., Lead],  # noqa: F811
    delivery_make: Callable[..., Delivery],  # noqa: F811
    switched_on: Integration,  # noqa: F811
) -> list[str]:
    """Addresses of all pages of leads and deliveries, filled with what is long and hostile."""
    ReasonCode.objects.create(flag="invalid", code="wrong-country", label=EVIL[:200])
    lead = lead_make(values={"firstName": EVIL, "notes": EVIL})
    held = delivery_make(lead, state="held", reason=EVIL)
    delivery_make(lead_make(), state="delivered", verdict="invalid", reason_code=EVIL[:200], decided_at=timezone.now())
    busy = Activity.objects.create(
        kind="flag", params={"flag": "invalid", "reason_code": EVIL[:200], "comment": EVIL}, by="erin", token="a",
        state="running", total=4, done=1, failed=1, skipped=1, to_do=4, started_at=timezone.now(),
    )  # fmt: skip
    ready = Activity.objects.create(
        kind="import", params={"name": EVIL[:200], "file": 1}, by="erin", token="b", state="ready", total=2, failed=1,
        campaign=campaign,
    )  # fmt: skip
    for place, (activity, state) in enumerate(
        [(busy, "failed"), (busy, "skipped"), (busy, "done"), (busy, "waiting"), (ready, "failed"), (ready, "waiting")]
    ):
        ActivityItem.objects.create(
            activity=activity, subject=place, lead=lead, state=state, words=f"Column A ({EVIL}): no.",
            data={"cells": [EVIL]},
        )  # fmt: skip
    file = ImportFile.objects.create(
        campaign=campaign, name=EVIL[:200], size=1, digest="d", format="csv", encoding="utf-8", delimiter=",",
        columns=[EVIL[:200], "E-mail"],
    )  # fmt: skip
    return [
        LIST,
        f"{LIST}?status__exact=valid&reason_code={'W' * 150}",
        f"{LIST}{lead.pk}/change/",
        f"{LIST}bulk/flag/?all=1&flag=invalid",
        f"{LIST}bulk/deliver/?all=1",
        f"{LIST}bulk/mark_delivered/?ids={lead.pk}",
        f"{LIST}bulk/export/?all=1",
        f"{LIST}bulk/erase/?ids={lead.pk}",
        f"{LIST}import/",
        f"{LIST}import/{file.pk}/",
        "/admin/leads/activity/",
        f"/admin/leads/activity/{busy.pk}/change/",
        f"/admin/leads/activity/{ready.pk}/change/",
        "/admin/integrations/delivery/",
        f"/admin/integrations/delivery/{held.pk}/change/",
        "/admin/integrations/delivery/bulk/release/?all=1",
        "/admin/leads/reasoncode/",
        f"/admin/integrations/reasontranslation/of/{switched_on.pk}/",
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (800, True)])
def test_no_page_of_leads_runs_off_the_screen_and_axe_finds_nothing_serious(
    width: int,
    dark: bool,
    console: list[str],
    live_server: Any,
    open_page: Callable[..., Any],
    axe: Callable[..., list[str]],
) -> None:
    page = open_page(width=width, dark=dark)
    sign_in(page, live_server.url, "erin", "a-long-password-1")
    found = []
    for address in console:
        answer = page.goto(live_server.url + address)
        assert answer.status == 200, address
        found += [f"{address}: {words}" for words in axe(page)]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            found.append(f"{address}: wider than {width}")
    assert found == []


@pytest.mark.django_db(transaction=True)
def test_keys_alone_filter_the_list_flag_a_lead_and_watch_it(
    staff: User,  # noqa: F811
    lead_make: Callable[..., Lead],  # noqa: F811
    live_server: Any,
    open_page: Callable[..., Any],
) -> None:
    lead = lead_make()
    page = open_page()
    sign_in(page, live_server.url, "erin", "a-long-password-1", LIST)

    def tab_to(what: str) -> None:
        for _ in range(80):
            if page.evaluate("(what) => document.activeElement.matches(what)", what):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"Tab never comes to {what}")

    tab_to("a[role=button]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#changelist-filter >> visible=true")
    page.keyboard.press("Escape")
    tab_to(f"input.action-select[value='{lead.pk}']")
    page.keyboard.press("Space")
    page.wait_for_selector("select[name=action] >> visible=true")
    page.focus("select[name=action]")
    page.keyboard.type("Flag")
    tab_to("button[name=index]")
    page.keyboard.press("Enter")
    page.wait_for_selector("h2:text('Flag: 1 lead')")
    tab_to("[name=flag]")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#dry-run :text('1 lead would be flagged.')")
    tab_to("[name=comment]")
    page.keyboard.type("By keys")
    tab_to("#go")
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/leads/activity/*/change/")
    activity_work(Activity.objects.get().pk)
    page.wait_for_selector("text=Of 1 lead: 1 done.")
    assert page.locator("#activity-said").inner_text() == "Of 1 lead: 1 done."
    lead.refresh_from_db()
    assert lead.comment == "By keys"
