"""Child processes of the bench: started, ended by their ids whatever happens, and asked for the CPU they took (Linux)."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
# What a child may take over from whoever runs the bench; everything else it is told.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_DIE_WITH_PARENT = 1


class BenchError(Exception):
    """Why nothing can be measured, in words."""


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: the little that is inherited, and what it is told."""
    return {**{name: os.environ[name] for name in INHERITED if name in os.environ}, "PYTHONUNBUFFERED": "1", **extra}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


class Child:
    """A process of ours, in a session of its own so that Ctrl-C reaches the bench alone, which then ends it."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        directory: Path,
        env: Mapping[str, str] = {},
        pipes: bool = False,
    ) -> None:
        self.name = name
        self.log_path = directory / f"{name}.log"
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  a command of our own
                [sys.executable, *arguments],
                cwd=ROOT,
                env=environment(env),
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        """What it wrote into its log; the end of it."""
        return self.log_path.read_text(errors="replace")[-4000:]

    def ask(self, question: Any) -> Any:
        """Send one line of JSON and read the answer, another one. BenchError where it ended instead."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BenchError(f"{self.name} has ended:\n{self.said()}") from None
        return self.hear()

    def hear(self) -> Any:
        """Read one line of JSON from it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{self.name} has ended:\n{self.said()}")
        return json.loads(line)

    def stop(self, wait_s: float = 6) -> None:
        """End it in order, with its children; by force what does not follow."""
        family = tree(self.pid)
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pid in family[1:]:
            # Workers of its own that outlived it; a number may belong to a stranger by now, a session may not.
            try:
                if os.getsid(pid) == self.pid:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def tree(pid: int) -> list[int]:
    """A process and all its descendants that live, the process first; [] where it does not live."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found = [pid] if _stat(pid) else []
    for each in found:
        found += children.get(each, [])
    return found


def _stat(pid: int) -> list[str]:
    """/proc/PID/stat from the state on; [] where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def cpu_s(roots: Iterable[int], *, without: int = 0) -> float:
    """Seconds of CPU (user and system) of processes with all their descendants, those that ended included.

    `without`: a process whose time is left out while it lives, such as the backend of a look from outside.
    """
    ticks = 0
    for root in roots:
        for pid in tree(root):
            stat = _stat(pid)
            if stat:
                own = int(stat[11]) + int(stat[12])
                ticks += int(stat[13]) + int(stat[14]) + (own if pid != without else 0)
    return ticks / TICKS


def busy_s() -> float:
    """Seconds that all cores of the machine together have worked since it started, for whomever."""
    user, nice, system, _, _, irq, softirq, *_ = (int(part) for part in Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / TICKS
