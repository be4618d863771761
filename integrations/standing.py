"""What follows from a try: where a delivery stands after it, and when it is tried again."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from integrations.delivery import FORM_ASKED
from integrations.kit.contract import Outcome, OutcomeKind
from integrations.models import DeliveryState
from integrations.models.integration import InDoubt

# Seconds until the next try after the first, second, ... one: 75 hours in all.
TRY_SECONDS = (5, 30, 120, 600, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER = 0.2


def next_try(
    tries: int, outcome: Outcome, now: dt.datetime, schedule: Sequence[float] = TRY_SECONDS
) -> dt.datetime | None:
    """When to try again after this many tries that decided nothing; None when the schedule is at its end."""
    if tries > len(schedule):
        return None
    wait = schedule[tries - 1] * settings.SCHEDULE_FACTOR * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
    if outcome.after_s is not None:
        wait = max(outcome.after_s, 0)
    return now + dt.timedelta(seconds=wait)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a delivery stands after a try: what the outcome UPDATE writes."""

    state: DeliveryState
    reason: str
    next_try_at: dt.datetime | None = None
    maybe_repeat: bool = False
    """From now on the client may have it already: whatever goes out is marked as a possible repeat."""


def standing_after(
    tries: int,
    outcome: Outcome,
    now: dt.datetime,
    in_doubt: str = InDoubt.HOLD,
    *,
    maybe_repeat: bool = False,
    schedule: Sequence[float] = TRY_SECONDS,
) -> Standing:
    """What follows from the outcome of a delivery's latest try (the `tries`-th).

    `schedule` holds the seconds between tries; `in_doubt` is what the integration does where it went out and no answer came; `maybe_repeat` whether an earlier try may
    have arrived.
    """
    match outcome.kind:
        case OutcomeKind.DELIVERED:
            return Standing(DeliveryState.DELIVERED, outcome.message)
        case OutcomeKind.REFUSED if outcome.form_changed:
            return Standing(DeliveryState.HELD, FORM_ASKED)
        case OutcomeKind.REFUSED:
            return Standing(DeliveryState.REFUSED, outcome.message)
        case OutcomeKind.MISCONFIGURED:
            return Standing(DeliveryState.HELD, f"Waiting: {outcome.message}")
        case OutcomeKind.UNKNOWN:
            when = next_try(tries, outcome, now, schedule) if in_doubt == InDoubt.AGAIN else None
            if when is None:
                return Standing(DeliveryState.UNKNOWN, outcome.message)
            return Standing(DeliveryState.QUEUED, outcome.message, when, maybe_repeat=True)
        case OutcomeKind.RETRY:
            when = next_try(tries, outcome, now, schedule)
            if when is None and maybe_repeat:
                # Later tries failed, but the first of them may have arrived.
                return Standing(DeliveryState.UNKNOWN, f"Given up after {tries} tries. {outcome.message}")
            if when is None:
                return Standing(DeliveryState.EXHAUSTED, f"Given up after {tries} tries. {outcome.message}")
            return Standing(DeliveryState.QUEUED, outcome.message, when)
