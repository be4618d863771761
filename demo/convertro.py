"""A stand-in for Convertro, for the demo: keeps and shows what it was sent, and serves a site whose pages are tracked.

`GET /received` is a JSON list of {at, method, path, query, body}, `DELETE /received` empties it. `/live.js` stands in for the script that
pages load; `/site` is a page with the snippet of the demo's source. Whatever else is asked for counts as sent, and is answered 200.
"""

from __future__ import annotations

import argparse
import datetime as dt
import html
import json
import os
import socket
import sys
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from leads.tracking.snippet import snippet  # noqa: E402  the line above makes it findable

PAGES = ROOT / "demo" / "pages"
KEPT = 20_000
MAX_BODY = 1_000_000
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_SERVED = {
    "/": "received.html",
    "/site": "site.html",
    "/live.js": "live.js",
    "/words.js": "words.js",
    "/demo.css": "demo.css",
}


class StandIn(ThreadingHTTPServer):
    """On a socket that listens already. `told` is what pages are told: texts by the names that stand in them."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, told: dict[str, str]) -> None:
        super().__init__(listening.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.told = told
        self.received: deque[dict[str, Any]] = deque(maxlen=KEPT)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/health":
            self._answer(b"ok", "text/plain")
        elif path == "/favicon.ico":
            self._answer(b"", "image/x-icon")
        elif path == "/received":
            self._answer(json.dumps(list(self.server.received)).encode(), "application/json")
        elif path in _SERVED:
            self._page(PAGES / _SERVED[path])
        else:
            self._receive()

    def do_POST(self) -> None:
        self._receive()

    def do_DELETE(self) -> None:
        if urlsplit(self.path).path == "/received":
            self.server.received.clear()
            self._answer(b"[]", "application/json")
        else:
            self._receive()

    def _receive(self) -> None:
        asked = urlsplit(self.path)
        length = self.headers.get("Content-Length", "0")
        size = int(length) if length.isascii() and length.isdigit() else MAX_BODY + 1
        if size > MAX_BODY:
            self.close_connection = True
            self._answer(b"", "text/plain", 413)
            return
        body = self.rfile.read(size).decode(errors="replace")
        self.server.received.append(
            {
                "at": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
                "method": self.command,
                "path": asked.path,
                "query": dict(parse_qsl(asked.query, keep_blank_values=True)),
                "body": body,
            }
        )
        self._answer(b"", "text/plain")

    def _page(self, file: Path) -> None:
        told = self.server.told
        text = file.read_text("utf-8").replace("{{snippet}}", snippet(told["portal"], told["write_key"]))
        for name, value in told.items():
            text = text.replace("{{" + name + "}}", html.escape(value))
        self._answer(text.encode(), TYPES[file.suffix])

    def _answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.3)
    os._exit(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fd", type=int, required=True, help="of the socket that listens")
    parser.add_argument("--stop-with", type=int, required=True, metavar="PID", help="stop once this parent has ended")
    asked = parser.parse_args()
    told = {name: os.environ.get(f"DEMO_{name.upper()}", "") for name in ("portal", "write_key", "lead_url")}
    server = StandIn(socket.socket(fileno=asked.fd), told)
    threading.Thread(target=_end_with, args=(asked.stop_with,), daemon=True).start()
    server.serve_forever()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
