"""Convertro's server mode against the table of rules that its browser part is held to as well (tests/browser/test_library.py)."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations import connectors
from integrations.connectors.convertro.wants import device_id
from integrations.kit.contract import Call, Outcome, OutcomeKind, Payload, Request, Response, retry
from integrations.kit.flow import run
from integrations.kit.registry import connector
from integrations.standing import standing_after

FOLDER = Path(connectors.__path__[0]) / "convertro"
RULES: list[dict[str, Any]] = json.loads((FOLDER / "rules_cases.json").read_text("utf-8"))
TABLES = json.loads((Path(__file__).parent / "segment_tables.json").read_text("utf-8"))
CONVERTRO = connector("convertro")
SERVER = {"clientName": "acme", "siteId": "s1", "domain": "shop.example"}
ENVIRONMENT = {"CONVERTRO_API_URL": "https://api.convertro.test"}


def served(config: dict[str, Any], message: dict[str, Any]) -> Any:
    """What the server mode makes of a message: the requests without device, domain and time, or why it is not sent."""
    call, event = Call({**config, **SERVER}, ENVIRONMENT), Payload(kind="event", data=message)
    assert CONVERTRO.wants is not None
    if why := CONVERTRO.wants(call, event):
        return {"not_sent": why}
    sent = []

    def send(request: Request) -> Response:
        assert request.query["sid"] == "D1"
        query = {name: value for name, value in request.query.items() if name not in ("sid", "pag", "ts")}
        sent.append({"to": request.url.split("/")[3], **query})
        return Response(200)

    outcome: Outcome = run(CONVERTRO.deliver(call, event), send)
    assert outcome.kind == OutcomeKind.DELIVERED
    return sent


def test_the_table_holds_all_recorded_cases_and_marks_where_we_differ() -> None:
    recorded = [case for case in RULES if not case.get("own")]
    assert len(recorded) == 73
    assert [case["name"] for case in recorded if "ours" in case] == [
        "mapped event props: revenue $string",
        "mapped event props: total string",
        "mapped event props: total $string",
    ]
    assert all(case["differs"] for case in recorded if "ours" in case or "requireOrderId" in case["settings"])


@pytest.mark.parametrize("case", [case for case in RULES if "server" in case], ids=lambda case: case["name"])
def test_the_server_says_the_same_as_the_page(case: dict[str, Any]) -> None:
    message = {"type": case["type"], "context": {"device": {"id": "D1"}}, **case["payload"]}
    assert served(case["settings"], message) == case["server"]


@pytest.mark.parametrize("row", TABLES["device_id"], ids=lambda row: json.dumps(row["context"]))
def test_a_device_is_found_where_segment_finds_it(row: dict[str, Any]) -> None:
    context = {} if row["context"] == "(absent)" else {"context": row["context"]}
    assert device_id({"type": "track", "event": "x", **context}) == (row["proxy_context_device_id"] or "")


def test_what_decides_nothing_is_tried_for_four_hours() -> None:
    now = dt.datetime(2026, 3, 4, tzinfo=dt.UTC)
    waits: list[list[float]] = [[], []]
    for round_ in waits:
        for tries in range(1, 100):
            standing = standing_after(tries, retry("busy"), now, schedule=CONVERTRO.manifest.try_seconds)
            if standing.next_try_at is None:
                assert standing.state == "exhausted"
                break
            round_.append((standing.next_try_at - now).total_seconds())
    assert 0.8 * 4 * 3600 <= sum(waits[0]) <= 1.2 * 4 * 3600
    assert waits[0] != waits[1], "the waits are random"
    assert sum(CONVERTRO.manifest.try_seconds) == 4 * 3600


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["Order Completed", "Application Installed", "My Event", "my_event", "\ud800"]) | st.text(
    max_size=20
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify"])},
    optional={
        "event": names | json_values,
        "userId": st.text(max_size=20) | json_values,
        "timestamp": st.just("2026-03-04T10:20:30Z") | st.just("0001-01-01T00:00:00+14:00") | json_values,
        "traits": st.dictionaries(st.sampled_from(["a", "sid"]), json_values) | json_values,
        "context": st.builds(
            lambda device, more: {"device": {"id": device}, "personas": more},
            json_values,
            st.just({"computation_key": "a"}) | json_values,
        )
        | json_values,
        "properties": st.dictionaries(
            st.sampled_from(["id", "orderId", "total", "revenue", "repeat", "Order ID"]), json_values
        )
        | json_values,
        "_metadata": json_values,
    },
)
maps = st.dictionaries(names, names | json_values) | st.lists(json_values) | json_values


@settings(max_examples=150, deadline=None)
@given(message=messages, events=maps, hybrid=json_values, order_id=json_values)
def test_no_message_and_no_setting_fails_it(message: Any, events: Any, hybrid: Any, order_id: Any) -> None:
    config = {"events": events, "hybridAttributionModel": hybrid, "requireOrderId": order_id, **SERVER}
    call, event = Call(config, ENVIRONMENT), Payload(kind="event", data=message)
    assert CONVERTRO.wants is not None
    asked: list[Request] = []

    def send(request: Request) -> Response:
        asked.append(request)
        return Response(200)

    outcome: Outcome = run(CONVERTRO.deliver(call, event), send)
    wanted = not CONVERTRO.wants(call, event)
    assert outcome.kind == (OutcomeKind.DELIVERED if wanted else OutcomeKind.REFUSED)
    assert bool(asked) == wanted
    for request in asked:
        for value in request.query.values():
            assert isinstance(value, str)
            assert "@" not in request.query.get("id", "")
            assert value.encode("utf-8") is not None
    assert CONVERTRO.browser is not None
    assert json.loads(json.dumps(CONVERTRO.browser(config))) is not None
