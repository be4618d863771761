"""uvicorn's HTTP protocol, deaf to offers of another one, and with one write for an answer.

Java's own client and `curl --http2` offer to go on in HTTP/2 with every request over plain http. The parser takes such an
offer for a change of protocol and drops the body of the request: a lead would come in empty. No offer is taken here, so
the header that makes it is renamed before the parser sees it.

An answer's head and its body are two writes to uvicorn, and each of them a call to the system that wakes whoever reads. The head
waits for the body here, which comes in the same turn of the loop.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from leads.web import WHOLE_BODY

_OFFER = re.compile(rb"\r\nupgrade[ \t]*:", re.IGNORECASE)


class _Joined:
    """A transport that joins two writes of one turn of the loop; everything else is the transport's own."""

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if self._held:
            data, self._held = self._held + data, b""
            self._transport.write(data)
        elif data:
            self._held = data
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)


class HttpProtocol(HttpToolsProtocol):
    """To be given to uvicorn as its `http`."""

    _in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Joined(transport))  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        if not self._in_body and b"pgrade" in data:
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _OFFER.sub(b"\r\nX-Declined-Upgrade:", head) + end + rest
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        # Before the task that answers begins, where head and body came together: it need not look at the clock.
        self.scope[WHOLE_BODY] = True  # type: ignore[literal-required]
        super().on_message_complete()
