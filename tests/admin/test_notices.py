"""Notices in the console: what is open and whether people heard of it, and who is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from integrations.dispatch import integration_deliver
from integrations.models import (
    Delivery,
    Integration,
    IntegrationState,
    Notice,
    NoticeKind,
    NoticeMessage,
    NoticeTarget,
)
from integrations.notices.incidents import notice_end, notice_raise
from integrations.notices.telling import notices_tell
from leads.models import User
from tests.admin.pages import boxes, said, text
from tests.engine.test_webhooks import Receiver

LIST = "/admin/integrations/notice/"
TARGETS = "/admin/integrations/noticetarget/"
FORM = "noticetarget_form"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    found = Receiver()
    settings.CONNECTOR_PRIVATE_HOSTS = [found.host]
    yield found
    found.close()


def add(client: Client, **given: Any) -> Any:
    return client.post(f"{TARGETS}add/", {"name": "Chat room", "way": "email", "active": "on", **given}, follow=True)


def act(client: Client, target: NoticeTarget, action: str) -> Any:
    return client.post(f"{TARGETS}{target.pk}/act/", {"action": action}, follow=True)


def secret_on(answer: Any) -> str:
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", text(answer))
    assert found is not None
    return found[0]


def work(target: NoticeTarget) -> None:
    notices_tell()
    integration_deliver(target.integration_id or 0)


def test_open_notices_come_first_with_their_cause_and_who_heard_of_them(
    browser_client: Client, switched_on: Integration
) -> None:
    NoticeTarget.objects.create(name="Erin", email="erin@example.test")
    notice_raise(switched_on.pk, NoticeKind.DOUBT, "One lead is in doubt.")
    notice_raise(switched_on.pk, NoticeKind.STOPPED, "Their key was <b>withdrawn</b>.")
    notice_end(switched_on.pk, NoticeKind.STOPPED, "It is on again.")
    notices_tell()
    answer = browser_client.get(LIST)
    assert [row.kind for row in answer.context["cl"].result_list] == ["doubt", "stopped"]
    page = text(answer)
    assert "Their key was &lt;b&gt;withdrawn" in page
    assert "Acme EU (Spring webinar)" in page
    assert "still open" in page
    assert "0 of 1 arrived" in page
    only = browser_client.get(LIST, {"open": "no"})
    assert [row.kind for row in only.context["cl"].result_list] == ["stopped"]


def test_a_notice_shows_each_thing_that_was_told_and_whether_it_arrived(
    browser_client: Client, switched_on: Integration
) -> None:
    erin = NoticeTarget.objects.create(name="Erin", email="erin@example.test")
    notice_raise(switched_on.pk, NoticeKind.STOPPED, "Their key was withdrawn.")
    notices_tell()
    NoticeMessage.objects.update(error="The mail server did not take it: try later")
    page = text(browser_client.get(f"{LIST}{Notice.objects.get().pk}/change/"))
    assert "Their key was withdrawn." in page
    assert f"Erin &lt;{erin.email}&gt;" in page
    assert "The mail server did not take it: try later" in page
    assert f"/admin/integrations/integration/{switched_on.pk}/change/" in page


def test_a_webhook_s_secret_is_shown_once_and_a_test_says_whether_it_arrived(
    browser_client: Client, receiver: Receiver
) -> None:
    answer = add(browser_client, way="webhook", url=f"http://{receiver.host}/in?key=k-4711")
    receiver.secret = secret_on(answer)
    target = NoticeTarget.objects.get()
    page = f"{TARGETS}{target.pk}/change/"
    assert receiver.secret not in text(browser_client.get(page))
    assert "A test is on its way" in said(act(browser_client, target, "test"))
    work(target)
    assert receiver.seen[0].json["type"] == "notice.test"
    assert "Arrived" in text(browser_client.get(page))
    assert "Latest: arrived" in text(browser_client.get(TARGETS))


def test_a_secret_is_changed_without_a_message_that_the_receiver_could_not_check(
    browser_client: Client, receiver: Receiver
) -> None:
    old = secret_on(add(browser_client, way="webhook", url=f"http://{receiver.host}/in"))
    target = NoticeTarget.objects.get()
    new = secret_on(act(browser_client, target, "rotate"))
    assert new != old
    assert "Say first that the receiver has the new secret" in said(act(browser_client, target, "rotate"))
    for receiver.secret in (old, new):
        act(browser_client, target, "test")
        work(target)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    act(browser_client, target, "rotated")
    receiver.secret = old
    act(browser_client, target, "test")
    work(target)
    assert "Stopped, and messages wait" in text(browser_client.get(f"{TARGETS}{target.pk}/change/"))
    receiver.secret = new
    assert "It is on again" in said(act(browser_client, target, "resume"))
    work(target)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"way": "email", "email": ""}, "E-mail address is missing."),
        ({"way": "email", "email": "erin@example.test\nBcc: all@example.test"}, "Enter a valid email address."),
        ({"way": "webhook", "url": ""}, "URL is missing."),
        ({"way": "webhook", "url": "https://user:pass@hooks.example.test/"}, "without a user"),
        ({"way": "email", "email": "erin@example.test", "kinds": ["nonsense"]}, "Select a valid choice"),
    ],
)
def test_what_can_not_be_told_is_said_at_its_box_and_nothing_is_kept(
    browser_client: Client, given: dict[str, Any], words: str
) -> None:
    assert words in text(add(browser_client, **given))
    assert not NoticeTarget.objects.exists()
    assert not Integration.objects.exists()


def test_a_target_is_changed_and_taken_away_with_its_webhook(browser_client: Client, receiver: Receiver) -> None:
    add(browser_client, way="webhook", url=f"http://{receiver.host}/in", kinds=["silence"])
    target = NoticeTarget.objects.get()
    assert target.kinds == ["silence"]
    page = f"{TARGETS}{target.pk}/change/"
    given = {**boxes(browser_client.get(page), FORM), "name": "Another room", "url": f"http://{receiver.host}/other"}
    assert browser_client.post(page, {**given, "kinds": ["silence", "doubt"]}).status_code == 302
    target.refresh_from_db()
    assert (target.name, target.kinds) == ("Another room", ["silence", "doubt"])
    assert target.integration is not None
    assert target.integration.settings["url"].endswith("/other")
    act(browser_client, target, "test")
    assert browser_client.post(f"{TARGETS}{target.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not NoticeTarget.objects.exists()
    assert not Integration.objects.exists()


def test_pages_of_deliveries_and_home_show_what_belongs_to_no_campaign(
    browser_client: Client, receiver: Receiver
) -> None:
    add(browser_client, way="webhook", url=f"http://{receiver.host}/in")
    target = NoticeTarget.objects.get()
    act(browser_client, target, "test")
    Integration.objects.update(state=IntegrationState.NEEDS_A_LOOK, state_reason="It does not take it.")
    delivery = Delivery.objects.get()
    assert "Notices to Chat room" in text(browser_client.get("/admin/integrations/delivery/"))
    assert "all of this portal" in text(browser_client.get(f"/admin/integrations/delivery/{delivery.pk}/change/"))
    for page in ("/admin/", "/admin/integrations/integration/", "/admin/leads/lead/", "/admin/leads/reasoncode/"):
        assert browser_client.get(page).status_code == 200


def test_viewers_see_notices_and_not_who_is_told(client: Client, switched_on: Integration) -> None:
    notice_raise(switched_on.pk, NoticeKind.STOPPED, "Their key was withdrawn.")
    target = NoticeTarget.objects.create(name="Erin", email="erin@example.test")
    people = {}
    for group in ("Viewer", "Account manager"):
        people[group] = User.objects.create_user(group, password="a-long-password-1", is_staff=True)
        people[group].groups.add(Group.objects.get(name=group))
    client.force_login(people["Viewer"])
    assert "Their key was withdrawn." in text(client.get(LIST))
    assert client.get(f"{LIST}{Notice.objects.get().pk}/change/").status_code == 200
    assert client.get(TARGETS).status_code == 403
    assert act(client, target, "test").status_code == 403
    client.force_login(people["Account manager"])
    assert "erin@example.test" in text(client.get(TARGETS))
    act(client, target, "test")
    assert NoticeMessage.objects.count() == 1


def test_what_a_page_has_no_button_for_is_not_found(browser_client: Client, receiver: Receiver) -> None:
    mailed = NoticeTarget.objects.create(name="Erin", email="erin@example.test")
    add(browser_client, way="webhook", url=f"http://{receiver.host}/in")
    for target, action in ((mailed, "rotate"), (mailed, "resume"), (NoticeTarget.objects.latest("pk"), "explode")):
        assert act(browser_client, target, action).status_code == 404
    assert browser_client.get(f"{TARGETS}{mailed.pk}/act/").status_code == 405
    assert browser_client.post(f"{TARGETS}999999/act/", {"action": "test"}).status_code == 404
