"""A publisher's page, walked: a link is made in the console, opened by somebody without an account, and shows what is theirs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from integrations.dispatch import integration_deliver
from integrations.models import Integration
from integrations.processr import leads_process
from leads import catalog
from leads.access import api_key_issue
from leads.models import Flag, Lead, Subscription, User
from leads.outbox import outbox_forget
from leads.partner_keys import key_issue
from leads.status import FlagChange, leads_flag
from leads.tracking_information import KEY_PLACE, PARTNER_KEY_PLACE
from portal.roles import roles_write
from tests.browser.conftest import sign_in
from tests.engine.test_webhooks import Receiver
from tests.hooks.test_subscriptions import take_in
from tests.receiving.conftest import Instance
from tests.receiving.conftest import instance as instance
from tests.receiving.conftest import server as server

PASSWORD = "a-long-password-1"
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    found = Receiver()
    settings.CONNECTOR_PRIVATE_HOSTS = [found.host]
    yield found
    found.close()


@pytest.fixture
def portal(chromium: Any, server: str, instance: Instance, settings: Any) -> str:
    """The receiving instance behind its real server, with an account manager and somebody of the publisher's."""
    roles_write()
    settings.INSTANCE_URL = server
    settings.CATALOG_MAX_AGE_SECONDS = 0
    catalog.forget()
    outbox_forget()
    User.objects.create_superuser("erin", "erin@example.test", PASSWORD)
    User.objects.create_user("rae", password=PASSWORD, publisher=instance.publisher)
    return server


def pasted(line: str) -> Any:
    """What a curl line answers when it is pasted into a shell."""
    done = subprocess.run(["bash", "-c", f"{line} -s"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_from_the_account_manager_s_link_to_a_signed_test(
    portal: str, instance: Instance, receiver: Receiver, open_page: Callable[..., Any], axe: Callable[..., list[str]]
) -> None:
    console = open_page()
    sign_in(console, portal, "erin", PASSWORD, f"/admin/leads/publisher/{instance.publisher.pk}/links/")
    console.fill("[name=name]", "Their agency")
    console.get_by_role("button", name="Make the link").click()
    address = console.locator("code[id^=link-]").inner_text()
    assert axe(console) == []

    # Somebody of the publisher's, with an account, adds a webhook by keyboard.
    rae = open_page()
    sign_in(rae, portal, "rae", PASSWORD, "/publisher/")
    rae.goto(f"{portal}/publisher/webhooks/")
    rae.get_by_label("URL").fill(f"http://{receiver.host}/in")
    rae.keyboard.press("Enter")
    receiver.secret = rae.locator("#the-secret").inner_text()
    assert axe(rae) == []

    # A lead is posted with the lines of the page, as they are, but for the keys.
    visitor = open_page(width=800)
    visitor.goto(address)
    visitor.get_by_text("Opened by a link").wait_for()
    assert axe(visitor) == []
    visitor.get_by_role("link", name="Spring", exact=True).click()
    visitor.get_by_role("heading", name="Form: Whitepaper").wait_for()
    curl = visitor.locator("[id$=-curl]").inner_text()
    key = api_key_issue(publisher=instance.publisher)
    assert pasted(curl.replace(KEY_PLACE, key))["status"] == 201
    partner_key = key_issue(name="CRM", scopes=["leads:write"], made_by="erin", publisher=instance.publisher).secret
    made = pasted(visitor.locator("[id$=-partner]").inner_text().replace(PARTNER_KEY_PLACE, partner_key))
    assert made["id"] == Lead.objects.latest("pk").pk
    assert set(Lead.objects.values_list("status", flat=True)) == {"test"}
    real = take_in(instance.campaign, instance.publisher)
    leads_process()
    leads_flag({real: FlagChange(Flag.INVALID, "DUP", "Known to the client")})

    visitor.reload()
    rows = visitor.locator(".pt-own-results tbody tr")
    assert rows.count() == 3
    assert "Rejected" in rows.first.inner_text()
    assert "DUP: Known to the client" in rows.first.inner_text()
    today = dict(
        zip(
            visitor.locator(".pt-own-today dt").all_inner_texts(),
            visitor.locator(".pt-own-today dd").all_inner_texts(),
            strict=True,
        )
    )
    assert (today["Leads"], today["Rejected"], today["Test"]) == ("1", "1", "2")
    assert axe(visitor) == []
    # Nothing runs out of the page at this width.
    assert visitor.evaluate("document.documentElement.scrollWidth") <= 800

    visitor.get_by_role("link", name="Webhooks").click()
    visitor.get_by_role("button", name="Send a signed test").click()
    visitor.get_by_text("A signed test is on its way").wait_for()
    integration_deliver(Integration.objects.get(subscription=Subscription.objects.get()).pk)
    visitor.reload()
    visitor.locator("li", has_text="webhook.test").get_by_text("Arrived").wait_for()
    assert [message.json["type"] for message in receiver.seen] == ["webhook.test"]
    assert axe(visitor) == []

    # Taken back, it opens nothing any more, also where it is open.
    console.get_by_role("button", name="Take back").click()
    console.get_by_text("opens nothing any more").wait_for()
    assert requests.get(address, timeout=20).status_code == 404
