"""The API does what its document says, whatever is sent; and no key reaches what is another's, on any route of the document."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from integrations.models import Integration, IntegrationState
from leads.models import Campaign, Publisher
from tests.api.conftest import Instance, Partner, key_for
from tests.api.test_leads import ADA, leads_path

# Printed by pytest where a test fails: CONTRACT_SEED=1234 repeats it.
SEED = int(os.environ.get("CONTRACT_SEED", random.randrange(10**6)))
EXAMPLES = 6
# What a lead's values may be stands in the form's own schema; whether a filter makes sense together, in words.
NOT_SAID = {"positive_data_acceptance"}


@pytest.fixture
def document(server: str, db: None) -> Any:
    return requests.get(f"{server}/api/v1/openapi.json", timeout=60).json()


def operations(document: Any) -> Iterator[tuple[str, str]]:
    for path, methods in document["paths"].items():
        for method in methods:
            yield method.upper(), path


def checks() -> list[Any]:
    return [check for check in CHECKS.get_all() if check.__name__ not in NOT_SAID]


@pytest.fixture
def owned(reach: Partner, partner: Partner, instance: Instance, settings: Any) -> dict[str, Any]:
    """One of each thing that an address can name, all of one publisher and one campaign: by the address's own names."""
    settings.CONNECTOR_PRIVATE_HOSTS = ["127.0.0.1:9"]
    lead = reach.post(leads_path(instance), ADA).json()
    webhook = reach.post("webhooks", {"url": "http://127.0.0.1:9/in", "events": ["lead.created"]}).json()
    reach.post(f"webhooks/{webhook['id']}/test")
    [message] = reach.get(f"webhooks/{webhook['id']}/messages").json()["data"]
    file = {"file": ("leads.csv", b"First name;E-mail\nAda;ada@example.test\n")}
    started = reach.call("POST", "imports", data={"campaign": instance.campaign.pk}, files=file)
    integration = Integration.objects.create(
        campaign=instance.campaign, name="Acme EU", connector="webhook", state=IntegrationState.PAUSED
    )
    return {
        "campaign": instance.campaign.pk,
        "campaign_id": instance.campaign.pk,
        "form": instance.form.pk,
        "form_id": instance.form.pk,
        "lead": lead["hash"],
        "named": lead["id"],
        "key_id": reach.get("keys/own").json()["id"],
        "webhook_id": webhook["id"],
        "message_id": message["id"],
        "import_id": started.json()["id"],
        "integration_id": integration.pk,
        "slug": "invalid",
    }


@pytest.mark.timeout(600)
def test_every_operation_answers_as_its_document_says_whatever_is_sent(
    server: str, instance: Instance, document: Any, owned: dict[str, Any], settings: Any
) -> None:
    settings.RATE_LIMIT_PARTNER = 0
    print(f"CONTRACT_SEED={SEED}")
    schema = schemathesis.openapi.from_dict(document)
    failed: dict[str, str] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        named = {name: owned[name] for name in re.findall(r"{(\w+)}", operation.path)}
        ways = [(GenerationMode.POSITIVE, None), (GenerationMode.NEGATIVE, None)]
        for mode, at in [*ways, *([(GenerationMode.POSITIVE, named)] if named else [])]:
            try:
                _tried(operation, mode, server, at)
            except Unsatisfiable:
                assert mode == GenerationMode.NEGATIVE  # there is nothing that it could refuse
            except Exception as error:  # noqa: BLE001  all that is wrong is told at once
                failed[f"{operation.label} {mode.value} {at or ''}"] = str(error)[:3_000]
    assert not failed, "\n\n".join(f"{label}\n{words}" for label, words in failed.items())


def _tried(operation: Any, mode: GenerationMode, server: str, at: dict[str, Any] | None) -> None:
    given_at = {} if at is None else {"path_parameters": at}

    @seed(SEED)
    @given(operation.as_strategy(generation_mode=mode, **given_at))
    @settings(
        max_examples=EXAMPLES if at is None else 3,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def tried(case: Any) -> None:
        # A key of its own each time: what is tried may end keys.
        headers = {"Authorization": f"Bearer {key_for()}"}
        case.call_and_validate(base_url=server, headers=headers, checks=checks(), timeout=30)

    tried()


def test_what_is_anothers_is_not_found_on_any_route_of_the_document(
    server: str, document: Any, owned: dict[str, Any], instance: Instance
) -> None:
    elsewhere = Campaign.objects.create(advertiser=instance.campaign.advertiser, name="Autumn")
    stranger = Publisher.objects.create(name="Stranger")
    elsewhere.contracts.create(publisher=stranger)
    strangers = [
        Partner(server, key_for(publisher=stranger)),
        Partner(server, key_for(campaign=elsewhere)),
        Partner(server, key_for(publisher=stranger, campaign=elsewhere)),
    ]
    owner = Partner(server, key_for())
    tried = 0
    for method, path in operations(document):
        names = re.findall(r"{(\w+)}", path)
        if not names or path.startswith("/api/v1/problems"):
            continue
        where = path.removeprefix("/api/v1/").format(**owned)
        if method == "GET":
            assert owner.get(where).status_code == 200, where  # it is there, for whom it is
        for partner in strangers:
            answer = partner.call(method, where, json=_least(document, path, method))
            assert answer.status_code == 404, f"{method} {where}: {answer.status_code} {answer.text}"
            tried += 1
    assert tried > 60


def _least(document: Any, path: str, method: str) -> Any:
    # Taking an import in asks for this; nothing else minds it.
    return {"lawful_basis": True} if "requestBody" in document["paths"][path][method.lower()] else None


def test_no_list_and_no_export_shows_what_is_anothers(server: str, document: Any, owned: dict[str, Any]) -> None:
    stranger = Partner(server, key_for(publisher=Publisher.objects.create(name="Stranger"), name="Stranger’s"))
    owner = Partner(server, key_for())
    lists = [path for method, path in operations(document) if method == "GET" and "{" not in path]
    for path in lists:
        if not any(document["paths"][path]["get"].get("security", ())):
            continue
        where = path.removeprefix("/api/v1/")
        mine, theirs = owner.get(where), stranger.get(where)
        assert (mine.status_code, theirs.status_code) == (200, 200), where
        if theirs.headers["Content-Type"].startswith("text/csv"):
            assert len(mine.text.splitlines()) > 1 == len(theirs.text.splitlines()), where
        elif "data" in theirs.json():
            found = [row for row in theirs.json()["data"] if row.get("name") != "Stranger’s"]
            assert (bool(mine.json()["data"]), found) == (True, []), where
        else:
            assert where == "keys/own", where
