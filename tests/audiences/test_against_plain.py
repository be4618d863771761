"""Whatever happens, in whatever order: members and values are those of a plain computation over all that ever happened."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from leads.audiences import audience_change_rule, audience_create
from leads.models import Audience, Membership, Person, PersonEvent, Source
from leads.tracking import names
from tests.audiences.conftest import START, come, make_source, now_is
from tests.audiences.plain import Told, comparable, is_in, value_of

_VALUES = st.sampled_from([1, 2.5, 10, "10", "3", "gold", "Gold plus", True, False, None, ["gold", 3]])
_PROPERTIES = st.fixed_dictionaries(
    {"total": _VALUES}, optional={"plan": _VALUES, "box": st.fixed_dictionaries({"size": _VALUES})}
)
_IDS = st.sampled_from(
    [
        {"userId": "u1"},
        {"userId": "u2"},
        {"anonymousId": "a1"},
        {"anonymousId": "a2"},
        {"userId": "u1", "anonymousId": "a1"},
    ]
)
_AGO = st.integers(0, 5 * 24).map(lambda hours: dt.timedelta(hours=hours))


def _call(ids: dict[str, str], ago: dt.timedelta, what: dict[str, Any]) -> dict[str, Any]:
    return {**ids, **what, "ago": ago}


_TRACK = st.builds(
    lambda name, properties: {"type": "track", "event": name, "properties": properties},
    st.sampled_from(["Bought", "Bought", "Looked"]),
    _PROPERTIES,
)
_PAGE = st.builds(
    lambda name, properties: {"type": "page", "name": name, "properties": properties},
    st.sampled_from(["Home", ""]),
    _PROPERTIES,
)
_IDENTIFY = st.builds(lambda traits: {"type": "identify", "traits": traits}, _PROPERTIES)
_ALIAS = st.sampled_from([("u2", "a1"), ("u1", "a2"), ("u2", "u1")]).map(
    lambda to: {"type": "alias", "userId": to[0], "previousId": to[1]}
)
_CALLS = st.lists(
    st.builds(_call, _IDS, _AGO, st.one_of(_TRACK, _TRACK, _TRACK, _PAGE, _IDENTIFY, _ALIAS)), min_size=1, max_size=6
)

_PATHS = st.sampled_from(["total", "total", "plan", "box.size"])
_TESTS = st.sampled_from(
    [("equals", "10"), ("equals", "gold"), ("equals", "true"), ("not_equals", "10"), ("contains", "gold"), ("starts_with", "GOLD"),
     ("greater", "2"), ("less", "3"), ("one_of", "3, gold"), ("exists", ""), ("not_exists", "")]
)  # fmt: skip
_WHERE = st.builds(lambda path, test: {"path": path, "test": test[0], "value": test[1]}, _PATHS, _TESTS)
_EVENTS = st.fixed_dictionaries(
    {
        "type": st.just("track"),
        "event": st.sampled_from(["Bought", "Bought", "Looked"]),
        "days": st.sampled_from([1, 2, 4, None]),
        "where": st.one_of(st.just([]), st.just([]), st.lists(_WHERE, max_size=2)),
    }
)
_PAGES = _EVENTS.map(lambda events: {**events, "type": "page", "event": "Home" if events["event"] == "Bought" else ""})
_DID = st.builds(
    lambda events, how, times: {"kind": "event", **events, "how": how, "times": times},
    st.one_of(_EVENTS, _EVENTS, _PAGES),
    st.sampled_from(["at_least", "at_most", "exactly", "never"]),
    st.integers(1, 3),
)
_CONDITION = st.one_of(_DID, _DID, _WHERE.map(lambda where: {"kind": "trait", **where}))
_MATCH = st.sampled_from(["all", "any"])
_GROUP = st.builds(
    lambda match, items: {"match": match, "items": items}, _MATCH, st.lists(_CONDITION, min_size=1, max_size=2)
)
_RULE = st.builds(
    lambda match, items: {"match": match, "items": items},
    _MATCH,
    st.lists(st.one_of(_CONDITION, _GROUP), min_size=1, max_size=3),
)
_COMPUTED = st.builds(
    lambda events, compute, path: {"compute": compute, **events, **({} if compute == "count" else {"property": path})},
    _EVENTS,
    st.sampled_from(["count", "sum", "first", "last", "most_frequent", "unique_list"]),
    _PATHS,
)
_STEPS = st.lists(
    st.one_of(
        _CALLS,
        _CALLS,
        st.integers(1, 60).map(lambda hours: dt.timedelta(hours=hours)),
        _RULE,
    ),
    min_size=4,
    max_size=7,
)


class History:
    """A campaign, all that happened in it, and what its audiences should therefore be."""

    def __init__(self, rules: list[Any], computed: list[Any]) -> None:
        names.forget()
        self.source: Source = make_source()
        self.now = START
        self.told: dict[int, Told] = {}
        campaign = self.source.campaign
        self.audiences = [audience_create(campaign, "audience", f"In {n}", rule) for n, rule in enumerate(rules)]
        self.traits = [audience_create(campaign, "trait", f"Has {n}", rule) for n, rule in enumerate(computed)]

    def go(self, step: Any) -> None:
        if isinstance(step, dt.timedelta):
            self.now += step
        elif isinstance(step, list):
            calls = [
                {
                    **{name: said for name, said in call.items() if name != "ago"},
                    "timestamp": (self.now - call["ago"]).isoformat(),
                }
                for call in step
            ]
            for event, call in zip(come(self.source, *calls), calls, strict=True):
                assert not event.problem
                at = dt.datetime.fromisoformat(call["timestamp"])
                self.told[event.pk] = Told(
                    event.pk, call["type"], call.get("event") or call.get("name", ""), at, call.get("properties", {})
                )
        else:
            audience_change_rule(self.audiences[0], step)

    def check(self) -> None:
        now_is(self.now)
        whose: dict[int, list[Told]] = {}
        for event_id, person_id in PersonEvent.objects.values_list("event_id", "person_id"):
            whose.setdefault(person_id, []).append(self.told[event_id])
        for audience in self.audiences + self.traits:
            audience.refresh_from_db()
            assert audience.building is None
            found = self._found(audience)
            for person in Person.objects.all():
                value, events = found.pop(person.pk, None), whose.get(person.pk, [])
                if audience.is_trait:
                    expected = value_of(audience.rule, events, self.now)
                    assert comparable(audience.rule, value) == expected, (audience.rule, person, self.now)
                else:
                    expected = is_in(audience.rule, events, person.traits, self.now)
                    assert bool(value) is expected, (audience.rule, person, self.now)
            assert not any(found.values()), "somebody who is no more is in"

    def _found(self, audience: Audience) -> dict[int, Any]:
        rows = Membership.objects.filter(audience=audience, generation=audience.generation)
        return dict(rows.values_list("person_id", "value"))


class Histories(TestCase):
    @settings(max_examples=int(os.environ.get("AUDIENCE_EXAMPLES", "40")), deadline=None)
    @given(
        st.lists(_RULE, min_size=3, max_size=3),
        st.lists(_COMPUTED, min_size=3, max_size=3),
        _STEPS,
        st.sets(st.integers(0, 6), min_size=2),
    )
    def test_members_and_values_are_those_of_a_plain_computation(
        self, rules: list[Any], computed: list[Any], steps: list[Any], looked: set[int]
    ) -> None:
        history = History(rules, computed)
        for place, step in enumerate(steps):
            history.go(step)
            if place in looked:
                history.check()
        history.check()
        for hours in (12, 24, 24, 72):
            history.now += dt.timedelta(hours=hours)
            history.check()
