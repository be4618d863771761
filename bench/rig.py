"""What the parts of the bench share: how much of everything, and the processes, each started when it is first needed."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench import engine
from bench.portal import Portal, portal
from bench.processes import Child, busy_s, cpu_s
from bench.servers import Servers, servers

# What the portal's webhook connector has under way at one host.
AT_ONCE = 8
# So many clients that each takes AT_ONCE calls: 104 calls at once.
MANY = 13
# So many more, which misbehave when they are told to.
MISFITS = 3


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    leads: int
    rounds: int
    floor_s: float
    idle_leads: int
    beside_leads: int
    """For each campaign, in each round of well-behaved clients alone and beside others."""
    events: int
    """Tracked events in each round."""
    idle_every_ms: float = 100
    streamed: int = 1_000_000
    """Rows that stream in and out, while memory is looked at."""
    history: tuple[int, int] = (100_000, 1_000_000)
    """Events before, where audiences are measured: few, and many."""
    kept: tuple[int, int] = (10_000, 1_000_000)
    """Leads kept, where judging is measured: few, and many."""

    def changed(self, *, leads: int | None, rounds: int | None) -> Size:
        """The same with other counts, where they are given."""
        return replace(self, leads=leads or self.leads, rounds=rounds or self.rounds)


FULL = Size(leads=5_000, rounds=3, floor_s=2.0, idle_leads=200, beside_leads=75, events=40_000)
QUICK = Size(
    leads=1_200,
    rounds=1,
    floor_s=0.7,
    idle_leads=40,
    beside_leads=30,
    events=10_000,
    idle_every_ms=60,
    streamed=100_000,
    history=(20_000, 200_000),
    kept=(5_000, 50_000),
)


class Bench:
    """What the sections share; each thing is started when the first section asks for it, and ended with the stack."""

    def __init__(self, stack: ExitStack, directory: Path, size: Size) -> None:
        self._stack = stack
        self.directory = directory
        self.size = size
        self._began = time.monotonic(), busy_s(), cpu_s([os.getpid()])

    def elsewhere(self) -> float:
        """Which share of the cores' time other programs have taken since the bench began: what disturbs it."""
        began, busy, own = self._began
        ours = cpu_s([os.getpid(), self.servers.postgres_pid, self.servers.redis_pid]) - own
        cores = os.cpu_count() or 1
        return max(busy_s() - busy - ours, 0) / ((time.monotonic() - began) * cores)

    @cached_property
    def servers(self) -> Servers:
        return self._stack.enter_context(servers(self.directory))

    @cached_property
    def _all_ports(self) -> list[int]:
        ports: list[int] = self.tools.client.hear()  # the first thing that it says
        return ports

    @property
    def client_ports(self) -> list[int]:
        """Where clients listen that always behave; the portals' own campaigns deliver to them."""
        return self._all_ports[:MANY]

    @property
    def misfit_ports(self) -> list[int]:
        """Where clients listen that misbehave when they are told to."""
        return self._all_ports[MANY:]

    @cached_property
    def tools(self) -> engine.Tools:
        return engine.Tools(
            load=self.child("load", "-m", "bench.load"),
            client=self.child("client", "-m", "bench.stand_in", str(MANY + MISFITS)),
            floors=self.child("floors", "-m", "bench.floors"),
        )

    @cached_property
    def server_portal(self) -> Portal:
        """The production form."""
        others = {"PostgreSQL": self.servers.postgres_pid, "Redis": self.servers.redis_pid}
        made = self._portal("server", self.servers.settings, others)
        self._warm(made)
        return made

    @cached_property
    def web_portal(self) -> Portal:
        """The web server alone, on PostgreSQL, that takes any number of rows in a call."""
        database = self.servers.another_database("api")
        settings = {
            **self.servers.settings,
            "DATABASE_URL": database,
            "API_MAX_ROWS": "2000000",
            "API_MAX_BYTES": "1000000000",
        }
        return self._portal("web", settings, {"PostgreSQL": self.servers.postgres_pid})

    @cached_property
    def embedded_portal(self) -> Portal:
        """One process and SQLite."""
        made = self._portal("embedded", {})
        self._warm(made)
        return made

    def _portal(
        self, form: str, settings: Mapping[str, str], others: Mapping[str, int] = MappingProxyType({})
    ) -> Portal:
        ports = {"client_ports": self.client_ports, "private_ports": self._all_ports}
        return self._stack.enter_context(portal(form, self.directory / form, **ports, settings=settings, others=others))

    @cached_property
    def work(self) -> Child:
        """What makes more campaigns and sources in the production form (bench/portal_work.py)."""
        return self.child("work", "-m", "bench.portal_work", env=self.server_portal.env)

    @cached_property
    def bare_port(self) -> int:
        return int(self.child("bare", "-m", "bench.bare").hear())

    def child(self, name: str, *arguments: str, env: Mapping[str, str] = MappingProxyType({})) -> Child:
        """A process that is asked and answers."""
        child = Child(name, arguments, directory=self.directory, env=env, pipes=True)
        self._stack.callback(child.stop)
        return child

    def _warm(self, made: Portal) -> None:
        engine.under_load(made, self.tools, MANY * 2, paths=made.paths)
        engine.under_load(made, self.tools, min(self.size.leads, 500))
        made.analyze()

    def inserts(self, connections: int) -> tuple[float, float]:
        """Floor: two-row transactions a second, and milliseconds of CPU for one, PostgreSQL's included."""
        before = cpu_s([self.servers.postgres_pid])
        task = {"do": "insert", "database": self.servers.database, "connections": connections}
        said = self.tools.floors.ask({**task, "seconds": self.size.floor_s})
        cpu = said["cpu_s"] + cpu_s([self.servers.postgres_pid]) - before
        return said["count"] / said["took_s"], cpu * 1000 / said["count"]

    def floor(self, do: str, **task: Any) -> tuple[float, float]:
        """Another floor: how many a second, and milliseconds of CPU for one, of the process that does it alone."""
        said = self.tools.floors.ask({"do": do, "seconds": self.size.floor_s, **task})
        return said["count"] / said["took_s"], said["cpu_s"] * 1000 / said["count"]
