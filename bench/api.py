"""Measures the partner API: one lead beside the publisher API's post, many beside a COPY, memory while a million stream."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import requests

from bench import engine
from bench.figures import Figure
from bench.load import lead_values
from bench.portal import Portal
from bench.processes import BenchError, tree
from bench.rig import Bench

ROWS = 10_000
PIECE = 1_000
LOOK_S = 0.05
NDJSON = "application/x-ndjson"


def api_section(bench: Bench) -> list[Figure]:
    """The web server alone: what comes in waits, and nothing else takes its time."""
    made = bench.web_portal
    single: list[float] = []
    posted: list[float] = []
    many: list[float] = []
    copied: list[float] = []
    where = _address(made)
    _accepted(bench, made, json=True), _many(made, range(PIECE))
    for _ in range(bench.size.rounds):
        posted.append(_accepted(bench, made))
        single.append(_accepted(bench, made, json=True))
        copied.append(_copied(bench, made, where))
        many.append(_many(made, range(ROWS)))
    rows = bench.size.streamed
    grown_in = _grown(made, lambda: _many(made, range(rows)))
    grown_out = _grown(made, lambda: _read_all(made, rows))
    section = "The partner API: web and PostgreSQL, nothing else"
    return [
        Figure(section, "publisher API: a lead as form post, 16 connections", posted, "/s"),
        Figure(section, "partner API: a lead as JSON, 16 connections", single, "/s"),
        Figure(section, "partner ÷ publisher API", _ratios(single, posted), target=0.75),
        Figure(section, f"COPY of {ROWS:,} leads into the same table", copied, "/s"),
        Figure(section, f"{ROWS:,} leads as NDJSON in one call", many, "/s"),
        Figure(section, "NDJSON ÷ COPY", _ratios(many, copied), target=0.5),
        Figure(section, f"memory more while {rows:,} rows come in", [grown_in], "MB", 64, at_most=True),
        Figure(section, f"memory more while {rows:,} leads go out as CSV", [grown_out], "MB", 64, at_most=True),
    ]


def _ratios(above: list[float], below: list[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _address(made: Portal) -> dict[str, int]:
    """Campaign, publisher and form of the portal's first path."""
    parts = made.paths[0].split("/")
    return {"publisher": int(parts[4]), "form": int(parts[6]), "campaign": int(parts[8])}


def _path(made: Portal) -> str:
    where = _address(made)
    return f"/api/v1/campaigns/{where['campaign']}/forms/{where['form']}/leads"


def _accepted(bench: Bench, made: Portal, *, json: bool = False) -> float:
    """Leads accepted in a second on 16 connections."""
    tools, leads = bench.tools, bench.size.leads
    first = tools.next_lead
    tools.next_lead += leads
    task = {
        "port": made.port,
        "token": made.partner_key if json else made.token,
        "connections": engine.CONNECTIONS,
        "count": leads,
        "first": first,
        "paths": [_path(made)] if json else made.paths[:1],
        "every_ms": 0,
        "json": json,
    }
    load = tools.load.ask(task)
    if load["answers"] != {"201": leads}:
        raise BenchError(f"Not every lead was accepted: {load['answers']}")
    return float(leads / (load["last"] - load["first"]))


def _copied(bench: Bench, made: Portal, where: dict[str, int]) -> float:
    said = bench.tools.floors.ask({"do": "copy", "database": made.database, "rows": ROWS, **where})
    return float(said["count"] / said["took_s"])


def _many(made: Portal, numbers: range) -> float:
    """Leads a second that come in with one call of NDJSON, its answer read to the end."""
    pieces = (
        [_lines(numbers[start : start + PIECE]) for start in range(0, len(numbers), PIECE)]
        if len(numbers) <= ROWS
        else None
    )
    began = time.monotonic()
    tail = b""
    with _session(made) as session:
        body: Any = b"".join(pieces) if pieces else _stream(numbers)
        answer = session.post(
            f"http://127.0.0.1:{made.port}{_path(made)}/bulk",
            data=body,
            headers={"Content-Type": NDJSON},
            stream=True,
            timeout=600,
        )
        for piece in answer.iter_content(256 * 1024):
            tail = (tail + piece)[-1_000:]
    took = time.monotonic() - began
    counts = tail.splitlines()[-1]
    if answer.status_code != 200 or orjson.loads(counts) != {"received": len(numbers), "refused": 0}:
        raise BenchError(f"Not every row was received: {answer.status_code} {counts[:300]!r}")
    return len(numbers) / took


def _lines(numbers: range) -> bytes:
    return b"".join(orjson.dumps(lead_values(number)) + b"\n" for number in numbers)


def _stream(numbers: range) -> Iterator[bytes]:
    for start in range(0, len(numbers), PIECE):
        yield _lines(numbers[start : start + PIECE])


def _read_all(made: Portal, rows: int) -> None:
    """Read an export to its end; BenchError where leads are missing in it."""
    lines = 0
    with _session(made) as session:
        answer = session.get(f"http://127.0.0.1:{made.port}/api/v1/exports/leads", stream=True, timeout=600)
        for piece in answer.iter_content(64 * 1024):
            lines += piece.count(b"\n")
    if answer.status_code != 200 or lines <= rows:
        raise BenchError(f"The export has {lines:,} lines: {answer.status_code}")


def _session(made: Portal) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {made.partner_key}"
    return session


def _grown(made: Portal, work: Any) -> float:
    """By how many megabytes the web server's processes grew at the most while some work was done."""
    before = most = _resident_mb(made)
    done = threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(LOOK_S):
            most = max(most, _resident_mb(made))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        work()
    finally:
        done.set()
        looking.join()
    return most - before


def _resident_mb(made: Portal) -> float:
    total = 0
    for child in made.children:
        for pid in tree(child.pid):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return total / 1024
