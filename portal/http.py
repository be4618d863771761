"""uvicorn's HTTP protocol, deaf to offers of another one.

Java's own client and `curl --http2` offer to go on in HTTP/2 with every request over plain http. The parser takes such an
offer for a change of protocol and drops the body of the request: a lead would come in empty. No offer is taken here, so
the header that makes it is renamed before the parser sees it.
"""

from __future__ import annotations

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OFFER = re.compile(rb"\r\nupgrade[ \t]*:", re.IGNORECASE)


class HttpProtocol(HttpToolsProtocol):
    """To be given to uvicorn as its `http`."""

    _in_body = False

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
        super().on_message_complete()
