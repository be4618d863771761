"""Whatever a client's server does, a call ends in time, as an answer or as words; and it only goes where it may."""

from __future__ import annotations

import asyncio
import functools
import gzip
import socket
import time
from collections.abc import Callable

import pytest
import uvloop

from integrations.kit import http, single_calls
from integrations.kit.contract import NoAnswer, Request, Response
from integrations.kit.wire import BODY_CAP
from tests.connectors.hostile import certificate, drips, floods, keeps_silent, says, server

Send = Callable[..., Response]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
PATIENCE_S = 1.0


def batch_send(
    request: Request,
    private_hosts: tuple[str, ...] = (),
    timeout_s: float = PATIENCE_S,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
) -> Response:
    async def run() -> Response:
        session = http.Session(private_hosts, connect_s=timeout_s, read_s=timeout_s, whole_s=timeout_s * 2)
        try:
            return await session.send(request)
        finally:
            await session.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(run())


plain_batch_send = functools.partial(batch_send, loop_factory=asyncio.new_event_loop)


def single_send(request: Request, private_hosts: tuple[str, ...] = (), timeout_s: float = PATIENCE_S) -> Response:
    return single_calls.send_once(request, timeout_s=timeout_s, private_hosts=private_hosts)


@pytest.fixture(params=[batch_send, plain_batch_send, single_send], ids=["batch", "batch on a plain loop", "single"])
def send(request: pytest.FixtureRequest) -> Send:
    sender: Send = request.param
    return sender


def test_a_form_arrives_as_it_was_filled_in(send: Send) -> None:
    with server(says(OK)) as there:
        request = Request(
            "POST",
            f"{there.url}/leads?a=1",
            query={"linkId": "1 2"},
            form=(("form[firstName]", "Zoë & co"), ("form[x]", "")),
            headers={"Idempotency-Key": "abc"},
            bearer="token",
        )
        response = send(request, (there.netloc,))
    assert (response.status, response.text, response.headers["content-type"]) == (200, "ok", "text/plain")
    head = there.seen[0].decode()
    assert head.startswith("POST /leads?a=1&linkId=1+2 HTTP/1.1\r\n")
    assert "Content-Length: 48\r\n" in head
    assert "Authorization: Bearer token\r\n" in head
    assert f"Host: {there.netloc}\r\n" in head
    assert "cookie" not in head.lower()


def test_json_arrives_as_json(send: Send) -> None:
    with server(says(OK)) as there:
        send(Request("PUT", there.url, json={"name": "Zoë"}), (there.netloc,))
    assert b"Content-Type: application/json" in there.seen[0]
    assert there.seen[0].startswith(b"PUT / HTTP/1.1")


GIBBERISH = {
    "no HTTP at all": b"220 smtp.example.test ready\r\n",
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "a header line without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "zero bytes": b"\x00" * 500,
    "a header longer than any": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 500_000 + b"\r\n\r\n",
    "ten thousand headers": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 10_000 + b"\r\n",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nok",
    "two lengths that differ": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nok",
    "a chunk size that is no number": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n",
    "nothing": b"",
    "half a status line": b"HTTP/1.",
    "headers that never end": b"HTTP/1.1 200 OK\r\nX: 1\r\n",
}


@pytest.mark.parametrize("answer", GIBBERISH.values(), ids=GIBBERISH.keys())
def test_gibberish_ends_as_an_answer_or_in_words(send: Send, answer: bytes) -> None:
    with server(says(answer)) as there:
        started = time.monotonic()
        ended = ending(send, Request("GET", there.url), there.netloc)
        # A client may read past it; what it then takes for the answer is not larger than the cap.
        assert (there.netloc in str(ended)) if isinstance(ended, NoAnswer) else len(ended.body) <= BODY_CAP
        assert time.monotonic() - started < PATIENCE_S * 2 + 1.5


SLOW = {
    "silence": keeps_silent,
    "a status line a byte at a time": drips(b"H", b"T"),
    "headers without end": drips(b"HTTP/1.1 200 OK\r\n", b"X: 1\r\n"),
    "half a header, then silence": drips(b"HTTP/1.1 200 OK\r\nContent-", b"", 60),
    "a flood of interim answers": floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
}


@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW.keys())
def test_a_server_that_never_comes_to_the_point_is_given_up_in_time(send: Send, behaviour: object) -> None:
    with server(behaviour) as there:  # type: ignore[arg-type]
        started = time.monotonic()
        with pytest.raises(NoAnswer) as silence:
            send(Request("POST", there.url, form=()), (there.netloc,))
        assert silence.value.sent, "it went out: they may have read it"
        assert time.monotonic() - started < PATIENCE_S * 2 + 1.5


def test_silence_is_told_in_words(send: Send) -> None:
    with server(keeps_silent) as there, pytest.raises(NoAnswer) as silence:
        send(Request("GET", there.url), (there.netloc,))
    assert str(silence.value) == f"{there.netloc} has not answered for 1 second."


BODIES = {
    "a body that drips for ever": drips(b"HTTP/1.1 201 Created\r\nContent-Length: 900000\r\n\r\nstart", b"."),
    "a chunked body that drips for ever": drips(
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n", b"1\r\n.\r\n"
    ),
    "a body without end": floods(b"HTTP/1.1 201 Created\r\nConnection: close\r\n\r\nstart", b"." * 65536),
    "a chunked body without end": floods(
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n", b"2000\r\n" + b"." * 8192 + b"\r\n"
    ),
    "a body that is cut off": says(b"HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\nstart"),
}


@pytest.mark.parametrize("behaviour", BODIES.values(), ids=BODIES.keys())
def test_a_broken_body_does_not_undo_the_status(send: Send, behaviour: object) -> None:
    with server(behaviour) as there:  # type: ignore[arg-type]
        started = time.monotonic()
        response = send(Request("POST", there.url, form=()), (there.netloc,))
        assert time.monotonic() - started < PATIENCE_S * 2 + 1.5
    assert (response.status, response.cut) == (201, True)
    assert response.body.startswith(b"start")
    assert len(response.body) <= BODY_CAP


def test_a_packed_flood_is_cut_like_any_other(send: Send) -> None:
    packed = gzip.compress(b"a" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with server(says(head + packed)) as there:
        response = send(Request("GET", there.url), (there.netloc,))
    assert (len(response.body), response.cut) == (BODY_CAP, True)


def test_a_packed_answer_is_unpacked(send: Send) -> None:
    packed = gzip.compress(b'{"data": 7}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with server(says(head + packed)) as there:
        response = send(Request("GET", there.url), (there.netloc,))
    assert (response.json(), response.cut) == ({"data": 7}, False)


def test_a_charset_that_does_not_exist_is_no_matter(send: Send) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=klingon\r\nContent-Length: 3\r\n\r\n\xff\xfeA"
    with server(says(answer)) as there:
        assert send(Request("GET", there.url), (there.netloc,)).text.endswith("A")


def test_a_redirect_is_not_followed(send: Send) -> None:
    with server(says(OK)) as elsewhere:
        answer = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n".encode()
        with server(says(answer)) as there:
            response = send(Request("GET", there.url), (there.netloc, elsewhere.netloc))
    assert response.status == 302
    assert elsewhere.seen == []


def test_a_cookie_is_not_brought_back() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"

    async def run(url: str, netloc: str) -> None:
        session = http.Session((netloc,))
        await session.send(Request("GET", url))
        await session.send(Request("GET", url))
        await session.close()

    with server(says(answer)) as there:
        asyncio.run(run(there.url, there.netloc))
    assert len(there.seen) == 2
    assert b"ookie" not in there.seen[1]


def test_a_proxy_of_the_environment_is_not_used(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with server(says(OK)) as there:
        assert send(Request("GET", there.url), (there.netloc,)).status == 200


def test_a_refused_connection_was_not_sent(send: Send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        netloc = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(NoAnswer) as silence:
        send(Request("GET", f"http://{netloc}"), (netloc,))
    assert not silence.value.sent
    assert str(silence.value) == f"{netloc} refused the connection."


def test_a_name_that_does_not_exist_was_not_sent(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_there(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing_there)
    with pytest.raises(NoAnswer) as silence:
        send(Request("GET", "https://acmee.example.test/"))
    assert not silence.value.sent
    assert str(silence.value) == "There is no server by the name acmee.example.test."


# --- only where it may --------------------------------------------------------------------------------------

PRIVATE = [
    "http://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "https://localhost:{port}/",
    "https://[::1]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[64:ff9b::7f00:1]:{port}/",
    "https://2130706433:{port}/",
    "https://0x7f.1:{port}/",
    "https://0.0.0.0:{port}/",
    "https://10.0.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://[fe80::1%25eth0]/",
    "https://user@127.0.0.1:{port}/",
    "https://example.test\\@127.0.0.1:{port}/",
    "https://exa mple.test/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "//127.0.0.1:{port}/",
    "",
]


@pytest.mark.parametrize("url", PRIVATE)
def test_nothing_inside_our_network_is_called(send: Send, url: str) -> None:
    with server(says(OK)) as there:
        with pytest.raises(NoAnswer) as silence:
            send(Request("GET", url.format(port=there.port)))
        assert there.seen == []
    assert not silence.value.sent


def test_a_public_name_that_leads_inside_is_not_called(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(says(OK)) as there:
        leads_to(monkeypatch, "127.0.0.1", there.port)
        with pytest.raises(NoAnswer) as silence:
            send(Request("GET", f"https://acme.example.test:{there.port}/"))
        assert there.seen == []
    assert str(silence.value) == f"acme.example.test:{there.port} is not a public address, so it is not called."
    assert not silence.value.sent


def test_a_private_host_is_listed_with_its_port(send: Send) -> None:
    with server(says(OK)) as there, server(says(OK)) as other, pytest.raises(NoAnswer):
        send(Request("GET", other.url), (there.netloc,))


def test_a_name_is_resolved_once_for_a_call(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(says(OK)) as there:
        asked = leads_to(monkeypatch, "127.0.0.1", there.port)
        name = f"acme.example.test:{there.port}"
        assert send(Request("GET", f"http://{name}/"), (name,)).status == 200
    assert asked == ["acme.example.test"]
    assert f"Host: {name}\r\n".encode() in there.seen[0]


def test_tls_is_checked_against_the_name_and_not_the_address(
    send: Send, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    tls, trusted = certificate(tmp_path, "acme.example.test")  # type: ignore[arg-type]
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with server(says(OK), tls) as there:
        leads_to(monkeypatch, "127.0.0.1", there.port)
        good, bad = f"acme.example.test:{there.port}", f"other.example.test:{there.port}"
        assert send(Request("GET", f"https://{good}/"), (good,)).text == "ok"
        with pytest.raises(NoAnswer) as silence:
            send(Request("GET", f"https://{bad}/"), (bad,))
    assert not silence.value.sent
    assert str(silence.value) == f"{bad} can't prove that it is other.example.test: its certificate is not valid."


def test_a_certificate_that_nobody_vouches_for_is_refused(send: Send, tmp_path: object) -> None:
    tls, _ = certificate(tmp_path, "127.0.0.1")  # type: ignore[arg-type]
    with server(says(OK), tls) as there, pytest.raises(NoAnswer) as silence:
        send(Request("GET", f"https://{there.netloc}/"), (there.netloc,))
    assert not silence.value.sent
    assert "certificate" in str(silence.value)


def test_a_header_with_a_line_break_is_not_sent(send: Send) -> None:
    with server(says(OK)) as there, pytest.raises(NoAnswer) as silence:
        send(Request("GET", there.url, bearer="a\r\nX-Admin: 1"), (there.netloc,))
    assert not silence.value.sent
    assert there.seen == []


def ending(send: Send, request: Request, netloc: str) -> Response | NoAnswer:
    try:
        return send(request, (netloc,))
    except NoAnswer as silence:
        return silence


def leads_to(monkeypatch: pytest.MonkeyPatch, address: str, port: int) -> list[str]:
    """Makes every name lead to one address; the names that were asked for, as they are."""
    asked: list[str] = []

    def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked
