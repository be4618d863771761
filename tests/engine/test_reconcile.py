"""Both sides compared lead by lead: by command, and as a bulk action that can be left."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from integrations import look_ups
from integrations.bulk import activity_work
from integrations.comparing import since_parsed
from integrations.comparison import comparison_sentence, comparison_start
from integrations.connectors.convertr_connect import CONNECTOR
from integrations.dispatch import integration_deliver
from integrations.kit.contract import Budget
from integrations.models import Delivery, Integration, StatusUpdate
from integrations.processr import leads_process
from leads import limits
from leads.models import Activity, Flag, Lead
from leads.status import FlagChange, leads_flag
from tests.engine.client import Answer, Client

pytestmark = pytest.mark.django_db

EQUAL, NEWS, UNKNOWN, DOUBT, CONFLICT, NAMELESS, SILENT = range(1, 8)


@pytest.fixture
def differing(integration: Integration, client: Client, lead: Callable[..., Lead]) -> dict[int, int]:
    """Seven leads that went out; what the client says of each, and what stands here, differs in every way there is.

    Which lead is which: the number above to the lead's.
    """
    for _ in range(7):
        lead()
    leads_process()
    integration_deliver(integration.pk)
    leads = {int(reference): lead_id for reference, lead_id in Delivery.objects.values_list("reference", "lead_id")}
    detail = {
        "state": "invalid",
        "reason_code": "DUP",
        "decided_at": (timezone.now() - dt.timedelta(hours=1)).isoformat(),
    }
    client.results = {
        str(EQUAL): Answer(202),
        str(NEWS): Answer(200, {"verdict": detail}),
        str(UNKNOWN): Answer(404, b"404 Not Found"),
        str(DOUBT): Answer(202),
        str(CONFLICT): Answer(200, {"verdict": detail}),
        str(SILENT): Answer(500),
    }
    Delivery.objects.filter(reference=str(DOUBT)).update(state="unknown", delivered_at=None)
    Delivery.objects.filter(reference=str(NAMELESS)).update(reference="")
    leads_flag({leads[CONFLICT]: FlagChange(Flag.VALID, "Confirmed", by="maria")})
    return leads


def reconcile(*more: str) -> tuple[int, str]:
    """Exit code and what was printed."""
    out = StringIO()
    try:
        call_command("reconcile", "--campaign", "Spring webinar", *more, stdout=out, stderr=StringIO())
    except SystemExit as left:
        return int(str(left.code)), out.getvalue()
    return 0, out.getvalue()


def test_what_differs_is_said_lead_by_lead_and_mended_where_the_rules_allow_it(differing: dict[int, int]) -> None:
    code, text = reconcile("--since", "7d")
    lines = {line.partition(": ")[0]: line.partition(": ")[2] for line in text.splitlines()}
    of = {number: lines.get(f"Acme EU, lead {lead_id}", "") for number, lead_id in differing.items()}
    assert code == 1
    assert of[EQUAL] == ""
    assert of[NEWS] == "Theirs: invalid, DUP; ours: nothing yet → applied."
    assert of[UNKNOWN] == f"They don’t know their lead {UNKNOWN} (any more): nothing done. Send it again?"
    assert of[DOUBT] == "In doubt here, known there → settled as delivered."
    assert of[CONFLICT].startswith(
        "Theirs: invalid, DUP; ours: nothing yet → conflicts with a flag set here later (valid by maria, "
    )
    assert of[NAMELESS] == "Delivered, but the client gave no id: it can’t be asked about."
    assert "7 compared: 1 equal, 2 changed, 2 differ and are left for a person, 2 not answered." in text
    assert f"Not answered: lead {', '.join(map(str, sorted((differing[NAMELESS], differing[SILENT]))))}." in text
    assert Delivery.objects.get(reference=str(DOUBT)).state == "delivered"
    assert Delivery.objects.get(reference=str(NEWS)).lead.flag == "invalid"
    assert Delivery.objects.get(reference=str(CONFLICT)).lead.flag == "valid"
    assert sorted(StatusUpdate.objects.values_list("state", flat=True)) == ["applied", "conflicting"]


def test_a_dry_run_says_the_same_and_changes_nothing(differing: dict[int, int]) -> None:
    before = list(Delivery.objects.order_by("pk").values())
    code, text = reconcile("--since", "7d", "--dry-run")
    assert code == 1
    assert "Theirs: invalid, DUP; ours: nothing yet → would be applied." in text
    assert "In doubt here, known there → would be settled as delivered." in text
    assert "→ conflicts with a flag set here later" in text
    assert "7 compared: 1 equal, 2 would be changed, 2 differ" in text
    assert list(Delivery.objects.order_by("pk").values()) == before
    assert not StatusUpdate.objects.exists()
    assert Lead.objects.filter(flag="").count() == 6


def test_a_second_run_finds_equal_what_the_first_one_mended(differing: dict[int, int]) -> None:
    Delivery.objects.exclude(reference__in=[str(EQUAL), str(NEWS), str(DOUBT)]).delete()
    assert reconcile()[0] == 0
    code, text = reconcile("--format", "json")
    report = json.loads(text)
    assert code == 0
    assert report["counts"] == {"compared": 3, "equal": 3, "changed": 0, "left": 0, "not answered": 0}
    assert {finding["words"] for finding in report["findings"]} == {"Equal: pending.", "Equal: invalid, DUP."}


def fifteen_delivered_and_room_for_ten_look_ups(
    integration: Integration, lead: Callable[..., Lead], monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = (Budget("call", 3_800, 300.0), Budget("result", 11, 300.0))
    small = replace(CONNECTOR, manifest=replace(CONNECTOR.manifest, budgets=budgets))
    monkeypatch.setattr(look_ups, "find_connector", lambda slug: small)
    for _ in range(15):
        lead()
    leads_process()
    integration_deliver(integration.pk)


def test_it_keeps_to_the_client_s_budget_and_goes_on_when_there_is_room_again(
    integration: Integration, client: Client, lead: Callable[..., Lead], monkeypatch: pytest.MonkeyPatch
) -> None:
    fifteen_delivered_and_room_for_ten_look_ups(integration, lead, monkeypatch)
    asked_by_then = []

    def wait(seconds: float) -> None:
        asked_by_then.append(sum("/lead-result/" in seen.path for seen in client.seen))
        assert 0 < seconds <= 300
        limits.forget()

    monkeypatch.setattr("integrations.management.commands.reconcile.time.sleep", wait)
    code, text = reconcile()
    assert (code, asked_by_then) == (0, [10])
    assert "15 compared: 15 equal" in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--since", "soon"], "--since soon: give a date"),
        (["--integration", "Northwind"], "There is no integration of this campaign “Northwind”."),
    ],
)
def test_a_wrong_word_is_named(integration: Integration, more: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words.replace("(", r"\(")):
        reconcile(*more)


def test_since_is_a_date_or_a_span() -> None:
    assert since_parsed("2026-03-04") == dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
    assert abs(since_parsed("12h") - (timezone.now() - dt.timedelta(hours=12))) < dt.timedelta(seconds=5)


def test_as_an_activity_it_is_found_again_with_what_is_left_for_a_person_first(
    integration: Integration, differing: dict[int, int]
) -> None:
    since = timezone.now() - dt.timedelta(days=7)
    activity = comparison_start([integration.pk], since, by="erin", token="t")
    again = comparison_start([integration.pk], since, by="erin", token="t")
    assert again.pk == activity.pk
    activity = _worked(activity)
    assert comparison_sentence(activity) == (
        "7 compared: 1 equal, 2 changed, 2 differ and are left for a person, 2 not answered."
    )
    words = list(activity.items.filter(state="failed").values_list("words", flat=True))
    assert any(each.startswith("Not answered. Delivered, but") for each in words)
    assert Lead.objects.filter(flag="invalid").count() == 1


def test_an_activity_waits_for_the_client_s_budget_and_counts_nothing_twice(
    integration: Integration, client: Client, lead: Callable[..., Lead], monkeypatch: pytest.MonkeyPatch
) -> None:
    fifteen_delivered_and_room_for_ten_look_ups(integration, lead, monkeypatch)
    activity = comparison_start([integration.pk], timezone.now() - dt.timedelta(days=1), by="erin", token="t")
    activity_work(activity.pk)
    activity.refresh_from_db()
    assert (activity.state, activity.done, activity.failed) == ("running", 10, 0)
    assert activity.lease_until is not None
    activity_work(activity.pk)
    assert sum("/lead-result/" in seen.path for seen in client.seen) == 10
    limits.forget()
    activity = _worked(activity)
    assert (activity.state, activity.done) == ("done", 15)


def _worked(activity: Activity) -> Any:
    Activity.objects.update(lease_until=None)
    activity_work(activity.pk)
    activity.refresh_from_db()
    return activity
