"""Why something waits, and until when, in words: one way of saying it for lists, pages, timelines and the home page."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from integrations.gate import SWITCHED_OFF, gate_closed, gate_zone
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from integrations.versions import when_words

REPEAT = "The client may have it twice."
MAYBE_THERE = "The client may have it already."
BY_HAND = "It goes on when the number is raised."
AT_ITS_RATE = "Waiting: what waited goes out at the chosen rate."


def waiting_words(about: Delivery | Integration) -> tuple[str, dt.datetime | None]:
    """Why it waits, with the time in the words, and until when; ("", None) where nothing keeps it from going out.

    The time is None where it waits for a person. Times are the campaign's. A delivery's words may hold the client's, which
    may name what was posted. Wants the integration's campaign loaded.
    """
    now = timezone.now()
    if isinstance(about, Integration):
        return gate_words(about, now)
    integration = about.integration
    if about.state == DeliveryState.HELD:
        words, until = about.reason, about.next_try_at
        if integration.failing_told == SWITCHED_OFF and integration.state == IntegrationState.NEEDS_A_LOOK:
            until = integration.open_until
        return f"{words}{_next_try(integration, until, now)}", until
    if about.state != DeliveryState.QUEUED:
        return "", None
    words, until = gate_words(integration, now, test=about.test)
    due = about.next_try_at
    if words and not (until and due and due > until):
        return words, until
    if due is None or due <= now:
        return "", None
    words = about.reason or AT_ITS_RATE
    return f"{words}{_next_try(integration, due, now, 'It goes out at' if not about.reason else 'Next try')}", due


def gate_words(integration: Integration, now: dt.datetime, *, test: bool = False) -> tuple[str, dt.datetime | None]:
    """Why nothing of an integration that is on goes out now: its caps and hours, or a client that does not answer.

    In our own words alone. ("", None) where all may go out. Caps and hours bound no test leads.
    """
    if integration.state != IntegrationState.ON:
        return "", None
    if not test and gate_closed(integration, now):
        reason, until = integration.closed_reason, integration.closed_until
        on = f"It goes on on {_when(integration, until)}." if until else BY_HAND
        return f"Waiting: {reason[:1].lower()}{reason[1:]} {on}", until
    if integration.open_until is not None:
        until = integration.open_until if integration.open_until > now else None
        words = integration.state_reason or "The client’s system does not answer as it should."
        return f"{words}{_next_try(integration, until, now)}", until
    return "", None


def repeat_words(delivery: Delivery) -> str:
    """What is to be known of one that may have arrived before; "" of any other."""
    if not delivery.maybe_repeat:
        return ""
    return REPEAT if delivery.state == DeliveryState.DELIVERED else MAYBE_THERE


def _next_try(integration: Integration, when: dt.datetime | None, now: dt.datetime, verb: str = "Next try") -> str:
    if when is None or when <= now:
        return ""
    return f" {verb} {_when(integration, when, now)}."


def _when(integration: Integration, moment: dt.datetime, now: dt.datetime | None = None) -> str:
    zone = gate_zone(integration)
    local = moment.astimezone(zone)
    if now is not None and local.date() == now.astimezone(zone).date():
        return f"{local:%H:%M:%S}" if moment - now < dt.timedelta(minutes=2) else f"{local:%H:%M}"
    return when_words(moment, str(zone))
