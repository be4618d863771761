"""`make run` and `make demo-leads`, as a newcomer meets them: two real portals, started and stopped by the launcher."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.people import people
from tests.running.portal_process import INHERITED, ROOT, answers, free_port
from tests.running.test_serve import runs, wait_until

pytestmark = pytest.mark.portals
KEYS = {
    "url", "admin_username", "admin_password", "campaign_id", "publisher_id", "form_id", "api_key", "client_id",
    "client_secret", "username", "password", "campaign_api_key", "campaign_name", "good_lead", "bad_lead", "lead_hash",
    "inactive_campaign_id", "inactive_campaign_api_key",
}  # fmt: skip


class Demo:
    """A launcher on free ports with a var directory of its own."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.ports = free_port(), free_port()
        self.process: subprocess.Popen[str] | None = None
        self.said = ""

    def start(self, *more: str) -> Demo:
        port, client_port = (str(port) for port in self.ports)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "demo/run.py",
                "--var",
                str(self.var),
                "--port",
                port,
                "--client-port",
                client_port,
                *more,
            ],
            cwd=ROOT,
            env={name: os.environ[name] for name in INHERITED if name in os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if "Ctrl-C stops both" in line:
                break
        return self

    def stop(self, signum: int = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(signum)
        rest, _ = self.process.communicate(timeout=30)
        self.said += rest
        return self.process.returncode

    def about(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = json.loads((self.var / "run.json").read_text())
        return found

    def children(self) -> list[int]:
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo") / "var")
    yield demo
    if demo.process is not None and demo.process.poll() is None:
        demo.stop()


def tracks_and_shows_what_convertro_got(portal: dict[str, Any]) -> None:
    """An event by the write key reaches the stand-in for Convertro, which shows it and can be emptied."""
    stand_in = portal["convertro_stand_in"]
    event = {"event": "Signed Up", "userId": "u1", "context": {"device": {"id": "phone-1"}}}
    answer = requests.post(f"{portal['url']}/v1/track", json=event, auth=(portal["write_key"], ""), timeout=20)
    assert answer.status_code == 200

    def received() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = requests.get(f"{stand_in}/received", timeout=20).json()
        return found

    wait_until(lambda: received() != [], 20)
    (one,) = received()
    assert set(one) == {"at", "method", "path", "query", "body"}
    assert (one["method"], one["path"]) == ("GET", "/hit/larkfield/26/")
    assert (one["query"]["sid"], one["query"]["event_type"]) == ("phone-1", "signup")
    assert requests.delete(f"{stand_in}/received", timeout=20).status_code == 200
    assert received() == []
    assert "What Convertro was sent" in requests.get(stand_in, timeout=20).text
    assert f"{portal['url']}/t/{portal['write_key']}.js" in requests.get(f"{stand_in}/site", timeout=20).text


def test_two_portals_start_keep_what_they_know_and_stop(demo: Demo) -> None:
    demo.start()
    assert "log in as admin" in demo.said
    about = demo.about()
    assert stat.S_IMODE((demo.var / "run.json").stat().st_mode) == 0o600
    assert set(about) == {"portal", "client"}
    for name, port in zip(("portal", "client"), demo.ports, strict=True):
        assert set(about[name]) == (KEYS | {"write_key", "convertro_stand_in"} if name == "portal" else KEYS)
        assert all(about[name].values())
        assert about[name]["url"] == f"http://127.0.0.1:{port}"
        assert len(about[name]["lead_hash"]) == 32
        assert answers(about[name]["url"])
    for pid in demo.children():
        rss = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]
        assert int(rss) < 200 * 1024, "a portal takes less than 200 MB"

    tracks_and_shows_what_convertro_got(about["portal"])

    posted = subprocess.run(
        [sys.executable, "demo/leads.py", "--var", str(demo.var), "--count", "40", "--seed", "7"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert posted.returncode == 0, posted.stdout + posted.stderr
    made = Counter(person.kind for person in people(40, 7))
    accepted = made["valid"] + made["duplicate"]
    assert f"{accepted} accepted" in posted.stdout
    assert f"{made['invalid']} refused" in posted.stdout
    assert "(SEED=7)" in posted.stdout
    # What misses some points is in Caution: the client gets what is valid.
    states = re.search(r"your portal judged (\d+) valid", posted.stdout)
    assert states is not None, posted.stdout
    valid = int(states[1])
    assert accepted - valid <= 4
    assert f"has {valid} leads more than before" in posted.stdout

    assert demo.stop() == 0
    assert "Traceback" not in demo.said
    assert not any(answers(f"http://127.0.0.1:{port}") for port in demo.ports)

    # The next start has the same data and logins, and is quick.
    began = time.monotonic()
    demo.start()
    assert time.monotonic() - began < 15  # 2 s on an idle machine
    again = demo.about()
    assert again == about
    assert demo.stop(signal.SIGTERM) == 0

    # What links the two follows the ports.
    demo.ports = free_port(), free_port()
    demo.start()
    assert demo.about()["client"]["url"].endswith(str(demo.ports[1]))
    assert demo.about()["client"]["api_key"] == about["client"]["api_key"]

    # Nothing is left behind by a launcher that was killed.
    portals = demo.children()
    assert demo.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not any(runs(pid) for pid in portals), 15)


def test_one_portal_that_dies_takes_the_others_along_and_it_is_said(demo: Demo) -> None:
    demo.start("--reset")
    first, *others = demo.children()
    assert len(others) == 2
    os.kill(first, signal.SIGKILL)
    assert demo.process is not None
    rest, _ = demo.process.communicate(timeout=30)
    assert demo.process.returncode == 1
    assert "ended by itself (exit code -9)" in rest
    assert not any(runs(other) for other in others)


def test_a_taken_port_is_said_in_one_line_before_anything_is_started(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "var")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", demo.ports[1]))
        taken.listen()
        demo.start()
        assert demo.process is not None
        assert demo.process.wait(30) == 1
    assert demo.said == f"Port {demo.ports[1]} is taken by another program: choose another with CLIENT_PORT=…\n"
    assert not demo.var.exists()


def test_demo_leads_without_a_portal_say_so_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "demo/leads.py", "--var", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "Your portal is not running: start it with make run in another terminal.\n"


def test_made_up_people_are_the_same_for_the_same_seed_and_write_in_several_scripts() -> None:
    made = people(300, 1)
    assert made == people(300, 1)
    assert made != people(300, 2)
    kinds = Counter(person.kind for person in made)
    assert set(kinds) == {"valid", "invalid", "duplicate"}
    names = "".join(person.values["firstName"] for person in made)
    scripts = {unicodedata.name(letter).split()[0] for letter in names}
    assert scripts >= {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "CJK", "HANGUL", "DEVANAGARI"}
