"""What people are told of: by e-mail over real SMTP, by signed webhook over HTTP, once when it starts and once when it ends."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from integrations.delivery import integration_hold, integration_switch
from integrations.dispatch import integration_deliver
from integrations.drift import integration_pull
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
from integrations.notices.mails import mails_due, mails_send
from integrations.notices.targets import secret_rotate, secret_rotated, webhook_add, webhook_resume
from integrations.notices.telling import notices_tell, steps_due, target_test
from integrations.notices.watching import notices_look
from integrations.webhooks.managed import SecretOverlap
from leads.database import uuid7
from leads.models import Campaign, Lead
from tests.engine.client import Answer, Client
from tests.engine.mail_server import MailServer, text
from tests.engine.test_webhooks import Receiver

pytestmark = pytest.mark.django_db

MakeLead = Callable[..., Lead]
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def mail_server(settings: LazySettings) -> Iterator[MailServer]:
    server = MailServer()
    settings.EMAIL_URL = f"smtp://127.0.0.1:{server.port}"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.DEFAULT_FROM_EMAIL = "Portal <portal@ours.test>"
    settings.INSTANCE_URL = "https://ours.test"
    yield server
    server.stop()


@pytest.fixture
def erin(mail_server: MailServer) -> NoticeTarget:
    return NoticeTarget.objects.create(name="Erin", email="erin@example.test")


@pytest.fixture
def receiver(settings: LazySettings, client: Client) -> Iterator[Receiver]:
    found = Receiver()
    settings.CONNECTOR_PRIVATE_HOSTS = [*settings.CONNECTOR_PRIVATE_HOSTS, found.host]
    yield found
    found.close()


@pytest.fixture
def hook(receiver: Receiver, db: None) -> NoticeTarget:
    target = NoticeTarget(name="Chat room")
    receiver.secret = webhook_add(target, f"http://{receiver.host}/notices")
    return target


def all_round() -> None:
    """What the portal does by itself every few seconds."""
    notices_look()
    notices_tell()
    mails_send()
    for target in NoticeTarget.objects.filter(integration__isnull=False):
        Integration.objects.filter(notice_target=target).update(open_until=None)
        integration_deliver(target.integration_id or 0)


def stop(integration: Integration, words: str = "The client's instance refused the API_Key.") -> None:
    integration_hold(integration.pk, words)


def resume(integration: Integration) -> None:
    integration.refresh_from_db()
    integration_switch(integration, on=True)


def fail(integration: Integration, since: dt.timedelta) -> None:
    Integration.objects.filter(pk=integration.pk).update(failing_since=timezone.now() - since, failures=5)


# --- by e-mail ----------------------------------------------------------------------------------------------


def test_a_stop_is_told_by_mail_once_with_its_cause_and_once_when_it_is_over(
    integration: Integration, lead: MakeLead, erin: NoticeTarget, mail_server: MailServer
) -> None:
    stop(integration)
    lead_id = lead().pk
    Delivery.objects.create(key=uuid7(), integration=integration, kind="lead", lead_id=lead_id, state="held")
    for _ in range(3):
        all_round()
    [mail] = mail_server.mails
    assert mail["Subject"] == "Acme EU (Spring webinar) stopped: The client's instance refused the API_Key"
    assert (mail["To"], mail["From"]) == ("erin@example.test", "Portal <portal@ours.test>")
    said = text(mail)
    assert "The client's instance refused the API_Key." in said
    assert "Waiting: 1 lead\n" in said
    assert f"https://ours.test/admin/integrations/integration/{integration.pk}/change/" in said
    assert "switch the integration on" in said
    html = mail.get_body(("html",))
    assert html is not None
    assert "The client&#x27;s instance refused the API_Key." in html.get_content()

    resume(integration)
    for _ in range(3):
        all_round()
    assert mail_server.subjects[1:] == ["Acme EU (Spring webinar) is no longer stopped"]
    assert not Notice.objects.filter(ended_at=None).exists()


def test_a_changed_form_is_told_with_the_field_that_is_new_and_required(
    integration: Integration, client: Client, erin: NoticeTarget, mail_server: MailServer
) -> None:
    client.add("form[jobTitle]", "Job title", required=True)
    integration_pull(integration)
    all_round()
    [mail] = mail_server.mails
    assert mail["Subject"] == "Acme EU (Spring webinar) stopped: their form changed"
    assert "Job title" in text(mail)
    assert f"/integration/{integration.pk}/drift/" in text(mail)
    client.remove("form[jobTitle]")
    integration_pull(Integration.objects.get(pk=integration.pk))
    all_round()
    assert mail_server.subjects[1:] == ["Acme EU (Spring webinar): the change of their form is settled"]


def test_a_client_that_does_not_answer_is_told_of_with_its_latest_answer_and_only_when_it_lasts(
    integration: Integration, lead: MakeLead, client: Client, erin: NoticeTarget, mail_server: MailServer
) -> None:
    client.say.extend([Answer(503, {"message": "Maintenance, ask ada@example.test"})] * 3)
    Delivery.objects.create(key=uuid7(), integration=integration, kind="lead", lead=lead())
    integration_deliver(integration.pk)
    fail(integration, HOUR / 60)
    all_round()
    assert mail_server.mails == []
    fail(integration, HOUR)
    all_round()
    [mail] = mail_server.mails
    assert mail["Subject"] == "Acme EU (Spring webinar) does not answer"
    assert Delivery.objects.get().reason.split()[0] in text(mail)
    assert "ada@example.test" not in text(mail)
    Integration.objects.filter(pk=integration.pk).update(failing_since=None, failures=0)
    all_round()
    assert mail_server.subjects[1:] == ["Acme EU (Spring webinar) answers again"]


def test_five_days_of_failing_are_told_at_50_70_and_90_percent_and_at_their_end(
    integration: Integration, erin: NoticeTarget, mail_server: MailServer
) -> None:
    fail(integration, 60 * HOUR)
    for percent in (0, 50, 70, 90):
        Integration.objects.filter(pk=integration.pk).update(failing_told=percent)
        all_round()
        all_round()
    off = {"state": IntegrationState.NEEDS_A_LOOK, "state_reason": "Switched off: every call has failed for 5 days."}
    Integration.objects.filter(pk=integration.pk).update(failing_told=100, **off)
    all_round()
    resume(integration)
    all_round()
    name = "Acme EU (Spring webinar)"
    assert mail_server.subjects == [
        f"{name} does not answer",
        f"{name} still does not answer: switched off in 2.5 days unless it does",
        f"{name} still does not answer: switched off in 36 hours unless it does",
        f"{name} still does not answer: switched off in 12 hours unless it does",
        f"{name} was switched off: it failed for too long",
        f"{name} is no longer switched off",
    ]


def test_leads_in_doubt_are_told_of_until_they_are_settled(
    integration: Integration, lead: MakeLead, erin: NoticeTarget, mail_server: MailServer
) -> None:
    Delivery.objects.create(key=uuid7(), integration=integration, kind="lead", lead=lead(), state="unknown")
    all_round()
    assert mail_server.subjects == ["Acme EU (Spring webinar): sent, but no answer came"]
    assert "1 lead was sent to Acme EU and no answer came." in text(mail_server.mails[0])
    Delivery.objects.update(state="delivered")
    all_round()
    assert mail_server.subjects[1:] == ["Acme EU (Spring webinar): nothing is in doubt any more"]


def test_mail_waits_while_the_mail_server_is_down_says_so_and_arrives_once_it_is_up(
    integration: Integration, erin: NoticeTarget, mail_server: MailServer
) -> None:
    mail_server.stop()
    stop(integration)
    all_round()
    waiting = NoticeMessage.objects.get()
    assert (waiting.sent_at, waiting.tries) == (None, 1)
    assert waiting.due_at > timezone.now()
    assert "The mail server did not take it" in waiting.error
    mail_server.start()
    assert not mails_due()
    NoticeMessage.objects.update(due_at=timezone.now())
    assert mails_send() == 1
    assert mails_send() == 0
    waiting.refresh_from_db()
    assert len(mail_server.mails) == 1
    assert (waiting.due_at, waiting.error) == (None, "")
    mail_server.start = lambda: None  # type: ignore[method-assign]


def test_a_mailbox_that_is_not_there_is_given_up_and_keeps_nobody_else_from_theirs(
    integration: Integration, erin: NoticeTarget, mail_server: MailServer
) -> None:
    mail_server.refused.add(erin.email)
    NoticeTarget.objects.create(name="Zoe", email="zoe@example.test")
    stop(integration)
    all_round()
    refused = NoticeMessage.objects.get(target=erin)
    assert (refused.due_at, refused.sent_at) == (None, None)
    assert "no such mailbox" in refused.error
    assert [mail["To"] for mail in mail_server.mails] == ["zoe@example.test"]


def test_a_mail_whose_sender_died_goes_out_again_with_the_same_message_id(
    integration: Integration, erin: NoticeTarget, mail_server: MailServer
) -> None:
    stop(integration)
    all_round()
    # As if the worker had died between the mail server's answer and its own commit.
    NoticeMessage.objects.update(sent_at=None, due_at=timezone.now())
    mails_send()
    first, second = mail_server.mails
    assert first["Message-ID"] == second["Message-ID"]


def test_a_slow_mail_server_gets_each_mail_once(
    integration: Integration, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("erin", "zoe", "kim"):
        NoticeTarget.objects.create(name=name, email=f"{name}@example.test")
    stop(integration)
    # Each mail takes more than half of the time that a worker has for all of them.
    monkeypatch.setattr("integrations.notices.mails.LEASE_SECONDS", 0)
    all_round()
    assert sorted(mail["To"].split("@")[0] for mail in mail_server.mails) == ["erin", "kim", "zoe"]
    assert set(NoticeMessage.objects.values_list("tries", flat=True)) == {1}


def test_without_a_mail_server_mail_waits_and_says_why(integration: Integration, settings: LazySettings) -> None:
    settings.EMAIL_URL = ""
    NoticeTarget.objects.create(name="Erin", email="erin@example.test")
    stop(integration)
    all_round()
    assert "no mail server yet" in NoticeMessage.objects.get().error


# --- by webhook ---------------------------------------------------------------------------------------------


def test_a_webhook_gets_start_and_end_signed_with_its_secret(
    integration: Integration, hook: NoticeTarget, receiver: Receiver
) -> None:
    stop(integration)
    all_round()
    all_round()
    resume(integration)
    all_round()
    all_round()
    start, end = (message.json for message in receiver.seen)
    # The receiver checks each signature with the public library and answers 401 to what is not signed.
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    assert (start["type"], end["type"]) == ("notice.started", "notice.ended")
    assert start["data"]["cause"] == "The client's instance refused the API_Key."
    assert start["data"]["integration"] == {"id": integration.pk, "name": "Acme EU"}
    assert start["data"]["notice"] == end["data"]["notice"]
    assert start["data"]["ended_at"] is None
    assert end["data"]["ended_at"] is not None
    assert receiver.seen[0].headers["webhook-id"] == start["id"] != end["id"]


def test_while_its_secret_is_changed_a_webhook_is_signed_with_both(
    hook: NoticeTarget, receiver: Receiver, integration: Integration
) -> None:
    old = receiver.secret
    new = secret_rotate(hook)
    for receiver.secret in (old, new):
        target_test(hook)
        all_round()
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}
    with pytest.raises(SecretOverlap):
        secret_rotate(hook)
    secret_rotated(hook)
    receiver.secret = old
    target_test(hook)
    all_round()
    assert Delivery.objects.order_by("pk").last().state == "held"


def test_a_webhook_that_fails_gets_what_waited_once_it_answers(
    integration: Integration, hook: NoticeTarget, receiver: Receiver
) -> None:
    receiver.say.extend([(500, {})] * 2)
    stop(integration)
    all_round()
    [delivery] = Delivery.objects.all()
    assert (delivery.state, delivery.tries) == ("queued", 1)
    for _ in range(2):
        Delivery.objects.update(next_try_at=timezone.now())
        all_round()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == ("delivered", 3)


def test_trouble_of_a_webhook_is_told_by_mail_and_never_to_a_webhook(
    hook: NoticeTarget, receiver: Receiver, erin: NoticeTarget, mail_server: MailServer
) -> None:
    other = NoticeTarget(name="Another room")
    webhook_add(other, f"http://{receiver.host}/another")  # the receiver does not know its secret
    target_test(other)
    for _ in range(4):
        all_round()
    assert mail_server.subjects == [f"Notices to Another room stopped: {receiver.host} does not accept the signature"]
    assert [message.json["type"] for message in receiver.seen] == ["notice.test"]
    receiver.secret = Integration.objects.get(notice_target=other).secrets["signing_secret"]
    webhook_resume(other)
    all_round()
    assert mail_server.subjects[1:] == ["Notices to Another room is no longer stopped"]
    assert [message.json["type"] for message in receiver.seen] == ["notice.test", "notice.test"]


# --- who is told, and how often -----------------------------------------------------------------------------


def test_people_are_told_of_what_they_asked_for_alone(
    integration: Integration, campaign: Campaign, erin: NoticeTarget, mail_server: MailServer
) -> None:
    other = Campaign.objects.create(advertiser=campaign.advertiser, name="Autumn webinar")
    targets: dict[str, dict[str, Any]] = {
        "this-campaign": {"only_campaign": campaign},
        "other-campaign": {"only_campaign": other},
        "this-integration": {"only_integration": integration},
        "stops": {"kinds": [NoticeKind.STOPPED]},
        "silence": {"kinds": [NoticeKind.SILENCE]},
        "off": {"active": False},
    }
    for name, columns in targets.items():
        NoticeTarget.objects.create(name=name, email=f"{name}@example.test", **columns)
    stop(integration)
    all_round()
    told = {mail["To"].removesuffix("@example.test") for mail in mail_server.mails}
    assert told == {"erin", "this-campaign", "this-integration", "stops"}


def test_one_cause_that_takes_the_place_of_another_is_told_and_the_first_ends_without_a_word(
    integration: Integration, erin: NoticeTarget, mail_server: MailServer
) -> None:
    fail(integration, HOUR)
    all_round()
    stop(integration, "Their key was withdrawn.")
    all_round()
    assert mail_server.subjects == [
        "Acme EU (Spring webinar) does not answer",
        "Acme EU (Spring webinar) stopped: Their key was withdrawn",
    ]
    [open_now] = Notice.objects.filter(ended_at=None)
    assert open_now.kind == NoticeKind.STOPPED


def test_what_a_killed_worker_left_untold_is_told_later(
    integration: Integration, erin: NoticeTarget, mail_server: MailServer
) -> None:
    stop(integration)
    notices_look()
    # The wake-up was lost: the row says so itself.
    assert steps_due()
    notices_tell()
    assert mails_due()
    mails_send()
    assert len(mail_server.mails) == 1
    assert not steps_due()
    assert not mails_due()


def test_a_notice_raised_in_a_transaction_that_fails_was_never_raised(integration: Integration) -> None:
    with pytest.raises(RuntimeError):
        _raise_and_fail(integration)
    assert not Notice.objects.exists()


def _raise_and_fail(integration: Integration) -> None:
    from django.db import transaction

    with transaction.atomic():
        notice_raise(integration.pk, NoticeKind.STOPPED, "Something.")
        raise RuntimeError


def test_a_larger_share_is_told_and_the_same_one_is_not(integration: Integration) -> None:
    told = [notice_raise(integration.pk, NoticeKind.FAILING, "It fails.", percent=share) for share in (0, 50, 50, 70)]
    assert told == [True, True, False, True]
    assert [notice_end(integration.pk, NoticeKind.FAILING) for _ in range(2)] == [True, False]


@pytest.mark.django_db(transaction=True)
def test_workers_that_look_at_once_raise_and_end_once(
    integration: Integration, erin: NoticeTarget, mail_server: MailServer
) -> None:
    def at_once(*work: Callable[[], Any]) -> None:
        ready = threading.Barrier(len(work) * 3)
        failed: list[BaseException] = []

        def run(step: Callable[[], Any]) -> None:
            try:
                ready.wait(10)
                step()
            except BaseException as error:  # noqa: BLE001  told below
                failed.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=[step]) for step in work * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failed, failed

    stop(integration)
    at_once(notices_look)
    at_once(notices_tell)
    at_once(mails_send)
    resume(integration)
    at_once(notices_look, notices_tell)
    notices_tell()
    at_once(mails_send)
    assert mail_server.subjects == [
        "Acme EU (Spring webinar) stopped: The client's instance refused the API_Key",
        "Acme EU (Spring webinar) is no longer stopped",
    ]
    assert Notice.objects.count() == 1


def test_an_integration_that_was_never_in_trouble_costs_a_look_three_queries(
    integration: Integration, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(3):
        assert notices_look() == 0
