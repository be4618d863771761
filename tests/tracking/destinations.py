"""A stand-in for the destinations of tracked events, on loopback: takes whatever it is sent, and counts it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Destination:
    """`bodies` are what was posted as JSON, `queries` what was asked for by GET, in the order in which they came."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.queries: list[dict[str, str]] = []
        self._changed = threading.Condition()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._taken(owner.bodies, body)

            def do_GET(self) -> None:
                asked = parse_qs(urlsplit(self.path).query)
                self._taken(owner.queries, {name: values[0] for name, values in asked.items()})

            def _taken(self, where: list[Any], what: Any) -> None:
                with owner._changed:
                    where.append(what)
                    owner._changed.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def wait(self, enough: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until there is enough; AssertionError with what there is."""
        with self._changed:
            assert self._changed.wait_for(enough, seconds), f"{len(self.bodies)} posts, {len(self.queries)} gets only"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
