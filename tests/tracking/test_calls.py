"""The tracking API, as Segment's clients call it (facts on Segment, section 1)."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from leads.models import Event, Source
from leads.tracking import calls, storing
from leads.tracking.sources import key_rotate
from tests.tracking.conftest import Tracker, events, only, waiting

MESSAGES: dict[str, dict[str, Any]] = {
    "identify": {"userId": "u1", "traits": {"plan": "pro"}},
    "track": {"userId": "u1", "event": "Signed Up", "properties": {"plan": "pro"}},
    "page": {"anonymousId": "a1", "name": "Home"},
    "screen": {"anonymousId": "a1", "name": "Start"},
    "group": {"userId": "u1", "groupId": "g1"},
    "alias": {"previousId": "a1", "userId": "u1"},
}


@pytest.mark.parametrize("path", [*MESSAGES, *"itpsga"])
def test_each_call_is_stored_under_its_long_and_its_short_path(tracker: Tracker, path: str) -> None:
    kind = next(name for name in MESSAGES if name.startswith(path))
    answer = tracker.post(path, MESSAGES[kind])
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    event = only()
    assert event.type == kind
    assert MESSAGES[kind].items() <= event.data.items()
    assert event.name == MESSAGES[kind].get("event", MESSAGES[kind].get("name", ""))
    assert waiting() == [event.pk]


@pytest.mark.parametrize("path", ["batch", "b"])
def test_a_batch_is_stored_in_its_order(tracker: Tracker, path: str) -> None:
    batch = [{"type": kind, **message} for kind, message in MESSAGES.items()]
    assert tracker.post(path, {"batch": batch}).status_code == 200
    assert [event.type for event in events()] == list(MESSAGES)
    assert waiting() == [event.pk for event in events()]


def _basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize("way", ["user", "user without a colon", "body", "both", "body beside a bearer"])
def test_the_write_key_comes_as_user_or_in_the_body(tracker: Tracker, way: str) -> None:
    key = tracker.source.write_key
    body = {**MESSAGES["track"], **({"writeKey": key} if way in ("body", "both", "body beside a bearer") else {})}
    headers = {
        "user": _basic(f"{key}:"),
        "user without a colon": _basic(key),
        "body": {},
        "both": _basic(f"{key}:"),
        "body beside a bearer": {"Authorization": "Bearer abc"},
    }[way]
    assert tracker.post("track", body, auth=lambda request: request, headers=headers).status_code == 200
    assert only().source == tracker.source
    assert "writeKey" not in only().data


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/plain;charset=UTF-8", ""])
def test_json_is_read_whatever_it_calls_itself(tracker: Tracker, content_type: str) -> None:
    assert tracker.post("t", MESSAGES["track"], headers={"Content-Type": content_type}).status_code == 200
    assert only().name == "Signed Up"


def test_an_unknown_write_key_is_answered_200_and_nothing_is_stored(tracker: Tracker) -> None:
    for auth in (("nosuchkey", ""), ("'; drop table", ""), ("", ""), ("k" * 5_000, "")):
        answer = tracker.post("track", MESSAGES["track"], auth=auth)
        assert (answer.status_code, answer.json()["success"]) == (200, False)
    assert not events()


def test_a_source_that_is_switched_off_takes_nothing(tracker: Tracker) -> None:
    Source.objects.update(enabled=False)
    assert tracker.track().json()["success"] is False
    assert not events()


def test_a_changed_key_works_at_once_and_the_one_before_for_another_day(tracker: Tracker) -> None:
    old = tracker.source.write_key
    new = key_rotate(tracker.source)
    assert new != old
    for key in (old, new):
        assert tracker.post("track", MESSAGES["track"], auth=(key, "")).json()["success"] is True
    Source.objects.update(previous_until="2020-01-01T00:00:00Z")
    assert tracker.post("track", MESSAGES["track"], auth=(old, "")).json()["success"] is False
    assert len(events()) == 2


def test_gzip_is_read(tracker: Tracker) -> None:
    body = gzip.compress(json.dumps({"batch": [{"type": "track", **MESSAGES["track"]}] * 3}).encode())
    half = len(body) // 2
    assert tracker.post("batch", body, headers={"Content-Encoding": "gzip"}).status_code == 200
    assert len(events()) == 3
    two = gzip.compress(b'{"event": "Two",') + gzip.compress(b'"userId": "u1"}')
    assert tracker.post("track", two, headers={"Content-Encoding": "gzip"}).status_code == 200
    assert events()[-1].name == "Two"
    for broken in (body[:half], b"no gzip", body[:-4], zlib.compress(b"{}")):
        answer = tracker.post("batch", broken, headers={"Content-Encoding": "gzip"})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_gzip")
    answer = tracker.post("batch", b"{}", headers={"Content-Encoding": "br"})
    assert (answer.status_code, answer.json()["code"]) == (400, "unsupported_encoding")


def test_a_gzip_bomb_is_refused_before_it_unfolds(tracker: Tracker) -> None:
    bomb = gzip.compress(b'{"batch": "' + b"0" * 30_000_000 + b'"}')
    assert len(bomb) < 50_000
    answer = tracker.post("batch", bomb, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (400, "payload_too_large")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 5_000, b"a=1", b'{"a": 1e999}'],
)  # fmt: skip
def test_what_is_no_json_object_is_answered_400_with_a_code_and_words(tracker: Tracker, body: bytes) -> None:
    for path in ("track", "batch") if len(body) < 30_000 else ("batch",):
        answer = tracker.post(path, body)
        assert answer.status_code == 400
        assert {type(answer.json()[name]) for name in ("code", "message")} == {str}


@pytest.mark.parametrize("batch", [None, {}, "text", 7])
def test_a_batch_without_a_list_is_answered_400(tracker: Tracker, batch: Any) -> None:
    assert tracker.post("batch", {"batch": batch}).status_code == 400


def test_a_message_may_have_32_kb_and_a_batch_500(tracker: Tracker) -> None:
    assert tracker.track(properties={"text": "x" * 32_000}).status_code == 200
    answer = tracker.track(properties={"text": "x" * 33_000})
    assert (answer.status_code, answer.json()["code"]) == (400, "payload_too_large")
    message = {"type": "track", "event": "Wide", "userId": "u1", "properties": {"text": "x" * 30_000}}
    assert tracker.post("batch", {"batch": [message] * 16}).status_code == 200
    assert tracker.post("batch", {"batch": [message] * 18}).status_code == 400
    assert tracker.post("batch", b"x" * 5_000_000).status_code == 400
    assert [event.name for event in events()] == ["Signed Up"] + ["Wide"] * 16


def test_one_bad_message_of_a_batch_never_fails_its_neighbours_and_is_shown_with_its_reason(tracker: Tracker) -> None:
    good = {"type": "track", "event": "Good", "userId": "u1"}
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    bad: list[tuple[Any, str]] = [
        ("text", "Not a JSON object."),
        (None, "Not a JSON object."),
        ({"event": "Typeless", "userId": "u1"}, "Its type is none of"),
        ({**good, "type": "purchase"}, "Its type is none of"),
        ({**good, "type": ["track"]}, "Its type is none of"),
        ({**good, "event": ""}, "needs the name of an event"),
        ({**good, "event": {"a": 1}}, "needs the name of an event"),
        ({**good, "userId": None}, "Neither a userId nor an anonymousId"),
        ({**good, "userId": "", "anonymousId": "  "}, "Neither a userId nor an anonymousId"),
        ({**good, "userId": {"a": 1}}, "Neither a userId nor an anonymousId"),
        ({"type": "alias", "userId": "u1"}, "needs a previousId"),
        ({**good, "properties": {"text": "x" * 33_000}}, "Larger than 32 KB"),
        ({**good, "properties": {"deep": deep}}, "Nested too deeply"),
    ]
    batch = [message for each, _ in bad for message in (each, good)]
    answer = tracker.post("batch", {"batch": batch})
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert [event.name for event in events() if not event.problem] == ["Good"] * len(bad)
    assert len(waiting()) == len(bad)
    for event, (_, words) in zip([event for event in events() if event.problem], bad, strict=True):
        assert words in event.problem
        assert len(json.dumps(event.data)) < 1_000


def test_of_a_batch_of_more_than_2500_messages_the_first_are_taken(tracker: Tracker) -> None:
    batch = [{"type": "track", "event": "e", "userId": f"{n}"} for n in range(2_600)]
    assert tracker.post("batch", {"batch": batch}).status_code == 200
    assert Event.objects.filter(problem="").count() == 2_500
    assert len(waiting()) == 2_500
    assert "More than 2500" in Event.objects.exclude(problem="").get().problem


def test_a_repeated_message_id_is_stored_once_whether_alone_in_one_batch_or_from_many_at_a_time(
    tracker: Tracker,
) -> None:
    message = {"type": "track", "event": "Once", "userId": "u1", "messageId": "m1"}
    tracker.post("batch", {"batch": [message, message, {**message, "messageId": "m2"}]})
    tracker.post("batch", {"batch": [message] * 10})
    tracker.post("track", message)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: Tracker(tracker.server, tracker.source).post("track", message), range(40)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(event.message_id for event in events()) == ["m1", "m2"]
    assert len(waiting()) == 2


def test_the_same_message_id_of_another_source_is_another_message(tracker: Tracker) -> None:
    other = Source.objects.create(campaign=tracker.source.campaign, name="App")
    tracker.track(messageId="m1")
    tracker.post("track", {"event": "Signed Up", "userId": "u1", "messageId": "m1"}, auth=(other.write_key, ""))
    assert [event.source_id for event in events()] == [tracker.source.pk, other.pk]


def test_a_message_without_an_id_is_given_one(tracker: Tracker) -> None:
    tracker.track()
    tracker.track()
    assert len({event.message_id for event in events()} - {""}) == 2


def test_a_mended_message_is_taken_although_the_same_id_came_before_with_a_problem(tracker: Tracker) -> None:
    tracker.post("track", {"userId": "u1", "messageId": "m1"})
    tracker.post("track", {"userId": "u1", "messageId": "m1", "event": "Mended"})
    assert [bool(event.problem) for event in events()] == [True, False]


def test_what_a_batch_says_once_holds_for_each_message_that_does_not_say_otherwise(tracker: Tracker) -> None:
    common = {
        "context": {"library": {"name": "x", "version": "1"}, "device": {"id": "d1", "type": "ios"}},
        "integrations": {"all": False, "Convertro": True},
    }
    tracker.post(
        "batch",
        {
            **common,
            "batch": [
                {"type": "track", "event": "a", "userId": "u1"},
                {"type": "track", "event": "b", "userId": "u1", "context": {"device": {"id": "d2"}, "ip": "1.2.3.4"}},
                {"type": "track", "event": "c", "userId": "u1", "integrations": {"All": True}, "context": "odd"},
            ],
        },
    )
    first, second, third = (event.data for event in events())
    assert {"context": first["context"], "integrations": first["integrations"]} == common
    assert second["context"]["device"] == {"id": "d2", "type": "ios"}
    assert second["context"]["ip"] == "1.2.3.4"
    assert second["context"]["library"] == {"name": "x", "version": "1"}
    assert third["integrations"] == {"Convertro": True, "All": True}
    assert third["context"] == common["context"]


def test_a_large_context_for_a_thousand_messages_is_refused_before_it_is_multiplied(tracker: Tracker) -> None:
    body = {"context": {"text": "x" * 100_000}, "batch": [{"type": "track", "event": "e", "userId": "u"}] * 2_000}
    assert tracker.post("batch", body).status_code == 400


def test_ids_and_names_may_be_numbers_and_null_is_as_if_absent(tracker: Tracker) -> None:
    tracker.post("track", {"event": 404, "userId": 12345, "anonymousId": None})
    assert (only().user_id, only().name) == ("12345", "404")
    assert "anonymousId" not in only().data


def test_parts_that_are_no_objects_are_taken_as_empty(tracker: Tracker) -> None:
    tracker.track(properties=[1], context=7, integrations="all", traits=None)
    assert (only().data["properties"], only().data["context"], only().data["traits"]) == ({}, {}, {})
    assert "integrations" not in only().data


@pytest.mark.parametrize("way", ["the message", "the batch"])
def test_the_senders_wrong_clock_is_set_right(tracker: Tracker, way: str) -> None:
    """timestamp = receivedAt - (sentAt - originalTimestamp)"""
    message = {"type": "track", "event": "e", "userId": "u1", "timestamp": "2031-01-01T10:00:00.000+02:00"}
    sent = {"sentAt": "2031-01-01T08:00:10.500Z"}
    if way == "the message":
        tracker.post("track", {**message, **sent})
    else:
        tracker.post("batch", {"batch": [message], **sent})
    event = only()
    assert (event.received_at - event.timestamp).total_seconds() == 10.5
    assert event.data["originalTimestamp"] == "2031-01-01T10:00:00.000+02:00"
    assert event.data["sentAt"] == "2031-01-01T08:00:10.500Z"
    assert event.data["timestamp"] == event.timestamp.isoformat(timespec="milliseconds")[:-6] + "Z"
    assert event.data["receivedAt"] == event.received_at.isoformat(timespec="milliseconds")[:-6] + "Z"


def test_without_a_sent_at_the_senders_time_stands_and_without_that_ours(tracker: Tracker) -> None:
    tracker.track(timestamp="2024-02-29T12:00:00Z")
    tracker.track()
    said, unsaid = events()
    assert said.timestamp.isoformat() == "2024-02-29T12:00:00+00:00"
    assert unsaid.timestamp == unsaid.received_at


@pytest.mark.parametrize(
    "given", ["soon", "", 7e40, -1e15, "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", [], True, "2031-01-01"]
)
def test_a_time_that_is_none_or_has_not_come_yet_is_the_time_of_arrival(tracker: Tracker, given: Any) -> None:
    assert tracker.track(timestamp=given).status_code == 200
    assert tracker.track(timestamp="2024-01-01T00:00:00Z", sentAt=given).status_code == 200
    first, second = events()
    assert first.timestamp == first.received_at
    assert second.timestamp <= second.received_at


def test_a_direct_call_gets_its_ip_from_the_request(tracker: Tracker) -> None:
    tracker.track(context={"direct": True})
    tracker.track(context={"direct": "no"})
    assert [event.data["context"].get("ip") for event in events()] == ["127.0.0.1", None]


def test_a_browser_on_another_site_may_call(tracker: Tracker) -> None:
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-retry-count",
    }
    answer = tracker.session.options(f"{tracker.server}/v1/t", headers=asked, timeout=20)
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == asked["Access-Control-Request-Headers"]
    for answer in (tracker.track(), tracker.post("t", b"{")):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]


def test_a_source_that_calls_too_often_is_told_for_how_long_to_wait_and_others_are_not(
    tracker: Tracker, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "WINDOW_SECONDS", 60.0)
    settings.RATE_LIMIT_TRACKING = 5 / 60
    other = Source.objects.create(campaign=tracker.source.campaign, name="App")
    answers = [tracker.track() for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].headers["X-RateLimit-Reset"] == answers[-1].headers["Retry-After"]
    assert answers[-1].json()["code"] == "too_many_requests"
    assert tracker.post("track", MESSAGES["track"], auth=(other.write_key, "")).status_code == 200
    assert len(events()) == 6


def test_half_a_character_and_a_nul_are_replaced_and_harm_nobody(tracker: Tracker) -> None:
    body = (
        b'{"batch": [{"type": "track", "event": "cut \\ud83d", "userId": "u1", "properties": {"a\\u0000b": "c\\u0000d"}},'
        b'{"type": "track", "event": "\\ud83d\\ude00 \\\\u0000", "userId": "u1", "messageId": "\\u0000"}]}'
    )
    assert tracker.post("batch", body).status_code == 200
    first, second = events()
    assert first.name.startswith("cut ")
    assert first.data["properties"] == {"a\ufffdb": "c\ufffdd"}
    assert second.name == "\N{GRINNING FACE} \\u0000"


def test_get_is_not_allowed_and_unknown_paths_are_plain_404s(tracker: Tracker) -> None:
    assert tracker.session.get(f"{tracker.server}/v1/track", timeout=20).status_code == 405
    for path in ("x", "tracks", "batch/1", ""):
        assert tracker.post(path, {}).status_code == 404


def test_segments_browser_library_is_told_where_to_send(tracker: Tracker) -> None:
    answer = tracker.session.get(f"{tracker.server}/v1/projects/{tracker.source.write_key}/settings", timeout=20)
    told = answer.json()["integrations"]["Segment.io"]
    assert told["apiKey"] == tracker.source.write_key
    assert told["apiHost"].endswith("/v1")
    assert tracker.session.get(f"{tracker.server}/v1/projects/nosuch/settings", timeout=20).status_code == 404


def test_an_overloaded_portal_answers_503_and_the_same_batch_may_be_sent_again(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing.batcher, "_max_waiting", 0)
    batch = {"batch": [{"type": "track", "event": "e", "userId": "u", "messageId": f"{n}"} for n in range(600)]}
    answer = tracker.post("batch", batch)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    monkeypatch.undo()
    assert tracker.post("batch", batch).status_code == 200
    assert len(events()) == len(waiting()) == 600
