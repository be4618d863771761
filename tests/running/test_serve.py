"""`manage.py serve`, as whoever runs it sees it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running.portal_process import ROOT, PortalProcess, answers, free_port

pytestmark = pytest.mark.portals


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalProcess]:
    portal = PortalProcess(tmp_path_factory.mktemp("serve") / "portal")
    portal.migrate()
    with portal:
        yield portal


def test_it_answers_and_stops_at_a_signal_with_nothing_to_complain_about(portal: PortalProcess) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM):
        portal.start()
        with urllib.request.urlopen(f"{portal.url}/health") as response:
            assert response.status == 200
        asked_at = time.monotonic()
        assert portal.process is not None
        portal.process.send_signal(signum)
        assert portal.process.wait(10) == 0
        assert time.monotonic() - asked_at < 8
    log = portal.log()
    assert "Traceback" not in log
    assert "ERROR" not in log
    assert log.count(f"on {portal.url}") == 2


def test_a_taken_port_is_said_in_one_line(portal: PortalProcess) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve(portal, "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f"Port {port}" in done.stderr


def test_tables_that_are_not_up_to_date_are_said_in_one_line(tmp_path: Path) -> None:
    done = serve(PortalProcess(tmp_path), "--port", str(free_port()))
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "CommandError: The database's tables are not up to date. Run `manage.py migrate` first."
    ]


def test_it_ends_when_its_launcher_was_killed(portal: PortalProcess) -> None:
    launcher = (
        "import os, subprocess, sys, time; "
        "child = subprocess.Popen([sys.executable, *sys.argv[1:], '--stop-with', str(os.getpid())]); "
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", launcher, str(ROOT / "manage.py"), "serve", "--port", str(portal.port)],
        env=portal.env,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        wait_until(lambda: answers(portal.url), 30)
        process.kill()
    wait_until(lambda: not runs(child), 15)


def serve(portal: PortalProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "serve", *arguments],
        env=portal.env,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A dead child of a dead parent may wait for init to collect it.
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
