"""The browser library against a running portal: from a page of a shop to the events of its campaign, and to Convertro."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from leads.tracking.snippet import snippet
from tests.browser.site import LIVE_JS, Site, until
from tests.running.portal_process import PortalProcess

pytestmark = [pytest.mark.browser, pytest.mark.portals]

_SET_UP = """
from leads.models import *
from integrations.models import *
acme = Advertiser.objects.create(name="Acme")
campaign = Campaign.objects.create(advertiser=acme, name="Shop")
Integration.objects.create(campaign=campaign, name="Convertro", connector="convertro", state="on", settings={
    "account": "baublebar", "clientName": "acme", "siteId": "s1", "domain": "shop.example", "hybridAttributionModel": True})
another = Campaign.objects.create(advertiser=acme, name="Another")
print(Source.objects.create(campaign=campaign, name="Shop").write_key)
print(Source.objects.create(campaign=another, name="Another").write_key)
"""


class StandIn:
    """Takes what is sent to Convertro, and keeps it."""

    def __init__(self) -> None:
        self.hits: list[tuple[str, dict[str, str]]] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                stand_in.hits.append((parts.path, dict(parse_qsl(parts.query))))
                self.send_response(204)
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.netloc = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PortalProcess, str, StandIn, Site]]:
    """A portal with two campaigns, of which the first has Convertro; their shops; and whom Convertro's events go to."""
    stand_in, site = StandIn(), Site()
    env = {"CONVERTRO_API_URL": f"http://{stand_in.netloc}", "CONNECTOR_PRIVATE_HOSTS": stand_in.netloc}
    portal = PortalProcess(tmp_path_factory.mktemp("library") / "portal", env={"LOG_LEVEL": "WARNING", **env})
    portal.migrate()
    key, other = portal.manage("shell", "-v0", "-c", _SET_UP).stdout.strip().splitlines()[-2:]
    for path, each in (("/", key), ("/another", other)):
        head = snippet(portal.url, each)
        site.pages[path] = f"<!doctype html><html lang=en><title>Shop</title><link rel=icon href=data:,>{head}"
    portal.start()
    yield portal, key, stand_in, site
    portal.kill()
    stand_in.close()
    site.close()


def rows(portal: PortalProcess, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{portal.directory / 'portal.sqlite3'}?mode=ro", uri=True)) as database:
        return database.execute(query).fetchall()


def test_offline_reload_online_every_event_is_there_once_and_orders_reach_convertro_once(
    world: tuple[PortalProcess, str, StandIn, Site], open_page: Callable[..., Any], troubles: list[str]
) -> None:
    portal, key, stand_in, site = world
    page = open_page()
    page.context.route(
        "**://d1ivexoxmp59q7.cloudfront.net/**",
        lambda route: route.fulfill(status=200, content_type="text/javascript", body=LIVE_JS),
    )
    page.goto(site.url)
    page.evaluate("() => new Promise((done) => analytics.ready(done))")
    page.evaluate("analytics.identify('u1', {plan: 'pro'})")
    page.evaluate("analytics.track('Order Completed', {orderId: 'web-1', total: '$1,234.50', repeat: false})")
    page.context.set_offline(True)
    page.evaluate("for (let n = 0; n < 60; n++) analytics.track('Offline', {n})")
    page.wait_for_timeout(100)
    # The portal is away while the page comes back.
    portal.stop()
    page.context.set_offline(False)
    page.context.route("**/t/*.js", lambda route: route.abort())
    page.reload()
    portal.start()
    page.context.unroute("**/t/*.js")
    page.reload()
    page.evaluate("() => new Promise((done) => analytics.ready(done))")
    page.evaluate("for (let n = 60; n < 100; n++) analytics.track('Offline', {n})")

    events = "SELECT data FROM leads_event WHERE name = 'Offline'"
    until(page, lambda: len(rows(portal, events)) == 100, "all events", 40)
    assert sorted(json.loads(data)["properties"]["n"] for (data,) in rows(portal, events)) == list(range(100))
    counts = dict(rows(portal, "SELECT type, count(*) FROM leads_event WHERE source_id = 1 GROUP BY type"))
    assert counts == {"page": 2, "identify": 1, "track": 101}

    # The page told Convertro itself, so the server does not.
    reasons = "SELECT DISTINCT reason FROM integrations_delivery WHERE state = 'not_sent' ORDER BY reason"
    until(page, lambda: len(rows(portal, "SELECT 1 FROM integrations_delivery")) == 104, "what became of each")
    assert [reason for (reason,) in rows(portal, reasons)] == [
        "Convertro takes identify and track calls only, not page.",
        "Left to the page, which runs Convertro’s script itself.",
    ]
    order = {
        "type": "track",
        "event": "Order Completed",
        "userId": "u2",
        "messageId": "app-1",
        "properties": {"order_id": "app-1", "revenue": 5, "repeat": True},
        "context": {"device": {"id": "D1"}},
    }
    for _ in range(2):  # a client that did not hear the answer sends it again
        assert requests.post(f"{portal.url}/v1/track", json=order, auth=(key, ""), timeout=10).status_code == 200
    hits = until(page, lambda: len(stand_in.hits) >= 2 and stand_in.hits, "the order at Convertro", 30)
    page.wait_for_timeout(300)
    assert [(path, query["event_type"], query["event_value"], query["eid"]) for path, query in hits] == [
        ("/hit/acme/s1/", "sale.repeat", "5", "app-1"),
        ("/hit/acme/s1/", "sale", "5", "app-1"),
    ]
    troubles[:] = [words for words in troubles if not words.startswith("Failed to load resource")]


def test_a_hostile_page_harms_the_portal_no_more_than_its_queue_holds(
    world: tuple[PortalProcess, str, StandIn, Site], open_page: Callable[..., Any]
) -> None:
    portal, _, _, site = world
    page = open_page()
    page.goto(f"{site.url}/another")
    page.wait_for_function("analytics.initialized")
    page.evaluate(
        """() => {
          analytics.track("<script>alert(1)</" + "script>", { "</script>": "\\u2028\\u0000\\ud800", huge: "x".repeat(20000) });
          for (let i = 0; i < 10000; i++) analytics.track("Flood " + i, { i });
          analytics.track("x".repeat(5000));
        }"""
    )
    until(
        page,
        lambda: rows(portal, "SELECT count(*) FROM leads_event WHERE name LIKE 'Flood%'")[0][0] > 900,
        "a flood",
        60,
    )
    until(
        page, lambda: page.evaluate("Object.keys(localStorage).every((name) => !name.startsWith('pt:'))"), "the end", 60
    )
    assert requests.get(f"{portal.url}/health", timeout=10).status_code == 200
    assert rows(portal, "SELECT count(*) FROM leads_event WHERE name = '<script>alert(1)</script>'") == [(1,)]
    assert rows(portal, "SELECT count(*) FROM leads_event WHERE source_id = 2 AND problem <> ''") == [(0,)]
