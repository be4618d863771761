"""Tracking Information, for staff and for a publisher's own people, and the publishers' own pages."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from leads.access import api_key_issue, tokens_for_api_key
from leads.models import Advertiser, Campaign, CampaignPublisher, Field, Form, Lead, Link, Publisher, User
from leads.tracking_information import curl, sample
from tests.admin.pages import text
from tests.running.portal_process import PortalProcess


@pytest.fixture
def publisher(campaign: Campaign) -> Publisher:
    return Publisher.objects.get(name="Northbeam")


@pytest.fixture
def pat(publisher: Publisher) -> User:
    return User.objects.create_user("pat", password="a-long-password-1", publisher=publisher)


@pytest.fixture
def pats_browser(client: Client, pat: User) -> Client:
    client.force_login(pat)
    return client


def _tracking(campaign: Campaign) -> str:
    return f"/admin/leads/campaign/{campaign.pk}/tracking/"


def test_the_credentials_name_the_ids_and_the_four_endpoints_each_with_a_copy_button(
    browser_client: Client, campaign: Campaign, publisher: Publisher, settings: Any
) -> None:
    settings.INSTANCE_URL = "https://portal.example"
    response = browser_client.get(_tracking(campaign))
    form = campaign.forms.get()
    assert [(each.method, each.url) for each in response.context["endpoints"]] == [
        ("GET", "https://portal.example/oauth/v2/token"),
        ("GET", f"https://portal.example/api/v2.4/publisher/fields/{campaign.pk}"),
        ("GET", f"https://portal.example/api/v2.4/publisher/links/{campaign.pk}"),
        (
            "POST",
            f"https://portal.example/api/v2.4/publisher/{publisher.pk}/forms/{form.pk}/campaign/{campaign.pk}/leads",
        ),
    ]
    shown = text(response)
    for wanted in ("cred-publisher", "cred-campaign", "cred-form", "cred-token-url", "cred-lead-url", "cred-curl"):
        assert f'data-copy="#{wanted}"' in shown
        assert f'id="{wanted}"' in shown
    assert "YOUR_API_KEY" in shown


def test_a_key_is_shown_once_and_a_rotated_one_works_for_another_day(
    browser_client: Client, campaign: Campaign, publisher: Publisher
) -> None:
    where = f"{_tracking(campaign)}?publisher={publisher.pk}"
    old = browser_client.post(where, {"action": "make"}).context["new_key"]
    response = browser_client.post(where, {"action": "rotate"}, headers={"HX-Request": "true"})
    new = response.context["new_key"]
    assert "<html" not in text(response)
    assert new in text(response)
    assert f"api_key={new}" in response.context["curl"]
    assert tokens_for_api_key(old)
    assert tokens_for_api_key(new)
    ends = publisher.api_keys.get(ending=old[-4:]).expires_at
    assert ends is not None
    assert dt.timedelta(hours=23) < ends - timezone.now() <= dt.timedelta(hours=24)

    shown = text(browser_client.get(where))
    assert new not in shown
    assert f"•••• {new[-4:]}" in shown
    history = text(browser_client.get(f"/admin/leads/publisher/{publisher.pk}/history/"))
    assert f"API key rotated; the new one ends in {new[-4:]}." in history
    assert new not in history


def test_staff_choose_the_publisher_and_one_that_is_not_of_the_campaign_is_not_found(
    browser_client: Client, campaign: Campaign
) -> None:
    second = Publisher.objects.create(name="Second")
    CampaignPublisher.objects.create(campaign=campaign, publisher=second)
    stranger = Publisher.objects.create(name="Stranger")
    response = browser_client.get(_tracking(campaign), {"publisher": second.pk})
    assert response.context["publisher"] == second
    assert f"publisher={second.pk}" in response.context["address"]
    assert browser_client.get(_tracking(campaign), {"publisher": stranger.pk}).status_code == 404
    assert browser_client.get(_tracking(campaign), {"tab": "other"}).status_code == 404


def test_the_links_of_the_campaign_come_with_their_channel_and_an_address_to_post_to(
    browser_client: Client, campaign: Campaign
) -> None:
    link = Link.objects.create(campaign=campaign, name="Newsletter April", channel="Email")
    shown = text(browser_client.get(_tracking(campaign), {"tab": "tracking"}))
    assert "Newsletter April" in shown
    assert "Email" in shown
    assert f"/leads?linkId={link.pk}" in shown


def test_a_campaign_without_publishers_or_forms_says_what_is_missing(
    browser_client: Client, campaign: Campaign
) -> None:
    campaign.forms.clear()
    assert "This campaign has no form yet" in text(browser_client.get(_tracking(campaign)))
    campaign.contracts.all().delete()
    assert "No publisher may send leads to this campaign yet" in text(browser_client.get(_tracking(campaign)))
    assert browser_client.post(_tracking(campaign), {"action": "make"}).status_code == 403


def test_the_sample_of_the_line_to_try_fits_the_form(db: None) -> None:
    form = Form.objects.create(name="All kinds")
    for name, kind, more in (
        ("firstName", "text", {}),
        ("code", "text", {"min_length": 12}),
        ("short", "text", {"max_length": 3}),
        ("email", "email", {}),
        ("phone", "telephone", {}),
        ("day", "date", {}),
        ("size", "choice", {"choices": [{"value": "s & m", "label": "S"}]}),
        ("optin", "optin", {}),
        ("extra", "text", {"required": False}),
    ):
        Field.objects.create(form=form, name=name, type=kind, **{"required": True, **more})
    values = dict(sample(form.fields.all()))
    assert values["form[firstName]"] == "Robin"
    assert len(values["form[code]"]) == 12
    assert values["form[short]"] == "Exa"
    assert values["form[size]"] == "s & m"
    assert values["form[optin][terms]"] == "1"
    assert "form[extra]" not in values


# --- a publisher's own people -------------------------------------------------------------------------------


def test_a_publishers_user_signs_in_where_all_do_and_comes_to_its_own_campaigns(
    client: Client, campaign: Campaign, pat: User
) -> None:
    response = client.post("/admin/login/", {"username": "pat", "password": "a-long-password-1"}, follow=True)
    assert response.redirect_chain == [("/publisher/", 302)]
    assert "Spring webinar" in text(response)
    assert client.get("/", follow=True).redirect_chain[-1][0] == "/publisher/"
    response = client.post("/publisher/sign-out/", follow=True)
    assert response.redirect_chain[-1][0] == "/admin/login/"
    assert client.get("/publisher/")["Location"] == "/admin/login/?next=/publisher/"


@pytest.mark.parametrize(
    "next_page", ["https://evil.example/publisher/", "//evil.example/publisher/", "/admin/leads/lead/"]
)
def test_signing_in_leads_a_publishers_user_nowhere_else(client: Client, pat: User, next_page: str) -> None:
    sent = {"username": "pat", "password": "a-long-password-1", "next": next_page}
    assert client.post("/admin/login/", sent)["Location"] == "/publisher/"


@pytest.mark.parametrize("is_superuser", [False, True])
def test_a_publishers_user_never_sees_the_console_whatever_was_ticked(
    client: Client, campaign: Campaign, pat: User, is_superuser: bool
) -> None:
    User.objects.filter(pk=pat.pk).update(is_staff=True, is_superuser=is_superuser)
    client.force_login(pat)
    for page in (
        "/admin/",
        "/admin/leads/lead/",
        f"/admin/leads/campaign/{campaign.pk}/processr/",
        _tracking(campaign),
    ):
        assert client.get(page)["Location"].startswith("/admin/login/")
        assert client.get(page, follow=True).redirect_chain[-1][0] == "/publisher/"


def test_one_whose_publisher_is_switched_off_is_told_so_and_comes_in_no_more(
    pats_browser: Client, publisher: Publisher
) -> None:
    Publisher.objects.filter(pk=publisher.pk).update(active=False)
    assert pats_browser.get("/publisher/")["Location"].startswith("/admin/login/")
    pats_browser.logout()
    response = pats_browser.post("/admin/login/", {"username": "pat", "password": "a-long-password-1"})
    assert "Northbeam is switched off here." in text(response)


def test_a_publishers_user_sees_that_publishers_campaigns_and_counts_and_nothing_else(
    pats_browser: Client, campaign: Campaign, publisher: Publisher, lead_make: Callable[..., Lead]
) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(status="paused", status_reason="The client owes us money.")
    other = Publisher.objects.create(name="Other publisher")
    hidden = Campaign.objects.create(
        advertiser=Advertiser.objects.create(name="Secret advertiser"), name="Hidden campaign"
    )
    CampaignPublisher.objects.create(campaign=hidden, publisher=other)
    CampaignPublisher.objects.create(campaign=campaign, publisher=other)
    for status in ("valid", "valid", "invalid", "test"):
        lead_make(status=status)
    lead_make(publisher=other)
    lead_make(created_at=timezone.now() - dt.timedelta(days=8))
    response = pats_browser.get("/publisher/")
    [row] = response.context["rows"]
    assert row["total"] == 3
    assert (row["counts"]["valid"], row["counts"]["invalid"]) == (2, 1)
    shown = text(response)
    for word in (
        "Hidden campaign",
        "Other publisher",
        "Secret advertiser",
        "Acme",
        "owes us money",
        "ada@example.test",
    ):
        assert word not in shown
    assert "Paused" in shown
    assert pats_browser.get(f"/publisher/campaigns/{hidden.pk}/tracking/").status_code == 404
    assert pats_browser.post(f"/publisher/campaigns/{hidden.pk}/tracking/", {"action": "make"}).status_code == 404
    own = text(pats_browser.get(f"/publisher/campaigns/{campaign.pk}/tracking/", {"publisher": other.pk}))
    assert f'id="cred-publisher">{publisher.pk}<' in own
    assert "Other publisher" not in own


def test_a_publishers_user_makes_and_rotates_the_publishers_key(
    pats_browser: Client, campaign: Campaign, publisher: Publisher, staff: User
) -> None:
    where = f"/publisher/campaigns/{campaign.pk}/tracking/"
    key = pats_browser.post(where, {"action": "make"}).context["new_key"]
    assert publisher.api_keys.get().ending == key[-4:]
    assert tokens_for_api_key(key)
    assert key not in text(pats_browser.get(where))
    pats_browser.force_login(staff)
    history = text(pats_browser.get(f"/admin/leads/publisher/{publisher.pk}/history/"))
    assert "pat" in history
    assert f"API key made; it ends in {key[-4:]}." in history


def test_a_key_can_only_be_made_from_a_page_of_this_portal(campaign: Campaign, pat: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(pat)
    assert strict.post(f"/publisher/campaigns/{campaign.pk}/tracking/", {"action": "make"}).status_code == 403


def test_staff_are_sent_to_the_console_and_strangers_to_the_sign_in(client: Client, staff: User) -> None:
    assert client.get("/publisher/")["Location"].startswith("/admin/login/")
    client.force_login(staff)
    assert client.get("/publisher/")["Location"] == "/admin/"


@pytest.mark.portals
def test_the_line_to_try_works_when_it_is_pasted_into_a_shell(tmp_path: Any, settings: Any, db: None) -> None:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    with PortalProcess(tmp_path / "portal") as portal:
        portal.migrate()
        made = portal.manage(
            "shell",
            "-c",
            "import json\n"
            "from leads.models import *\n"
            "from leads.access import api_key_issue\n"
            "form = Form.objects.create(name='It’s a form')\n"
            "for name, kind in (('firstName', 'text'), ('email', 'email'), ('phone', 'telephone'), ('terms', 'optin')):\n"
            "    Field.objects.create(form=form, name=name, type=kind, required=True)\n"
            "Field.objects.create(form=form, name='size', type='choice', required=True,\n"
            "    choices=[{'value': \"S & M's\", 'label': 'S'}])\n"
            "campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name='A'), name='C')\n"
            "campaign.forms.add(form)\n"
            "publisher = Publisher.objects.create(name='P')\n"
            "CampaignPublisher.objects.create(campaign=campaign, publisher=publisher)\n"
            "from leads.tracking_information import curl\n"
            "print(json.dumps(curl(campaign, publisher, form, api_key_issue(publisher=publisher))))\n",
        )
        line = json.loads(made.stdout.strip().splitlines()[-1])
        portal.start()
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
        assert json.loads(done.stdout)["status"] == 201, (line, done)
        counted = portal.manage("shell", "-c", "from leads.models import Lead; print(Lead.objects.get().status)")
        assert counted.stdout.strip().splitlines()[-1] in ("pending", "test")


def test_the_line_to_try_holds_the_key_only_where_it_was_just_made(campaign: Campaign, publisher: Publisher) -> None:
    key = api_key_issue(publisher=publisher)
    assert key not in curl(campaign, publisher, campaign.forms.get())
    assert key in curl(campaign, publisher, campaign.forms.get(), key)
