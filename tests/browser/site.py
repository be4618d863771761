"""A web site that runs the browser library, on loopback: its pages, and a receiver that takes and counts what they send."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Convertro's own script, as far as a page sees of it: takes what waits in its queue, and what comes after.
LIVE_JS = """
(function () {
  var queue = window.$CVO || [];
  window.told = window.told || [];
  function take(call) { window.told.push(JSON.parse(JSON.stringify(call))); }
  queue.forEach(take);
  window.$CVO = { push: take, trackEvent: function () {}, trackUser: function () {} };
  window.__cvo = {};
})();
"""


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Site:
    """Serves `pages` (paths to HTML or scripts), and answers POST /v1/batch as `answer` says; what was taken is in `messages`."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.bodies: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], Answer] = lambda body: Answer()
        self._changed = threading.Condition()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                page = site.pages.get(self.path.split("?")[0])
                kind = "text/javascript" if self.path.endswith(".js") else "text/html"
                self._say(
                    200 if page is not None else 404, (page or "").encode(), {"Content-Type": f"{kind}; charset=utf-8"}
                )

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = site._take(body)
                self._say(answer.status, b"{}", {"Content-Type": "application/json", **answer.headers})

            def _say(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _take(self, body: dict[str, Any]) -> Answer:
        with self._changed:
            answer = self.answer(body)
            self.bodies.append(body)
            if answer.status == 200:
                self.messages += body["batch"]
            self._changed.notify_all()
        return answer

    def sent(self, event: str | None = None) -> list[dict[str, Any]]:
        """The messages that were taken, each once, as a server that knows repeats by their messageId has them."""
        once = {message["messageId"]: message for message in self.messages}
        return [message for message in once.values() if event is None or message.get("event") == event]

    def repeats(self) -> list[dict[str, Any]]:
        """What came more than once, as often as it came too often."""
        counts = Counter(message["messageId"] for message in self.messages)
        return [message for message in self.sent() for _ in range(counts[message["messageId"]] - 1)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def until(page: Any, found: Callable[[], Any], what: str, seconds: float = 15) -> Any:
    """Wait, with the page going on, until something is so."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"{what}: not in {seconds} s"
        page.wait_for_timeout(20)
    return value
