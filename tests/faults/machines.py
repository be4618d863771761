"""The processes of a run by their names, each in a session of its own, so that none outlives it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.running.portal_process import ROOT

_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Where the system can do that (Linux): no process outlives a run that was killed itself."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


class Machines:
    """Starts processes, and kills, pauses and resumes them by name. What they say goes to `<name>.log`."""

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self._directory = directory
        self.env = dict(env)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._left: list[int] = []

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Run Python with these arguments under this name."""
        assert name not in self._running, f"{name} is running"
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def log(self, name: str) -> Path:
        return self._directory / f"{name}.log"

    def runs(self, name: str) -> bool:
        return name in self._running and self._running[name].poll() is None

    @property
    def names(self) -> list[str]:
        return list(self._running)

    def kill(self, name: str) -> None:
        """As a power cut does: with everything that it started, and nobody is asked."""
        process = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def kill_alone(self, name: str) -> None:
        """Only itself, as a system that is short of memory does: what it started has to notice by itself."""
        process = self._running.pop(name)
        process.kill()
        process.wait()
        self._left.append(process.pid)

    def pause(self, name: str) -> None:
        os.killpg(self._running[name].pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        os.killpg(self._running[name].pid, signal.SIGCONT)

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def close(self) -> None:
        for name in self.names:
            self.kill(name)
        for group in self._left:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
