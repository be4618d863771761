"""The client that the bench delivers to: takes whatever is posted, at once or after a set time, and keeps when it came.

    python -m bench.stand_in PORTS

It listens on so many ports of 127.0.0.1, each of which is a client of its own to the portal, and prints them as a line of
JSON. Commands come as lines of JSON on its standard input, answers go to its standard output:
{"do": "reset", "delay_ms": 50} forgets everything; {"do": "count"} says how many leads came; {"do": "times"} says when each
lead (by the number in its address) came whole for the first time, in seconds of the system's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from typing import Any

import uvloop

_LEAD = re.compile(rb"lead(\d+)(?:@|%40)")
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

    def do(self, command: dict[str, Any]) -> Any:
        match command["do"]:
            case "reset":
                self.__init__()  # type: ignore[misc]
                self.delay_s = command.get("delay_ms", 0) / 1000
                return "ok"
            case "count":
                return {"leads": len(self.times), "posts": self.posts}
            case "times":
                return list(self.times.items())
        raise ValueError(command)


class Line(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other, each answered with 201 and a number."""

    def __init__(self, taken: Taken, loop: asyncio.AbstractEventLoop) -> None:
        self._taken = taken
        self._loop = loop
        self._read = b""

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (head_end := self._read.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._read, 0, head_end)
            end = head_end + 4 + (int(length[1]) if length else 0)
            if len(self._read) < end:
                return
            head, body, self._read = self._read[:head_end], self._read[head_end + 4 : end], self._read[end:]
            self._taken.take(body)
            answer = _answer(head, self._taken.posts)
            if self._taken.delay_s:
                self._loop.call_later(self._taken.delay_s, self._transport.write, answer)
            else:
                self._transport.write(answer)


def _answer(head: bytes, number: int) -> bytes:
    body = b'{"data": %d, "id": %d}' % (number, number)
    return b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def main(ports: int) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    taken = Taken()
    servers = [await loop.create_server(lambda: Line(taken, loop), "127.0.0.1", 0) for _ in range(ports)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        print(json.dumps(taken.do(json.loads(line))), flush=True)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
