"""All that a run needs, as real processes: our portal in its production form, a client's portal of one process on SQLite, and the
client's other systems behind lines that can be cut.

    senders ─ line ─▶ ours (web, two workers, beat; PostgreSQL, Redis) ─ line ─▶ acme (one process, SQLite) ─ line ─▶ down
                        └─ lines ─▶ keyed (webhook, knows repeats), plain and again (instances that do not)

So each accepted lead has four deliveries at ours and one at acme, and verdicts come back from plain and again to ours, and from
down through acme to ours.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import psycopg
import requests

from tests.faults.campaigns import connect, set_up
from tests.faults.machines import Machines
from tests.faults.proxy import Line, Lines
from tests.faults.senders import Senders
from tests.faults.servers import Postgres, Redis
from tests.portals.world import OPEN_LIMITS
from tests.running.portal_process import ROOT, PortalProcess, answers, free_port

SITES = ("keyed", "plain", "again", "down")
WORKERS = ("worker-1", "worker-2")
LEASE_SECONDS = 3.0
HOUR = 3_600
Totals = Literal["logins", "taken"]

# Tries, polls and breakers follow each other 50 times sooner than in life.
_PACE = {
    "SCHEDULE_FACTOR": "0.02",
    "SWEEP_SECONDS": "0.5",
    "DELIVERY_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
    "LOG_LEVEL": "WARNING",
    **OPEN_LIMITS,
}


def eventually(what: Callable[[], Any], seconds: float, words: str | Callable[[], str]) -> float:
    """Wait until it is so; how long it took. AssertionError with the words when it is not so in time."""
    start = time.monotonic()
    while not what():
        said = words if isinstance(words, str) else words()
        assert time.monotonic() - start < seconds, f"not within {seconds:g} s: {said}"
        time.sleep(0.1)
    return time.monotonic() - start


class Field:
    """Set up once for many runs; after each of them `heal` puts it into order again."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._stack = contextlib.ExitStack()
        self._ahead: set[str] = set()
        try:
            self._build(directory)
        except BaseException:
            self._stack.close()
            raise

    def _end(self, *_: object) -> None:
        """Whoever ends the run from outside wants its servers ended too."""
        raise KeyboardInterrupt

    def _build(self, directory: Path) -> None:
        before = signal.signal(signal.SIGTERM, self._end)
        self._stack.callback(signal.signal, signal.SIGTERM, before)
        names = ["ours", "acme", "control", *SITES]
        self._ports = {name: free_port() for name in names}
        line_ports = {name: free_port() for name in ("ours", "acme", *SITES)}
        self._lines = Lines()
        self._stack.callback(self._lines.close)
        self.lines: dict[str, Line] = {
            name: self._lines.open(port, self._ports[name]) for name, port in line_ports.items()
        }
        self.postgres = Postgres(directory / "pg")
        self._stack.callback(self.postgres.close)
        self.redis = Redis(directory)
        self._stack.callback(self.redis.close)
        instances = {
            "ours": self._ports["ours"],
            **{name: port for name, port in line_ports.items() if name not in ("ours", "keyed")},
        }
        shared = {
            **_PACE,
            "CONVERTR_INSTANCES": ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in instances.items()),
            "CONNECTOR_PRIVATE_HOSTS": ",".join(
                f"127.0.0.1:{port}" for port in [*self._ports.values(), *line_ports.values()]
            ),
        }
        servers = {
            "DATABASE_URL": self.postgres.uri,
            "BROKER_URL": f"redis+socket://{self.redis.socket}",
            "REDIS_URL": f"unix://{self.redis.socket}",
        }
        self.ours = PortalProcess(
            directory / "ours", port=self._ports["ours"], env={**shared, **servers, "INSTANCE_SUBDOMAIN": "ours"}
        )
        self.acme = PortalProcess(
            directory / "acme", port=self._ports["acme"], env={**shared, "INSTANCE_SUBDOMAIN": "acme"}
        )
        self._stack.callback(self._kill_acme)
        self.machines = Machines(directory, self.ours.env)
        self._stack.callback(self.machines.close)
        self.machines.start("stand-in", self._stand_in())
        self._connect(line_ports)
        self.heal()

    def _stand_in(self) -> list[str]:
        portals = {name: f"http://127.0.0.1:{self._ports[name]}" for name in ("ours", "acme")}
        sites = {name: self._ports[name] for name in SITES}
        return [
            "-m",
            "tests.faults.stand_in",
            "--control",
            str(self._ports["control"]),
            "--sites",
            json.dumps(sites),
        ] + [
            "--portals",
            json.dumps(portals),
        ]

    def _connect(self, line_ports: dict[str, int]) -> None:
        with ThreadPoolExecutor(2) as pool:
            ours, acme = pool.map(set_up, (self.ours, self.acme))
        eventually(self._stand_in_answers, 30, "the client's stand-in does not answer")
        self.acme.start(wait_s=60)
        connect(self.ours, ours, line_ports, acme)
        connect(self.acme, acme, line_ports)
        self._leads_path = (
            f"/api/v2.4/publisher/{ours['publisher']}/forms/{ours['form']}/campaign/{ours['campaign']}/leads"
        )
        self._api_key: str = ours["key"]
        self._senders_url = f"http://127.0.0.1:{line_ports['ours']}"

    # --- its parts ----------------------------------------------------------------------------------------

    def senders(self, run: str, **options: Any) -> Senders:
        return Senders(self._senders_url, self._leads_path, self._api_key, run, **options)

    def start(self, name: str, *, ahead_s: float = 0) -> None:
        """Start one of our processes: web, beat or a worker, the last with its clock ahead where that is wanted."""
        if name == "web":
            arguments = [str(ROOT / "manage.py"), "serve", "--workers", "1", "--port", str(self._ports["ours"])]
        elif name == "beat":
            arguments = ["-m", "celery", "-A", "portal", "beat", "--loglevel", "WARNING"]
        else:
            self._ahead = (self._ahead - {name}) | ({name} if ahead_s else set())
            module = ["-m", "tests.faults.clock_ahead", str(ahead_s)] if ahead_s else ["-m", "celery"]
            arguments = [*module, "-A", "portal", "worker", "--pool", "threads", "--concurrency", "8"]
            arguments += ["--loglevel", "WARNING", "--hostname", f"{name}@localhost"]
        self.machines.start(name, arguments)

    def kill(self, *names: str) -> None:
        for name in names:
            self.machines.kill(name)

    def heal(self) -> None:
        """Start whatever does not run, let all calls through, and wait until the portals answer."""
        for line in self.lines.values():
            line.mend()
        self.order_nothing()
        for name in ("web", "beat", *WORKERS):
            if not self.machines.runs(name) or name in self._ahead:
                if name in self.machines.names:
                    self.machines.kill(name)
                self.start(name)
        if self.acme.process is None or self.acme.process.poll() is not None:
            self.acme.start(wait_s=60)
        eventually(lambda: answers(self.ours.url), 60, lambda: self.machines.log("web").read_text()[-2000:])

    def _kill_acme(self) -> None:
        if self.acme.process is not None and self.acme.process.poll() is None:
            self.acme.kill()

    def close(self) -> None:
        self._stack.close()

    # --- the client's systems -----------------------------------------------------------------------------

    def _ask(self, path: str, order: Any = None, **query: str) -> Any:
        session = requests.Session()
        session.trust_env = False
        url = f"http://127.0.0.1:{self._ports['control']}/{path}"
        return session.post(url, json=order or {}, params=query, timeout=30).json()

    def _stand_in_answers(self) -> bool:
        try:
            return bool(self._ask("state"))
        except requests.RequestException:
            return False

    def order(self, treatment: str, count: int, *sites: str) -> None:
        """Let the client's sites treat the next posts so: busy, limited, silent, late, cut, hold or keep.

        What is held or kept waits for release_posts(): then it is answered with a no, or with a yes.
        """
        self._ask("order", {"sites": sites or SITES, "treatment": treatment, "count": count})

    def order_nothing(self) -> None:
        self._ask("calm")
        self._ask("release")

    def withdraw_tokens(self) -> None:
        self._ask("withdraw")

    def totals(self, what: Totals) -> dict[str, int]:
        """How many log-ins, or leads taken, each site has seen."""
        found: dict[str, int] = self._ask("state")[what]
        return found

    def waiting_posts(self) -> int:
        """How many posts are held at the client's, answered by nobody yet."""
        return int(self._ask("state")["waiting"])

    def release_posts(self) -> None:
        self._ask("release")

    def flags(self, on: bool) -> None:
        """Whether the client says something of each lead that comes in."""
        self._ask("flags", {"on": on})

    def received(self, run: str) -> Any:
        return self._ask("received", run=run)

    # --- the portals' rows --------------------------------------------------------------------------------

    def rows_of_ours(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of our portal's database."""
        with psycopg.connect(self.postgres.uri, autocommit=True) as connection:
            return connection.execute(sql).fetchall()

    def held_up(self) -> list[str]:
        """Integrations that are not on, and why. No fault here is a reason to stop one."""
        sql = "SELECT name, state, state_reason FROM integrations_integration WHERE state <> 'on'"
        return [": ".join(row) for row in [*self.rows_of_ours(sql), *self.rows_of_acme(sql)]]

    def rows_of_acme(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the client's portal's database."""
        with contextlib.closing(sqlite3.connect(self.acme.directory / "portal.sqlite3", timeout=20)) as connection:
            return connection.execute(sql).fetchall()
