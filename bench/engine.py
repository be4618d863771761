"""Measures the way of a lead: accepted, judged, delivered, its outcome recorded."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.portal import Portal
from bench.processes import BenchError, Child

CONNECTIONS = 16
DRAIN_S = 60


@dataclass
class Tools:
    """The processes that stand outside the portal."""

    load: Child
    client: Child
    floors: Child
    next_lead: int = 1


@dataclass(frozen=True)
class Round:
    """One run of load against a portal."""

    leads: int
    accepted_per_s: float
    delivered_per_s: float
    backlog: int
    """Leads not at the client when the last one was accepted."""
    recorded_after_s: float
    """From the last lead's acceptance to the last outcome's record."""
    cpu_ms: dict[str, float]
    """Of each process, for one lead."""
    load_cpu_ms: float

    @property
    def cpu_ms_all(self) -> float:
        return sum(self.cpu_ms.values())


def under_load(portal: Portal, tools: Tools, leads: int, *, paths: Iterable[str] = (), delay_ms: float = 0) -> Round:
    """Post leads as fast as they are accepted, on 16 connections, and wait for the last one's outcome.

    BenchError where one was not accepted, came to the client twice or not at all, or has no outcome in time.
    """
    first = tools.next_lead
    tools.next_lead += leads
    tools.client.ask({"do": "reset", "delay_ms": delay_ms})
    before = portal.cpu()
    task = {
        "port": portal.port,
        "token": portal.token,
        "connections": CONNECTIONS,
        "count": leads,
        "first": first,
        "paths": list(paths) or portal.paths[:1],
        "every_ms": 0,
    }
    load = tools.load.ask(task)
    if load["answers"] != {"201": leads}:
        raise BenchError(f"Not every lead was accepted: {load['answers']}")
    _wait(lambda: tools.client.ask({"do": "count"})["leads"] >= leads, portal, "arrive")
    _wait(lambda: not portal.unfinished(), portal, "have an outcome")
    recorded = time.monotonic()
    after = portal.cpu()
    _once(tools, leads)
    times = sorted(at for _, at in tools.client.ask({"do": "times"}))
    return Round(
        leads=leads,
        accepted_per_s=leads / (load["last"] - load["first"]),
        delivered_per_s=leads / (times[-1] - load["first"]),
        backlog=sum(at > load["last"] for at in times),
        recorded_after_s=recorded - load["last"],
        cpu_ms={name: (after[name] - before[name]) * 1000 / leads for name in after},
        load_cpu_ms=load["cpu_s"] * 1000 / leads,
    )


def answers_per_s(port: int, tools: Tools, count: int) -> float:
    """How many of the same posts another server answers in a second, on 16 connections."""
    task = {
        "port": port,
        "token": "-",
        "connections": CONNECTIONS,
        "count": count,
        "first": 1,
        "paths": ["/leads"],
        "every_ms": 0,
    }
    load = tools.load.ask(task)
    if load["answers"] != {"201": count}:
        raise BenchError(f"Not every post was answered: {load['answers']}")
    return float(count / (load["last"] - load["first"]))


def idle(portal: Portal, tools: Tools, leads: int, every_ms: float) -> tuple[list[float], list[float]]:
    """Post a lead every so often on an idle system: milliseconds from sending it to its arrival at the client, sorted; and
    from its row to its recorded outcome by the portal's clocks, sorted."""
    first = tools.next_lead
    tools.next_lead += leads
    tools.client.ask({"do": "reset"})
    task = {
        "port": portal.port,
        "token": portal.token,
        "connections": 4,
        "count": leads,
        "first": first,
        "paths": portal.paths[:1],
        "every_ms": every_ms,
    }
    load = tools.load.ask(task)
    if load["answers"] != {"201": leads}:
        raise BenchError(f"Not every lead was accepted: {load['answers']}")
    _wait(lambda: tools.client.ask({"do": "count"})["leads"] >= leads, portal, "arrive")
    _wait(lambda: not portal.unfinished(), portal, "have an outcome")
    _once(tools, leads)
    came = dict(tools.client.ask({"do": "times"}))
    return sorted((came[number] - at) * 1000 for number, at in load["sent"]), sorted(portal.recorded_ms(leads))


def paced(
    portal: Portal,
    tools: Tools,
    paths: Sequence[str],
    leads: int,
    every_ms: float,
    *,
    beside: Sequence[str] = (),
    misfits: Collection[str] = (),
) -> tuple[list[float], float]:
    """Post so many leads to each of some campaigns, one every so often: milliseconds from sending to arrival, sorted; and
    milliseconds of CPU of the portal for a lead, until the last was at its client.

    `beside`: campaigns that get as many at the same pace, and whose leads are not looked at. `misfits`: in which ways
    their clients misbehave; where none does, all leads have an outcome in the end, and each came to its client once.
    """
    every = [*paths, *beside]
    first = tools.next_lead
    # A lead's number says which path it takes.
    first += -first % len(every)
    count = leads * len(every)
    tools.next_lead = first + count
    tools.client.ask({"do": "reset"})
    task = {
        "port": portal.port,
        "token": portal.token,
        "connections": CONNECTIONS * 4,
        "count": count,
        "first": first,
        "paths": every,
        "every_ms": every_ms / len(every),
    }
    before = portal.cpu()
    load = tools.load.ask(task)
    if load["answers"] != {"201": count}:
        raise BenchError(f"Not every lead was accepted: {load['answers']}")
    expected = leads * len(paths) if misfits else count
    _wait(lambda: tools.client.ask({"do": "count"})["leads"] >= expected, portal, "arrive")
    after = portal.cpu()
    _once(tools, expected)
    if misfits:
        posts = tools.client.ask({"do": "misfits"})
        if set(posts) != set(misfits):
            raise BenchError(f"Not every client that misbehaves was called: {posts}")
    else:
        settled(portal)
    came = dict(tools.client.ask({"do": "times"}))
    cpu_ms = sum(after[name] - before[name] for name in after) * 1000 / count
    return sorted((came[number] - at) * 1000 for number, at in load["sent"] if number % len(every) < len(paths)), cpu_ms


def settled(portal: Portal) -> None:
    """Wait until no lead is without an outcome or a reason to wait."""
    _wait(lambda: not portal.unfinished(), portal, "have an outcome")


def percentile(values: list[float], share: float) -> float:
    """Of sorted values: the one that this share of them does not pass."""
    return values[min(len(values) - 1, int(len(values) * share))]


def _once(tools: Tools, leads: int) -> None:
    said: dict[str, Any] = tools.client.ask({"do": "count"})
    if said != {"leads": leads, "posts": leads}:
        raise BenchError(f"The client got {said}, not each of {leads} leads once.")


def _wait(until: Callable[[], bool], portal: Portal, what: str) -> None:
    deadline = time.monotonic() + DRAIN_S
    while not until():
        if time.monotonic() > deadline:
            words = "\n".join(f"{child.name}: {child.said()}" for child in portal.children)
            raise BenchError(f"Not all leads {what} within {DRAIN_S} seconds: {portal.states()}\n{words}")
        time.sleep(0.02)
