"""A client's instance as far as Configure talks to it: log-in, form fields and links, over real HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

API_KEY = "client-key-5b1e9a02c4d8-7f3c"


def remote_field(key: str, label: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "label": label, "type": "text", "required": False, "hidden": False, "choices": [], **more}


@dataclass
class ClientInstance:
    """What the instance says; a test changes it as the client would."""

    fields: list[dict[str, Any]] = field(default_factory=list)
    forms: int = 1
    asked: list[str] = field(default_factory=list)
    port: int = 0
    refuses_everything: bool = False
    says: tuple[int, Any] = (201, {"data": 1})
    """The answer to a lead."""
    silent: bool = False
    """Takes requests and does not answer them."""
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if self.refuses_everything:
            return 503, {"error": "maintenance"}
        if path == "/oauth/v2/token":
            if query.get("api_key") != [API_KEY]:
                return 400, {"error": "invalid_grant"}
            return 200, {"access_token": "a-token", "expires_in": 3600, "token_type": "bearer", "refresh_token": "r"}
        if "/publisher/fields/204" in path:
            return 200, [
                {"formId": 7 + place, "formName": f"Webinar sign-up {place}", "fields": self.fields}
                for place in range(self.forms)
            ]
        if path.endswith("/leads"):
            return self.says
        if "/publisher/links/204" in path:
            return 200, [{"id": 3, "name": "Partners", "channel": "API"}]
        return 404, {"error": "not found"}


@contextmanager
def client_instance() -> Iterator[ClientInstance]:
    instance = ClientInstance()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.do_GET()

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            instance.asked.append(url.path)
            if instance.silent:
                instance.over.wait(60)
                return
            status, answer = instance.answer(url.path, parse_qs(url.query))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    instance.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield instance
    finally:
        instance.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
