"""What keys do over the API stands in the histories that colleagues read, under nobody's name but the API's."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.test import Client

from leads.history import PARTNER_API, Entry, entries_of, read
from leads.models import PartnerKey, Subscription, User
from tests.api.conftest import Instance, Partner
from tests.api.test_integrations import client, integration
from tests.api.test_webhooks import made, receiver

__all__ = ["client", "integration", "receiver"]


def _said(row: Any) -> list[str]:
    """What the history of a row says, the oldest first."""
    return [line.done for entry in _entries(row) for line in entry.lines]


def _entries(row: Any) -> list[Entry]:
    return [read(entry, of=row) for entry in reversed(entries_of((type(row), [row.pk])))]


@pytest.fixture
def console(db: None) -> Client:
    browser = Client()
    browser.force_login(User.objects.create_superuser("erin", "erin@example.test", "a-long-password-1"))
    return browser


def test_pausing_and_resuming_an_integration_is_in_its_history(
    partner: Partner, integration: Any, console: Client
) -> None:
    for action in ("pause", "pause", "resume"):
        assert partner.post(f"integrations/{integration.pk}/{action}").status_code == 200
    assert _said(integration) == [
        "By the key A system: State changed from On to Paused.",
        "By the key A system: State changed from Paused to On.",
    ]
    page = console.get(f"/admin/integrations/integration/{integration.pk}/history/").content.decode()
    assert "By the key A system: State changed from On to Paused." in page
    assert PARTNER_API in page


def test_what_is_done_with_a_webhook_is_in_its_history_and_no_secret(
    reach: Partner, instance: Instance, receiver: Any
) -> None:
    hook = Subscription.objects.get(pk=made(reach, receiver)["id"])
    reach.call("PATCH", f"webhooks/{hook.pk}", json={"name": "CRM", "enabled": False})
    secret = reach.post(f"webhooks/{hook.pk}/rotate").json()["secret"]
    reach.call("DELETE", f"webhooks/{hook.pk}")
    assert _said(hook) == [
        "By the key A system: Made.",
        "By the key A system: Changed: name. State changed from On to Paused.",
        f"By the key A system: New signing secret; it ends in {secret[-4:]}.",
        "By the key A system: Removed.",
    ]


def test_keys_that_are_made_rotated_and_ended_and_exports_are_in_the_histories_of_keys(partner: Partner) -> None:
    key_id = partner.post("keys", {"name": "more", "scopes": ["leads:read"]}).json()["id"]
    prefix = partner.post(f"keys/{key_id}/rotate").json()["prefix"]
    partner.call("DELETE", f"keys/{key_id}")
    assert _said(PartnerKey.objects.get(pk=key_id)) == [
        "By the key A system: Made.",
        f"By the key A system: Secret changed; the new one begins with {prefix}.",
        "By the key A system: Taken away.",
    ]
    assert partner.get("exports/leads", format="xlsx").status_code == 200
    assert _said(PartnerKey.objects.get(name="A system")) == ["By the key A system: Leads exported as XLSX."]


def test_a_call_that_was_refused_leaves_no_trace(partner: Partner, instance: Instance, integration: Any) -> None:
    type(integration).objects.filter(pk=integration.pk).update(state="needs_setup")
    assert partner.post(f"integrations/{integration.pk}/pause").status_code == 409
    assert _said(integration) == []


def test_who_stands_for_keys_signs_in_nowhere_and_is_no_colleague(partner: Partner, console: Client) -> None:
    partner.get("exports/leads")
    stand_in = User.objects.get(username=PARTNER_API)
    assert not stand_in.is_active
    assert not stand_in.has_usable_password()
    assert authenticate(username=PARTNER_API, password="") is None
    assert PARTNER_API not in console.get("/admin/leads/user/").content.decode()
    assert console.get(f"/admin/leads/user/{stand_in.pk}/change/").status_code == 302
    offered = console.get(
        "/admin/autocomplete/",
        {"app_label": "admin", "model_name": "logentry", "field_name": "user", "term": "Partner"},
    )
    assert PARTNER_API not in offered.content.decode()
