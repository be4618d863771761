"""Measures tracked events: taken in by the batch, and routed to whom they are about and where they go."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.engine import CONNECTIONS, DRAIN_S
from bench.figures import Figure
from bench.processes import BenchError
from bench.rig import Bench

BATCH = 100


@dataclass(frozen=True)
class Taken:
    """One round."""

    accepted_per_s: float
    routed_after_s: float
    """From the answer to the last batch until every event has its person and its delivery."""
    routed_per_s: float
    """From the first request until then."""
    cpu_ms: dict[str, float]
    """Of each process, for a thousand events, until all are routed."""

    @property
    def cpu_ms_all(self) -> float:
        return sum(self.cpu_ms.values())


def events_section(bench: Bench) -> list[Figure]:
    """Batches of events into the tracking API of the production form, beside a plain INSERT of the same rows."""
    taken_in(bench, BATCH * CONNECTIONS * 2)
    bench.server_portal.analyze()
    floors: list[float] = []
    rounds: list[Taken] = []
    for _ in range(bench.size.rounds):
        task = {"database": bench.servers.database, "connections": CONNECTIONS, "rows": BATCH}
        floors.append(bench.floor("insert_events", **task)[0])
        rounds.append(taken_in(bench, bench.size.events))
    section = f"Tracked events, {BATCH} in a batch, {CONNECTIONS} connections: {bench.size.events:,} a round"
    ratios = [r.accepted_per_s / rate for r, rate in zip(rounds, floors, strict=True)]
    return [
        Figure(section, f"floor: INSERT of {BATCH} such rows, {CONNECTIONS} connections", floors, "/s"),
        Figure(section, "accepted", [r.accepted_per_s for r in rounds], "/s", target=5_000),
        Figure(section, "accepted ÷ such INSERT", ratios),
        Figure(section, "all routed after", [r.routed_after_s for r in rounds], "s"),
        Figure(section, "routed, from the first request on", [r.routed_per_s for r in rounds], "/s"),
        Figure(section, "CPU for 1,000 events, taken in and routed", [r.cpu_ms_all for r in rounds], "ms"),
        *(Figure(section, f"… of it {name}", [r.cpu_ms[name] for r in rounds], "ms") for name in rounds[0].cpu_ms),
    ]


def taken_in(bench: Bench, count: int) -> Taken:
    """Send so many events to a new source, whose campaign has a destination that is paused, and wait until all are routed.

    BenchError where a batch was not accepted, or an event is not there once, with one delivery.
    """
    portal = bench.server_portal
    source = bench.work.ask({"do": "source", "port": bench.client_ports[0]})
    before = portal.cpu()
    task = {"port": portal.port, "connections": CONNECTIONS, "count": count // BATCH, "first": 0, "every_ms": 0}
    load = bench.tools.load.ask({**task, "batch": BATCH, "key": source["write_key"]})
    if load["answers"] != {"200": count // BATCH}:
        raise BenchError(f"Not every batch was accepted: {load['answers']}")
    deadline = time.monotonic() + DRAIN_S
    while portal.arrivals():
        if time.monotonic() > deadline:
            raise BenchError(f"Not all events were routed within {DRAIN_S} seconds.")
        time.sleep(0.02)
    routed = time.monotonic()
    after = portal.cpu()
    written, deliveries = portal.events_of(source["source"], source["campaign"])
    if (written, deliveries) != (count, count):
        raise BenchError(f"Of {count} events {written} were written and {deliveries} routed.")
    return Taken(
        accepted_per_s=count / (load["last"] - load["first"]),
        routed_after_s=routed - load["last"],
        routed_per_s=count / (routed - load["first"]),
        cpu_ms={name: (after[name] - before[name]) * 1_000_000 / count for name in after},
    )
