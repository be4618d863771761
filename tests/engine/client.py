"""A client's instance for tests: a real HTTP server on loopback that answers as the facts say, or as it is told to."""

from __future__ import annotations

import json
import threading
from collections import deque
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

FIELDS = [
    {"key": "form[firstName]", "label": "First name", "type": "text", "required": True, "hidden": False},
    {"key": "form[email]", "label": "E-mail", "type": "email", "required": True, "hidden": False},
    {"key": "form[company]", "label": "Company", "type": "text", "required": False, "hidden": False},
]
SYNC_FIELDS = [
    {"key": "form[syncToken]", "type": "hidden", "required": False, "hidden": True, "sync": "token"},
    {"key": "form[syncSubdomain]", "type": "hidden", "required": False, "hidden": True, "sync": "subdomain"},
]


@dataclass
class Answer:
    status: int
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    """Read the request, then close the connection without an answer."""


@dataclass
class Seen:
    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]


class Client:
    """Answers like a client's instance; `say` puts the next answers to lead posts, `say_to_logins` those to log-ins, `results` those to look-ups."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.tokens = 0
        self.good_key = "key-of-the-publisher"
        self.refuse_tokens: set[str] = set()
        self.leads: list[dict[str, str]] = []
        self.keys: dict[str, int] = {}
        self.honours_keys = True
        self.offers_sync = True
        self.fields: list[dict[str, Any]] = deepcopy(FIELDS)
        self.strict = False
        """Refuse a lead with a field that is not on the form, and one without a required field, as an instance does."""
        self.say: deque[Answer] = deque()
        self.say_to_logins: deque[Answer] = deque()
        self.results: dict[str, Answer] = {}
        self.callbacks: list[Seen] = []
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                url = urlsplit(self.path)
                seen = Seen(
                    self.command,
                    url.path,
                    dict(parse_qsl(url.query)),
                    dict(parse_qsl(body, keep_blank_values=True)),
                    {name.lower(): value for name, value in self.headers.items()},
                )
                with owner._lock:
                    owner.seen.append(seen)
                    answer = owner._answer(seen)
                if answer.cut:
                    self.close_connection = True
                    return
                data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def posts(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.path.endswith("/leads")]

    def _answer(self, seen: Seen) -> Answer:
        if seen.path.startswith("/api/webhook/"):
            self.callbacks.append(seen)
            return Answer(201)
        if seen.path == "/oauth/v2/token":
            if seen.query.get("api_key") != self.good_key:
                return Answer(400, {"error": "invalid_grant", "error_description": "Invalid API key"})
            if self.say_to_logins:
                return self.say_to_logins.popleft()
            self.tokens += 1
            return Answer(200, {"access_token": f"token-{self.tokens}", "expires_in": 3600, "token_type": "bearer"})
        if seen.headers.get("authorization", "").removeprefix("Bearer ") in self.refuse_tokens:
            return Answer(401, {"code": 401, "message": "Access denied."})
        if "/publisher/fields/" in seen.path:
            fields = self.fields + (SYNC_FIELDS if self.offers_sync else [])
            headers = {"Idempotency-Key-Honoured": "true"} if self.honours_keys else {}
            return Answer(200, [{"formName": "Webinar", "formId": 75, "fields": fields}], headers)
        if "/lead-result/" in seen.path:
            return self.results.get(seen.path.rsplit("/", 1)[1], Answer(202, b"The lead has not been processed yet"))
        if seen.path.endswith("/leads"):
            return self._take(seen)
        return Answer(404, b"404 Not Found")

    def _take(self, seen: Seen) -> Answer:
        told = self.say.popleft() if self.say else None
        if told is not None and not (told.cut or told.status == 201):
            return told
        if self.strict and (problems := self._problems(seen.form)):
            return Answer(400, {"code": 400, "message": "Validation failed", "data": problems})
        key = seen.headers.get("idempotency-key", "")
        if not (self.honours_keys and key in self.keys):
            self.leads.append(seen.form)
            self.keys[key] = len(self.leads)
        return told or Answer(201, {"data": self.keys[key], "message": "Lead was created successfully", "status": 201})

    def _problems(self, form: dict[str, str]) -> list[dict[str, str]]:
        listed = {entry["key"]: entry for entry in self.fields + (SYNC_FIELDS if self.offers_sync else [])}
        problems = []
        if set(form) - set(listed):
            problems.append({"fieldName": "", "message": "This form should not contain extra fields."})
        for key, entry in listed.items():
            if entry["required"] and not form.get(key):
                problems.append({"fieldName": key, "message": "This value is missing."})
        return problems

    def field(self, key: str) -> dict[str, Any]:
        return next(entry for entry in self.fields if entry["key"] == key)

    def add(self, key: str, label: str, **more: Any) -> None:
        """Put a field on the form."""
        entry = {"key": key, "label": label, "type": "text", "required": False, "hidden": False}
        self.fields.append({**entry, **more})

    def remove(self, key: str) -> None:
        self.fields.remove(self.field(key))
