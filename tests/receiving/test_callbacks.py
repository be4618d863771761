"""What a receiver further down says of a lead, by its callback hash."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests
from cryptography.fernet import Fernet

from integrations.kit.mapping import Row, map_lead
from integrations.mapping import leads_facts
from integrations.models import StatusUpdate
from leads.callback_hash import callback_hash, lead_hashes
from leads.models import Lead, LeadChange
from tests.receiving.conftest import Client

SAID = {"reason": "Unable to contact", "user": "Kim"}

NOBODY = uuid.UUID("455bf9a6-aa0f-4341-814d-60b901a3c8c2")


@pytest.fixture
def lead(client: Client) -> Lead:
    return Lead.objects.get(pk=client.send().json()["data"])


def as_query(given: dict[str, str]) -> dict[str, Any]:
    return {"params": given}


def as_form(given: dict[str, str]) -> dict[str, Any]:
    return {"data": given}


def as_multipart(given: dict[str, str]) -> dict[str, Any]:
    return {"files": {name: (None, value) for name, value in given.items()}}


def say(client: Client, action: str, lead_hash: object, how: Any = as_form, **given: str) -> requests.Response:
    """Without any credentials: the callback hash is the secret."""
    url = f"{client.server}/api/webhook/{action}/{lead_hash}"
    return requests.post(url, **how({**SAID, **given}), timeout=20)


@pytest.mark.parametrize("how", [as_query, as_form, as_multipart])
@pytest.mark.parametrize(("action", "flag"), [("validate", "valid"), ("invalidate", "invalid")])
def test_a_lead_is_flagged_in_every_encoding(client: Client, lead: Lead, action: str, flag: str, how: Any) -> None:
    answer = say(client, action, callback_hash(lead.hash), how)
    assert (answer.status_code, answer.content) == (201, b"")
    lead.refresh_from_db()
    assert (lead.flag, lead.reason_code, lead.comment, lead.flagged_by) == (flag, "Unable to contact", "", "Kim")
    assert LeadChange.objects.get().via == "webhook"


def test_it_may_be_toggled_any_number_of_times(client: Client, lead: Lead) -> None:
    for action in ("invalidate", "validate", "invalidate", "invalidate", "validate"):
        assert say(client, action, callback_hash(lead.hash)).status_code == 201
    lead.refresh_from_db()
    assert lead.flag == "valid"
    assert [change.flag for change in LeadChange.objects.all()] == ["invalid", "valid", "invalid", "valid"]


@pytest.mark.parametrize("missing", ["reason", "user"])
def test_a_call_without_reason_or_user_is_a_400(client: Client, lead: Lead, missing: str) -> None:
    answer = say(client, "validate", callback_hash(lead.hash), **{missing: " "})
    assert answer.status_code == 400
    assert answer.json()["data"][0]["fieldName"] == missing
    assert not LeadChange.objects.exists()


@pytest.mark.parametrize("lead_hash", [NOBODY.hex, NOBODY, "short", "x" * 32, "%00", "%ff" * 32])
def test_an_unknown_hash_is_a_404(client: Client, lead: Lead, lead_hash: object) -> None:
    assert say(client, "validate", lead_hash).status_code == 404


@pytest.mark.parametrize(
    "written", [lambda lead: lead.hash.hex, lambda lead: str(lead.hash), lambda lead: lead.hash.hex.upper()]
)
def test_what_a_lead_is_called_by_everybody_opens_none_of_its_callbacks(
    client: Client, lead: Lead, written: Any
) -> None:
    """Its publisher is told the hash when it sends the lead: with it nobody flags a lead, or adds to it."""
    for action in ("validate", "invalidate"):
        assert say(client, action, written(lead)).status_code == 404
    assert append(client, written(lead), score="7").status_code == 404
    lead.refresh_from_db()
    assert (lead.flag, "score" in lead.values) == ("", False)
    assert not LeadChange.objects.exists()
    # Nor is it kept as the word on a delivery that is not recorded yet.
    assert not StatusUpdate.objects.exists()


def test_a_callback_hash_is_read_for_as_long_as_its_key_is_kept(client: Client, lead: Lead, settings: Any) -> None:
    old, new = list(settings.ENCRYPTION_KEYS), Fernet.generate_key().decode()
    before = callback_hash(lead.hash)
    settings.ENCRYPTION_KEYS = [new, *old]
    assert callback_hash(lead.hash) != before
    for said in (before, str(uuid.UUID(before)), callback_hash(lead.hash)):
        assert lead.hash in lead_hashes(said)
        assert say(client, "validate", said).status_code == 201
        assert append(client, said, score="7").status_code == 200
    settings.ENCRYPTION_KEYS = [new]
    assert say(client, "validate", before).status_code == 404


def test_what_a_mapping_sends_as_the_hash_is_what_clients_call_back_with(client: Client, lead: Lead) -> None:
    row = Row("form[partner_lead]", source="fact", value="hash")
    sent = map_lead([row], leads_facts([lead.pk])[lead.pk])["form[partner_lead]"]
    assert len(sent) == 32
    assert sent != lead.hash.hex
    assert say(client, "invalidate", sent).status_code == 201
    lead.refresh_from_db()
    assert lead.flag == "invalid"


def test_an_instance_of_ours_says_more_and_a_repeat_changes_nothing(client: Client, lead: Lead) -> None:
    said = {
        "verdict": "returned",
        "reasonCode": "Duplicate",
        "comment": "We knew her",
        "eventId": uuid.uuid4().hex,
        "decidedAt": "2026-03-04T05:06:07+00:00",
    }
    assert say(client, "invalidate", callback_hash(lead.hash), **said).status_code == 201
    assert say(client, "validate", callback_hash(lead.hash)).status_code == 201
    assert say(client, "invalidate", callback_hash(lead.hash), **said).status_code == 201
    first = LeadChange.objects.earliest("pk")
    assert (first.flag, first.reason_code, first.comment) == ("returned", "Duplicate", "We knew her")
    assert first.event_id.hex == said["eventId"]
    assert first.decided_at.isoformat() == said["decidedAt"]
    lead.refresh_from_db()
    assert lead.flag == "valid"
    assert LeadChange.objects.count() == 2


def test_what_was_decided_earlier_does_not_undo_what_was_decided_later(client: Client, lead: Lead) -> None:
    assert say(client, "validate", callback_hash(lead.hash), decidedAt="2026-03-05T00:00:00Z").status_code == 201
    assert say(client, "invalidate", callback_hash(lead.hash), decidedAt="2026-03-04T00:00:00Z").status_code == 201
    lead.refresh_from_db()
    assert lead.flag == "valid"


@pytest.mark.parametrize("decided_at", ["soon", "9999-12-31T23:59:59-23:00", "2026-02-30T00:00:00Z", "\x01"])
def test_a_time_that_is_none_counts_as_now(client: Client, lead: Lead, decided_at: str) -> None:
    answer = say(client, "validate", callback_hash(lead.hash), decidedAt=decided_at, eventId="zz", verdict="odd")
    assert answer.status_code == 201
    lead.refresh_from_db()
    assert lead.flag == "valid"


def test_a_reason_that_is_too_long_is_kept_whole_as_the_comment(client: Client, lead: Lead) -> None:
    reason = "because " * 40
    say(client, "invalidate", callback_hash(lead.hash), reason=reason)
    lead.refresh_from_db()
    assert lead.comment == reason.strip()
    assert len(lead.reason_code) == 200


def test_text_that_can_not_be_kept_is_refused(client: Client, lead: Lead) -> None:
    assert say(client, "validate", callback_hash(lead.hash), comment="a\x00b").status_code == 400
    assert say(client, "validate", callback_hash(lead.hash), comment="x" * 10_001).status_code == 400


# --- lead-append ---------------------------------------------------------------------------------------------


def append(client: Client, lead_hash: object, how: Any = as_form, **given: str) -> requests.Response:
    return requests.post(f"{client.server}/ajax/lead-append/{lead_hash}", **how(given), timeout=20)


@pytest.mark.parametrize("how", [as_query, as_form, as_multipart])
def test_values_are_added_and_overwritten_in_every_encoding(client: Client, lead: Lead, how: Any) -> None:
    given = {"form[firstName]": "Grace", "score": "7", "form[optin][terms]": "1", "note": ""}
    answer = append(client, callback_hash(lead.hash), how, **given)
    assert (answer.status_code, answer.content) == (200, b"")
    lead.refresh_from_db()
    assert lead.values == {
        "firstName": "Grace",
        "email": "ada@example.test",
        "score": "7",
        "optin.terms": "1",
        "note": "",
    }
    assert LeadChange.objects.get().kind == "appended"


def test_appending_to_an_unknown_hash_is_an_error(client: Client, lead: Lead) -> None:
    for lead_hash in (uuid.uuid4().hex, "x"):
        assert append(client, lead_hash, score="7").status_code == 404


@pytest.mark.parametrize(
    "given", [{}, {"": "x"}, {"x" * 101: "y"}, {"a\x00": "b"}, {"a": "\x00"}, {"a": "x" * 10_001}], ids=str
)
def test_values_that_can_not_be_kept_are_not_appended(client: Client, lead: Lead, given: dict[str, str]) -> None:
    assert append(client, callback_hash(lead.hash), **given).status_code == 400
    assert not LeadChange.objects.exists()


def test_a_lead_does_not_grow_without_end(client: Client, lead: Lead) -> None:
    assert append(client, callback_hash(lead.hash), **{f"a{n}": "1" for n in range(400)}).status_code == 200
    assert append(client, callback_hash(lead.hash), **{f"b{n}": "1" for n in range(400)}).status_code == 400
