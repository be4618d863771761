"""Partners' webhooks in the console: made, tested, sent again, paused and taken away, with the rights that each needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client as Browser

from integrations.models import Delivery, Integration
from integrations.webhooks.subscriptions import MOST_IN_A_SCOPE
from leads.models import Campaign, Subscription, User
from portal.roles import ACCOUNT_MANAGER, VIEWER
from tests.admin.pages import said, text
from tests.engine.test_webhooks import Receiver
from tests.hooks.test_subscriptions import take_in

pytestmark = pytest.mark.django_db

LIST = "/admin/leads/subscription/"
Tell = Callable[..., list[Delivery]]


@pytest.fixture
def browser(db: None) -> Browser:
    browser = Browser()
    browser.force_login(person(ACCOUNT_MANAGER))
    return browser


def person(role: str) -> User:
    made = User.objects.create_user(role, f"{role}@example.test", "a-long-password-1", is_staff=True)
    made.groups.add(Group.objects.get(name=role))
    return made


def add(browser: Browser, receiver: Receiver, **given: Any) -> Any:
    asked = {"name": "CRM", "url": f"http://{receiver.host}/in?key=k-4711", "events": ["lead.created"], **given}
    return browser.post(f"{LIST}add/", asked, follow=True)


def act(browser: Browser, action: str, **given: Any) -> Any:
    return browser.post(f"{LIST}{Subscription.objects.get().pk}/act/", {"action": action, **given}, follow=True)


def secret_on(answer: Any) -> str:
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", text(answer))
    assert found is not None
    return found[0]


def test_a_webhook_s_secret_is_shown_once_and_its_page_says_what_arrived(
    browser: Browser, campaign: Campaign, receiver: Receiver, tell: Tell
) -> None:
    receiver.secret = secret_on(add(browser, receiver, publisher=campaign.publishers.get().pk))
    made = Subscription.objects.get()
    page = f"{LIST}{made.pk}/change/"
    assert receiver.secret not in text(browser.get(page))
    assert "A test is on its way" in said(act(browser, "test"))
    take_in(campaign)
    tell(made)
    answer = text(browser.get(page))
    assert answer.count("Arrived") == 2
    assert "lead.created" in answer
    listed = text(browser.get(LIST))
    assert "of Northbeam" in listed
    assert "k-4711" not in listed


def test_what_is_wrong_stands_at_its_box_and_nothing_is_made(
    browser: Browser, campaign: Campaign, receiver: Receiver
) -> None:
    answer = add(
        browser, receiver, url="http://example.com/", events=["delivery.held"], publisher=campaign.publishers.get().pk
    )
    errors = answer.context["adminform"].form.errors
    assert "must start with https" in str(errors["url"])
    assert "not of delivery.held" in str(errors["events"])
    assert not Subscription.objects.exists()


def test_one_webhook_too_many_is_refused_in_the_form(browser: Browser, campaign: Campaign, receiver: Receiver) -> None:
    for _ in range(MOST_IN_A_SCOPE):
        add(browser, receiver)
    answer = add(browser, receiver)
    assert "remove one first" in str(answer.context["adminform"].form.non_field_errors())
    assert Subscription.objects.count() == MOST_IN_A_SCOPE
    add(browser, receiver, campaign=campaign.pk)
    kept = Subscription.objects.earliest("pk")
    asked = {"name": "CRM 1", "url": f"http://{receiver.host}/", "events": ["lead.judged"]}
    assert browser.post(f"{LIST}{kept.pk}/change/", asked).status_code == 302
    assert Subscription.objects.count() == MOST_IN_A_SCOPE + 1


def test_messages_are_sent_again_one_or_all_that_failed(
    browser: Browser, campaign: Campaign, receiver: Receiver, tell: Tell
) -> None:
    receiver.secret = secret_on(add(browser, receiver))
    for _ in range(2):
        take_in(campaign)
    made = Subscription.objects.get()
    # All that is let out goes at once, not the second message a moment after the first.
    Integration.objects.update(release_per_minute=0)
    first, _ = tell(made)
    assert "1 sent again" in said(act(browser, "replay", message=str(first.pk)))
    tell(made)
    Delivery.objects.update(state="exhausted", next_try_at=None)
    assert "2 sent again" in said(act(browser, "replay_failed", days="7"))
    tell(made)
    assert len(receiver.seen) == 5
    assert "nothing to send again" in said(act(browser, "replay_failed", days="1"))


def test_it_is_paused_switched_on_and_its_secret_changed_and_the_history_keeps_each(
    browser: Browser, campaign: Campaign, receiver: Receiver, tell: Tell
) -> None:
    old = secret_on(add(browser, receiver))
    assert "Paused" in said(act(browser, "pause"))
    assert "switch it on first" in said(act(browser, "replay_failed", days="1"))
    assert "It is on" in said(act(browser, "resume"))
    receiver.secret = secret_on(act(browser, "rotate"))
    assert receiver.secret != old
    assert "Say first that the receiver has the new secret" in said(act(browser, "rotate"))
    assert Integration.objects.get().secrets["previous_secret"] == old
    assert "the old one and the new one until" in text(browser.get(f"{LIST}{Subscription.objects.get().pk}/change/"))
    assert "new secret alone" in said(act(browser, "rotated"))
    history = text(browser.get(f"{LIST}{Subscription.objects.get().pk}/history/"))
    for words in ("New signing secret", "Paused", "signs nothing any more"):
        assert words in history
    assert old not in history


def test_its_form_changes_what_it_is_told_of_and_a_removed_one_is_gone(
    browser: Browser, campaign: Campaign, receiver: Receiver
) -> None:
    add(browser, receiver)
    made = Subscription.objects.get()
    asked = {"name": "CRM 2", "url": f"http://{receiver.host}/", "events": ["lead.judged"], "personal_data": "on"}
    browser.post(f"{LIST}{made.pk}/change/", asked)
    made.refresh_from_db()
    assert (made.name, made.events, made.personal_data) == ("CRM 2", ["lead.judged"], True)
    browser.post(f"{LIST}{made.pk}/delete/", {"post": "yes"})
    assert not browser.get(LIST).context["cl"].result_list
    assert browser.get(f"{LIST}{made.pk}/change/").status_code == 302


def test_a_viewer_sees_no_webhook_and_does_nothing_with_one(
    browser: Browser, campaign: Campaign, receiver: Receiver
) -> None:
    add(browser, receiver)
    viewer = Browser()
    viewer.force_login(person(VIEWER))
    assert viewer.get(LIST).status_code == 403
    assert act(viewer, "test").status_code == 403
