"""Segment's own client libraries send to a running portal, and every event arrives once at its destinations.

The portal is a process of its own; the destinations are a receiver of signed events, and a stand-in for Convertro.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from segment.analytics import request as segment_request
from segment.analytics.client import Client

from integrations.kit.signing import secret_new
from tests.running.portal_process import ROOT, PortalProcess
from tests.tracking.destinations import Destination

pytestmark = pytest.mark.portals

NODE = Path(__file__).parent / "node"

_SET_UP = """
import json, os
from integrations.models import Integration
from leads.models import Advertiser, Campaign, Source
campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
common = {"campaign": campaign, "state": "on", "honours_keys": True}
settings = {"url": f"http://{os.environ['THEIRS']}/events", "sends": "events"}
Integration.objects.create(
    name="Theirs", connector="webhook", settings=settings, secrets={"signing_secret": os.environ["SECRET"]}, **common
)
settings = {"account": "acme", "clientName": "acme", "domain": "acme.example", "siteId": "7"}
Integration.objects.create(name="Convertro", connector="convertro", settings=settings, **common)
names = ("python", "gzip", "busy", "batch", "node", "node busy")
keys = {name: Source.objects.create(campaign=campaign, name=name).write_key for name in names}
print("KEYS" + json.dumps(keys))
"""


@dataclass
class World:
    portal: PortalProcess
    destination: Destination
    keys: dict[str, str]

    def arrived(self, name: str) -> Counter[int]:
        """How often each numbered event of this name reached the receiver of signed events."""
        said = [body["data"] for body in list(self.destination.bodies)]
        return Counter(each["properties"]["number"] for each in said if each.get("event") == name)

    def at_convertro(self, name: str) -> int:
        return sum(query.get("event_type") == name for query in list(self.destination.queries))

    def every_event_arrives_once(self, name: str, count: int) -> None:
        self.destination.wait(lambda: sum(self.arrived(name).values()) >= count and self.at_convertro(name) >= count)
        assert self.arrived(name) == Counter(range(count))
        assert self.at_convertro(name) == count


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    destination = Destination()
    env = {
        "CONNECTOR_PRIVATE_HOSTS": destination.host,
        "CONVERTRO_API_URL": f"http://{destination.host}",
        # Five calls in two seconds: clients are told to wait, and do.
        "RATE_LIMIT_TRACKING": "2.5",
    }
    portal = PortalProcess(tmp_path_factory.mktemp("tracking"), env=env)
    portal.migrate()
    given = {"THEIRS": destination.host, "SECRET": secret_new()}
    said = portal.manage("shell", "-c", _SET_UP, env=given).stdout
    with portal.start():
        yield World(portal, destination, json.loads(said.partition("KEYS")[2]))
    destination.close()


def python_client(world: World, key: str, **given: Any) -> Client:
    errors: list[Any] = []
    client = Client(
        world.keys[key],
        host=world.portal.url,
        max_retries=10,
        on_error=lambda error, batch: errors.append(error),
        **given,
    )
    client.errors = errors
    return client


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses that the Python client was answered with."""
    said: list[int] = []
    hooks = {"response": [lambda answer, *args, **given: said.append(answer.status_code)]}
    monkeypatch.setattr(segment_request._session, "hooks", hooks)
    return said


def track(client: Client, name: str, count: int) -> None:
    for number in range(count):
        context = {"device": {"id": f"device-{number % 7}"}}
        client.track(f"user-{number % 7}", name, {"number": number}, context=context)


def send(client: Client, name: str, count: int) -> None:
    track(client, name, count)
    client.flush()
    client.join()
    assert client.errors == []


def test_every_event_of_the_python_client_arrives_once(world: World) -> None:
    send(python_client(world, "python"), "Python Sent", 60)
    world.every_event_arrives_once("Python Sent", 60)


def test_every_gzipped_event_of_the_python_client_arrives_once(world: World) -> None:
    send(python_client(world, "gzip", gzip=True), "Gzip Sent", 60)
    world.every_event_arrives_once("Gzip Sent", 60)


def test_a_client_that_is_told_to_wait_sends_again_and_nothing_is_lost_or_doubled(
    world: World, answers: list[int]
) -> None:
    client = python_client(world, "busy", upload_size=2)
    send(client, "Busy Sent", 32)
    world.every_event_arrives_once("Busy Sent", 32)
    assert answers.count(200) == 16
    assert set(answers) == {200, 429}


def test_five_hundred_events_in_one_batch_arrive_once(world: World, answers: list[int]) -> None:
    # It sends once it has them all, or after so many seconds.
    send(python_client(world, "batch", upload_size=500, upload_interval=3), "Batch Sent", 500)
    world.every_event_arrives_once("Batch Sent", 500)
    assert answers == [200]


@pytest.fixture(scope="module")
def node_send() -> Callable[..., dict[str, Any]]:
    """Sends with Segment's client for Node, which is installed once under var/."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Segment's client for Node needs node and npm, which this machine does not have.")
    home = ROOT / "var" / "node-tracking"
    lock = (NODE / "package-lock.json").read_text()
    if not (home / "installed").exists() or (home / "installed").read_text() != lock:
        home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(NODE / name, home / name)
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm could not install Segment's client for Node: {done.stderr[-300:]}")
        (home / "installed").write_text(lock)
    shutil.copy(NODE / "send.cjs", home / "send.cjs")
    direct = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}

    def run(*given: object) -> dict[str, Any]:
        command = [node, "send.cjs", *map(str, given)]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120, check=False, env=direct)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    return run


def test_every_event_of_the_node_client_arrives_once(world: World, node_send: Callable[..., dict[str, Any]]) -> None:
    assert node_send(world.portal.url, world.keys["node"], 60, 20, "Node Sent") == {"errors": [], "calls": 3}
    world.every_event_arrives_once("Node Sent", 60)


def test_a_node_client_that_is_told_to_wait_sends_again_and_nothing_is_lost_or_doubled(
    world: World, node_send: Callable[..., dict[str, Any]]
) -> None:
    said = node_send(world.portal.url, world.keys["node busy"], 32, 2, "Node Busy")
    assert said["errors"] == []
    assert said["calls"] > 16
    world.every_event_arrives_once("Node Busy", 32)
