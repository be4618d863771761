"""What goes out when: caps, hours and days, in the campaign's time zone."""

from __future__ import annotations

import datetime as dt

import pytest

from integrations.gate import next_opening
from integrations.models import Integration
from leads.models import Campaign

UTC = dt.UTC


def at(words: str) -> dt.datetime:
    return dt.datetime.fromisoformat(words).replace(tzinfo=UTC)


def hours(zone: str = "UTC", begins: str = "", ends: str = "", weekdays: tuple[int, ...] = ()) -> Integration:
    campaign = Campaign(pk=1, time_zone=zone)
    return Integration(
        campaign=campaign,
        hours_from=dt.time.fromisoformat(begins) if begins else None,
        hours_to=dt.time.fromisoformat(ends) if ends else None,
        weekdays=list(weekdays),
    )


# Moments are in UTC. 21 November 2026 is a Saturday.
OPENINGS = {
    "no hours and no days: always": (hours(), "2026-11-21 03:00", None),
    "in hours": (hours("Europe/Berlin", "09:00", "18:00"), "2026-11-20 08:00", None),
    "a minute before": (hours("Europe/Berlin", "09:00", "18:00"), "2026-11-20 07:59", "2026-11-20 08:00"),
    "the end is not in it": (hours("Europe/Berlin", "09:00", "18:00"), "2026-11-20 17:00", "2026-11-21 08:00"),
    "the day is the campaign's": (
        hours("Asia/Tokyo", weekdays=(0, 1, 2, 3, 4)),
        "2026-11-20 15:00",  # Saturday has begun in Tokyo
        "2026-11-22 15:00",
    ),
    "at the weekend until Monday": (
        hours("UTC", "09:00", "18:00", (0, 1, 2, 3, 4)),
        "2026-11-21 10:00",
        "2026-11-23 09:00",
    ),
    "over midnight, in the evening": (hours("UTC", "22:00", "06:00"), "2026-11-20 23:00", None),
    "over midnight, in the morning": (hours("UTC", "22:00", "06:00"), "2026-11-20 05:59", None),
    "over midnight, by day": (hours("UTC", "22:00", "06:00"), "2026-11-20 06:00", "2026-11-20 22:00"),
    "Friday's night ends on Saturday": (hours("UTC", "22:00", "06:00", (4,)), "2026-11-21 05:00", None),
    "Saturday's night is not Friday's": (
        hours("UTC", "22:00", "06:00", (4,)),
        "2026-11-21 23:00",
        "2026-11-27 22:00",
    ),
    "from a time until midnight": (hours("UTC", "20:00"), "2026-11-20 23:59", None),
    "until a time from midnight": (hours("UTC", "", "08:00"), "2026-11-20 09:00", "2026-11-21 00:00"),
    # Clocks in Berlin leap from 02:00 to 03:00 on 29 March 2026, and back from 03:00 to 02:00 on 25 October.
    "nine is nine after the leap": (hours("Europe/Berlin", "09:00", "18:00"), "2026-03-28 20:00", "2026-03-29 07:00"),
    "nine is nine after the leap back": (
        hours("Europe/Berlin", "09:00", "18:00"),
        "2026-10-24 20:00",
        "2026-10-25 08:00",
    ),
    "a beginning that the clock leaps over": (
        hours("Europe/Berlin", "02:30", "06:00"),
        "2026-03-29 00:10",
        "2026-03-29 01:00",
    ),
    "an end that the clock leaps over": (
        hours("Europe/Berlin", "22:00", "02:30"),
        "2026-03-29 01:00",
        "2026-03-29 20:00",
    ),
    "an end that the clock shows twice is the first": (
        hours("Europe/Berlin", "22:00", "02:30"),
        "2026-10-25 00:30",
        "2026-10-25 21:00",
    ),
}


@pytest.mark.parametrize("name", list(OPENINGS))
def test_it_goes_on_when_the_campaign_s_clock_says_so(name: str) -> None:
    integration, now, opening = OPENINGS[name]
    assert next_opening(integration, at(now)) == (at(opening) if opening else None)


def test_what_serves_the_whole_instance_keeps_hours_in_utc() -> None:
    integration = Integration(managed=True, hours_from=dt.time(9), hours_to=dt.time(17))
    assert next_opening(integration, at("2026-11-20 08:00")) == at("2026-11-20 09:00")
