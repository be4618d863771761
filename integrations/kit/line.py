"""One connection to one server: one call at a time, its answer read up to the cap and within its time limits.

It knows no addresses and opens nothing (kit/http.py does); what comes in is read by httptools.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import httptools

from integrations.kit.wire import BODY_CAP

# Status line and headers together, those of interim answers included.
HEAD_CAP = 64 * 1024
# Shorter than what common servers wait for the next request, so that a request seldom meets a line being closed.
KEEPALIVE_S = 3.0
# A loop's clock goes by milliseconds, and its timers may be early by one.
_TICK_S = 0.002


class BrokenOff(Exception):
    """The other side closed the line before it had said a status."""


class Gibberish(Exception):
    """What the other side said is no HTTP."""


class Silent(Exception):
    """The other side said no status in time: not for so many `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(slots=True)
class Answer:
    """What came back. Header names are lower-case, and of those that came twice the first counts."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool
    """The body came to its end."""


class Line(asyncio.Protocol):
    """A connection that is kept between calls for a few seconds; to be used on its loop."""

    def __init__(self, read_s: float) -> None:
        self._read_s = read_s
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        # Old servers of clients end lines as they like. What is dangerous about it are two programs that read one line in two
        # ways; this line is read once, and carries nothing after an answer that was not asked for.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._call: asyncio.Future[Answer] | None = None
        self._good = True
        """It can carry another call after this one."""
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = self._idle_since = self._until = self._whole_s = 0.0
        self.used = 0
        """How many calls it has carried."""
        self._forget()

    def _forget(self) -> None:
        self._status = self._head_bytes = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._ends_with_line = False

    @property
    def usable(self) -> bool:
        """Whether it can carry a call now."""
        return self._good and self._call is None and not self._transport.is_closing()

    @property
    def heard(self) -> bool:
        """Whether anything of an answer to the last call has come."""
        return bool(self._status or self._head_bytes)

    async def call(self, message: bytes, *, until: float, whole_s: float, bodiless: bool = False) -> Answer:
        """Send a whole request and return the answer; `until` is the time of the loop at which `whole_s` are over.

        BrokenOff, Gibberish or Silent where no status came. Once it has come, whatever breaks only cuts the body.
        `bodiless`: the answer has no body, whatever it says of one (HEAD).
        """
        self._forget()
        self.used += 1
        self._bodiless = bodiless
        self._until, self._whole_s, self._heard_at = until, whole_s, self._loop.time()
        call: asyncio.Future[Answer] = self._loop.create_future()
        self._call = call
        self._transport.write(message)
        self._wake_at(min(self._heard_at + self._read_s, until))
        try:
            return await call
        except asyncio.CancelledError:
            self.abort()
            raise

    def close(self) -> None:
        """Close it in good order."""
        self._good = False
        self._transport.close()

    def abort(self) -> None:
        """Cut it: nothing more is wanted, and nothing more is said."""
        self._good = False
        self._call = None
        self._transport.abort()

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._call is None:
            # Nobody has asked: it must not be taken for the answer to what is asked next.
            self.abort()
            return
        self._heard_at = self._loop.time()
        if not self._status:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:  # an offer of another protocol among them, which nobody asked for
            self._break(Gibberish())
            return
        if self._head_bytes > HEAD_CAP and not self._status:
            self._break(Gibberish())

    def connection_lost(self, error: Exception | None) -> None:
        self._good = False
        if self._timer is not None:
            self._timer.cancel()
        if self._status and self._ends_with_line and error is None:
            self._end(whole=True)
        else:
            self._break(BrokenOff())

    # --- httptools' side ---

    def on_message_begin(self) -> None:
        if self._call is None:
            self._good = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # a trailer is none of the headers
            self._headers.setdefault(name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._headers = {}
            return
        self._status = status
        headers = self._headers
        self._ends_with_line = "content-length" not in headers and "chunked" not in headers.get("transfer-encoding", "")
        if self._bodiless:
            self._good = False
            self._end(whole=True)

    def on_body(self, body: bytes) -> None:
        if self._call is None:
            return
        self._body.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > BODY_CAP:
            self._break(Gibberish())

    def on_message_complete(self) -> None:
        if self._status:
            self._good = self._good and self._parser.should_keep_alive()
            self._end(whole=True)

    # --- ends ---

    def _end(self, *, whole: bool) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        self._idle_since = self._heard_at
        if self._transport.get_write_buffer_size():
            self._good = False  # they answered before they had read it all
        if not call.done():
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            call.set_result(Answer(self._status, self._headers, body, whole))

    def _break(self, why: Exception) -> None:
        """It ends here: with a body that is cut, or with an error where no status has come."""
        self._good = False
        if self._status:
            self._end(whole=False)
        else:
            call, self._call = self._call, None
            if call is not None and not call.done():
                call.set_exception(why)
        self._transport.abort()

    # --- time ---

    def _wake_at(self, at: float) -> None:
        """Look again at that time. A timer that comes earlier is left: calls are shorter than what they may take."""
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        soon = self._loop.time() + _TICK_S
        if self._call is None:
            if soon >= self._idle_since + KEEPALIVE_S:
                self.close()
            else:
                self._wake_at(self._idle_since + KEEPALIVE_S)
        elif soon >= self._until:
            self._break(Silent(self._whole_s))
        elif soon >= self._heard_at + self._read_s:
            self._break(Silent(self._read_s))
        else:
            self._wake_at(min(self._heard_at + self._read_s, self._until))

    def rest(self) -> None:
        """It is kept for the next call, for a while."""
        self._wake_at(self._idle_since + KEEPALIVE_S)
