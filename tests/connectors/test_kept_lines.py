"""Calls to one server share connections: each gets its own answer, and a line that is not to be trusted carries no other call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from integrations.kit import http, line
from integrations.kit.contract import NoAnswer, Request, Response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Caller:
    """Calls a server that answers the calls of each connection with these, in their order; None hangs up instead."""

    session: http.Session
    url: str
    lines: int = 0
    heads: list[bytes] = field(default_factory=list)
    after: Callable[[], Awaitable[None]] | None = None

    async def call(self, method: str = "GET", **request: object) -> Response:
        return await self.session.send(Request(method, self.url, **request))  # type: ignore[arg-type]


def talk(
    answers: list[bytes | None], run: Callable[[Caller], Awaitable[None]], *, then: bytes = b"", read_s: float = 2.0
) -> Caller:
    """Let `run` call a server whose every connection gives these answers; `then` is said after each, unasked."""
    loops = (asyncio.new_event_loop, uvloop.new_event_loop)
    for loop in loops:
        with asyncio.Runner(loop_factory=loop) as runner:
            caller = runner.run(_talk(answers, run, then, read_s))
    return caller


async def _talk(
    answers: list[bytes | None], run: Callable[[Caller], Awaitable[None]], then: bytes, read_s: float
) -> Caller:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller.lines += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            for answer in answers:
                caller.heads.append(await reader.readuntil(b"\r\n\r\n"))
                if answer is None:
                    return
                writer.write(answer + then)
                await writer.drain()
            await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    caller = Caller(http.Session((f"127.0.0.1:{port}",), read_s=read_s), f"http://127.0.0.1:{port}/")
    async with server:
        await run(caller)
        await caller.session.close()
    return caller


def test_one_call_after_the_other_goes_over_one_line() -> None:
    async def run(caller: Caller) -> None:
        for _ in range(3):
            assert (await caller.call("POST", form=(("a", "b"),))).text == "ok"

    assert talk([OK] * 3, run).lines == 1


def test_calls_at_once_have_lines_of_their_own_and_each_its_own_answer() -> None:
    async def run(caller: Caller) -> None:
        answers = await asyncio.gather(*(caller.call() for _ in range(5)))
        assert [answer.text for answer in answers] == ["ok"] * 5

    assert talk([OK], run).lines == 5


def test_what_is_read_goes_out_again_where_the_line_was_closed_while_it_was_kept() -> None:
    async def run(caller: Caller) -> None:
        assert (await caller.call()).text == "ok"
        assert (await caller.call()).text == "ok"

    assert talk([OK, None], run).lines == 2


def test_what_is_posted_does_not_since_they_may_have_it() -> None:
    async def run(caller: Caller) -> None:
        await caller.call("POST", form=())
        with pytest.raises(NoAnswer) as silence:
            await caller.call("POST", form=())
        assert silence.value.sent
        assert str(silence.value).endswith("closed the connection without an answer.")

    assert talk([OK, None], run).lines == 1


def test_a_line_that_broke_in_the_middle_of_an_answer_is_not_asked_again() -> None:
    async def run(caller: Caller) -> None:
        await caller.call()
        with pytest.raises(NoAnswer):
            await caller.call()

    assert talk([OK, b"HTTP/1.1 2"], run, read_s=0.3).lines == 1


@pytest.mark.parametrize(
    "more", [OK, b"HTTP/1.1 200 OK\r\n", b"nonsense", b"\x00"], ids=["an answer", "half a one", "words", "a zero"]
)
def test_what_nobody_asked_for_is_never_taken_for_the_next_answer(more: bytes) -> None:
    async def run(caller: Caller) -> None:
        for _ in range(3):
            assert (await caller.call("POST", form=())).text == "ok"

    assert talk([OK, OK], run, then=more).lines == 3


def test_what_comes_unasked_while_a_line_is_kept_ends_it() -> None:
    async def run(caller: Caller) -> None:
        await caller.call()
        kept = next(iter(caller.session._kept.values()))[0]
        kept.data_received(OK)
        assert not kept.usable
        await caller.call()

    assert talk([OK, OK], run).lines == 2


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 2),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 2),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n", 1),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK, 1),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", 1),
    ],
    ids=["they close", "an old server", "chunks and a trailer", "interim answers", "bare line ends"],
)
def test_an_answer_is_read_however_it_ends(answer: bytes, lines: int) -> None:
    async def run(caller: Caller) -> None:
        for _ in range(2):
            response = await caller.call()
            assert (response.status, response.text, response.cut) == (200, "ok", False)
            assert "x-sum" not in response.headers
            assert "link" not in response.headers

    assert talk([answer] * 2, run).lines == lines


def test_a_body_without_a_length_ends_with_its_line() -> None:
    async def run(caller: Caller) -> None:
        response = await caller.call()
        assert (response.text, response.cut) == ("ok", False)

    async def drive() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nok")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            session = http.Session((f"127.0.0.1:{port}",))
            await run(Caller(session, f"http://127.0.0.1:{port}/"))
            await session.close()

    asyncio.run(drive())


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_does_not_end_the_line(status: bytes) -> None:
    async def run(caller: Caller) -> None:
        for _ in range(2):
            assert (await caller.call()).body == b""

    assert talk([b"HTTP/1.1 " + status + b"\r\n\r\n"] * 2, run).lines == 1


def test_the_answer_to_a_head_has_no_body_whatever_its_length_says() -> None:
    async def run(caller: Caller) -> None:
        for _ in range(2):
            response = await caller.call("HEAD")
            assert (response.status, response.body, response.cut) == (200, b"", False)

    talk([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"] * 2, run)


def test_another_protocol_that_nobody_asked_for_is_no_answer() -> None:
    async def run(caller: Caller) -> None:
        with contextlib.suppress(NoAnswer):
            assert (await caller.call()).status == 101
        assert not caller.session._kept

    talk([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"], run)


def test_of_a_header_that_comes_twice_the_first_counts() -> None:
    async def run(caller: Caller) -> None:
        response = await caller.call()
        assert response.headers["retry-after"] == "1"
        assert response.headers["x-name"].encode("utf-8", "surrogateescape") == b"Zo\xeb"

    talk([b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nRETRY-AFTER: 2\r\nX-Name: Zo\xeb\r\nContent-Length: 0\r\n\r\n"], run)


def test_a_line_that_is_not_needed_is_closed_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "KEEPALIVE_S", 0.05)

    async def run(caller: Caller) -> None:
        await caller.call()
        kept = next(iter(caller.session._kept.values()))[0]
        gone = asyncio.get_running_loop().create_future()
        lost = kept.connection_lost

        def lost_and_told(error: Exception | None) -> None:
            lost(error)
            gone.set_result(None)

        monkeypatch.setattr(kept, "connection_lost", lost_and_told)
        await asyncio.wait_for(gone, 2)
        assert not kept.usable
        await caller.call()

    assert talk([OK, OK], run).lines == 2


def test_a_call_that_is_called_off_takes_its_line_with_it() -> None:
    async def run(caller: Caller) -> None:
        call = asyncio.create_task(caller.call("POST", form=()))
        while not caller.heads:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not caller.session._kept

    talk([b""], run)


def test_every_call_on_a_kept_line_has_its_own_time() -> None:
    async def run(caller: Caller) -> None:
        await caller.call("POST", form=())
        await asyncio.sleep(0.25)
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(NoAnswer) as silence:
            await caller.call("POST", form=())
        assert 0.25 <= loop.time() - started < 1.5
        assert str(silence.value).endswith("has not answered for 0.3 seconds.")

    talk([OK, b""], run, read_s=0.3)


def test_a_flood_of_headers_is_no_answer_and_fills_no_memory() -> None:
    async def run(caller: Caller) -> None:
        with pytest.raises(NoAnswer) as silence:
            await caller.call()
        assert "no web server's answer" in str(silence.value)

    talk([b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 20_000], run)


UNWRITABLE = ["http://{netloc}/a b", "http://{netloc}/\r\nX-Admin: 1", "http://{netloc}/?a=b c", "http://{netloc}/?ü"]


@pytest.mark.parametrize("url", UNWRITABLE)
def test_an_address_that_would_break_the_request_is_not_called(url: str) -> None:
    async def run(caller: Caller) -> None:
        netloc = caller.url.removeprefix("http://").rstrip("/")
        with pytest.raises(NoAnswer) as silence:
            await caller.session.send(Request("GET", url.format(netloc=netloc)))
        assert not silence.value.sent

    assert talk([OK], run).heads == []


@pytest.mark.parametrize("name", ["X-A\r\nX-B", "X A", "", "X:A", "Xü"])
def test_a_header_whose_name_would_break_the_request_is_not_sent(name: str) -> None:
    async def run(caller: Caller) -> None:
        with pytest.raises(NoAnswer) as silence:
            await caller.call(headers={name: "1"})
        assert not silence.value.sent

    assert talk([OK], run).heads == []


def test_what_stands_behind_a_hash_sign_is_not_sent() -> None:
    async def run(caller: Caller) -> None:
        await caller.session.send(Request("GET", f"{caller.url}a?b=1#token"))

    assert talk([OK], run).heads[0].startswith(b"GET /a?b=1 HTTP/1.1\r\n")


def test_a_query_without_a_path_goes_to_the_root() -> None:
    async def run(caller: Caller) -> None:
        await caller.session.send(Request("GET", caller.url.rstrip("/") + "?b=1"))

    assert talk([OK], run).heads[0].startswith(b"GET /?b=1 HTTP/1.1\r\n")


def test_a_name_whose_servers_are_silent_is_asked_for_once_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent, asked = threading.Event(), []
    resolve = socket.getaddrinfo

    def slow(host: str, *more: Any, **options: Any) -> Any:
        if host == "silent.example.test":
            asked.append(host)
            silent.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return resolve(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def run(caller: Caller) -> None:
        silent.clear()
        caller.session._connect_s = 0.3
        waiting = [caller.session.send(Request("GET", "https://silent.example.test/")) for _ in range(50)]
        lost = asyncio.gather(*waiting, return_exceptions=True)
        assert (await caller.call()).text == "ok"
        assert {str(each) for each in await lost} == {"silent.example.test has not answered for 0.3 seconds."}
        silent.set()

    talk([OK], run)
    assert len(asked) == 2, "once on each of the two loops"
