"""Whose events they are."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from leads.models import Campaign, Device, Event, Identity, Person, PersonEvent, Source
from leads.tracking.names import MAX_NAMES
from leads.tracking.persons import person_of_user
from tests.tracking.conftest import make_source, said

pytestmark = pytest.mark.django_db


def whose(event: Event) -> Person:
    return PersonEvent.objects.get(event=event).person


def test_what_a_visitor_did_before_they_said_who_they_are_is_theirs(source: Source) -> None:
    before, named, after = said(
        source,
        {"anonymousId": "a1", "event": "Looked"},
        {"type": "identify", "anonymousId": "a1", "userId": "u1", "traits": {"plan": "pro"}},
        {"anonymousId": "a1", "event": "Bought"},
    )
    person = whose(before)
    assert person == whose(named) == whose(after)
    assert (person.user_id, person.traits) == ("u1", {"plan": "pro"})
    assert Person.objects.count() == 1


def test_the_same_is_so_when_the_calls_come_one_by_one(source: Source) -> None:
    (before,) = said(source, {"anonymousId": "a1"})
    said(source, {"userId": "u1"})
    assert Person.objects.count() == 2
    said(source, {"type": "identify", "anonymousId": "a1", "userId": "u1"})
    (after,) = said(source, {"anonymousId": "a1"})
    assert whose(before) == whose(after) == person_of_user(source.campaign_id, "u1")
    assert Person.objects.count() == 1


def test_who_uses_the_same_browser_later_is_another_person(source: Source) -> None:
    first, second, back = said(
        source,
        {"anonymousId": "a1", "userId": "u1"},
        {"anonymousId": "a1", "userId": "u2"},
        {"anonymousId": "a1"},
    )
    assert whose(first) != whose(second)
    assert whose(back) == whose(first)
    assert (whose(first).user_id, whose(second).user_id) == ("u1", "u2")


def test_a_user_on_two_devices_is_one_person_and_both_devices_are_known(source: Source) -> None:
    said(
        source,
        {"userId": "u1", "anonymousId": "a1", "context": {"device": {"id": "d1"}}},
        {"userId": "u1", "anonymousId": "a2", "context": {"Device": {"ID": "d2"}}},
        {"anonymousId": "a2", "context": {"device": {"id": "d2"}}},
        {"anonymousId": "a2", "context": {"device": {"id": ""}}},
        {"anonymousId": "a2", "context": {"device": {"id": "x" * 300}}},
    )
    person = Person.objects.get()
    assert {device.device_id for device in person.devices.all()} == {"d1", "d2"}
    assert set(person.identities.values_list("kind", "value")) == {
        ("user", "u1"),
        ("anonymous", "a1"),
        ("anonymous", "a2"),
    }


def test_a_device_that_is_seen_again_is_the_one_last_seen(source: Source) -> None:
    for device, day in (("d1", 1), ("d2", 2), ("d1", 3)):
        said(source, {"userId": "u1", "context": {"device": {"id": device}}, "timestamp": f"2026-01-0{day}T00:00:00Z"})
    assert [device.device_id for device in Person.objects.get().devices.all()] == ["d1", "d2"]


def test_an_alias_makes_two_persons_one_with_all_that_was_theirs(source: Source) -> None:
    old, new, alias = said(
        source,
        {"userId": "old", "type": "identify", "traits": {"a": 1, "b": 1}, "context": {"device": {"id": "d1"}}},
        {"userId": "new", "type": "identify", "traits": {"b": 2}, "context": {"device": {"id": "d1"}}},
        {"type": "alias", "previousId": "old", "userId": "new"},
    )
    assert whose(old) == whose(new) == whose(alias)
    (later,) = said(source, {"userId": "old"})
    assert whose(later) == whose(new)
    person = Person.objects.get()
    assert (person.user_id, person.traits) == ("new", {"a": 1, "b": 2})
    assert Device.objects.count() == 1


def test_an_alias_moves_the_shorter_history_and_a_repeat_of_it_nothing(source: Source) -> None:
    said(source, *[{"userId": "long"}] * 5)
    long = person_of_user(source.campaign_id, "long")
    said(source, {"type": "alias", "previousId": "long", "userId": "short"})
    said(source, {"type": "alias", "previousId": "long", "userId": "short"})
    said(source, {"type": "alias", "previousId": "short", "userId": "long"})
    assert person_of_user(source.campaign_id, "short") == long
    assert Person.objects.get().events.count() == 8


def test_an_alias_of_an_unknown_id_names_its_later_calls(source: Source) -> None:
    said(source, {"type": "alias", "previousId": "a9", "userId": "u1"})
    (later,) = said(source, {"anonymousId": "a9"})
    assert whose(later).user_id == "u1"


def test_the_same_ids_in_another_campaign_are_other_people(source: Source) -> None:
    campaign = Campaign.objects.create(advertiser=source.campaign.advertiser, name="Autumn")
    said(source, {"userId": "u1"})
    said(Source.objects.create(campaign=campaign, name="Shop"), {"userId": "u1"})
    assert Person.objects.filter(user_id="u1").count() == 2


def test_two_sources_of_a_campaign_know_the_same_people(source: Source) -> None:
    said(source, {"userId": "u1"})
    said(Source.objects.create(campaign=source.campaign, name="App"), {"userId": "u1"})
    assert Person.objects.get().events.count() == 2


def test_late_traits_do_not_overwrite_later_ones(source: Source) -> None:
    identify: dict[str, Any] = {"type": "identify", "userId": "u1"}
    said(source, {**identify, "traits": {"plan": "pro"}, "timestamp": "2026-03-01T00:00:00Z"})
    said(source, {**identify, "traits": {"plan": "free", "city": "Bath"}, "timestamp": "2026-02-01T00:00:00Z"})
    said(source, {**identify, "traits": {"city": "Ely"}, "timestamp": "2026-04-01T00:00:00Z"})
    assert Person.objects.get().traits == {"plan": "pro", "city": "Ely"}


def test_traits_stay_bounded_whoever_makes_them_up(source: Source) -> None:
    said(
        source,
        *[{"type": "identify", "userId": "u1", "traits": {f"t{n}": "x" * 30_000}} for n in range(10)],
    )
    assert len(str(Person.objects.get().traits)) < 70_000


def test_when_a_person_was_first_and_last_seen(source: Source) -> None:
    said(
        source,
        {"userId": "u1", "timestamp": "2026-03-01T00:00:00Z"},
        {"userId": "u1", "timestamp": "2026-01-01T00:00:00Z"},
    )
    said(source, {"userId": "u1", "timestamp": "2026-02-01T00:00:00Z"})
    person = Person.objects.get()
    assert [moment.date().isoformat() for moment in (person.first_seen_at, person.seen_at)] == [
        "2026-01-01",
        "2026-03-01",
    ]


def test_names_of_events_are_known_for_people_to_choose_from_but_not_without_end(source: Source) -> None:
    said(source, {"userId": "u1", "event": "A"}, {"userId": "u1", "type": "page", "name": "Home"})
    said(source, {"userId": "u1", "event": "A"}, {"userId": "u1", "event": "B"})
    assert list(source.campaign.event_names.values_list("type", "name")) == [
        ("track", "A"),
        ("track", "B"),
        ("page", "Home"),
    ]
    for start in range(0, MAX_NAMES + 400, 200):
        said(source, *[{"userId": "u1", "event": f"made up {start + n}"} for n in range(200)])
    assert source.campaign.event_names.count() == MAX_NAMES


_ID = st.sampled_from(["x", "y", "z"])
_CALL = st.one_of(
    st.fixed_dictionaries({"userId": _ID}),
    st.fixed_dictionaries({"anonymousId": _ID}),
    st.fixed_dictionaries({"userId": _ID, "anonymousId": _ID}),
    st.fixed_dictionaries({"type": st.just("alias"), "previousId": _ID, "userId": _ID}),
)


class Histories(TestCase):
    @settings(max_examples=20, deadline=dt.timedelta(seconds=10))
    @given(st.lists(_CALL, min_size=1, max_size=8), st.integers(1, 4))
    def test_however_calls_are_cut_into_batches_they_are_the_same_peoples(
        self, calls: list[dict[str, Any]], size: int
    ) -> None:
        def partition(source: Source, step: int) -> list[set[int]]:
            events = []
            for start in range(0, len(calls), step):
                events += said(source, *[dict(call) for call in calls[start : start + step]])
            owners = [whose(event).pk for event in events]
            groups: dict[int, set[int]] = {}
            for place, owner in enumerate(owners):
                groups.setdefault(owner, set()).add(place)
            return sorted(groups.values(), key=min)

        source = make_source()
        other = Source.objects.create(
            campaign=Campaign.objects.create(advertiser=source.campaign.advertiser, name="Autumn"), name="Shop"
        )
        assert partition(source, len(calls)) == partition(other, size)
        assert not PersonEvent.objects.exclude(person__in=Person.objects.all()).exists()
        assert not Identity.objects.exclude(person__in=Person.objects.all()).exists()
