"""The clients that the bench delivers to: they take whatever is posted, at once or after a set time, and keep when it came.

    python -m bench.stand_in PORTS

It listens on so many ports of 127.0.0.1, each of which is a client of its own to the portal, and prints them as a line of
JSON. Commands come as lines of JSON on its standard input, answers go to its standard output:
{"do": "reset", "delay_ms": 50} forgets everything; {"do": "count"} says how many leads came; {"do": "times"} says when each
lead (by the number in its address) came whole for the first time, in seconds of the system's monotonic clock.
{"do": "misbehave", "manners": {"8080": "hang"}} makes the clients at these ports hang for 30 s on every call, "fail" (500) or
answer with 256 KB of "garbage", and all others behave; calls that hang then, at ports that behave from now on, are answered
at once. What came to those that misbehave is counted by {"do": "misfits"} alone.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import uvloop

_LEAD = re.compile(rb"lead(\d+)(?:@|%40)")
HANG_S = 30.0
_GARBAGE = bytes(range(128, 256)) * 2_048
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Taken:
    """What came in."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.times: dict[int, float] = {}
        self.posts = 0

    def take(self, body: bytes) -> None:
        self.posts += 1
        found = _LEAD.search(body)
        if found:
            self.times.setdefault(int(found[1]), time.monotonic())

    def reset(self, delay_ms: float) -> None:
        self.delay_s = delay_ms / 1000
        self.times, self.posts = {}, 0


class Misfits:
    """Which ports misbehave in which way, what came to them, and the calls that hang."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.manners: dict[int, str] = {}
        self.posts: Counter[str] = Counter()
        self._hanging: dict[int, list[tuple[asyncio.TimerHandle, Callable[[], None]]]] = {}

    def change(self, manners: dict[str, str]) -> None:
        self.manners = {int(port): manner for port, manner in manners.items()}
        self.posts.clear()
        for port in [port for port in self._hanging if self.manners.get(port) != "hang"]:
            for timer, answer in self._hanging.pop(port):
                if not timer.cancelled() and timer.when() > self._loop.time():
                    timer.cancel()
                    answer()

    def answer(self, port: int, transport: asyncio.Transport) -> None:
        """Answer a call in the way of this port."""
        manner = self.manners[port]
        self.posts[manner] += 1
        match manner:
            case "hang":
                answer = partial(_write, transport, _answer(b"201 Created", b"{}"))
                self._hanging.setdefault(port, []).append((self._loop.call_later(HANG_S, answer), answer))
            case "fail":
                transport.write(_answer(b"500 Internal Server Error", b'{"message": "Something broke."}'))
            case "garbage":
                transport.write(_answer(b"200 OK", _GARBAGE))
            case _:
                raise ValueError(manner)


class Line(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other, each answered with 201 and a number."""

    def __init__(self, taken: Taken, misfits: Misfits, loop: asyncio.AbstractEventLoop) -> None:
        self._taken = taken
        self._misfits = misfits
        self._loop = loop
        self._read = b""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        self._port: int = transport.get_extra_info("sockname")[1]

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (head_end := self._read.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._read, 0, head_end)
            end = head_end + 4 + (int(length[1]) if length else 0)
            if len(self._read) < end:
                return
            body, self._read = self._read[head_end + 4 : end], self._read[end:]
            if self._port in self._misfits.manners:
                self._misfits.answer(self._port, self._transport)
                continue
            self._taken.take(body)
            number = self._taken.posts
            answer = _answer(b"201 Created", b'{"data": %d, "id": %d}' % (number, number))
            if self._taken.delay_s:
                self._loop.call_later(self._taken.delay_s, _write, self._transport, answer)
            else:
                self._transport.write(answer)


def _write(transport: asyncio.Transport, answer: bytes) -> None:
    """Answer late, where the caller still waits."""
    if not transport.is_closing():
        transport.write(answer)


def _answer(status: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return head + body


def _done(command: dict[str, Any], taken: Taken, misfits: Misfits) -> Any:
    match command["do"]:
        case "reset":
            taken.reset(command.get("delay_ms", 0))
        case "misbehave":
            misfits.change(command["manners"])
        case "count":
            return {"leads": len(taken.times), "posts": taken.posts}
        case "times":
            return list(taken.times.items())
        case "misfits":
            return misfits.posts
        case _:
            raise ValueError(command)
    return "ok"


async def main(ports: int) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    taken, misfits = Taken(), Misfits(loop)
    servers = [await loop.create_server(lambda: Line(taken, misfits, loop), "127.0.0.1", 0) for _ in range(ports)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(json.dumps(_done(json.loads(line), taken, misfits)), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
