"""What clients say of delivered leads, and what becomes of it."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.claims import leases_expire
from integrations.dispatch import integration_deliver
from integrations.early_words import about_reference, updates_match
from integrations.kit.contract import Verdict, VerdictState
from integrations.look_ups import Asking
from integrations.models import Delivery, Integration, StatusUpdate
from integrations.poll_times import next_poll_at
from integrations.polling import integration_poll
from integrations.processr import changes_hand_over, leads_process
from integrations.reconciliation import Message, messages_store, verdicts_apply
from leads.database import uuid7
from leads.models import Flag, Lead, LeadChange
from leads.status import FlagChange, leads_flag
from tests.engine.client import Answer, Client

pytestmark = pytest.mark.django_db

START = timezone.now()


@pytest.fixture
def delivery(integration: Integration, client: Client, lead: Callable[..., Lead]) -> Delivery:
    lead()
    leads_process()
    integration_deliver(integration.pk)
    return Delivery.objects.get()


def say(delivery: Delivery | None, state: VerdictState, at: int, reason: str = "", event: str = "") -> None:
    """One pushed message, decided `at` seconds after the start."""
    verdict = Verdict(state, reason, decided_at=START + dt.timedelta(seconds=at), event_id=event)
    messages_store(
        [Message(delivery.pk if delivery else None, verdict, StatusUpdate.Via.PUSHED, START + dt.timedelta(seconds=99))]
    )


def test_a_verdict_with_its_reason_lands_on_the_lead(delivery: Delivery) -> None:
    say(delivery, "invalid", 1, "Unable to Contact")
    assert verdicts_apply() == 1
    delivery.refresh_from_db()
    lead = Lead.objects.get()
    assert (delivery.verdict, delivery.reason_code) == ("invalid", "Unable to Contact")
    assert (lead.flag, lead.reason_code) == ("invalid", "Unable to Contact")
    assert lead.changes.filter(via="client").count() == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("at_once", [True, False])
def test_the_client_s_last_word_wins_whatever_order_it_comes_in(
    delivery: Delivery, order: tuple[int, ...], at_once: bool
) -> None:
    said: list[tuple[VerdictState, int, str]] = [("valid", 1, "a"), ("invalid", 2, "b"), ("valid", 3, "c")]
    for place in order:
        say(delivery, *said[place])
        if not at_once:
            verdicts_apply()
    verdicts_apply()
    lead = Lead.objects.get()
    assert (lead.flag, lead.reason_code) == ("valid", "c")
    assert not StatusUpdate.objects.filter(state="received").exists()


def test_words_decided_at_the_same_moment_end_in_the_later_event_whatever_order_they_come_in(
    delivery: Delivery,
) -> None:
    first, second = sorted(uuid7().hex for _ in range(2))
    for events in ((first, second), (second, first)):
        for event in events:
            say(delivery, "valid" if event == second else "invalid", 1, event=event)
            verdicts_apply()
        assert Lead.objects.get().flag == "valid"
        StatusUpdate.objects.all().delete()
        Delivery.objects.update(verdict="", reason_code="", decided_at=None)
        Lead.objects.update(flag="", flagged_at=None)


def test_without_event_ids_the_graver_word_of_a_moment_stands(delivery: Delivery) -> None:
    for state in ("invalid", "valid"):
        say(delivery, state, 1)
        verdicts_apply()
    assert Lead.objects.get().flag == "invalid"
    assert list(StatusUpdate.objects.values_list("state", flat=True)) == ["applied", "stale"]


def test_a_poll_that_gives_no_reason_takes_none_away(
    delivery: Delivery, integration: Integration, client: Client
) -> None:
    say(delivery, "invalid", -60, "Unable to Contact")
    verdicts_apply()
    client.results[delivery.reference] = Answer(200, b"Rejected")
    Delivery.objects.update(next_poll_at=timezone.now())
    integration_poll(integration.pk)
    verdicts_apply()
    lead = Lead.objects.get()
    assert (lead.flag, lead.reason_code, lead.comment) == ("invalid", "Unable to Contact", "")
    assert StatusUpdate.objects.latest("pk").state == "repeated"


def test_the_reason_that_a_late_push_brings_is_added_to_a_polled_verdict(
    delivery: Delivery, integration: Integration, client: Client
) -> None:
    client.results[delivery.reference] = Answer(200)
    Delivery.objects.update(next_poll_at=timezone.now())
    integration_poll(integration.pk)
    verdicts_apply()
    say(delivery, "valid", -60, "Confirmed by phone")
    verdicts_apply()
    assert (Lead.objects.get().flag, Lead.objects.get().reason_code) == ("valid", "Confirmed by phone")


spoken = st.builds(
    lambda state, reason, at, event, via, dated: (
        state,
        reason,
        at,
        f"{event:032x}" if event and dated else "",
        via,
        dated,
    ),
    st.sampled_from(["valid", "invalid", "returned"]),
    st.sampled_from(["", "Duplicate", "Unable to Contact"]),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from(list(StatusUpdate.Via)),
    st.booleans(),
)


@given(said=st.lists(spoken, min_size=1, max_size=6, unique_by=lambda word: word[3] or object()), data=st.data())
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True)
def test_no_order_or_mix_of_pushes_and_polls_changes_what_the_words_come_to(
    delivery: Delivery, said: list[tuple[VerdictState, str, int, str, StatusUpdate.Via, bool]], data: st.DataObject
) -> None:
    came_to = set()
    for _ in range(3):
        StatusUpdate.objects.all().delete()
        Delivery.objects.update(verdict="", reason_code="", comment="", decided_at=None)
        Lead.objects.update(flag="", reason_code="", comment="", flagged_at=None)
        for place in data.draw(st.permutations(range(len(said)))):
            state, reason, at, event, via, dated = said[place]
            when = START + dt.timedelta(seconds=at)
            verdict = Verdict(state, reason, decided_at=when if dated else None, event_id=event)
            messages_store([Message(delivery.pk, verdict, via, when)])
            if data.draw(st.booleans()):
                verdicts_apply()
        verdicts_apply()
        lead, known = Lead.objects.get(), Delivery.objects.get()
        assert (lead.flag, lead.reason_code) == (known.verdict, known.reason_code)
        assert not StatusUpdate.objects.filter(state__in=["received", "conflicting"]).exists()
        came_to.add((lead.flag, lead.reason_code))
        # A verdict is never older than the newest one, whatever else is unclear.
        assert known.decided_at == START + dt.timedelta(seconds=max(word[2] for word in said))
    assert len(came_to) == 1


def test_the_same_message_twice_is_kept_once(delivery: Delivery) -> None:
    say(delivery, "invalid", 1, "Duplicate", event="e1")
    say(delivery, "invalid", 1, "Duplicate", event="e1")
    assert StatusUpdate.objects.count() == 1


def test_what_was_said_again_later_outranks_a_late_message_from_between(delivery: Delivery) -> None:
    say(delivery, "valid", 1)
    verdicts_apply()
    say(delivery, "valid", 5)
    verdicts_apply()
    say(delivery, "invalid", 3)
    verdicts_apply()
    assert list(StatusUpdate.objects.values_list("state", flat=True)) == ["applied", "repeated", "stale"]
    assert Lead.objects.get().flag == "valid"


def test_a_verdict_on_nothing_of_ours_is_kept_and_shown_as_unmatched(db: None) -> None:
    say(None, "invalid", 1)
    verdicts_apply()
    assert StatusUpdate.objects.get().state == "unmatched"


def test_a_colleague_s_later_word_is_not_overwritten_but_shown_as_a_conflict(delivery: Delivery) -> None:
    lead = Lead.objects.get()
    leads_flag({lead.pk: FlagChange(Flag.VALID, "Confirmed", by="maria")})
    messages_store(
        [
            Message(
                delivery.pk,
                Verdict("invalid", decided_at=START - dt.timedelta(hours=1)),
                StatusUpdate.Via.PUSHED,
                timezone.now(),
            )
        ]
    )
    verdicts_apply()
    lead.refresh_from_db()
    delivery.refresh_from_db()
    assert (lead.flag, delivery.verdict) == ("valid", "invalid")
    assert StatusUpdate.objects.get().state == "conflicting"


def test_a_verdict_settles_a_doubt(delivery: Delivery) -> None:
    Delivery.objects.update(state="unknown")
    say(delivery, "valid", 1)
    verdicts_apply()
    delivery.refresh_from_db()
    assert delivery.state == "delivered"


@pytest.mark.parametrize("keys", [True, False], ids=["they know a repeat", "they don't"])
def test_a_verdict_that_came_while_a_worker_died_settles_the_delivery(
    delivery: Delivery, integration: Integration, keys: bool
) -> None:
    Integration.objects.update(honours_keys=keys)
    Delivery.objects.update(state="sending", delivered_at=None, reference="", lease_until=timezone.now())
    say(delivery, "valid", 1)
    verdicts_apply()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.verdict) == ("sending", "valid")
    assert leases_expire() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.next_try_at) == ("delivered", None)


@pytest.mark.parametrize("keys", [True, False], ids=["to be retried", "in doubt"])
def test_a_verdict_that_came_before_a_try_ended_without_an_answer_settles_it(
    integration: Integration, client: Client, lead: Callable[..., Lead], keys: bool
) -> None:
    Integration.objects.update(honours_keys=keys)
    lead()
    leads_process()
    Delivery.objects.update(verdict="valid", decided_at=START)
    client.say.append(Answer(201, cut=True))
    integration_deliver(integration.pk)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.next_try_at, len(client.leads)) == ("delivered", None, 1)


def test_what_went_out_before_a_restored_backup_is_not_sent_again_once_the_client_s_verdict_is_in(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    lead()
    leads_process()
    say(Delivery.objects.get(), "invalid", 1, "Duplicate")
    verdicts_apply()
    integration_deliver(integration.pk)
    assert (Delivery.objects.get().state, client.leads) == ("delivered", [])


def test_a_message_that_names_the_client_s_id_waits_for_the_delivery_with_it(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    about = about_reference(integration.pk, "1")
    verdict = Verdict("invalid", "Duplicate", decided_at=START)
    messages_store([Message(None, verdict, StatusUpdate.Via.PUSHED, START, about=about)])
    verdicts_apply()
    assert (updates_match(), StatusUpdate.objects.get().state) == (0, "unmatched")
    lead()
    leads_process()
    integration_deliver(integration.pk)
    assert updates_match() == 1
    verdicts_apply()
    assert (StatusUpdate.objects.get().state, Lead.objects.get().flag) == ("applied", "invalid")
    assert updates_match() == 0


@pytest.mark.parametrize(
    ("answer", "flag", "reason"),
    [
        (Answer(202, b"The lead has not been processed yet"), "", ""),
        (Answer(200), "valid", ""),
        (Answer(200, b'""'), "valid", ""),
        (
            Answer(200, {"qaReasons": "", "failedJobs": ["No values found for field"]}),
            "invalid",
            "No values found for field",
        ),
        (Answer(200, b'"Duplicate of another lead"'), "invalid", "Duplicate of another lead"),
        (Answer(200, b"Duplicate of another lead"), "invalid", "Duplicate of another lead"),
    ],
)
def test_each_known_shape_of_a_lead_result_is_read(
    delivery: Delivery, integration: Integration, client: Client, answer: Answer, flag: str, reason: str
) -> None:
    client.results[delivery.reference] = answer
    Delivery.objects.update(next_poll_at=timezone.now())
    integration_poll(integration.pk)
    verdicts_apply()
    lead = Lead.objects.get()
    assert (lead.flag, lead.comment) == (flag, reason)
    delivery.refresh_from_db()
    assert delivery.next_poll_at > timezone.now()


def test_one_lead_that_the_client_lost_does_not_stop_the_others(
    integration: Integration, client: Client, lead: Callable[..., Lead]
) -> None:
    for _ in range(3):
        lead()
    leads_process()
    integration_deliver(integration.pk)
    client.results = {"1": Answer(404, b"404 Not Found"), "2": Answer(200), "3": Answer(200)}
    Delivery.objects.update(next_poll_at=timezone.now())
    integration_poll(integration.pk)
    verdicts_apply()
    assert Lead.objects.filter(flag="valid").count() == 2
    again_at = Delivery.objects.get(reference="1").next_poll_at
    assert again_at is not None
    assert dt.timedelta(hours=23) < again_at - timezone.now() <= dt.timedelta(days=1)


def test_a_lead_that_the_client_does_not_know_is_asked_about_as_long_as_the_campaign_wants_to_know(
    delivery: Delivery, integration: Integration, client: Client
) -> None:
    client.results[delivery.reference] = Answer(404, {"code": 404, "message": "Lead not found"})
    Delivery.objects.update(next_poll_at=timezone.now(), delivered_at=timezone.now() - dt.timedelta(days=89, hours=1))
    integration_poll(integration.pk)
    assert Delivery.objects.get().next_poll_at is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, {"code": 404, "message": "Publisher not found"}),
        Answer(404, b"<!doctype html><title>Not Found</title>", {"Content-Type": "text/html"}),
    ],
    ids=["the publisher is not known", "a page of something in between"],
)
def test_a_404_that_says_nothing_of_the_lead_leaves_its_look_ups_as_they_were(
    delivery: Delivery, integration: Integration, client: Client, answer: Answer
) -> None:
    client.results[delivery.reference] = answer
    delivered_at = timezone.now() - dt.timedelta(minutes=2)
    Delivery.objects.update(next_poll_at=timezone.now(), delivered_at=delivered_at)
    integration_poll(integration.pk)
    assert Delivery.objects.get().next_poll_at == delivered_at + dt.timedelta(minutes=5)
    asked = Asking(integration).ask([Delivery.objects.get()])
    assert (set(asked.blocked), asked.unknown) == ({delivery.pk}, {})


def test_a_lead_is_asked_for_again_after_the_client_s_campaign_was_paused(
    delivery: Delivery, integration: Integration, client: Client
) -> None:
    client.results[delivery.reference] = Answer(403, {"code": "403", "error": "Campaign is inactive"})
    Delivery.objects.update(next_poll_at=timezone.now())
    integration_poll(integration.pk)
    assert Delivery.objects.get().next_poll_at > timezone.now()


def test_a_poll_with_an_ended_token_renews_it(delivery: Delivery, integration: Integration, client: Client) -> None:
    client.refuse_tokens.add("token-1")
    client.results[delivery.reference] = Answer(200)
    Delivery.objects.update(next_poll_at=timezone.now())
    integration_poll(integration.pk)
    verdicts_apply()
    assert Lead.objects.get().flag == "valid"


def test_verdicts_are_asked_for_by_age_and_no_longer_than_the_campaign_wants() -> None:
    ages = [0, 61, 301, 901, 3_601, 14_401, 100_000]
    waits = []
    for age in ages:
        when = next_poll_at(START, START + dt.timedelta(seconds=age), verdict_days=90)
        assert when is not None
        waits.append(round((when - START).total_seconds()))
    assert waits == [60, 300, 900, 3_600, 14_400, 100_801, 186_400]
    assert next_poll_at(START, START + dt.timedelta(days=89, hours=1), verdict_days=90) is None


def test_a_changed_flag_is_handed_to_the_instance_that_the_lead_came_from(
    client: Client, lead: Callable[..., Lead]
) -> None:
    received = lead()
    Lead.objects.update(sync_subdomain="acme", sync_token="a" * 32)
    leads_process()
    leads_flag({received.pk: FlagChange(Flag.RETURNED, "Unable to Contact", "rang three times", by="maria")})
    assert changes_hand_over() == 1
    managed = Integration.objects.get(managed=True)
    integration_deliver(managed.pk)
    told = client.callbacks[0]
    change = LeadChange.objects.get(kind="flagged")
    assert told.path == f"/api/webhook/invalidate/{'a' * 32}"
    assert told.form == {
        "reason": "Unable to Contact: rang three times",
        "user": "maria",
        "verdict": "returned",
        "reasonCode": "Unable to Contact",
        "comment": "rang three times",
        "eventId": change.event_id.hex,
        "decidedAt": change.decided_at.isoformat(),
    }
    assert changes_hand_over() == 0
