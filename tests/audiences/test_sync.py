"""What destinations are told of audiences and computed traits: everyone once, then what changed, and nothing twice."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from integrations.models import AudienceTold, Delivery, Integration, IntegrationState
from integrations.tracked_events import audience_sync
from integrations.tracked_events.audience_sync import audience_syncs_work, sync_add, sync_figures, syncs_due
from integrations.tracked_events.kept import person_erase
from leads.audiences import audience_change_rule
from leads.models import Audience, Campaign, Membership, Source
from tests.audiences.conftest import START, audience, call, come, days, did, now_is, rule_of, trait

pytestmark = pytest.mark.django_db


def webhook(campaign: Campaign, **given: Any) -> Integration:
    """A destination that wants no device."""
    settings = {"url": "https://theirs.example/events", "sends": "events"}
    return Integration.objects.create(
        **{"campaign": campaign, "name": "Theirs", "connector": "webhook", "settings": settings, "state": "on", **given}
    )


def convertro(campaign: Campaign) -> Integration:
    settings = {"account": "acme", "clientName": "acme", "domain": "acme.example", "siteId": "7"}
    return Integration.objects.create(
        campaign=campaign, name="Convertro", connector="convertro", settings=settings, state=IntegrationState.ON
    )


def device(name: str) -> dict[str, Any]:
    return {"context": {"device": {"id": name}}}


def told(at: dt.datetime) -> list[tuple[Any, ...]]:
    """Let syncs run at a time of day: (user id, traits, device, state) of what was written, in order; then forget it."""
    now_is(at)
    before = set(Delivery.objects.values_list("pk", flat=True))
    audience_syncs_work(at)
    rows = Delivery.objects.filter(event=None).exclude(pk__in=before).order_by("pk")
    found = []
    for row in rows:
        assert (row.kind, row.data["type"]) == ("event", "identify")
        place = row.data["context"].get("device", {}).get("id", "")
        found.append((row.data["userId"], row.data["traits"], place, row.state))
    return sorted(found, key=str)


def test_the_first_sync_tells_everyone_and_later_ones_what_changed(source: Source) -> None:
    buyers = audience(source, did(days=30), name="Order Completed last 30days")
    come(source, call(START, "u1"), call(START + days(10), "u2"), call(START, "u3", "Looked"))
    come(source, {**call(START), "userId": None, "anonymousId": "a1"})
    sync_add(buyers, webhook(source.campaign))
    key = "order_completed_last_30days"
    assert told(START + days(10)) == [("u1", {key: True}, "", "queued"), ("u2", {key: True}, "", "queued")]
    assert told(START + days(20)) == []
    come(source, call(START + days(20), "u3"))
    assert told(START + days(30)) == [("u1", {key: False}, "", "queued"), ("u3", {key: True}, "", "queued")]
    assert told(START + days(39)) == []
    message = Delivery.objects.filter(event=None).first().data
    assert message["context"]["personas"] == {
        "computation_class": "audience",
        "computation_id": buyers.computation_id,
        "computation_key": key,
        "namespace": f"spa_{source.campaign_id}",
        "space_id": f"spa_{source.campaign_id}",
    }


def test_what_flips_back_before_the_next_sync_is_not_told(source: Source) -> None:
    buyers = audience(source, did("Looked", "never", days=1), did())
    come(source, call(START, "u1"))
    sync_add(buyers, webhook(source.campaign))
    assert len(told(START)) == 1
    come(source, call(START + dt.timedelta(minutes=1), "u1", "Looked"))
    now_is(START + dt.timedelta(minutes=2))
    assert told(START + dt.timedelta(minutes=3)) == [], "its time has not come"
    assert told(START + days(2)) == []


def test_syncs_run_as_often_as_was_set_and_the_first_is_spread_over_its_time(source: Source) -> None:
    buyers = audience(source, did(), sync_minutes=120)
    come(source, *[call(START, f"u{n}") for n in range(6)])
    sync_add(buyers, webhook(source.campaign))
    assert len(told(START)) == 6
    due = Delivery.objects.filter(event=None).order_by("next_try_at").values_list("next_try_at", flat=True)
    assert [at - START for at in due if at] == [dt.timedelta(hours=n) for n in range(6)], "six hours for six people"
    come(source, call(START, "u7"))
    assert told(START + dt.timedelta(minutes=119)) == []
    assert told(START + dt.timedelta(minutes=120)) == [("u7", {"buyers": True}, "", "queued")]
    assert Delivery.objects.filter(event=None).latest("pk").next_try_at == START + dt.timedelta(minutes=120)


def test_a_destination_that_wants_a_device_gets_one_call_for_each_and_says_why_there_is_none(source: Source) -> None:
    buyers = audience(source, did())
    come(source, call(START, "u1", **device("d1")), call(START, "u1", **device("d2")), call(START, "u2"))
    sync = sync_add(buyers, convertro(source.campaign))
    assert told(START) == [
        ("u1", {"buyers": True}, "d1", "queued"),
        ("u1", {"buyers": True}, "d2", "queued"),
        ("u2", {"buyers": True}, "", "not_sent"),
    ]
    assert "device" in Delivery.objects.get(event=None, state="not_sent").reason
    assert sync_figures(sync) == {"queued": 2, "not_sent": 1}
    assert told(START + days(1)) == [], "nobody is told of twice, not even that they are not"
    come(source, call(START + days(1), "u2", "Looked", **device("d3")))
    assert told(START + days(2)) == [("u2", {"buyers": True}, "d3", "queued")]


def test_whoever_is_killed_between_batches_leaves_nothing_out_and_tells_nothing_twice(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience_sync, "BATCH", 2)
    buyers = audience(source, did())
    come(source, *[call(START, f"u{n}") for n in range(7)])
    sync = sync_add(buyers, webhook(source.campaign))
    now_is(START)
    write = audience_sync._write
    survived = 0

    def dies(*given: Any) -> None:
        nonlocal survived
        write(*given)
        survived += 1
        if survived % 2 == 0:
            raise RuntimeError("killed before its transaction ended")

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(audience_sync, "_write", dies)
            with pytest.raises(RuntimeError):
                audience_syncs_work(START)
        assert syncs_due(START) == [sync.pk]
    audience_syncs_work(START)
    assert sorted(row.data["userId"] for row in Delivery.objects.filter(event=None)) == [f"u{n}" for n in range(7)]
    assert AudienceTold.objects.count() == 7
    assert syncs_due(START) == []


def test_a_computed_trait_sends_its_value_and_what_says_that_there_is_none_any_more(source: Source) -> None:
    spent = trait(source, "sum", "Spent 30 days", days=30, property="total")
    come(
        source, call(START, "u1", properties={"total": 20.5}), call(START + days(5), "u1", properties={"total": "9.5"})
    )
    sync_add(spent, webhook(source.campaign))
    assert told(START + days(5)) == [("u1", {"spent_30_days": 30}, "", "queued")]
    assert told(START + days(30)) == [("u1", {"spent_30_days": 9.5}, "", "queued")]
    assert told(START + days(35)) == [("u1", {"spent_30_days": 0}, "", "queued")]
    assert Delivery.objects.filter(event=None).first().data["context"]["personas"]["computation_class"] == "trait"


def test_a_changed_rule_tells_only_of_those_for_whom_it_makes_a_difference(source: Source) -> None:
    chosen = audience(source, did())
    come(source, call(START, "u1"), call(START, "u2"), call(START, "u2", "Looked"), call(START, "u3", "Looked"))
    sync_add(chosen, webhook(source.campaign))
    assert len(told(START)) == 2
    audience_change_rule(chosen, rule_of(did("Looked")))
    assert told(START + days(1)) == [("u1", {"buyers": False}, "", "queued"), ("u3", {"buyers": True}, "", "queued")]


def test_a_visitor_who_turns_out_to_be_a_user_is_told_of_then(source: Source) -> None:
    buyers = audience(source, did())
    come(source, {**call(START), "userId": None, "anonymousId": "a1"})
    sync_add(buyers, webhook(source.campaign))
    assert told(START) == []
    come(source, {"type": "identify", "userId": "u1", "anonymousId": "a1"})
    assert told(START + days(1)) == [("u1", {"buyers": True}, "", "queued")]


def test_an_older_value_that_still_waits_does_not_arrive_after_the_new_one(source: Source) -> None:
    buyers = audience(source, did(days=1))
    come(source, call(START, "u1"))
    sync_add(buyers, webhook(source.campaign, state=IntegrationState.PAUSED))
    assert [row[3] for row in told(START)] == ["held"]
    assert told(START + days(1)) == [("u1", {"buyers": False}, "", "held")]
    assert list(Delivery.objects.filter(event=None).order_by("pk").values_list("state", flat=True)) == [
        "not_sent",
        "held",
    ]


def test_each_destination_is_told_by_itself_and_one_that_comes_later_of_everyone(source: Source) -> None:
    buyers: Audience = audience(source, did())
    come(source, call(START, "u1"))
    sync_add(buyers, webhook(source.campaign))
    assert len(told(START)) == 1
    second = sync_add(buyers, webhook(source.campaign, name="Others"))
    assert [row[0] for row in told(START + days(1))] == ["u1"]
    assert Delivery.objects.filter(integration=second.integration).count() == 1
    second.refresh_from_db()
    assert (second.last_at, second.last_told) == (START + days(1), 1)


def test_what_destinations_were_told_of_somebody_is_forgotten_with_them(source: Source) -> None:
    buyers = audience(source, did(days=1))
    come(source, call(START, "ada@example.test"), call(START, "u2"))
    sync_add(buyers, webhook(source.campaign))
    told(START)
    told(START + days(1))
    assert Delivery.objects.filter(data__icontains="ada@example.test").count() == 2
    person_erase("ada@example.test")
    assert not Delivery.objects.filter(data__icontains="ada@example.test").exists()
    rows = Delivery.objects.filter(event=None)
    assert sorted(row.data.get("userId", "") for row in rows) == ["", "", "u2", "u2"]
    assert not rows.filter(data={}, state="queued").exists(), "nothing empty is sent"
    assert AudienceTold.objects.count() == 1
    assert Membership.objects.count() == 1
    assert told(START + days(2)) == []
