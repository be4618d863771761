"""The browser library as it is served: small, cacheable, with the settings of connectors in it and nothing else of theirs."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest
import requests

from integrations.api import browser_library
from integrations.api.browser_library import compose
from integrations.models import Integration
from leads.models import Source
from leads.tracking import sources
from leads.tracking.snippet import snippet
from tests.receiving.conftest import Instance

SETTINGS = {
    "account": "baublebar",
    "clientName": "acme-client",
    "siteId": "s-1",
    "domain": "shop.example",
    "events": [{"key": "Signed Up", "value": "registration"}, {"key": "Trial Started", "value": "trial"}],
    "hybridAttributionModel": True,
}


@pytest.fixture
def source(instance: Instance) -> Source:
    sources.forget()
    browser_library._composed.clear()
    return Source.objects.create(campaign=instance.campaign, name="Shop")


@pytest.fixture
def convertro(instance: Instance) -> Integration:
    return Integration.objects.create(
        campaign=instance.campaign, name="Convertro", connector="convertro", settings=SETTINGS, state="on"
    )


def told(script: str) -> Any:
    """What the library is told, as a browser reads it."""
    found = re.match(r"window\.portalTracking=(.*);\n", script)
    assert found is not None
    return json.loads(found[1])


def test_a_page_gets_one_small_script(server: str, source: Source, convertro: Integration) -> None:
    answer = requests.get(
        f"{server}/t/{source.write_key}.js", headers={"Accept-Encoding": "gzip"}, timeout=10, stream=True
    )
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    wire = answer.raw.read(decode_content=False)
    assert len(wire) < 6_000
    plain = requests.get(f"{server}/t/{source.write_key}.js", headers={"Accept-Encoding": "identity"}, timeout=10)
    assert gzip.decompress(wire) == plain.content
    assert len(gzip.compress(plain.content)) < 6 * 1024
    assert "\n//" not in plain.text


def test_a_page_that_has_it_is_told_so_until_something_changes(
    server: str, source: Source, convertro: Integration
) -> None:
    address = f"{server}/t/{source.write_key}.js"
    first = requests.get(address, timeout=10)
    again = requests.get(address, headers={"If-None-Match": first.headers["ETag"]}, timeout=10)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (
        requests.get(address, headers={"If-None-Match": f'"x", W/{first.headers["ETag"]}'}, timeout=10).status_code
        == 304
    )
    plain = requests.get(address, headers={"Accept-Encoding": "identity"}, timeout=10)
    assert plain.headers["ETag"] != first.headers["ETag"]
    convertro.settings = {**SETTINGS, "account": "another"}
    convertro.save()
    changed = requests.get(address, headers={"If-None-Match": first.headers["ETag"]}, timeout=10)
    assert changed.status_code == 200
    assert "another" in changed.text
    head = requests.head(address, timeout=10)
    assert (head.status_code, head.content) == (200, b"")


def test_settings_of_pages_reach_the_page_and_nothing_else(source: Source, convertro: Integration) -> None:
    convertro.secrets = {"account": "a-secret"}
    convertro.save()
    script = compose(source.write_key, source.campaign_id).body.decode()
    assert told(script) == {
        "writeKey": source.write_key,
        "connectors": [
            {
                "slug": "convertro",
                "name": "Convertro",
                "settings": {
                    "account": "baublebar",
                    "events": SETTINGS["events"],
                    "hybridAttributionModel": True,
                    "requireOrderId": True,
                },
            }
        ],
    }
    for word in ("a-secret", "acme-client", "shop.example"):
        assert word not in script


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "\u2028\u2029", "<!--", "\\", '"', "'", "]]>", "&"]
)
def test_no_setting_breaks_out_of_the_script(source: Source, convertro: Integration, text: str) -> None:
    convertro.settings = {**SETTINGS, "account": text, "events": [{"key": text, "value": text}]}
    convertro.save()
    script = compose(source.write_key, source.campaign_id).body.decode()
    head = script.split("\n", 1)[0]
    assert told(script)["connectors"][0]["settings"]["events"] == (
        [{"key": text, "value": text}] if text.strip() else []
    )
    assert head.isascii()
    assert not set("<>&") & set(head)


@pytest.mark.parametrize(
    ("state", "runs"), [("on", True), ("needs_a_look", True), ("paused", False), ("needs_setup", False)]
)
def test_a_connector_runs_on_pages_while_its_integration_is_on(
    source: Source, convertro: Integration, state: str, runs: bool
) -> None:
    # What needs a look is on the side of servers (a client name is missing): the sales of pages are not lost for it.
    Integration.objects.update(state=state)
    script = compose(source.write_key, source.campaign_id).body.decode()
    assert bool(told(script)["connectors"]) == runs
    assert ("cloudfront" in script) == runs


def test_two_integrations_of_one_connector_do_not_send_twice(source: Source, convertro: Integration) -> None:
    Integration.objects.create(
        campaign=source.campaign, name="Second", connector="convertro", settings=SETTINGS, state="on", position=5
    )
    script = compose(source.write_key, source.campaign_id).body.decode()
    assert len(told(script)["connectors"]) == 1
    assert script.count("cloudfront") == 1


def test_another_campaigns_integrations_are_not_in_it(source: Source, convertro: Integration) -> None:
    from leads.models import Campaign

    other = Campaign.objects.create(advertiser=source.campaign.advertiser, name="Another")
    Integration.objects.update(campaign=other)
    assert told(compose(source.write_key, source.campaign_id).body.decode())["connectors"] == []


@pytest.mark.parametrize(
    "path", ["/t/nobody.js", "/t/.js", "/t/a.b.js", "/t/x", "/t/%00.js", "/t/" + "a" * 200 + ".js"]
)
def test_an_unknown_key_harms_no_page(server: str, source: Source, path: str) -> None:
    answer = requests.get(server + path, timeout=10)
    assert answer.status_code == 404
    assert answer.text.startswith(("/*", "404"))


def test_a_source_that_is_switched_off_serves_a_comment(server: str, source: Source) -> None:
    Source.objects.update(enabled=False)
    answer = requests.get(f"{server}/t/{source.write_key}.js", timeout=10)
    assert answer.status_code == 404
    assert answer.text == "/* No source takes events by this write key. */\n"
    assert answer.headers["Content-Type"].startswith("text/javascript")


def test_other_methods_are_refused(server: str, source: Source) -> None:
    assert requests.post(f"{server}/t/{source.write_key}.js", timeout=10).status_code == 405


def test_the_snippet_names_the_portal_and_the_key(source: Source) -> None:
    text = snippet("https://portal.example/", source.write_key)
    assert text.startswith("<script>\n")
    assert text.endswith("</script>")
    assert f'"https://portal.example/t/{source.write_key}.js"' in text
    assert "{{" not in text
