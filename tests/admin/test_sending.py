"""What goes out when, on the Configure page; and what pages say of a wait."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integrations.models import Delivery, Integration, IntegrationState
from leads.models import Lead
from tests.admin.pages import boxes, said, text

MakeLead = Callable[..., Lead]
MakeDelivery = Callable[..., Delivery]


def page(integration: Integration) -> str:
    return reverse("admin:integrations_integration_change", args=[integration.pk])


def save(client: Client, integration: Integration, **changes: str) -> Any:
    filled = {**boxes(client.get(page(integration))), "do": "save"}
    filled |= {
        f"sending-{name.replace('_', '-') if name.startswith('day') else name}": value
        for name, value in changes.items()
    }
    return client.post(page(integration), filled, follow=True)


def test_caps_days_and_hours_are_saved_with_words_for_the_history_and_lift_a_closure(
    browser_client: Client, integration: Integration
) -> None:
    Integration.objects.update(closed_reason="Today's 5 are out.", closed_until=timezone.now() + dt.timedelta(hours=3))
    save(
        browser_client,
        integration,
        cap_day="500",
        cap_week="2000",
        day_0="on",
        day_4="on",
        hours_from="22:00",
        hours_to="06:00",
        release_per_minute="60",
        in_doubt="again",
    )
    integration.refresh_from_db()
    assert (integration.cap_day, integration.cap_week, integration.cap_total) == (500, 2000, None)
    assert (integration.weekdays, integration.hours_from, integration.hours_to) == ([0, 4], dt.time(22), dt.time(6))
    assert (integration.release_per_minute, integration.in_doubt) == (60, "again")
    assert (integration.closed_reason, integration.closed_until) == ("", None)
    history = text(browser_client.get(reverse("admin:integrations_integration_history", args=[integration.pk])))
    assert "Most in a day: no bound → 500." in history
    assert "Days: every day → Mon, Fri." in history
    shown = boxes(browser_client.get(page(integration)))
    assert (shown["sending-cap_day"], shown["sending-hours_from"], shown.get("sending-day-1")) == ("500", "22:00", None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cap_day": "0"}, "Write 1 or more, or leave it empty. To send nothing, pause the integration."),
        ({"cap_day": "many"}, "Write a whole number, or leave it empty."),
        ({"cap_day": "10", "cap_week": "5"}, "This is more than the most in a week."),
        ({"cap_week": "10", "cap_total": "5"}, "This is less than the most in a day or a week."),
        ({"hours_from": "09:00", "hours_to": "09:00"}, "Both are the same."),
        ({"hours_from": "25:00"}, "Write a time as 09:00."),
        ({"release_per_minute": "-1"}, "Write 0 or more; 0 lets all go at once."),
    ],
)
def test_what_can_t_be_meant_is_said_beside_its_box_and_nothing_is_saved(
    browser_client: Client, integration: Integration, changes: dict[str, str], words: str
) -> None:
    response = save(browser_client, integration, **changes)
    assert words in text(response)
    assert "Nothing is saved yet" in said(response)
    integration.refresh_from_db()
    assert (integration.cap_day, integration.cap_week, integration.hours_from) == (None, None, None)


def test_what_to_do_in_doubt_is_asked_only_where_the_client_can_t_tell_a_repeat(
    browser_client: Client, integration: Integration
) -> None:
    assert "Sent, but no answer came" in text(browser_client.get(page(integration)))
    Integration.objects.update(honours_keys=True)
    assert "Sent, but no answer came" not in text(browser_client.get(page(integration)))


def test_two_who_change_different_bounds_at_once_are_told_and_both_can_stay(
    browser_client: Client, integration: Integration
) -> None:
    mine = {**boxes(browser_client.get(page(integration))), "do": "save", "sending-cap_week": "900"}
    save(browser_client, integration, cap_day="100")
    told = browser_client.post(page(integration), mine, follow=True)
    assert "Most in a day" in text(told)
    integration.refresh_from_db()
    assert (integration.cap_day, integration.cap_week) == (100, None)
    merged = {**boxes(told), "do": "merge"}
    browser_client.post(page(integration), merged, follow=True)
    integration.refresh_from_db()
    assert (integration.cap_day, integration.cap_week) == (100, 900)


def test_a_closed_integration_says_why_and_until_when_wherever_it_is_shown(
    browser_client: Client, integration: Integration, lead_make: MakeLead, delivery_make: MakeDelivery
) -> None:
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0) + dt.timedelta(days=1)
    lead = lead_make()
    delivery = delivery_make(lead, state="queued", next_try_at=timezone.now())
    Integration.objects.update(
        state=IntegrationState.ON, cap_day=500, closed_reason="Today's 500 are out.", closed_until=midnight
    )
    words = f"Waiting: today&#x27;s 500 are out. It goes on on {midnight.day} {midnight:%b}"
    for where in (
        reverse("admin:integrations_delivery_changelist"),
        reverse("admin:integrations_delivery_change", args=[delivery.pk]),
        reverse("admin:leads_lead_change", args=[lead.pk]),
        reverse("admin:leads_campaign_jobs", args=[integration.campaign_id, "integrations"]),
        reverse("admin:index"),
        page(integration),
    ):
        assert words in text(browser_client.get(where)).replace("&#39;", "&#x27;"), where
    Integration.objects.update(closed_reason="All 9 are out.", closed_until=None)
    shown = text(browser_client.get(reverse("admin:index")))
    assert "all 9 are out. It goes on when the number is raised." in shown


def test_an_open_breaker_says_when_the_next_try_is(
    browser_client: Client, integration: Integration, lead_make: MakeLead, delivery_make: MakeDelivery
) -> None:
    delivery = delivery_make(lead_make(), state="queued", next_try_at=timezone.now())
    until = timezone.now() + dt.timedelta(minutes=5)
    Integration.objects.update(
        state=IntegrationState.ON,
        failures=5,
        open_until=until,
        state_reason="The client's system does not answer as it should. Tries go on, one at a time.",
    )
    shown = text(browser_client.get(reverse("admin:integrations_delivery_change", args=[delivery.pk])))
    assert "does not answer as it should" in shown
    assert f"Next try {until:%H:%M}." in shown or f"Next try {until.day} {until:%b}" in shown


def test_a_possible_repeat_is_marked_in_words_on_every_page_of_it(
    browser_client: Client, integration: Integration, lead_make: MakeLead, delivery_make: MakeDelivery
) -> None:
    lead = lead_make()
    delivery = delivery_make(lead, state="delivered", maybe_repeat=True, delivered_at=timezone.now())
    for where in (
        reverse("admin:integrations_delivery_changelist"),
        reverse("admin:integrations_delivery_change", args=[delivery.pk]),
        reverse("admin:leads_lead_change", args=[lead.pk]),
    ):
        assert "The client may have it twice." in text(browser_client.get(where)), where


@pytest.mark.parametrize(("action", "state"), [("release", "held"), ("replay", "refused")])
def test_who_lets_out_many_at_once_is_told_beforehand_how_long_it_takes(
    browser_client: Client,
    integration: Integration,
    lead_make: MakeLead,
    delivery_make: MakeDelivery,
    action: str,
    state: str,
) -> None:
    made = [delivery_make(lead_make(), state=state, next_try_at=None) for _ in range(4)]
    Integration.objects.update(state=IntegrationState.ON, release_per_minute=2)
    page_of_it = reverse("admin:integrations_delivery_bulk", args=[action])
    asked = {"ids": ",".join(str(delivery.pk) for delivery in made)}
    assert "4 go out over the next 2 minutes." in text(browser_client.get(page_of_it, asked))
    Integration.objects.update(release_per_minute=0)
    assert "go out over" not in text(browser_client.get(page_of_it, asked))


def test_switching_on_says_how_long_what_waited_takes(
    browser_client: Client, integration: Integration, lead_make: MakeLead, delivery_make: MakeDelivery
) -> None:
    Integration.objects.update(
        state=IntegrationState.PAUSED,
        release_per_minute=2,
        connector="webhook",
        settings={"url": "https://hooks.example.com/leads"},
        secrets={"signing_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        discovered_at=timezone.now(),
    )
    for _ in range(6):
        delivery_make(lead_make(), state="held", next_try_at=None)
    filled = {**boxes(browser_client.get(page(integration))), "do": "on"}
    assert "6 go out over the next 3 minutes." in said(browser_client.post(page(integration), filled, follow=True))
