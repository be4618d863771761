"""The kit's small parts: finding connectors, driving flows, reading answers, keeping secrets out of what is kept."""

from __future__ import annotations

import asyncio
import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.kit import registry
from integrations.kit.addresses import destination, instance_origin, is_public
from integrations.kit.answers import general_outcome, is_passing, plain_text, retry_after, their_words
from integrations.kit.contract import ConnectorError, Flow, NoAnswer, Request, Response
from integrations.kit.flow import MAX_REQUESTS, Exchange, run, run_async, run_sync
from integrations.kit.http import Session
from integrations.kit.redaction import _SECRET_WORDS, SECRET_NAMES, redact_request, redact_response
from tests.connectors.hostile import keeps_silent, says, server

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

# --- finding connectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed", ["", "con", "Convertr C", "connect", "enterprise", "to Enterprise", "client's own instance"]
)
def test_the_add_box_finds_convertr_connect(typed: str) -> None:
    assert "convertr_connect" in [entry.manifest.slug for entry in registry.find(typed)]


def test_the_add_box_offers_nothing_that_nobody_adds() -> None:
    assert "status_sync" not in [entry.manifest.slug for entry in registry.find("")]
    assert registry.find("no such thing") == ()


def test_a_connector_that_does_not_exist_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        registry.connector("carrier_pigeon")


# --- driving flows ------------------------------------------------------------------------------------------


def two_calls(url: str) -> Flow[list[int]]:
    first = yield Request("GET", url)
    second = yield Request("POST", url, form=(("form[email]", "joe@example.test"),))
    return [first.status, second.status]


def forgiving(url: str) -> Flow[str]:
    try:
        yield Request("GET", url)
    except NoAnswer as silence:
        return f"caught: {silence}"
    return "answered"


def endless(url: str) -> Flow[None]:
    while True:
        yield Request("GET", url)


def no_call() -> Flow[str]:
    return "nothing to ask"
    yield Request("GET", "https://never.example.test")


def both_ways(flow: object, log: list[Exchange], netloc: str, way: str) -> object:
    if way == "single":
        return run_sync(flow, log, timeout_s=1, private_hosts=(netloc,))  # type: ignore[arg-type]

    async def batch() -> object:
        session = Session((netloc,), whole_s=1)
        try:
            return await run_async(flow, session, log)  # type: ignore[arg-type]
        finally:
            await session.close()

    return asyncio.run(batch())


each_way = pytest.mark.parametrize("way", ["single", "batch"])


@each_way
def test_a_flow_gets_its_answers_and_leaves_its_exchanges(way: str) -> None:
    log: list[Exchange] = []
    with server(says(OK)) as there:
        assert both_ways(two_calls(there.url), log, there.netloc, way) == [200, 200]
    assert [exchange.request["method"] for exchange in log] == ["GET", "POST"]
    assert log[1].request["form"] == [["form[email]", "j•••"]]
    assert log[1].response is not None
    assert log[1].response["status"] == 200


@each_way
def test_silence_is_thrown_into_the_flow(way: str) -> None:
    log: list[Exchange] = []
    with server(keeps_silent) as there:
        assert str(both_ways(forgiving(there.url), log, there.netloc, way)).startswith("caught: 127.0.0.1")
    assert log[0].response is None
    assert "has not answered for 1 second." in log[0].error


@each_way
def test_silence_that_the_flow_does_not_catch_comes_out(way: str) -> None:
    with server(keeps_silent) as there, pytest.raises(NoAnswer):
        both_ways(two_calls(there.url), [], there.netloc, way)


@each_way
def test_a_flow_that_never_ends_is_stopped(way: str) -> None:
    with server(says(OK)) as there:
        with pytest.raises(ConnectorError):
            both_ways(endless(there.url), [], there.netloc, way)
        assert len(there.seen) == MAX_REQUESTS


@each_way
def test_a_flow_need_not_ask_anything(way: str) -> None:
    assert both_ways(no_call(), [], "", way) == "nothing to ask"


def test_what_is_kept_of_an_exchange_is_json() -> None:
    log: list[Exchange] = []
    run(two_calls("https://acme.example.test"), lambda _: Response(200, {}, b"\x00\xff\xed\xa0\x80"), log)
    assert "\\u0000" not in json.dumps([exchange.as_dict() for exchange in log])


# --- addresses ----------------------------------------------------------------------------------------------

ENVIRONMENT = {
    "CONVERTR_URL": "https://{subdomain}.cvtr.io",
    "CONVERTR_INSTANCES": "demo=http://127.0.0.1:8001/, b=https://b.test",
}


@pytest.mark.parametrize(
    ("subdomain", "origin"),
    [
        ("acme", "https://acme.cvtr.io"),
        (" ACME-eu ", "https://acme-eu.cvtr.io"),
        ("demo", "http://127.0.0.1:8001"),
        ("b", "https://b.test"),
        ("a" * 63, f"https://{'a' * 63}.cvtr.io"),
    ],
)
def test_a_subdomain_becomes_an_address(subdomain: str, origin: str) -> None:
    assert instance_origin(subdomain, ENVIRONMENT) == origin


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Fill in the subdomain"),
        ("https://acme.cvtr.io", "Fill in its first part only: acme"),
        ("acme.cvtr.io", "Fill in its first part only: acme"),
        ("//acme.cvtr.io:443/v2", "Fill in its first part only: acme"),
        ("a" * 64, "63 characters at the most"),
        ("-acme", "is not a subdomain"),
        ("acme-", "is not a subdomain"),
        ("ac me", "is not a subdomain"),
        ("ac_me", "is not a subdomain"),
        ("münchen", "is not a subdomain"),
        ("acme\n", None),
        ("a@b", "is not a subdomain"),
        ("{subdomain}", "is not a subdomain"),
        ("acme#", "is not a subdomain"),
        ("acme/..", "is not a subdomain"),
    ],
)
def test_what_is_no_subdomain_is_told_so_at_its_box(typed: str, words: str | None) -> None:
    if words is None:
        assert instance_origin(typed, ENVIRONMENT) == "https://acme.cvtr.io"
        return
    with pytest.raises(ConnectorError, match=words) as error:
        instance_origin(typed, ENVIRONMENT)
    assert error.value.field == "subdomain"


@given(st.text(max_size=80))
def test_no_subdomain_leaves_its_domain(typed: str) -> None:
    try:
        origin = instance_origin(typed, {"CONVERTR_URL": "https://{subdomain}.cvtr.io"})
    except ConnectorError:
        return
    assert origin.count(".") == 2
    assert destination(origin + "/x", ()).host.endswith(".cvtr.io")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("224.0.0.1", False),
        ("192.0.2.1", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2001:db8::1", False),
        ("nonsense", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


# --- reading answers ----------------------------------------------------------------------------------------

NOW = dt.datetime(2026, 3, 4, 10, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        (" 0 ", 0.0),
        ("86401", 86400.0),
        ("9" * 400, 86400.0),
        ("Wed, 04 Mar 2026 10:02:00 GMT", 120.0),
        ("Wed, 04 Mar 2026 09:00:00 GMT", 0.0),
        ("Wed, 04 Mar 2099 09:00:00 GMT", 86400.0),
        ("Wed, 04 Mar 2026 10:02:00", 120.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣٠", None),
        ("Wed, 99 Mar 2026 10:02:00 GMT", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}, NOW) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_fails_us(text: str) -> None:
    seconds = retry_after({"retry-after": text}, NOW)
    assert seconds is None or 0 <= seconds <= 86400


def test_no_retry_after_is_none() -> None:
    assert retry_after({}) is None


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ([408, 425, 429, 500, 502, 503, 504, 599], "retry"),
        ([301, 302, 307, 401, 403, 404, 405, 410, 501, 505], "misconfigured"),
        ([400, 402, 406, 409, 413, 418, 422, 499], "refused"),
        ([0, 100, 204, 299, 600, 999], "unknown"),
    ],
)
def test_what_a_status_comes_to(statuses: list[int], kind: str) -> None:
    for status in statuses:
        assert general_outcome(Response(status), "acme.cvtr.io").kind == kind
        assert is_passing(status) == (kind == "retry")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"code":400,"message":"Validation failed"}', "Validation failed"),
        ('{"code":"403","error":"Campaign is inactive"}', "Campaign is inactive"),
        ('{"error":"invalid_grant","error_description":"Bad key"}', "Bad key"),
        ('{"type":"x","title":"An error occurred","detail":"Password expired"}', "Password expired"),
        ('{"title":"An error occurred"}', "An error occurred"),
        ('{"error":{"message":"inner"}}', "inner"),
        ('{"code":500,"message":""}', ""),
        ('"just text"', "just text"),
        ("plain text", "plain text"),
        ("<html>page</html>", ""),
        ("", ""),
        ("[1,2]", ""),
        ('{"message":["a"]}', ""),
    ],
)
def test_their_words_are_found_in_every_known_shape(body: str, words: str) -> None:
    assert their_words(Response(400, {}, body.encode())) == words


@given(st.text(max_size=50) | st.integers() | st.floats() | st.none() | st.booleans())
def test_what_they_say_can_be_stored_and_shown(value: object) -> None:
    text = plain_text(value, 20)
    assert len(text) <= 20
    assert "\x00" not in text
    assert "\n" not in text
    text.encode()


# --- what is kept -------------------------------------------------------------------------------------------


def test_a_request_is_kept_without_its_secrets() -> None:
    request = Request(
        "GET",
        "https://acme.cvtr.io/oauth/v2/token?apikey=inline-key&x=1",
        query={"client_secret": "sec-ret", "api_key": "k-1", "own": "hide-me", "grant_type": "https://a.test/b"},
        headers={"X-Api-Key": "abcdef", "Idempotency-Key": "0190", "Authorization": "Basic abc"},
        bearer="t0ken",
        secrets=frozenset({"own"}),
    )
    assert redact_request(request) == {
        "method": "GET",
        "url": "https://acme.cvtr.io/oauth/v2/token?apikey=•••&x=1&client_secret=•••&api_key=•••&own=•••"
        "&grant_type=https://a.test/b",
        "headers": {"X-Api-Key": "a•••", "Idempotency-Key": "0190", "Authorization": "Bearer •••"},
    }


def test_a_sync_token_in_an_address_is_shortened() -> None:
    url = "https://acme.cvtr.io/api/webhook/validate/0190f3c4a1b27c3d8e4f5a6b7c8d9e0f"
    assert redact_request(Request("POST", url))["url"] == "https://acme.cvtr.io/api/webhook/validate/0190f3•••"


def test_a_form_keeps_its_keys_and_their_order() -> None:
    form = (("form[b]", "Berta"), ("form[a]", "A"), ("form[c]", ""), ("verdict", "valid"), ("password", "x"))
    kept = redact_request(Request("POST", "https://a.test", form=form, plain=frozenset({"verdict"})))
    assert kept["form"] == [
        ["form[b]", "B•••"],
        ["form[a]", "•••"],
        ["form[c]", ""],
        ["verdict", "valid"],
        ["password", "•••"],
    ]


def test_json_is_kept_masked() -> None:
    kept = redact_request(
        Request("POST", "https://a.test", json={"email": "joe@a.test", "n": 3, "api_key": "k", "l": ["Joe"]})
    )
    assert kept["json"] == {"email": "j•••", "n": 3, "api_key": "•••", "l": ["J•••"]}


@pytest.mark.parametrize("name", sorted(SECRET_NAMES))
def test_every_name_of_a_secret_is_found_by_the_words_that_are_looked_for_first(name: str) -> None:
    assert any(word in name for word in _SECRET_WORDS)


@pytest.mark.parametrize(
    "body",
    [
        '{"access_token":"s3cr3t-value","refresh_token":"s3cr3t-value"}',
        '{"access_token" : "s3cr3t-value"',
        "access_token=s3cr3t-value&x=1",
        "{'client_secret': 's3cr3t-value'}",
        '{"message": "the key k-api-key is wrong"}',
        '{"message": "bearer t0ken-value is stale"}',
    ],
)
def test_no_secret_is_kept_from_an_answer(body: str) -> None:
    request = Request("GET", "https://a.test", query={"api_key": "k-api-key"}, bearer="t0ken-value")
    kept = json.dumps(redact_response(Response(200, {"set-cookie": "session=s3cr3t-value"}, body.encode()), request))
    for secret in ("s3cr3t-value", "k-api-key", "t0ken-value"):
        assert secret not in kept


@pytest.mark.parametrize("value", ["joe@example.test", "Zoë Ångström", 'O"Neil & Söhne/x', "07123 456789", "Müller\\"])
def test_what_was_sent_is_masked_where_it_comes_back(value: str) -> None:
    import html
    from urllib.parse import quote, quote_plus

    echoes = [value, value.upper(), json.dumps(value), json.dumps(value).replace("/", "\\/"), html.escape(value)]
    echoes += [quote(value), quote_plus(value), json.dumps(value, ensure_ascii=False)]
    body = "\n".join(f"<<{echo.strip(chr(34))}>>" for echo in echoes)
    request = Request("POST", "https://a.test", form=(("form[x]", value),))
    kept = redact_response(Response(400, {}, body.encode()), request)["body"]
    assert kept.splitlines() == [f"<<{value[0]}•••>>"] * len(echoes)


def test_a_long_answer_is_kept_by_its_start_and_no_half_value_is_left() -> None:
    value = "personal-value"
    body = "x" * 4090 + value + "y" * 10_000
    kept = redact_response(Response(200, {}, body.encode()), Request("POST", "https://a.test", form=(("a", value),)))
    assert len(kept["body"]) == 4096
    assert kept["cut"]
    assert kept["body"].endswith("xp•••yy")


@given(st.binary(max_size=300), st.dictionaries(st.sampled_from(["location", "content-type"]), st.text(max_size=20)))
def test_whatever_came_can_be_kept(body: bytes, headers: dict[str, str]) -> None:
    kept = redact_response(
        Response(200, headers, body), Request("POST", "https://a.test", form=(("a", "\x00\ud800b"),))
    )
    text = json.dumps(kept, ensure_ascii=False)
    # A backslash that somebody typed before u0000 is written twice, and makes no NUL of it.
    assert "\\u0000" not in text.replace("\\\\", "")
    text.encode()
