"""Measures what it takes to keep audiences up: after new events, with a short history and with one ten times as long."""

from __future__ import annotations

from dataclasses import dataclass

from bench.processes import Child
from bench.servers import Servers

NEW_EVENTS = 1_000


@dataclass(frozen=True)
class Kept:
    """With a history of so many events: seconds for everybody, and for each round of new events."""

    events: int
    persons: int
    whole_s: float
    update_s: list[float]


def kept_up(servers: Servers, child: Child, events: int, rounds: int) -> Kept:
    """Let the history grow to so many events, compute everybody once, then a round of new events at a time."""
    child.ask({"do": "history", "events": events})
    whole = child.ask({"do": "compute"})
    child.ask({"do": "update", "events": NEW_EVENTS})  # the first finds nothing in any cache
    updates = [child.ask({"do": "update", "events": NEW_EVENTS})["took_s"] for _ in range(rounds)]
    return Kept(events, whole["persons"], whole["took_s"], updates)
