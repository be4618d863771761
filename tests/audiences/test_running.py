"""A running portal: what is tracked reaches Convertro as a user property, by itself, also after the portal was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from tests.running.portal_process import PortalProcess
from tests.tracking.destinations import Destination

pytestmark = pytest.mark.portals

_SET_UP = """
from integrations.tracked_events.audience_sync import sync_add
from integrations.models import Integration
from leads.audiences import audience_create
from leads.models import Advertiser, Campaign, Source
from leads.rule_checks import rule_checked
campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
settings = {"account": "acme", "clientName": "acme", "domain": "acme.example", "siteId": "7"}
target = Integration.objects.create(campaign=campaign, name="Convertro", connector="convertro", settings=settings, state="on")
items = [{"kind": "event", "event": "Order Completed", "days": 30, "times": 1},
         {"kind": "event", "event": "Order Refunded", "how": "never"}]
rule, errors = rule_checked({"match": "all", "items": items})
assert not errors
name = "Order Completed last 30days"
sync_add(audience_create(campaign, "audience", name, rule, first_sync_minutes=0, sync_minutes=0), target)
print("KEY" + Source.objects.create(campaign=campaign, name="Shop").write_key)
"""


def test_who_orders_is_told_to_convertro_and_who_gives_it_back_too(tmp_path: Path) -> None:
    destination = Destination()
    env = {
        "CONNECTOR_PRIVATE_HOSTS": destination.host,
        "CONVERTRO_API_URL": f"http://{destination.host}",
        "SWEEP_SECONDS": "1",
    }
    portal = PortalProcess(tmp_path, env=env)
    portal.migrate()
    key = portal.manage("shell", "-c", _SET_UP).stdout.partition("KEY")[2].strip()

    def track(name: str) -> None:
        message: dict[str, Any] = {"event": name, "userId": "u1", "context": {"device": {"id": "d1"}}}
        assert requests.post(f"{portal.url}/v1/track", json=message, auth=(key, ""), timeout=20).status_code == 200

    def told() -> list[tuple[str, str, str]]:
        rows = list(destination.queries)
        prop = "order_completed_last_30days"
        return [(row["id"], row["sid"], row[prop]) for row in rows if prop in row]

    try:
        with portal.start():
            track("Order Completed")
            destination.wait(lambda: len(told()) >= 1)
            assert told() == [("u1", "d1", "true")]
            track("Order Refunded")
            portal.kill()
        with portal.start():
            destination.wait(lambda: len(told()) >= 2)
        # Whether the first one had arrived may not have been known any more: then it came again.
        assert list(dict.fromkeys(told())) == [("u1", "d1", "true"), ("u1", "d1", "false")]
    finally:
        destination.close()
