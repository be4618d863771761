"""When clients are asked for verdicts: often at first, then daily; seldom where they tell by themselves.

A verdict that was asked for ends nothing: it is the first check's, and a person's second check follows in minutes or hours (facts,
section 8). polling.py sees to it that these look-ups are in nobody's way.
"""

from __future__ import annotations

import datetime as dt

from django.conf import settings

# Seconds after delivery at which a verdict is asked for; then once a day, as long as the campaign wants to know.
POLL_SECONDS = (60, 300, 900, 3_600, 14_400)
POLL_DAILY = 86_400
# A client that pushes tells what changes by itself. It is asked all the same, for the push that it had to give up.
POLL_WEEKLY = 7 * POLL_DAILY


def first_poll_at(delivered_at: dt.datetime) -> dt.datetime | None:
    """When to ask for the verdict on a delivery for the first time; None where polling is switched off."""
    if not settings.VERDICT_POLLING:
        return None
    return delivered_at + dt.timedelta(seconds=POLL_SECONDS[0] * settings.SCHEDULE_FACTOR)


def next_poll_at(
    delivered_at: dt.datetime, now: dt.datetime, verdict_days: int, *, after_s: float | None = None
) -> dt.datetime | None:
    """When to ask again: 1, 5, 15 minutes, 1 and 4 hours after delivery, then daily; None when the window has ended.

    `after_s`: not by that, but after so many seconds.
    """
    if not settings.VERDICT_POLLING:
        return None
    factor = settings.SCHEDULE_FACTOR
    age = (now - delivered_at).total_seconds()
    if after_s is not None:
        wait = after_s
    else:
        wait = next((s * factor - age for s in POLL_SECONDS if s * factor > age), POLL_DAILY * factor)
    when = now + dt.timedelta(seconds=wait)
    return when if when <= delivered_at + dt.timedelta(days=verdict_days) else None
