"""Measures whether clients that misbehave slow down others: arrival to delivery of well-behaved ones, alone and beside them."""

from __future__ import annotations

from collections.abc import Sequence

from bench import engine
from bench.figures import Figure
from bench.rig import MISFITS, Bench

WELL_BEHAVED = 4
MANNERS = ("hang", "fail", "garbage")
# Each campaign gets one every so often: 40 a second for the well-behaved four.
EVERY_MS = 100.0
SHARE = 0.95


def isolation_section(bench: Bench) -> list[Figure]:
    """Leads at a steady pace to clients that answer at once; then beside as many, to clients that misbehave."""
    made, leads = bench.server_portal, bench.size.beside_leads
    paths = made.paths[:WELL_BEHAVED]
    alone: list[float] = []
    well: list[float] = []
    beside: list[float] = []
    for _ in range(bench.size.rounds):
        alone.append(_late(engine.paced(made, bench.tools, paths, leads, EVERY_MS)))
        more = made.paths[WELL_BEHAVED : WELL_BEHAVED + MISFITS]
        well.append(_late(engine.paced(made, bench.tools, paths, leads, EVERY_MS, beside=more)))
        beside.append(_late(_beside_misfits(bench, paths)))
    rate = WELL_BEHAVED * 1000 / EVERY_MS
    section = f"{WELL_BEHAVED} clients that answer at once, {rate:g} leads/s in all, beside {MISFITS} that misbehave"
    ratios = [b / a for a, b in zip(alone, beside, strict=True)]
    name = "arrival to delivery, 95th percentile"
    return [
        Figure(section, f"{name}: alone", alone, "ms"),
        Figure(section, f"{name}: beside {MISFITS} more that answer at once", well, "ms"),
        Figure(section, f"{name}: beside {MISFITS} that hang, fail, send garbage", beside, "ms"),
        Figure(section, "beside those that misbehave ÷ alone", ratios, target=1.2, at_most=True),
        Figure(
            section,
            "beside those that misbehave ÷ beside as many that answer",
            [b / a for a, b in zip(well, beside, strict=True)],
        ),
    ]


def _beside_misfits(bench: Bench, paths: Sequence[str]) -> list[float]:
    """One round, with new campaigns for the clients that misbehave; nothing of theirs is under way after it."""
    campaigns = bench.work.ask({"do": "campaigns", "ports": bench.misfit_ports})
    manners = dict(zip(bench.misfit_ports, MANNERS, strict=True))
    client = bench.tools.client
    client.ask({"do": "misbehave", "manners": manners})
    try:
        others = [campaign["path"] for campaign in campaigns]
        times = engine.paced(
            bench.server_portal, bench.tools, paths, bench.size.beside_leads, EVERY_MS, beside=others, misfits=MANNERS
        )
    finally:
        bench.work.ask({"do": "pause", "integrations": [campaign["integration"] for campaign in campaigns]})
        client.ask({"do": "misbehave", "manners": {}})
    engine.settled(bench.server_portal)
    return times


def _late(times: list[float]) -> float:
    return engine.percentile(times, SHARE)
