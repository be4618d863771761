"""Measures whether clients that misbehave slow down others: arrival to delivery of well-behaved ones, alone and beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import engine
from bench.figures import Figure
from bench.rig import MISFITS, Bench

WELL_BEHAVED = 4
MANNERS = ("hang", "fail", "garbage")
# Each campaign gets one every so often: 40 a second for the well-behaved four.
EVERY_MS = 100.0
SHARE = 0.95


@dataclass(frozen=True)
class Pace:
    """One round: the 95th percentile from sending to arrival, and the portal's CPU for a lead, in milliseconds."""

    late_ms: float
    cpu_ms: float


def isolation_section(bench: Bench) -> list[Figure]:
    """Leads at a steady pace to clients that answer at once; then beside as many, to clients that misbehave."""
    made, leads = bench.server_portal, bench.size.beside_leads
    paths = made.paths[:WELL_BEHAVED]
    more = made.paths[WELL_BEHAVED : WELL_BEHAVED + MISFITS]
    rounds: list[tuple[Pace, Pace, Pace]] = []
    for _ in range(bench.size.rounds):
        rounds.append(
            (
                _pace(engine.paced(made, bench.tools, paths, leads, EVERY_MS)),
                _pace(engine.paced(made, bench.tools, paths, leads, EVERY_MS, beside=more)),
                _pace(_beside_misfits(bench, paths)),
            )
        )
    alone, well, misfits = (list(column) for column in zip(*rounds, strict=True))
    rate = WELL_BEHAVED * 1000 / EVERY_MS
    section = f"{WELL_BEHAVED} clients that answer at once, {rate:g} leads/s in all, beside {MISFITS} that misbehave"
    name = "arrival to delivery, 95th percentile"
    return [
        Figure(section, f"{name}: alone", [pace.late_ms for pace in alone], "ms"),
        Figure(section, f"{name}: beside {MISFITS} more that answer at once", [pace.late_ms for pace in well], "ms"),
        Figure(section, f"{name}: beside {MISFITS} that hang, fail, send garbage", [p.late_ms for p in misfits], "ms"),
        Figure(
            section,
            "beside those that misbehave ÷ alone",
            [b.late_ms / a.late_ms for a, b in zip(alone, misfits, strict=True)],
            target=1.2,
            at_most=True,
        ),
        Figure(
            section,
            "beside those that misbehave ÷ beside as many that answer",
            [b.late_ms / a.late_ms for a, b in zip(well, misfits, strict=True)],
            target=1.2,
            at_most=True,
        ),
        Figure(section, "CPU for a lead: alone", [pace.cpu_ms for pace in alone], "ms"),
        Figure(section, f"CPU for a lead: beside {MISFITS} more that answer at once", [p.cpu_ms for p in well], "ms"),
        Figure(section, "CPU for a lead, theirs too: beside those that misbehave", [p.cpu_ms for p in misfits], "ms"),
    ]


def _beside_misfits(bench: Bench, paths: Sequence[str]) -> tuple[list[float], float]:
    """One round, with new campaigns for the clients that misbehave; nothing of theirs is under way after it."""
    campaigns = bench.work.ask({"do": "campaigns", "ports": bench.misfit_ports})
    manners = dict(zip(bench.misfit_ports, MANNERS, strict=True))
    client = bench.tools.client
    client.ask({"do": "misbehave", "manners": manners})
    try:
        others = [campaign["path"] for campaign in campaigns]
        measured = engine.paced(
            bench.server_portal, bench.tools, paths, bench.size.beside_leads, EVERY_MS, beside=others, misfits=MANNERS
        )
    finally:
        bench.work.ask({"do": "pause", "integrations": [campaign["integration"] for campaign in campaigns]})
        client.ask({"do": "misbehave", "manners": {}})
    engine.settled(bench.server_portal)
    return measured


def _pace(measured: tuple[list[float], float]) -> Pace:
    times, cpu_ms = measured
    return Pace(engine.percentile(times, SHARE), cpu_ms)
