"""Where the time goes: stacks of the portal's processes (py-spy, where it is installed) and what each SQL statement took."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from bench.portal import Portal
from bench.processes import BenchError, tree
from bench.servers import Servers

RATE, TOP = 250, 25
_LINE = re.compile(
    r"^\d{4}-\d\d-\d\d .*? \[\d+\] (?:LOG|ERROR|DETAIL|STATEMENT|FATAL|WARNING|HINT|CONTEXT): +", re.MULTILINE
)
_STATEMENT = re.compile(r"duration: ([\d.]+) ms  (?:statement|execute [^:]*): (.*)", re.DOTALL)


def profile(directory: Path, made: Portal, servers: Servers, load: Callable[[], Any]) -> str:
    """Run the load twice, once under py-spy and once with every statement logged; a summary in words.

    Writes NAME.folded (stacks, as flame graph tools read them) for each Python process, and summary.txt, into `directory`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    text = _stacks(directory, made, load) + _statements(servers, load)
    (directory / "summary.txt").write_text(text)
    return text


def _stacks(directory: Path, made: Portal, load: Callable[[], Any]) -> str:
    spy = shutil.which("py-spy")
    if spy is None:
        return "py-spy is not installed: no stacks.\n"
    recorders = []
    for child in made.children:
        # `serve --workers` has its server in a child; what runs in the parent does nothing but wait. --gil: a thread
        # counts while it holds the interpreter, so that one that waits for a socket does not.
        pid = _busiest(child.pid)
        target = directory / f"{child.name}.folded"
        command = [spy, "record", "--pid", str(pid), "--format", "raw", "--rate", str(RATE), "--gil"]
        recorders.append(
            (
                child.name,
                target,
                subprocess.Popen(  # noqa: S603  a tool of the machine's own
                    [*command, "--duration", "600", "--output", str(target)],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                ),
            )
        )
    try:
        load()
    finally:
        for _, _, recorder in recorders:
            recorder.send_signal(signal.SIGINT)
        said = [recorder.communicate(timeout=30)[1] for _, _, recorder in recorders]
    text = ""
    for (name, target, _), words in zip(recorders, said, strict=True):
        if not target.exists():
            raise BenchError(f"py-spy wrote nothing for {name}: {words.decode(errors='replace')}")
        text += f"{name}: shares of the time in Python code, by function\n{_top(target.read_text())}\n"
    return text


def _busiest(pid: int) -> int:
    def ticks(each: int) -> int:
        try:
            stat = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0
        return int(stat[11]) + int(stat[12])

    return max(tree(pid), key=ticks)


def _top(folded: str) -> str:
    """The shares of packages and functions themselves, and of the project's functions with all that they call."""
    packages: Counter[str] = Counter()
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    total = 0
    for line in folded.splitlines():
        stack, _, text = line.rpartition(" ")
        count = int(text)
        frames = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
        own[frames[-1]] += count
        packages[re.sub(r"^.*\(([^/)]*).*$", r"\1", frames[-1])] += count
        for frame in set(frames):
            if re.search(r"\((?:portal|integrations|leads)/", frame):
                within[frame] += count
        total += count
    lines = []
    for title, found in (
        ("packages themselves", packages),
        ("functions themselves", own),
        ("ours, with all that they call", within),
    ):
        lines.append(f"  {title}")
        lines += [f"  {count * 100 / total:5.1f} %  {name}" for name, count in found.most_common(TOP)]
    return "\n".join(lines) + "\n"


def _statements(servers: Servers, load: Callable[[], Any]) -> str:
    log = servers.log_path
    start = log.stat().st_size
    with psycopg.connect(servers.database, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET log_min_duration_statement = 0")
        connection.execute("SELECT pg_reload_conf()")
        try:
            load()
        finally:
            connection.execute("ALTER SYSTEM RESET log_min_duration_statement")
            connection.execute("SELECT pg_reload_conf()")
    with log.open(errors="replace") as file:
        file.seek(start)
        text = file.read()
    took: dict[str, list[float]] = defaultdict(list)
    for entry in _LINE.split(text):
        if found := _STATEMENT.match(entry):
            took[_shape(found[2])].append(float(found[1]))
    lines = ["SQL: all of a statement's runs, how many, each"]
    for shape, runs in sorted(took.items(), key=lambda item: -sum(item[1]))[:TOP]:
        lines.append(f"  {sum(runs):8.0f} ms {len(runs):6} × {sum(runs) / len(runs):7.2f} ms  {shape}")
    return "\n".join(lines) + "\n"


def _shape(statement: str) -> str:
    """A statement without its values."""
    text = re.sub(r"'(?:[^']|'')*'", "?", statement)
    text = re.sub(r"\b\d+\b", "?", re.sub(r"\s+", " ", text)).strip()
    text = re.sub(r"\((?:\s*\?\s*,?)+\)", "(…)", text)
    text = text.replace('"', "")
    return text if len(text) <= 230 else f"{text[:150]} … {text[-80:]}"
