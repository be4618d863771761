"""Who is in, as things happen and as time passes; how a changed rule takes the place of the one before."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.tracked_events.kept import events_purge
from leads import membership
from leads.audiences import NameTaken, audience_change_rule, audience_create, audience_switch
from leads.membership import memberships_due
from leads.models import Audience, AudienceCount, Campaign, Event, Membership, Person, Source, Touched
from leads.rule_checks import snake_case
from tests.audiences.conftest import START, audience, call, come, days, did, members, now_is, rule_of, trait, values

pytestmark = pytest.mark.django_db


def test_who_does_it_comes_in_and_leaves_when_it_is_too_long_ago_though_nothing_happens(source: Source) -> None:
    buyers = audience(source, did(days=30))
    come(source, call(START, "u1"), call(START, "u2", "Looked"))
    now_is(START)
    assert members(buyers) == ["u1"]
    now_is(START + days(29.99))
    assert members(buyers) == ["u1"]
    assert memberships_due(START + days(30))
    now_is(START + days(30))
    assert members(buyers) == []
    come(source, call(START + days(31), "u1"))
    now_is(START + days(31))
    assert members(buyers) == ["u1"]


def test_who_did_not_do_it_comes_in_by_time_alone(source: Source) -> None:
    asleep = audience(source, did("Looked"), did("Order Completed", "never", days=7))
    come(source, call(START, "u1", "Looked"), call(START, "u1"))
    now_is(START)
    assert members(asleep) == []
    now_is(START + days(7))
    assert members(asleep) == ["u1"]


def test_events_that_come_late_count_when_they_happened(source: Source) -> None:
    twice = audience(source, did(times=2, days=10))
    come(source, call(START, "u1"))
    now_is(START)
    come(source, call(START - days(5), "u1"), call(START - days(11), "u1"))
    now_is(START)
    assert members(twice) == ["u1"]
    now_is(START + days(5))
    assert members(twice) == []


def test_what_a_visitor_did_counts_for_the_user_that_they_turn_out_to_be(source: Source) -> None:
    twice = audience(source, did(times=2))
    come(source, {**call(START), "userId": None, "anonymousId": "a1"}, call(START, "u1"))
    now_is(START)
    assert members(twice) == []
    come(source, {"type": "alias", "userId": "u1", "previousId": "a1"})
    now_is(START)
    assert members(twice) == ["u1"]
    assert Person.objects.count() == 1
    assert Membership.objects.count() == 1


def test_one_thing_or_a_group_of_others_may_decide(source: Source) -> None:
    big = {"path": "total", "test": "greater", "value": "100"}
    either = audience(
        source,
        did(where=[big]),
        {
            "match": "all",
            "items": [{"kind": "trait", "path": "plan", "test": "equals", "value": "Gold"}, did("Looked")],
        },
        match="any",
    )
    come(
        source,
        call(START, "u1", properties={"total": "120.50"}),
        call(START, "u2", properties={"total": 99}),
        call(START, "u3", "Looked"),
        {"type": "identify", "userId": "u3", "traits": {"plan": "gold"}},
        call(START, "u4", "Looked"),
    )
    now_is(START)
    assert members(either) == ["u1", "u3"]


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        ("count", 4),
        ("sum", 35.5),
        ("first", 10),
        ("last", "5"),
        ("most_frequent", 10),
        ("unique_list", [10, 10.5, "5"]),
    ],
)
def test_a_computed_trait_has_the_value_that_it_should(source: Source, compute: str, expected: object) -> None:
    given = {} if compute == "count" else {"property": "cart.total"}
    spent = trait(source, compute, days=30, **given)
    totals = [10, 10.5, 10, "5"]
    come(source, *[call(START + days(n), properties={"cart": {"total": total}}) for n, total in enumerate(totals)])
    now_is(START + days(4))
    assert values(spent) == {"u1": expected}
    now_is(START + days(60))
    assert values(spent) == {}


def test_members_switch_to_a_changed_rule_only_when_everybody_was_looked_at(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "BATCH", 2)
    come(source, *[call(START, f"u{n}", "Looked" if n % 2 else "Order Completed") for n in range(9)])
    chosen = audience(source, did())
    now_is(START)
    assert members(chosen) == ["u0", "u2", "u4", "u6", "u8"]
    assert audience_change_rule(chosen, rule_of(did("Looked")))
    for expected in (2, 4, 6):
        # A worker works one batch and dies; another one goes on where it stopped.
        membership._batch(START)
        assert members(chosen) == ["u0", "u2", "u4", "u6", "u8"]
        assert (chosen.built, chosen.to_build) == (expected, 9)
    come(source, call(START, "u0", "Looked"), call(START, "u9"))
    now_is(START)
    assert members(chosen) == ["u0", "u1", "u3", "u5", "u7"]
    assert not Membership.objects.exclude(generation=chosen.generation).exists(), "nothing of the old rule is kept"
    assert not audience_change_rule(chosen, rule_of(did("Looked"))), "the same rule is no change"


def test_a_batch_that_dies_in_the_middle_changes_nothing(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    buyers = audience(source, did())
    now_is(START)
    come(source, call(START, "u1"))

    def dies(*_: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(membership, "_write", dies)
        with pytest.raises(RuntimeError):
            now_is(START)
    assert Touched.objects.exists()
    now_is(START)
    assert members(buyers) == ["u1"]


def test_an_audience_that_is_switched_off_rests_and_is_computed_anew_when_it_is_on_again(source: Source) -> None:
    buyers = audience(source, did(days=30))
    come(source, call(START, "u1"))
    now_is(START)
    audience_switch(buyers, on=False)
    come(source, call(START + days(20), "u2"))
    now_is(START + days(40))
    assert members(buyers) == ["u1"]
    assert not memberships_due(START + days(50)), "nothing of it waits for ever"
    audience_switch(buyers, on=True)
    now_is(START + days(40))
    assert members(buyers) == ["u2"]


def test_an_update_asks_the_same_few_questions_however_many_people_there_are(source: Source) -> None:
    audience(source, did(days=30, where=[{"path": "total", "test": "exists"}]))
    now_is(START)

    def questions(people: int) -> int:
        come(source, *[call(START, f"x{n}", properties={"total": 1}) for n in range(people)])
        with CaptureQueriesContext(
            connection,
        ) as asked:
            now_is(START)
        return len(asked)

    questions(2)
    assert questions(3) == questions(40)


def test_erasing_a_person_takes_them_out_of_every_audience(source: Source) -> None:
    buyers = audience(source, did())
    come(source, call(START, "u1"), call(START, "u2"))
    now_is(START)
    Person.objects.filter(user_id="u1").delete()
    assert members(buyers) == ["u2"]


def test_names_become_keys_that_are_unique_in_their_campaign(source: Source) -> None:
    made = audience(source, did(), name="Order Completed last 30days")
    assert made.key == "order_completed_last_30days"
    assert snake_case("  Käufer & Freunde: 2026! ") == "kaufer_freunde_2026"
    with pytest.raises(NameTaken):
        audience_create(source.campaign, "trait", "order-completed LAST 30days", made.rule)
    with pytest.raises(ValueError, match="letters or digits"):
        audience_create(source.campaign, "audience", "!!!", made.rule)
    other = Campaign.objects.create(advertiser=source.campaign.advertiser, name="Autumn")
    assert audience_create(other, "audience", "Order Completed last 30days", made.rule).key == made.key


def test_what_happens_in_another_campaign_is_nobodys_business_here(source: Source) -> None:
    buyers = audience(source, did())
    other = Source.objects.create(
        campaign=Campaign.objects.create(advertiser=source.campaign.advertiser, name="Autumn"), name="Shop"
    )
    come(other, call(START, "u1"))
    now_is(START)
    assert members(buyers) == []
    assert Touched.objects.count() == 0


def test_how_many_are_in_is_written_down_day_by_day(source: Source) -> None:
    buyers = audience(source, did(days=2))
    come(source, call(START, "u1"), call(START, "u2"))
    for day in range(3):
        now_is(START + days(day))
    assert list(AudienceCount.objects.filter(audience=buyers).order_by("day").values_list("members", flat=True)) == [
        2,
        2,
        0,
    ]


def test_somebody_with_more_events_than_are_ever_looked_at_harms_nobody(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leads import audience_rules, person_facts

    monkeypatch.setattr(person_facts, "_MOST_ROWS", 10)
    monkeypatch.setattr(person_facts, "MOST_EVENTS", 8)
    monkeypatch.setattr(audience_rules, "MOST_EVENTS", 8)
    often: Audience = trait(source, "count")
    come(source, *[call(START, "robot") for _ in range(30)], call(START, "u1"), call(START, "u2"), call(START, "u2"))
    now_is(START)
    assert values(often) == {"robot": 8, "u1": 1, "u2": 2}


def test_a_changed_rule_is_computed_however_many_events_come_meanwhile(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "BATCH", 2)
    come(source, *[call(START, f"u{n}") for n in range(6)])
    buyers = audience(source, did())
    for turn in range(20):
        for number in range(3):  # somebody always waits to be looked at
            come(source, call(START, f"v{turn}-{number}", "Looked"))
        membership._batch(START, turn)
    assert Touched.objects.exists()
    assert members(buyers) == [f"u{n}" for n in range(6)]


def test_what_is_not_kept_any_more_does_not_count(source: Source, settings: Any) -> None:
    buyers = audience(source, did())
    come(source, call(START, "u1"), call(timezone.now(), "u1", "Looked"), call(START, "u2"))
    now_is(START)
    assert members(buyers) == ["u1", "u2"]
    settings.EVENT_KEEP_DAYS = 30
    Event.objects.filter(name="Order Completed").update(received_at=START - days(3_000))
    Event.objects.filter(name="Looked").update(received_at=timezone.now())
    while events_purge():
        pass
    now_is(START)
    assert members(buyers) == []
