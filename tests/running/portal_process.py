"""A portal as a real process, for tests that need one: `manage.py serve` with a database, ports and secrets of its own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent.parent
# What a portal may take over from whoever runs the tests; everything else it is told in `env`.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH")


# Below those that a system hands out for outgoing lines: else one of these may take it before it is listened on, or while a
# server is started again. Each process of the tests begins elsewhere.
_FIRST_PORT, _PORTS = 10_000, 20_000
_ports = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on just now, and that no other test of this process was given."""
    for number in _ports:
        port = _FIRST_PORT + number % _PORTS
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")


def _migrated_file() -> Path:
    """A SQLite file with all tables and nothing that tests have added, made by whichever process asks first."""
    migrations = sorted(
        path for app in ("leads", "integrations", "portal") for path in (ROOT / app).rglob("migrations/*.py")
    )
    made_of = hashlib.sha256(b"".join(path.read_bytes() for path in migrations)).hexdigest()[:16]
    folder = ROOT / "var" / "migrated"
    file = folder / f"{made_of}.sqlite3"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            making = PortalProcess(folder / "making")
            making.manage("migrate", "-v0")
            # What is still in the log beside it goes into the file itself.
            with contextlib.closing(sqlite3.connect(folder / "making" / "portal.sqlite3")) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (folder / "making" / "portal.sqlite3").rename(file)
            shutil.rmtree(folder / "making")
    return file


class PortalProcess:
    """One portal: its settings, and the process that runs with them, which may be started again after stop() or kill().

    `directory` holds its SQLite database and its log (`portal.log`, appended over restarts). Whatever `env` says goes
    before what is set here: DATABASE_URL for PostgreSQL, SYNC_TAGS=0 and the like.
    """

    def __init__(self, directory: Path, *, port: int | None = None, env: Mapping[str, str] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = directory / "portal.log"
        self.env = {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": f"sqlite:///{directory / 'portal.sqlite3'}",
            "SECRET_KEY": f"for tests only, {directory.name}",
            "INSTANCE_URL": self.url,
            **(env or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def manage(
        self, *command: str, env: Mapping[str, str] | None = None, stdin: str | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a management command with the portal's settings; raise AssertionError with its output if it fails."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *command],
            cwd=ROOT,
            env={**self.env, **(env or {})},
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"manage.py {' '.join(command)}\n{done.stdout}{done.stderr}"
        return done

    def migrate(self) -> None:
        """Give it its tables: a copy of a file that was migrated once for all tests of this machine, or by migrations elsewhere."""
        file = self.env["DATABASE_URL"].removeprefix("sqlite:///")
        if file == self.env["DATABASE_URL"] or Path(file).exists():
            self.manage("migrate", "-v0")
            return
        shutil.copyfile(_migrated_file(), file)

    def start(self, *, wait_s: float = 30, command: Sequence[str] | None = None) -> PortalProcess:
        """Start it and wait until it answers. `command` replaces `manage.py serve` (a web server of another kind)."""
        assert self.process is None or self.process.poll() is not None, "it is running"
        argv = command or [str(ROOT / "manage.py"), "serve", "--port", str(self.port), "--stop-with", str(os.getpid())]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *argv],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_ready(wait_s)
        return self

    def wait_ready(self, wait_s: float = 30) -> None:
        """Wait until it answers; raise AssertionError with its log if it ends or stays silent."""
        deadline = time.monotonic() + wait_s
        while not answers(self.url):
            assert self.process is not None
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log()}"
            assert time.monotonic() < deadline, f"no answer in {wait_s} s:\n{self.log()}"
            time.sleep(0.02)

    def stop(self, wait_s: float = 20) -> int:
        """Stop it as an operator does (SIGTERM); its exit code, 0 when all went well."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not stop in {wait_s} s:\n{self.log()}") from None

    def kill(self) -> None:
        """Stop it as a power cut does (SIGKILL)."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def memory_mb(self) -> float:
        """Resident memory of the process (Linux), in megabytes."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def __enter__(self) -> PortalProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(AssertionError):
                self.stop()


# A proxy is for the world outside, never for this machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str) -> bool:
    """Whether something speaks HTTP there, whatever it says."""
    try:
        with _DIRECT.open(f"{url}/health", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def connected(sender: PortalProcess, receiver: PortalProcess) -> None:
    """Let two portals that are not started yet reach each other: by the names `portal` and `client`, at local addresses."""
    names = {"portal": sender, "client": receiver}
    for name, portal in names.items():
        portal.env.update(
            INSTANCE_SUBDOMAIN=name,
            CONVERTR_INSTANCES=",".join(f"{other}={names[other].url}" for other in names),
            CONNECTOR_PRIVATE_HOSTS=",".join(f"127.0.0.1:{names[other].port}" for other in names),
        )
