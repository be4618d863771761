"""A line that can be cut: a TCP proxy on loopback that breaks off in the middle of a body, or takes no calls at all."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Literal

Where = Literal["request", "answer"]


class Lines:
    """The loop, in a thread of its own, that all lines of a field run on."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="lines", daemon=True)
        self._thread.start()

    def open(self, port: int, to_port: int) -> Line:
        """Listen on `port` of this machine and pass on to `to_port`."""
        line = Line(to_port)
        asyncio.run_coroutine_threadsafe(line.listen(port), self.loop).result(10)
        return line

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)


class Line:
    """One address, and what is behind it. Orders may come from any thread."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._orders: list[Where] = []
        self._lock = threading.Lock()
        self.cuts = 0
        self.blocked = False

    async def listen(self, port: int) -> None:
        await asyncio.start_server(self._serve, "127.0.0.1", port)

    def cut(self, where: Where, count: int) -> None:
        """Cut the next `count` posts of leads in the middle of the request's or of the answer's body."""
        with self._lock:
            self._orders += [where] * count

    def mend(self) -> None:
        """No cuts that were ordered and are still to come; take calls."""
        with self._lock:
            self._orders.clear()
        self.blocked = False

    def _take_order(self) -> Where | None:
        with self._lock:
            return self._orders.pop(0) if self._orders else None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.blocked:
            writer.transport.abort()
            return
        try:
            behind, to = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self, writer, to)
        await asyncio.gather(connection.requests(reader), connection.answers(behind))

    def order_done(self) -> None:
        self.cuts += 1

    def give_back(self, where: Where) -> None:
        """The connection ended by itself before there was a body to cut."""
        with self._lock:
            self._orders.insert(0, where)


class _Connection:
    """Both directions of one connection. `ordered` is what is to happen to the post that is on its way."""

    def __init__(self, line: Line, caller: asyncio.StreamWriter, to: asyncio.StreamWriter) -> None:
        self._line = line
        self._caller = caller
        self._to = to
        self._ordered: Where | None = None

    async def requests(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if chunk.startswith(b"POST ") and self._ordered is None:
                    path = chunk.split(b" ", 2)[1].partition(b"?")[0]
                    self._ordered = self._line._take_order() if path.endswith((b"/leads", b"/hook")) else None
                if self._ordered == "request" and await self._cut(chunk, self._to):
                    return
                self._to.write(chunk)
                await self._to.drain()
        self._end()

    async def answers(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if self._ordered == "answer" and await self._cut(chunk, self._caller):
                    return
                self._caller.write(chunk)
                await self._caller.drain()
        self._end()

    async def _cut(self, chunk: bytes, on: asyncio.StreamWriter) -> bool:
        """Pass on the head and half of the body, and break off; False while there is no body yet."""
        head, parted, body = chunk.partition(b"\r\n\r\n")
        if not parted:
            head, body = b"", chunk
        if not body:
            return False
        on.write(head + parted + body[: len(body) // 2])
        with contextlib.suppress(OSError):
            await on.drain()
        self._line.order_done()
        self._ordered = None
        self._end()
        return True

    def _end(self) -> None:
        if self._ordered is not None:
            self._line.give_back(self._ordered)
            self._ordered = None
        self._caller.close()
        self._to.close()
