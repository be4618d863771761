"""The publishers' side: posts leads on connections that are kept, as fast as answers come or one every so often.

    python -m bench.load < task

The task is one line of JSON: port, connections, count, first (the number of the first lead), paths (taken in turn), token,
every_ms (0: as fast as answers come). With batch and key (a source's write key) in place of paths and token it posts batches of so
many tracked events; with json leads go as JSON, as the partner API takes them. Of events the first with the events from the number `first` on. The answer, printed as one line of JSON: statuses and how many answers had each, the
seconds of the system's monotonic clock of the first request and the last answer, `sent` (number to when, for every_ms
alone), and the seconds of CPU that all this took.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
import time
from collections import Counter
from typing import Any

import orjson
import uvloop

from bench.messages import message

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r", re.IGNORECASE)
_FIELDS = (
    "form%5BfirstName%5D=Ada&form%5BlastName%5D=Lovelace&form%5Bemail%5D=lead{number}%40example.test"
    "&form%5Bphone%5D=%2B4930901820&form%5Bcompany%5D=Analytical+Engines+Ltd&form%5BjobTitle%5D=Head+of+Computing"
    "&form%5Bcountry%5D=DE&form%5Bemployees%5D=51-200"
)
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
_HEAD = (
    "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
    "Content-Type: {kind}\r\nIdempotency-Key: bench-{number}\r\nContent-Length: {length}\r\n\r\n"
)
_BATCH_HEAD = (
    "POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {credentials}\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)


def lead_values(number: int) -> dict[str, str]:
    """The values of a lead, by field; the same that are posted as a form."""
    return {
        "firstName": "Ada",
        "lastName": "Lovelace",
        "email": f"lead{number}@example.test",
        "phone": "+4930901820",
        "company": "Analytical Engines Ltd",
        "jobTitle": "Head of Computing",
        "country": "DE",
        "employees": "51-200",
    }


def requests_made(task: dict[str, Any]) -> list[bytes]:
    """All requests as bytes, so that making them costs nothing while it is measured."""
    return _batches(task) if "batch" in task else _leads(task)


def _batches(task: dict[str, Any]) -> list[bytes]:
    size, credentials = task["batch"], base64.b64encode(f"{task['key']}:".encode()).decode()
    made = []
    for start in range(task["first"], task["first"] + task["count"] * size, size):
        batch = [message(number) for number in range(start, start + size)]
        body = orjson.dumps({"batch": batch, "sentAt": "2026-01-31T12:00:01.000Z"})
        made.append(_BATCH_HEAD.format(credentials=credentials, length=len(body)).encode() + body)
    return made


def _leads(task: dict[str, Any]) -> list[bytes]:
    made = []
    kind = JSON if task.get("json") else FORM
    for number in range(task["first"], task["first"] + task["count"]):
        body = orjson.dumps(lead_values(number)).decode() if task.get("json") else _FIELDS.format(number=number)
        path = task["paths"][number % len(task["paths"])]
        made.append(
            (_HEAD.format(path=path, token=task["token"], kind=kind, number=number, length=len(body)) + body).encode()
        )
    return made


class Line(asyncio.Protocol):
    """One connection; answers have a Content-Length, as the portal's have."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._read = b""

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head_end = self._read.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length = _LENGTH.search(self._read, 0, head_end + 2)
        if length is None:
            raise ValueError(f"an answer without a length: {self._read[:300]!r}")
        if len(self._read) < head_end + 4 + int(length[1]):
            return
        status = int(self._read[9:12])
        self._read = b""
        self._load.answered(self, status)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost()


class Load:
    """The run of one task."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.task = task
        self.requests = requests_made(task)
        self.next = 0
        self.answers: Counter[int] = Counter()
        self.sent: list[float] = []
        self.free: list[Line] = []
        self.last = 0.0
        self.ended = asyncio.get_running_loop().create_future()

    async def run(self) -> dict[str, Any]:
        """Post everything; what came of it."""
        loop = asyncio.get_running_loop()
        lines = [
            (await loop.create_connection(lambda: Line(self), "127.0.0.1", self.task["port"]))[1]
            for _ in range(self.task["connections"])
        ]
        every_s = self.task["every_ms"] / 1000
        cpu, first = time.process_time(), time.monotonic()
        if every_s:
            self.free = list(lines)
            for number in range(len(self.requests)):
                await asyncio.sleep(first + number * every_s - time.monotonic())
                # Its time counts from when it should have gone out, also where all connections wait for an answer.
                self.sent.append(time.monotonic())
                if self.free:
                    self._send(self.free.pop(0))
        else:
            for line in lines:
                self._send(line)
        await self.ended
        cpu = time.process_time() - cpu
        for line in lines:
            line.transport.close()
        return {
            "first": first,
            "last": self.last,
            "answers": self.answers,
            "sent": [(self.task["first"] + place, at) for place, at in enumerate(self.sent)] if every_s else [],
            "cpu_s": cpu,
        }

    def _send(self, line: Line) -> None:
        if self.next < len(self.requests):
            request = self.requests[self.next]
            self.next += 1
            line.transport.write(request)

    def answered(self, line: Line, status: int) -> None:
        """Count an answer, and use the line again."""
        self.answers[status] += 1
        self.last = time.monotonic()
        if self.answers.total() == len(self.requests):
            self.ended.set_result(None)
        elif self.task["every_ms"] and self.next == len(self.sent):
            self.free.append(line)
        else:
            self._send(line)

    def lost(self) -> None:
        """A connection is gone, which is nobody's wish before the end."""
        if not self.ended.done():
            self.ended.set_exception(RuntimeError("the portal closed a connection"))


async def main() -> None:
    """Do the tasks that come in, one after the other, until standard input ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await Load(json.loads(line)).run()), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
