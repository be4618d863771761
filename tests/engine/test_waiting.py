"""What waits, why and until when; and how it is let out: caps in force, releases at a rate, clients that fail for days."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from integrations.breaker import breaker_record
from integrations.claims import deliveries_claim, leases_expire
from integrations.delivery import (
    Wish,
    deliveries_add,
    deliveries_due,
    deliveries_release,
    deliveries_unpark,
    integration_switch,
)
from integrations.dispatch import integration_deliver
from integrations.failing import failures_escalate
from integrations.gate import integration_allowance, integration_reopen, integration_took
from integrations.kit.contract import OutcomeKind
from integrations.models import Attempt, Delivery, Integration, IntegrationState
from integrations.processr import leads_process
from integrations.reconciliation import doubt_settle
from integrations.releasing import release_words
from leads.database import uuid7
from leads.models import Lead
from tests.engine.client import Answer, Client

pytestmark = pytest.mark.django_db

MakeLead = Callable[..., Lead]
MakeDeliveries = Callable[..., list[Delivery]]
RETRY, DELIVERED, UNKNOWN, REFUSED = (
    OutcomeKind.RETRY,
    OutcomeKind.DELIVERED,
    OutcomeKind.UNKNOWN,
    OutcomeKind.REFUSED,
)


@pytest.fixture
def rows(integration: Integration, lead: MakeLead) -> MakeDeliveries:
    """Makes deliveries of one lead to the integration, as they are told."""
    whose = lead()

    def make(count: int = 1, **columns: Any) -> list[Delivery]:
        made = [
            Delivery(key=uuid7(), integration=integration, kind="lead", lead=whose, **columns) for _ in range(count)
        ]
        return Delivery.objects.bulk_create(made)

    return make


def allowed(integration: Integration, wanted: int = 100, now: dt.datetime | None = None, **rules: Any) -> int:
    Integration.objects.filter(pk=integration.pk).update(room=None, **rules)
    integration.refresh_from_db()
    return integration_allowance(integration, wanted, now or timezone.now())


# --- caps -----------------------------------------------------------------------------------------------------


def test_without_caps_and_hours_the_gate_asks_the_database_nothing(
    integration: Integration, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        assert integration_allowance(integration, 200, timezone.now()) == 200


def test_a_day_s_cap_counts_what_the_client_has_or_may_have(integration: Integration, rows: MakeDeliveries) -> None:
    now = timezone.now()
    rows(3, state="delivered", delivered_at=now)
    rows(2, state="sending", lease_until=now)
    [doubt] = rows(1, state="unknown", next_try_at=None)
    Attempt.objects.create(delivery=doubt, number=1, started_at=now, outcome="unknown")
    rows(4, state="delivered", delivered_at=now, test=True)
    rows(4, state="delivered", delivered_at=now - dt.timedelta(days=1))
    rows(4, state="refused")
    rows(4)
    assert allowed(integration, cap_day=10) == 4
    assert allowed(integration, 3, cap_day=10) == 3


def test_what_is_claimed_is_taken_off_the_last_count_and_not_counted_anew(
    integration: Integration, rows: MakeDeliveries, django_assert_num_queries: Any
) -> None:
    rows(3, state="delivered", delivered_at=timezone.now())
    assert allowed(integration, cap_day=10) == 7
    integration_took(integration, 5)
    with django_assert_num_queries(1):
        assert integration_allowance(integration, 100, timezone.now()) == 2


def test_a_count_that_is_used_up_is_made_anew_and_finds_what_came_free(
    integration: Integration, rows: MakeDeliveries
) -> None:
    sent = rows(4, state="sending", lease_until=timezone.now())
    assert allowed(integration, cap_day=5) == 1
    integration_took(integration, 1)
    Delivery.objects.filter(pk__in=[row.pk for row in sent[:3]]).update(state="refused", lease_until=None)
    assert integration_allowance(integration, 100, timezone.now()) == 4


def test_a_count_is_not_believed_beyond_the_end_of_the_day(integration: Integration, rows: MakeDeliveries) -> None:
    late = dt.datetime(2026, 3, 4, 23, 59, 50, tzinfo=dt.UTC)
    rows(3, state="delivered", delivered_at=late)
    assert allowed(integration, now=late, cap_day=10) == 7
    assert integration_allowance(integration, 100, late + dt.timedelta(seconds=20)) == 10


def test_a_count_is_not_believed_beyond_the_closing_hour(integration: Integration) -> None:
    late = dt.datetime(2026, 3, 4, 16, 59, 50, tzinfo=dt.UTC)
    hours: dict[str, Any] = {"hours_from": dt.time(9), "hours_to": dt.time(17)}
    assert allowed(integration, now=late, **hours) == 100
    assert integration_allowance(integration, 100, late + dt.timedelta(seconds=5)) == 100
    assert integration_allowance(integration, 100, late + dt.timedelta(seconds=15)) == 0


def test_a_verdict_that_settles_a_doubt_is_counted_at_once(integration: Integration, rows: MakeDeliveries) -> None:
    [lost] = rows(1, state="exhausted", next_try_at=None, verdict="valid")
    assert allowed(integration, cap_day=10) == 10
    doubt_settle([lost.pk])
    assert integration_allowance(integration, 100, timezone.now()) == 9


def test_an_old_doubt_takes_no_room_of_today(integration: Integration, rows: MakeDeliveries) -> None:
    [doubt] = rows(1, state="unknown", next_try_at=None)
    Attempt.objects.create(
        delivery=doubt, number=1, started_at=timezone.now() - dt.timedelta(days=2), outcome="unknown"
    )
    assert allowed(integration, cap_day=10) == 10
    assert allowed(integration, cap_day=None, cap_total=10) == 9


def test_a_day_is_the_campaign_s_day(integration: Integration, rows: MakeDeliveries) -> None:
    integration.campaign.time_zone = "America/New_York"
    integration.campaign.save()
    # 03:00 UTC on the 21st is still the 20th in New York, and 06:00 UTC is the 21st.
    rows(2, state="delivered", delivered_at=dt.datetime(2026, 11, 21, 3, tzinfo=dt.UTC))
    assert allowed(integration, now=dt.datetime(2026, 11, 21, 4, tzinfo=dt.UTC), cap_day=2) == 0
    integration.refresh_from_db()
    assert integration.closed_reason == "Today's 2 are out."
    assert integration.closed_until == dt.datetime(2026, 11, 21, 5, tzinfo=dt.UTC)
    assert allowed(integration, now=dt.datetime(2026, 11, 21, 5, tzinfo=dt.UTC)) == 2
    assert Integration.objects.filter(closed_reason="", closed_until=None).exists()


def test_a_week_begins_on_monday_and_goes_on_in_hours(integration: Integration, rows: MakeDeliveries) -> None:
    saturday = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
    rows(2, state="delivered", delivered_at=dt.datetime(2026, 11, 16, 1, tzinfo=dt.UTC))
    rows(9, state="delivered", delivered_at=dt.datetime(2026, 11, 15, 23, tzinfo=dt.UTC))
    assert allowed(integration, now=saturday, cap_week=3) == 1
    assert allowed(integration, now=saturday, cap_week=2, hours_from=dt.time(9), hours_to=dt.time(18)) == 0
    integration.refresh_from_db()
    assert integration.closed_reason == "This week's 2 are out."
    assert integration.closed_until == dt.datetime(2026, 11, 23, 9, tzinfo=dt.UTC)


def test_what_is_being_sent_takes_room_but_closes_nothing_for_it_may_fail(
    integration: Integration, rows: MakeDeliveries
) -> None:
    rows(5, state="sending", lease_until=timezone.now())
    assert allowed(integration, cap_day=5) == 0
    integration.refresh_from_db()
    assert (integration.closed_reason, integration.closed_until) == ("", None)
    Delivery.objects.update(state="queued")
    assert allowed(integration) == 5


def test_a_lifetime_s_cap_closes_until_a_person_raises_it(integration: Integration, rows: MakeDeliveries) -> None:
    rows(2, state="delivered", delivered_at=timezone.now())
    rows(1)
    assert allowed(integration, cap_total=2) == 0
    integration.refresh_from_db()
    assert (integration.closed_reason, integration.closed_until) == ("All 2 are out.", None)
    assert deliveries_due() == []
    Integration.objects.update(cap_total=3)
    integration_reopen(integration.pk)
    assert deliveries_due() == [integration.pk]
    assert allowed(integration) == 1


def test_a_closed_integration_keeps_its_queue_and_a_test_lead_goes_at_once(
    integration: Integration, rows: MakeDeliveries
) -> None:
    now = timezone.now()
    rows(2, next_try_at=now)
    Integration.objects.update(closed_reason="Today's 500 are out.", closed_until=now + dt.timedelta(hours=1))
    assert deliveries_due() == []
    assert set(Delivery.objects.values_list("state", flat=True)) == {"queued"}
    rows(1, next_try_at=now, test=True)
    assert deliveries_due() == [integration.pk]
    Delivery.objects.filter(test=True).delete()
    Integration.objects.update(closed_until=now - dt.timedelta(seconds=1))
    assert deliveries_due() == [integration.pk]


# --- doubt ----------------------------------------------------------------------------------------------------


def deliver(integration: Integration, lead: Lead) -> Delivery:
    leads_process()
    integration_deliver(integration.pk)
    return Delivery.objects.get(lead=lead)


def test_a_client_that_can_t_tell_a_repeat_gets_it_again_where_that_is_wanted_and_it_is_marked(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    client.honours_keys = False
    Integration.objects.update(honours_keys=False, in_doubt="again")
    client.say.append(Answer(201, cut=True))
    delivery = deliver(integration, lead())
    assert (delivery.state, delivery.maybe_repeat) == ("queued", True)
    assert delivery.next_try_at > timezone.now()
    Delivery.objects.update(next_try_at=timezone.now())
    integration_deliver(integration.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.maybe_repeat, len(client.leads)) == ("delivered", True, 2)


def test_a_client_that_knows_keys_is_never_marked(integration: Integration, client: Client, lead: MakeLead) -> None:
    Integration.objects.update(in_doubt="again")
    client.say.append(Answer(201, cut=True))
    delivery = deliver(integration, lead())
    assert (delivery.state, delivery.maybe_repeat) == ("queued", False)


def test_what_may_have_arrived_is_never_called_given_up(
    integration: Integration, client: Client, rows: MakeDeliveries
) -> None:
    Integration.objects.update(honours_keys=False, in_doubt="again")
    [delivery] = rows(1, tries=11, maybe_repeat=True, next_try_at=timezone.now())
    client.say.append(Answer(500))
    integration_deliver(integration.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.maybe_repeat) == ("unknown", True)


@pytest.mark.parametrize(
    ("honours_keys", "in_doubt", "state", "marked"),
    [(True, "hold", "queued", False), (False, "hold", "unknown", False), (False, "again", "queued", True)],
)
def test_what_a_dead_worker_held_follows_the_same_rule(
    integration: Integration, rows: MakeDeliveries, honours_keys: bool, in_doubt: str, state: str, marked: bool
) -> None:
    Integration.objects.update(honours_keys=honours_keys, in_doubt=in_doubt)
    [delivery] = rows(1, state="sending", lease_until=timezone.now() - dt.timedelta(seconds=1), next_try_at=None)
    assert leases_expire() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.maybe_repeat) == (state, marked)


def test_what_a_person_releases_out_of_doubt_is_marked_and_gives_back_its_room(
    integration: Integration, rows: MakeDeliveries
) -> None:
    Integration.objects.update(honours_keys=False, closed_reason="Today's 1 are out, 1 of them in doubt.")
    [delivery] = rows(1, state="unknown", next_try_at=None)
    assert deliveries_release([delivery.pk]) == 1
    delivery.refresh_from_db()
    integration.refresh_from_db()
    assert (delivery.state, delivery.maybe_repeat, integration.closed_reason) == ("queued", True, "")


# --- release at a rate ----------------------------------------------------------------------------------------


def gaps(first: dt.datetime) -> list[float]:
    times = Delivery.objects.filter(state="queued").order_by("pk").values_list("next_try_at", flat=True)
    return [round((when - first).total_seconds(), 1) for when in times if when is not None]


def test_what_waited_goes_out_at_the_chosen_rate_oldest_first(integration: Integration, rows: MakeDeliveries) -> None:
    Integration.objects.update(release_per_minute=120)
    integration.refresh_from_db()
    integration_switch(integration, on=False)
    rows(4, state="held", next_try_at=None, reason="Paused", tries=3)
    now = timezone.now()
    assert integration_switch(integration, on=True) == 4
    assert gaps(now) == pytest.approx([0, 0.5, 1, 1.5], abs=0.2)
    assert set(Delivery.objects.values_list("tries", "reason")) == {(0, "")}
    assert release_words(1_200, integration) == "1,200 go out over the next 10 minutes."
    integration_switch(integration, on=False)
    assert set(Delivery.objects.values_list("state", "next_try_at")) == {("held", None)}


def test_a_second_release_follows_the_first_and_a_test_lead_waits_for_none(
    integration: Integration, rows: MakeDeliveries
) -> None:
    Integration.objects.update(release_per_minute=60)
    now = timezone.now()
    for reason in ("first", "second"):
        rows(3, state="held", next_try_at=None, reason=reason)
        rows(1, state="held", next_try_at=None, reason=reason, test=True)
        assert deliveries_unpark(integration.pk, reason) == 4
    assert gaps(now) == pytest.approx([0, 1, 2, 0, 2, 3, 4, 0], abs=0.3)


def test_with_no_rate_all_goes_at_once_and_new_leads_are_never_slowed(
    integration: Integration, rows: MakeDeliveries, lead: MakeLead
) -> None:
    Integration.objects.update(release_per_minute=0)
    rows(50, state="held", next_try_at=None, reason="x")
    assert deliveries_unpark(integration.pk, "x") == 50
    assert not Delivery.objects.filter(next_try_at__gt=timezone.now()).exists()
    Delivery.objects.all().delete()
    Integration.objects.update(release_per_minute=1)
    for _ in range(3):
        lead()
    leads_process()
    # One more: the lead that `rows` is about.
    assert Delivery.objects.filter(state="queued", next_try_at__lte=timezone.now()).count() == 4


def test_what_people_send_again_goes_out_at_the_rate_as_well(integration: Integration, lead: MakeLead) -> None:
    Integration.objects.update(release_per_minute=60)
    integration.refresh_from_db()
    now = timezone.now()
    deliveries_add([Wish(integration, Delivery.Kind.LEAD, lead().pk, resend=True) for _ in range(3)], at_rate=True)
    assert gaps(now) == pytest.approx([0, 1, 2], abs=0.3)


# --- clients that fail ------------------------------------------------------------------------------------------


def test_a_run_of_lost_answers_pauses_calls_too(integration: Integration) -> None:
    now = timezone.now()
    breaker_record(integration.pk, [UNKNOWN] * 5, now)
    integration.refresh_from_db()
    assert integration.open_until > now
    assert integration.failing_since == now


def test_a_host_that_is_silent_to_one_is_left_alone_by_all_and_one_answer_lets_all_try(
    integration: Integration,
) -> None:
    now = timezone.now()
    copies = {}
    for name, host in (("same", "acme.test"), ("other", "else.test")):
        copies[name] = Integration.objects.create(
            campaign=integration.campaign, name=name, connector="webhook", state="on", remote_host=host
        )
    breaker_record(integration.pk, [RETRY] * 5, now, host="acme.test", silent=True)
    for found in (*copies.values(), integration):
        found.refresh_from_db()
    assert copies["same"].open_until == integration.open_until > now
    assert "acme.test does not answer at all" in copies["same"].state_reason
    assert copies["other"].open_until is None

    later = now + dt.timedelta(seconds=30)
    breaker_record(copies["same"].pk, [RETRY], later, host="acme.test", silent=False)
    integration.refresh_from_db()
    assert integration.open_until == later, "it answered, badly: the others may ask for themselves"
    breaker_record(integration.pk, [DELIVERED], later)
    assert Integration.objects.filter(pk=integration.pk, open_until=None, failures=0, state_reason="").exists()
    copies["same"].refresh_from_db()
    assert copies["same"].open_until > later, "an answer of 500 is its own trouble"


def test_bad_answers_of_a_host_are_one_integration_s_own_trouble(integration: Integration) -> None:
    other = Integration.objects.create(
        campaign=integration.campaign, name="x", connector="webhook", state="on", remote_host="acme.test"
    )
    breaker_record(integration.pk, [RETRY] * 5, timezone.now(), host="acme.test", silent=False)
    other.refresh_from_db()
    assert other.open_until is None


def fails_since(integration: Integration, hours: float) -> None:
    Integration.objects.update(failing_since=timezone.now() - dt.timedelta(hours=hours))
    integration.refresh_from_db()


def test_five_days_of_failures_are_told_of_three_times_and_then_switch_it_off(
    integration: Integration, rows: MakeDeliveries
) -> None:
    rows(3)
    told = []
    for hours in (59, 61, 62, 85, 109, 119, 121, 130):
        fails_since(integration, hours)
        failures_escalate()
        integration.refresh_from_db()
        told.append(integration.failing_told)
    assert told == [0, 50, 50, 70, 90, 90, 100, 100]
    assert integration.state == IntegrationState.NEEDS_A_LOOK
    assert "every call has failed for 5 days" in integration.state_reason
    assert set(Delivery.objects.values_list("state", "reason")) == {("held", f"Waiting: {integration.state_reason}")}


def test_after_that_a_probe_an_hour_finds_the_client_back_and_everything_goes_out(
    integration: Integration, client: Client, rows: MakeDeliveries
) -> None:
    rows(3)
    fails_since(integration, 121)
    failures_escalate()
    failures_escalate()
    assert deliveries_due() == [], "not before an hour"

    Integration.objects.update(open_until=timezone.now())
    failures_escalate()
    assert deliveries_due() == [integration.pk]
    assert Delivery.objects.filter(state="queued").count() == 1
    client.say.append(Answer(500))
    integration_deliver(integration.pk)
    integration.refresh_from_db()
    assert integration.state == IntegrationState.NEEDS_A_LOOK
    assert set(Delivery.objects.values_list("state", flat=True)) == {"held"}
    assert integration.open_until > timezone.now() + dt.timedelta(minutes=50)

    Integration.objects.update(open_until=timezone.now(), release_per_minute=0)
    failures_escalate()
    integration_deliver(integration.pk)
    integration.refresh_from_db()
    assert (integration.state, integration.failing_since, integration.failing_told) == ("on", None, 0)
    integration_deliver(integration.pk)
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


def test_a_person_brings_it_back_as_well(integration: Integration, rows: MakeDeliveries) -> None:
    rows(2)
    fails_since(integration, 121)
    failures_escalate()
    integration.refresh_from_db()
    assert integration_switch(integration, on=True) == 2
    integration.refresh_from_db()
    assert (integration.state, integration.failing_since, integration.failing_told) == ("on", None, 0)


def test_a_success_starts_the_days_anew(integration: Integration, rows: MakeDeliveries) -> None:
    rows(1)
    fails_since(integration, 62)
    failures_escalate()
    breaker_record(integration.pk, [DELIVERED], timezone.now())
    integration.refresh_from_db()
    assert (integration.failing_since, integration.failing_told) == (None, 0)


def test_days_in_which_nothing_was_sent_are_no_failure(integration: Integration, rows: MakeDeliveries) -> None:
    rows(1, state="exhausted", next_try_at=None)
    fails_since(integration, 500)
    failures_escalate()
    integration.refresh_from_db()
    assert (integration.state, integration.failing_since) == ("on", None)


def test_the_days_are_a_setting(integration: Integration, rows: MakeDeliveries, settings: LazySettings) -> None:
    settings.FAILING_DAYS = 1
    rows(1)
    fails_since(integration, 25)
    failures_escalate()
    integration.refresh_from_db()
    assert integration.state == IntegrationState.NEEDS_A_LOOK
    assert "for 1 day." in integration.state_reason


def test_an_address_that_is_gone_switches_the_integration_off_with_the_reason(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    client.say.append(Answer(410))
    delivery = deliver(integration, lead())
    integration.refresh_from_db()
    assert integration.state == IntegrationState.NEEDS_A_LOOK
    assert "(410), so this was switched off" in integration.state_reason
    assert delivery.state == "held"
    deliver(integration, lead())
    assert len(client.posts()) == 1


# --- many workers at once ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_never_send_more_than_the_cap(integration: Integration, rows: MakeDeliveries) -> None:
    rows(200)
    Integration.objects.update(cap_day=37)
    integration.refresh_from_db()
    taken: list[int] = []

    def work() -> None:
        try:
            for _ in range(4):
                ids = [held.id for held in deliveries_claim(integration, 7)]
                # One of two is delivered while others claim; of the rest nobody knows yet.
                Delivery.objects.filter(pk__in=ids[::2]).update(state="delivered", delivered_at=timezone.now())
                taken.append(len(ids))
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(taken) == 37
    assert Delivery.objects.exclude(state="queued").count() == 37
