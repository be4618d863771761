"""A portal to be measured: its servers, its campaigns, and what its tables say. In either form, with every feature on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import requests

from bench.processes import BenchError, Child, cpu_s

# Counted as in production, but too high to be reached: a publisher of the bench sends more than any may.
LIMITS = {f"RATE_LIMIT_{name}": "100000000" for name in ("CALLS", "RESULTS", "LOGINS", "PARTNER")}
READY_S = 90


@dataclass
class Portal:
    """A running portal, and where its publisher posts to."""

    form: str
    """server, embedded or web"""
    port: int
    database: str
    paths: list[str]
    token: str
    children: list[Child]
    env: dict[str, str] = field(repr=False)
    """What makes another process one of this portal's."""
    servers: dict[str, int] = field(default_factory=dict)
    """Processes of others that work for it: their names to the root of their tree."""
    partner_key: str = field(default="", repr=False)
    look: Any = None

    def pids(self) -> dict[str, int]:
        """All processes that work for the portal, by name; each stands for its tree."""
        return {**{child.name: child.pid for child in self.children}, **self.servers}

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU until now, by process."""
        return {name: cpu_s([pid], without=self._look_pid) for name, pid in self.pids().items()}

    @property
    def _look_pid(self) -> int:
        return int(self.look.info.backend_pid) if isinstance(self.look, psycopg.Connection) else 0

    def unfinished(self) -> int:
        """Leads not judged and deliveries without an outcome, seen through indexes that hold these alone."""
        rows = self._rows(
            "SELECT (SELECT count(*) FROM leads_lead WHERE processed_at IS NULL)"
            " + (SELECT count(*) FROM integrations_delivery WHERE state = 'queued')"
            " + (SELECT count(*) FROM integrations_delivery WHERE state = 'sending')"
        )
        return int(rows[0][0])

    def states(self) -> dict[str, int]:
        """How many deliveries stand where."""
        return {
            str(s): int(n) for s, n in self._rows("SELECT state, count(*) FROM integrations_delivery GROUP BY state")
        }

    def leads(self) -> int:
        """How many leads there are."""
        return int(self._rows("SELECT count(*) FROM leads_lead")[0][0])

    def events_of(self, source: int, campaign: int) -> tuple[int, int]:
        """How many events of a source are written, and how many deliveries of them its campaign has."""
        rows = self._rows(
            f"SELECT (SELECT count(*) FROM leads_event WHERE source_id = {source} AND problem = ''),"  # noqa: S608
            " (SELECT count(*) FROM integrations_delivery d JOIN integrations_integration i ON i.id = d.integration_id"
            f" WHERE i.campaign_id = {campaign} AND d.event_id IS NOT NULL)"
        )
        return int(rows[0][0]), int(rows[0][1])

    def arrivals(self) -> int:
        """How many commits of events wait to be routed."""
        return int(self._rows("SELECT count(*) FROM leads_arrival")[0][0])

    def recorded_ms(self, last: int) -> list[float]:
        """From a lead's row to its delivery's outcome, in milliseconds by the portal's own clocks, of the last so many."""
        if isinstance(self.look, psycopg.Connection):
            took = "extract(epoch FROM d.delivered_at - l.created_at) * 1000"
        else:
            took = "(julianday(d.delivered_at) - julianday(l.created_at)) * 86400000"
        rows = self._rows(
            f"SELECT {took} FROM integrations_delivery d JOIN leads_lead l ON l.id = d.lead_id "  # noqa: S608
            f"WHERE d.delivered_at IS NOT NULL ORDER BY d.id DESC LIMIT {last}"
        )
        return [float(row[0]) for row in rows]

    def _rows(self, query: str) -> list[Any]:
        if self.look is None:
            if self.database.startswith("sqlite:"):
                self.look = sqlite3.connect(self.database.removeprefix("sqlite:///"), isolation_level=None)
            else:
                self.look = psycopg.connect(self.database, autocommit=True)
        return list(self.look.execute(query).fetchall())

    def analyze(self) -> None:
        """Fresh statistics, so that no round is slowed by a plan for empty tables that autovacuum is yet to mend."""
        if not self.database.startswith("sqlite:"):
            self._rows("SELECT 1")
            self.look.execute("ANALYZE")


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def portal(
    form: str,
    directory: Path,
    client_ports: list[int],
    *,
    private_ports: list[int],
    settings: Mapping[str, str],
    others: Mapping[str, int] = {},
) -> Iterator[Portal]:
    """Set up and start a portal with one campaign for each of the client's ports; stop it at the end.

    `form`: "server" (web, worker and beat as processes of their own), "web" (of these, web alone: leads come in and wait) or
    "embedded" (`manage.py serve` alone). `others`: the
    servers that work for it alone, so that their CPU counts. `private_ports`: all ports of this machine that it may call.
    """
    directory.mkdir()
    port = free_port()
    env = {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "DATABASE_URL": f"sqlite:///{directory / 'portal.sqlite3'}",
        "SECRET_KEY": "for the bench only",
        "INSTANCE_URL": f"http://127.0.0.1:{port}",
        "CONNECTOR_PRIVATE_HOSTS": ",".join(f"127.0.0.1:{each}" for each in private_ports),
        "LOG_LEVEL": "WARNING",
        "STATIC_ROOT": str(directory / "static"),
        **LIMITS,
        **settings,
    }
    work = Child("set-up", ["-m", "bench.portal_work"], directory=directory, env=env, pipes=True)
    try:
        keys = work.ask({"do": "begin"})
        campaigns = work.ask({"do": "campaigns", "ports": client_ports})
    finally:
        work.stop()
    with ExitStack() as stack:

        def start(name: str, *arguments: str) -> Child:
            child = Child(name, arguments, directory=directory, env=env)
            stack.callback(child.stop)
            return child

        serve = ["manage.py", "serve", "--port", str(port)]
        if form == "embedded":
            children = [start("portal", *serve)]
        elif form == "web":
            children = [start("web", *serve, "--workers", "1")]
        else:
            worker = "--pool threads --concurrency 16 --loglevel WARNING --without-gossip --without-mingle"
            children = [
                start("web", *serve, "--workers", "1"),
                start("worker", "-m", "celery", "-A", "portal", "worker", *worker.split()),
                start("beat", "-m", "celery", "-A", "portal", "beat", "--loglevel", "WARNING", "--pidfile", ""),
            ]
        _wait_ready(port, children)
        paths = [campaign["path"] for campaign in campaigns]
        made = Portal(
            form,
            port,
            env["DATABASE_URL"],
            paths,
            _token(port, keys["key"]),
            children,
            env,
            dict(others),
            keys["partner_key"],
        )
        try:
            yield made
        finally:
            if made.look is not None:
                made.look.close()


def _wait_ready(port: int, children: list[Child]) -> None:
    until = time.monotonic() + READY_S
    while True:
        for child in children:
            if not child.running:
                raise BenchError(f"{child.name} has ended:\n{child.said()}")
        try:
            if _ask(port, "/health")[0] == 200:
                return
        except OSError:
            pass
        if time.monotonic() > until:
            raise BenchError(f"The portal does not answer:\n{children[0].said()}")
        time.sleep(0.05)


def _token(port: int, key: str) -> str:
    grant = {
        "grant_type": "https://convertr.cvtr.io/grants/api_key",
        "client_id": "convertr-connect",
        "client_secret": "convertr-connect-public-client",
        "api_key": key,
    }
    status, body = _ask(port, f"/oauth/v2/token?{urlencode(grant)}")
    if status != 200:
        raise BenchError(f"The portal gives no token: {status} {body!r}")
    return str(json.loads(body)["access_token"])


def _ask(port: int, path: str) -> tuple[int, str]:
    with requests.Session() as session:
        session.trust_env = False  # a proxy is for the world outside
        answer = session.get(f"http://127.0.0.1:{port}{path}", timeout=10)
    return answer.status_code, answer.text


@contextmanager
def workshop(parent: Path) -> Iterator[Path]:
    """A directory for one run, on the same disk as the project; gone at the end."""
    directory = parent / f"bench-{os.getpid()}"
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
