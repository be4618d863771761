"""The parts of the bench: what each measures, against which target (docs/benchmarks.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench import audiences, engine, judging
from bench.api import api_section
from bench.events import events_section
from bench.figures import Figure
from bench.isolation import isolation_section
from bench.portal import Portal
from bench.profiling import profile
from bench.rig import AT_ONCE, MANY, Bench

SLOW_MS = 50.0


def engine_section(bench: Bench) -> list[Figure]:
    """The production form under load, its floors measured in turn with it."""
    made = bench.server_portal
    rounds: list[engine.Round] = []
    one: list[tuple[float, float]] = []
    eight: list[tuple[float, float]] = []
    posts: list[tuple[float, float]] = []
    reference: list[tuple[float, float]] = []
    for _ in range(bench.size.rounds):
        one.append(bench.inserts(1))
        eight.append(bench.inserts(8))
        rounds.append(engine.under_load(made, bench.tools, bench.size.leads))
        posts.append(bench.floor("post", port=bench.client_ports[0], at_once=AT_ONCE))
        reference.append(bench.floor("reference"))
    floors = "Floors, measured in turn with the portal"
    load = "Under load: PostgreSQL, Redis, web, worker and beat"
    return [
        Figure(floors, "two-row INSERT, 1 connection", [rate for rate, _ in one], "/s"),
        Figure(floors, "two-row INSERT, 8 connections", [rate for rate, _ in eight], "/s"),
        Figure(floors, "CPU of one such transaction", [cpu for _, cpu in eight], "ms"),
        Figure(floors, f"posts to the client, {AT_ONCE} at once", [rate for rate, _ in posts], "/s"),
        Figure(floors, "CPU of one such post", [cpu for _, cpu in posts], "ms"),
        Figure(floors, "CPU of one turn of the reference loop", [cpu * 1000 for _, cpu in reference], "µs"),
        Figure(load, "accepted, 16 connections", [r.accepted_per_s for r in rounds], "/s"),
        Figure(load, "delivered", [r.delivered_per_s for r in rounds], "/s"),
        Figure(
            load,
            "accepted ÷ two-row INSERT on 8 connections",
            [r.accepted_per_s / rate for r, (rate, _) in zip(rounds, eight, strict=True)],
            target=0.45,
        ),
        Figure(load, "delivered ÷ accepted", [r.delivered_per_s / r.accepted_per_s for r in rounds], target=0.95),
        Figure(load, "backlog when the load ends", [r.backlog for r in rounds], "leads", target=200, at_most=True),
        Figure(load, "last outcome recorded after", [r.recorded_after_s * 1000 for r in rounds], "ms"),
        Figure(load, "CPU for a lead", [r.cpu_ms_all for r in rounds], "ms", target=1.0, at_most=True),
        *(Figure(load, f"… of it {name}", [r.cpu_ms[name] for r in rounds], "ms") for name in rounds[0].cpu_ms),
        Figure(
            load,
            "CPU for a lead ÷ CPU of a two-row INSERT",
            [r.cpu_ms_all / cpu for r, (_, cpu) in zip(rounds, eight, strict=True)],
        ),
        Figure(
            load,
            "CPU for a lead in turns of the reference loop",
            [r.cpu_ms_all / cpu for r, (_, cpu) in zip(rounds, reference, strict=True)],
        ),
        Figure(load, "beside it, the load's own CPU for a lead", [r.load_cpu_ms for r in rounds], "ms"),
    ]


def idle_section(bench: Bench) -> list[Figure]:
    """One lead now and then, on a system that has nothing else to do."""
    return _idle(bench, bench.server_portal, "On an idle system, one lead every so often")


def slow_section(bench: Bench) -> list[Figure]:
    """Clients that take their time, against clients that answer at once: the same number of them, the same leads."""
    made = bench.server_portal
    quick: list[engine.Round] = []
    slow: list[engine.Round] = []
    for _ in range(bench.size.rounds):
        quick.append(engine.under_load(made, bench.tools, bench.size.leads, paths=made.paths))
        slow.append(engine.under_load(made, bench.tools, bench.size.leads, paths=made.paths, delay_ms=SLOW_MS))
    section = f"{MANY} campaigns, each with a client of its own; {MANY * AT_ONCE} calls at once"
    return [
        Figure(section, "accepted, clients that answer at once", [r.accepted_per_s for r in quick], "/s"),
        Figure(section, "delivered, clients that answer at once", [r.delivered_per_s for r in quick], "/s"),
        Figure(section, f"delivered, clients that take {SLOW_MS:g} ms", [r.delivered_per_s for r in slow], "/s"),
        Figure(
            section,
            "delivered to the slow ÷ to the quick",
            [b.delivered_per_s / a.delivered_per_s for a, b in zip(quick, slow, strict=True)],
            target=0.95,
        ),
        Figure(
            section,
            "accepted with slow clients ÷ with quick ones",
            [b.accepted_per_s / a.accepted_per_s for a, b in zip(quick, slow, strict=True)],
            target=0.95,
        ),
        Figure(section, "CPU for a lead, clients that answer at once", [r.cpu_ms_all for r in quick], "ms"),
    ]


def embedded_section(bench: Bench) -> list[Figure]:
    """The portal in one process on SQLite, in turn with the production form."""
    small, large = bench.embedded_portal, bench.server_portal
    rounds: list[engine.Round] = []
    beside: list[engine.Round] = []
    for _ in range(bench.size.rounds):
        rounds.append(engine.under_load(small, bench.tools, bench.size.leads))
        beside.append(engine.under_load(large, bench.tools, bench.size.leads))
    section = "Embedded: one process, SQLite"
    pairs = list(zip(rounds, beside, strict=True))
    return [
        Figure(section, "accepted, 16 connections", [r.accepted_per_s for r in rounds], "/s"),
        Figure(section, "delivered", [r.delivered_per_s for r in rounds], "/s"),
        Figure(
            section,
            "accepted ÷ in production form",
            [a.accepted_per_s / b.accepted_per_s for a, b in pairs],
            target=0.5,
        ),
        Figure(
            section,
            "delivered ÷ in production form",
            [a.delivered_per_s / b.delivered_per_s for a, b in pairs],
            target=0.5,
        ),
        Figure(section, "backlog when the load ends", [r.backlog for r in rounds], "leads"),
        Figure(section, "CPU for a lead", [r.cpu_ms_all for r in rounds], "ms"),
        *_idle(bench, small, section),
    ]


def _idle(bench: Bench, made: Portal, section: str) -> list[Figure]:
    arrived, recorded = engine.idle(made, bench.tools, bench.size.idle_leads, bench.size.idle_every_ms)
    return [
        Figure(section, "arrival to delivery, median", [engine.percentile(arrived, 0.5)], "ms", 20, at_most=True),
        Figure(
            section, "arrival to delivery, 99th percentile", [engine.percentile(arrived, 0.99)], "ms", 60, at_most=True
        ),
        Figure(section, "row to recorded outcome, median", [engine.percentile(recorded, 0.5)], "ms"),
    ]


def bare_section(bench: Bench) -> list[Figure]:
    """What a plain Django view answers, beside what the portal accepts."""
    rounds: list[float] = []
    portals: list[float] = []
    for _ in range(bench.size.rounds):
        rounds.append(engine.answers_per_s(bench.bare_port, bench.tools, bench.size.leads))
        portals.append(engine.under_load(bench.server_portal, bench.tools, bench.size.leads).accepted_per_s)
    section = "A plain Django view that only answers"
    return [
        Figure(section, "answers, 16 connections", rounds, "/s"),
        Figure(section, "accepted by the portal ÷ such answers", [a / b for a, b in zip(portals, rounds, strict=True)]),
    ]


def audiences_section(bench: Bench) -> list[Figure]:
    """Audiences after new events: what it costs must not grow with what happened before."""
    settings = {**bench.servers.settings, "DATABASE_URL": bench.servers.another_database("audiences")}
    env = {**settings, "SECRET_KEY": "bench", "DATA_DIR": str(bench.directory)}
    worker = bench.child("audiences", "-m", "bench.audience_work", env=env)
    small, large = bench.size.history
    found = [audiences.kept_up(bench.servers, worker, events, max(bench.size.rounds, 3)) for events in (small, large)]
    section = f"An audience and a computed trait: {audiences.NEW_EVENTS:,} new events"
    lines = [
        figure
        for each in found
        for figure in (
            Figure(section, f"brought up, {each.events:,} events before", [s * 1000 for s in each.update_s], "ms"),
            Figure(section, f"everybody anew, {each.persons:,} people", [each.whole_s], "s"),
        )
    ]
    ratios = [late / early for early, late in zip(found[0].update_s, found[1].update_s, strict=True)]
    shares = [seconds / found[1].whole_s for seconds in found[1].update_s]
    return [
        *lines,
        Figure(section, "brought up: long history ÷ short", ratios, target=2.0, at_most=True),
        Figure(section, "long history: brought up ÷ everybody anew", shares, target=0.1, at_most=True),
    ]


def judging_section(bench: Bench) -> list[Figure]:
    """Ten jobs with a check for duplicates: leads judged, and what the check costs as more leads are kept."""
    settings = {**bench.servers.settings, "DATABASE_URL": bench.servers.another_database("judging")}
    env = {**settings, "SECRET_KEY": "bench", "DATA_DIR": str(bench.directory)}
    worker = bench.child("judging", "-m", "bench.judging_work", env=env)
    few, many = (judging.judged(worker, kept, max(bench.size.rounds, 3)) for kept in bench.size.kept)
    section = "Judging: ten jobs, one of them a check for duplicates; batches of 500, one worker"
    ratios = [late / early for early, late in zip(few.check_ms, many.check_ms, strict=True)]
    return [
        Figure(section, f"judged, {few.kept:,} leads kept", few.leads_per_s, "/s"),
        Figure(section, f"judged, {many.kept:,} leads kept", many.leads_per_s, "/s", target=1_000),
        Figure(section, "CPU of the worker for a lead", many.worker_ms, "ms"),
        Figure(section, f"the check for a lead, {few.kept:,} kept", few.check_ms, "ms"),
        Figure(section, f"the check for a lead, {many.kept:,} kept", many.check_ms, "ms"),
        Figure(section, "the check: many ÷ few", ratios, target=2.0, at_most=True),
        Figure(section, "keys made of leads before a job", [many.keys_per_s], "/s"),
    ]


def profiled(bench: Bench, directory: Path) -> str:
    """Where the time of the production form goes under load, in words; more of it in files."""
    return profile(
        directory,
        bench.server_portal,
        bench.servers,
        lambda: engine.under_load(bench.server_portal, bench.tools, bench.size.leads),
    )


SECTIONS: dict[str, Callable[[Bench], list[Figure]]] = {
    "engine": engine_section,
    "view": bare_section,
    "idle": idle_section,
    "slow": slow_section,
    "isolation": isolation_section,
    "embedded": embedded_section,
    "events": events_section,
    "audiences": audiences_section,
    "judging": judging_section,
    "api": api_section,
}
