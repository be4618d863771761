"""A publisher's own page: by login or by a link, with its specification, results and webhooks, and nothing of any other's."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from integrations.models import Delivery
from integrations.processr import leads_process
from integrations.webhooks.subscriptions import subscription_add
from leads.models import Campaign, Flag, Lead, Publisher, PublisherLink, Subscription, User
from leads.publisher_api.publisher import _result
from leads.publisher_console.results import counts_of_today
from leads.publisher_links import link_address, link_make
from leads.status import FlagChange, leads_flag
from tests.admin.pages import boxes, said, text
from tests.engine.test_webhooks import Receiver
from tests.hooks.test_console import secret_on
from tests.hooks.test_subscriptions import take_in

pytestmark = pytest.mark.django_db

Tell = Callable[..., list[Delivery]]
WEBHOOKS = "/publisher/webhooks/"


@pytest.fixture
def northbeam(campaign: Campaign) -> Publisher:
    return campaign.publishers.get()


@pytest.fixture
def grow(campaign: Campaign) -> Publisher:
    other = Publisher.objects.create(name="Grow")
    campaign.contracts.create(publisher=other)
    return other


@pytest.fixture
def pats(northbeam: Publisher) -> Browser:
    """The browser of somebody who works for Northbeam."""
    browser = Browser()
    browser.force_login(User.objects.create_user("pat", password="a-long-password-1", publisher=northbeam))
    return browser


def opened(link: PublisherLink) -> Browser:
    browser = Browser()
    browser.get(link_address(link))
    return browser


def link_for(publisher: Publisher) -> PublisherLink:
    return link_make(publisher, name="Their agency", days=30, by="erin")


def results(browser: Browser, campaign: Campaign) -> list[tuple[int, str, str]]:
    found = browser.get(f"/publisher/campaigns/{campaign.pk}/").context["results"]
    return [(each.lead.pk, each.came_to, each.reason) for each in found]


def test_a_campaign_s_page_has_its_form_as_it_is_now_the_addresses_and_a_line_to_try(
    pats: Browser, campaign: Campaign, northbeam: Publisher
) -> None:
    form = campaign.forms.get()
    form.fields.filter(name="company").update(
        type="choice", required=True, choices=[{"value": "it", "label": "IT"}, {"value": "law"}]
    )
    form.fields.filter(name="firstName").update(enabled=False)
    answer = pats.get(f"/publisher/campaigns/{campaign.pk}/")
    [shown] = answer.context["forms"]
    assert [(each.posted_as, each.required) for each in shown["inputs"]] == [
        ("form[email]", False),
        ("form[company]", True),
    ]
    assert shown["inputs"][1].choices == (("it", "IT"), ("law", ""))
    page = text(answer)
    assert "YOUR_API_KEY" in page
    assert "?test=1" in page
    assert f"/api/v2.4/publisher/{northbeam.pk}/forms/{form.pk}/campaign/{campaign.pk}/leads" in page


def test_results_come_with_reasons_and_the_day_s_counts_in_partners_words(
    pats: Browser, campaign: Campaign, northbeam: Publisher
) -> None:
    ids = [take_in(campaign, northbeam) for _ in range(4)]
    leads_process()
    leads_flag(
        {ids[0]: FlagChange(Flag.INVALID, "DUP", "Known to the client"), ids[1]: FlagChange(Flag.RETURNED, "LATE")}
    )
    Lead.objects.filter(pk=ids[2]).update(status="invalid", failed_jobs=["Duplicate: came before"])
    Lead.objects.filter(pk=ids[3]).update(status="caution", held="caution")
    assert results(pats, campaign) == [
        (ids[3], "pending", ""),
        (ids[2], "invalid", "Duplicate: came before"),
        (ids[1], "returned", "LATE"),
        (ids[0], "invalid", "DUP: Known to the client"),
    ]
    context = pats.get(f"/publisher/campaigns/{campaign.pk}/").context
    assert dict(context["today"]) == {"Accepted": 0, "Rejected": 2, "Returned": 1, "Being checked": 1, "Test": 0}
    assert "caution" not in text(pats.get("/publisher/")).lower()


def test_the_page_says_of_each_lead_what_the_publisher_api_says(
    pats: Browser, campaign: Campaign, northbeam: Publisher, django_assert_num_queries: Any
) -> None:
    ids = [take_in(campaign, northbeam) for _ in range(5)]
    leads_process()
    states = [
        {"status": "valid", "held": "cap_day"},
        {"status": "caution", "held": ""},
        {"status": "valid", "flag": "returned"},
        {"status": "test"},
        {"status": "valid"},
    ]
    for pk, state in zip(ids, states, strict=True):
        Lead.objects.filter(pk=pk).update(**state)
    found = {pk: word for pk, word, _ in results(pats, campaign)}
    assert [found[pk] for pk in ids] == ["pending", "valid", "returned", "test", "valid"]
    answers = [_result(northbeam.pk, pk, detail=False).status for pk in ids]
    assert answers == [202, 200, 200, 200, 200]
    [row] = pats.get("/publisher/").context["rows"]
    assert (row["today"], row["total"]) == (4, 4), "tests are not counted"
    assert row["counts"] == {"valid": 2, "returned": 1, "pending": 1, "test": 1}
    page = pats.get(f"/publisher/campaigns/{campaign.pk}/").context
    assert (page["total"], dict(page["today"])["Accepted"]) == (4, 2)
    others = [
        Campaign.objects.create(advertiser=campaign.advertiser, name=name, time_zone="Asia/Tokyo") for name in "ab"
    ]
    with django_assert_num_queries(1):
        assert counts_of_today(northbeam, [campaign, *others])[campaign.pk]["valid"] == 2


def test_a_publisher_sees_nothing_of_another_one(
    pats: Browser, campaign: Campaign, northbeam: Publisher, grow: Publisher, receiver: Receiver
) -> None:
    theirs = take_in(campaign, grow)
    other = Campaign.objects.create(advertiser=campaign.advertiser, name="For Grow alone")
    other.contracts.create(publisher=grow)
    hook, _ = subscription_add(
        name="Grow’s", url=f"http://{receiver.host}/grow", events=["lead.created"], publisher=grow
    )
    for browser in (pats, opened(link_for(northbeam))):
        assert results(browser, campaign) == []
        pages = text(browser.get("/publisher/")) + text(browser.get(WEBHOOKS))
        pages += text(browser.get(f"/publisher/campaigns/{campaign.pk}/"))
        for words in ("Grow", f">{theirs}<", "/grow"):
            assert words not in pages
        assert browser.get(f"/publisher/campaigns/{other.pk}/").status_code == 404
        assert browser.get(f"/publisher/campaigns/{other.pk}/tracking/").status_code == 404
        assert browser.post(f"{WEBHOOKS}{hook.pk}/", {"action": "test"}).status_code == 404
    assert not Delivery.objects.filter(integration=hook.integration.pk).exists()


def test_a_link_opens_the_page_without_an_account_and_without_anybody_s_data(
    campaign: Campaign, northbeam: Publisher
) -> None:
    lead_id = take_in(campaign, northbeam)
    leads_flag({lead_id: FlagChange(Flag.INVALID, "DUP", "ada@example.test is known")})
    browser = opened(link_for(northbeam))
    page = text(browser.get("/publisher/"))
    assert "Opened by a link" in page
    assert "a•••@e•••.test is known" in page
    assert "ada@example.test" not in page
    tracking = f"/publisher/campaigns/{campaign.pk}/tracking/"
    assert "Rotate key" not in text(browser.get(tracking))
    assert browser.post(tracking, {"action": "make"}).status_code == 403
    assert not northbeam.api_keys.exists()
    assert browser.get("/admin/").status_code == 302


@pytest.mark.parametrize("end", ["time", "taken back", "publisher off"])
def test_a_link_that_has_ended_opens_nothing_also_where_it_was_open(
    campaign: Campaign, northbeam: Publisher, end: str
) -> None:
    link = link_for(northbeam)
    browser = opened(link)
    assert browser.get("/publisher/").status_code == 200
    now = timezone.now()
    if end == "time":
        PublisherLink.objects.update(expires_at=now)
    elif end == "taken back":
        PublisherLink.objects.update(revoked_at=now)
    else:
        Publisher.objects.filter(pk=northbeam.pk).update(active=False)
    answer = browser.get("/publisher/", follow=True)
    assert answer.status_code == 404
    assert "This link has ended" in text(answer)
    assert Browser().get(link_address(link)).status_code == 404


@pytest.mark.parametrize("forged", ["1", "abc:def", "0" * 32, "%00", "a" * 3_000])
def test_an_address_that_we_did_not_sign_opens_nothing(db: None, forged: str) -> None:
    assert Browser().get(f"/publisher/link/{forged}/").status_code == 404


def test_an_account_manager_makes_copies_and_takes_back_links(
    admin_client: Browser, campaign: Campaign, northbeam: Publisher
) -> None:
    page = f"/admin/leads/publisher/{northbeam.pk}/links/"
    assert "is made" in said(
        admin_client.post(page, {"name": "Their agency", "days": "7", "action": "make"}, follow=True)
    )
    link = PublisherLink.objects.get()
    assert link.expires_at - timezone.now() < dt.timedelta(days=7)
    assert link_address(link).partition("://")[2].partition("/")[2] in text(admin_client.get(page))
    assert "Choose for how long" in said(admin_client.post(page, {"name": "x", "days": "9999"}, follow=True))
    admin_client.post(page, {"action": "revoke", "link": str(link.pk)})
    assert link_address(link) not in text(admin_client.get(page))
    assert Browser().get(link_address(link)).status_code == 404
    assert "taken back" in text(admin_client.get(f"/admin/leads/publisher/{northbeam.pk}/history/"))


def test_its_people_add_a_webhook_test_it_and_change_its_secret(
    pats: Browser, campaign: Campaign, northbeam: Publisher, receiver: Receiver, tell: Tell
) -> None:
    wrong = pats.post(WEBHOOKS, {"url": "http://example.com/", "events": ["lead.created"]})
    assert wrong.status_code == 422
    assert "must start with https" in text(wrong)
    answer = pats.post(
        WEBHOOKS, {"url": f"http://{receiver.host}/in", "events": ["lead.created", "lead.flagged"]}, follow=True
    )
    receiver.secret = secret_on(answer)
    made = Subscription.objects.get()
    assert (made.publisher, made.personal_data, made.made_by) == (northbeam, False, "pat")
    pats.post(f"{WEBHOOKS}{made.pk}/", {"action": "test"})
    take_in(campaign, northbeam)
    tell(made)
    page = text(pats.get(WEBHOOKS))
    assert page.count("Arrived") == 2
    assert receiver.secret not in page
    new = secret_on(pats.post(f"{WEBHOOKS}{made.pk}/", {"action": "rotate"}, follow=True))
    assert new != receiver.secret
    page = text(pats.get(WEBHOOKS))
    assert new not in page
    assert "My system has the new secret" in page
    again = pats.post(f"{WEBHOOKS}{made.pk}/", {"action": "rotate"}, follow=True)
    assert "Say first that the receiver has the new secret" in said(again)
    pats.post(f"{WEBHOOKS}{made.pk}/", {"action": "rotated"})
    made.integration.refresh_from_db()
    assert made.integration.secrets == {"signing_secret": new}
    asked = pats.get(f"{WEBHOOKS}{made.pk}/remove/")
    assert "its messages, also those that wait, go with it" in text(asked)
    assert "The last message was made on" in text(asked)
    pats.post(f"{WEBHOOKS}{made.pk}/", boxes(asked, "ask"))
    assert "No webhook yet" in text(pats.get(WEBHOOKS))


def test_who_has_a_link_tests_a_webhook_now_and_then_and_changes_none(
    campaign: Campaign, northbeam: Publisher, receiver: Receiver, tell: Tell
) -> None:
    made, receiver.secret = subscription_add(
        name="", url=f"http://{receiver.host}/in", events=["lead.created"], publisher=northbeam
    )
    browser = opened(link_for(northbeam))
    where = f"{WEBHOOKS}{made.pk}/"
    told = [said(browser.post(where, {"action": "test"}, follow=True)) for _ in range(6)]
    assert "many tests" in told[5]
    tell(made)
    assert len(receiver.seen) == 5
    for action in ("rotate", "rotated", "remove", "nothing"):
        assert browser.post(where, {"action": action}).status_code == 403
    assert browser.get(f"{where}remove/").status_code == 403
    assert browser.post(WEBHOOKS, {"url": "https://example.com/", "events": ["lead.created"]}).status_code == 403
    assert re.search(r"Add a webhook", text(browser.get(WEBHOOKS))) is None


def test_what_an_account_manager_set_up_for_a_publisher_shows_without_its_address_s_key(
    pats: Browser, campaign: Campaign, northbeam: Publisher, receiver: Receiver
) -> None:
    given: dict[str, Any] = {"name": "CRM", "events": ["lead.judged"], "publisher": northbeam, "campaign": campaign}
    subscription_add(url=f"http://{receiver.host}/in?key=k-4711", **given)
    page = text(pats.get(WEBHOOKS))
    assert f"http://{receiver.host}/in<" in page
    assert "k-4711" not in page
    assert f"of {campaign.name} alone" in page
