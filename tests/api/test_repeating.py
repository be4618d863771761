"""Calls that are sent again under their Idempotency-Key, and bodies up to what one call may bring."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from integrations.bulk import activity_work
from leads.models import Activity, ImportFile, PartnerKey
from tests.api.conftest import Instance, Partner
from tests.api.test_document import document
from tests.api.test_files import GOOD
from tests.api.test_integrations import client, integration
from tests.api.test_keys import problem
from tests.api.test_webhooks import made, receiver

__all__ = ["client", "document", "integration", "receiver"]

REPLAYED = "Idempotency-Replayed"


def twice(partner: Partner, method: str, path: str, **given: Any) -> Any:
    """The first answer, once the second is known to be the same, and said to be."""
    headers = {"Idempotency-Key": f"{method} {path}"}
    first, second = (partner.call(method, path, headers=headers, **given) for _ in range(2))
    assert (second.status_code, second.content) == (first.status_code, first.content), second.text
    assert second.headers.get("Location") == first.headers.get("Location")
    assert (REPLAYED in first.headers, second.headers.get(REPLAYED)) == (False, "true")
    return first


def test_every_call_that_writes_may_have_an_idempotency_key(document: Any) -> None:
    for path, operations in document["paths"].items():
        for method in {"post", "put", "patch", "delete"} & set(operations):
            names = [each["name"] for each in operations[method].get("parameters", ())]
            assert "Idempotency-Key" in names, f"{method} {path}"


def test_a_file_that_is_brought_twice_under_one_key_is_one_import_and_taken_in_once(
    partner: Partner, instance: Instance
) -> None:
    data = {"campaign": instance.campaign.pk, "publisher": instance.publisher.pk}
    first = twice(partner, "POST", "imports", data=data, files={"file": ("leads.csv", GOOD)})
    assert first.headers["Location"] == f"/api/v1/imports/{first.json()['id']}"
    assert (Activity.objects.count(), ImportFile.objects.count()) == (1, 1)
    other = partner.call(
        "POST",
        "imports",
        data=data,
        files={"file": ("leads.csv", GOOD + b"Bob;bob@example.test\n")},
        headers={"Idempotency-Key": "POST imports"},
    )
    problem(other, 422, "idempotency-key-reused")
    import_id = first.json()["id"]
    activity_work(import_id)
    assert twice(partner, "POST", f"imports/{import_id}/take", json={"lawful_basis": True}).status_code == 202
    assert twice(partner, "POST", f"imports/{import_id}/cancel").status_code == 200


def test_an_integration_that_was_paused_under_a_key_is_not_paused_again_by_the_repeat(
    partner: Partner, integration: Any
) -> None:
    key = {"Idempotency-Key": "once"}
    partner.post(f"integrations/{integration.pk}/pause", headers=key)
    partner.post(f"integrations/{integration.pk}/resume")
    again = partner.post(f"integrations/{integration.pk}/pause", headers=key)
    assert (again.json()["state"], again.headers[REPLAYED]) == ("paused", "true")
    assert partner.get(f"integrations/{integration.pk}").json()["state"] == "on"
    for action in ("check", "refresh"):
        assert twice(partner, "POST", f"integrations/{integration.pk}/{action}").status_code == 200


def test_what_is_made_changed_and_removed_under_a_key_is_so_once_and_its_address_is_said_again(
    partner: Partner, instance: Instance, receiver: Any
) -> None:
    key = {"Idempotency-Key": "made"}
    asked = {"name": "more", "scopes": ["leads:read"]}
    first, second = (partner.post("keys", asked, headers=key) for _ in range(2))
    assert second.headers["Location"] == first.headers["Location"] == f"/api/v1/keys/{first.json()['id']}"
    assert twice(partner, "DELETE", f"keys/{first.json()['id']}").status_code == 204
    assert PartnerKey.objects.count() == 2
    hook = made(partner, receiver)["id"]
    twice(partner, "PATCH", f"webhooks/{hook}", json={"enabled": False})
    assert twice(partner, "DELETE", f"webhooks/{hook}").status_code == 204


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "many"}])
def test_as_many_verdicts_as_a_call_may_bring_are_taken_with_a_key_and_without(
    partner: Partner, instance: Instance, headers: dict[str, str]
) -> None:
    words = [{"lead": str(10**6 + n), "verdict": "invalid", "comment": "x" * 300} for n in range(10_000)]
    assert len(json.dumps(words)) > 2.6 * 1024 * 1024
    answer = partner.post("verdicts", words, headers=headers)
    assert answer.status_code == 200, answer.text[:300]
    assert answer.json()["refused"] == 10_000


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "large"}])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_refused_with_a_key_and_without(
    partner: Partner, settings: Any, headers: dict[str, str], chunked: bool
) -> None:
    settings.API_MAX_BYTES = 5_000
    body = json.dumps([{"lead": "1", "verdict": "invalid", "comment": "x" * 6_000}]).encode()
    sent: Any = _pieces(body) if chunked else body
    headers = {**headers, "Content-Type": "application/json"}
    said = problem(partner.call("POST", "verdicts", data=sent, headers=headers), 413, "too-large")
    assert "5000 bytes" in said["detail"]


def test_json_that_is_nested_without_end_is_refused_as_unreadable(partner: Partner, db: None) -> None:
    headers = {"Content-Type": "application/json"}
    problem(partner.call("POST", "verdicts", data=b"[" * 200_000, headers=headers), 400, "unreadable")


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1_000):
        yield body[start : start + 1_000]
