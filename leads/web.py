"""A lean ASGI handler for the few hot addresses: what came in, what goes out, and which function is asked.

Django's own ASGI handler makes a one-thread executor for each request; here a request costs some microseconds. No input makes a
500: what can't be read is refused in words, a client that goes away is forgotten.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import IO, Any

from django.conf import settings
from django.db import InterfaceError, OperationalError

from leads.error_words import error_words
from leads.posted import BadBody, Pairs, body_pairs, query_pairs

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]

# In the scope of a request whose body has come as a whole (portal/http.py).
WHOLE_BODY = "portal.whole_body"
CORS_UNDER = ("/webhook/", "/v1/")
# A body that is too large is read to its end up to this many times the limit, so that its sender can read the answer.
DRAIN_FACTOR = 20


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Content-Length is added to its headers when it is sent."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Pieces | None = None
    """A body too large to be held as a whole, in place of `body`."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A body that is sent piece by piece, and how many bytes it has in all."""

    length: int
    each: Iterator[bytes]


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON in ASCII, so that whatever text was posted can be said again."""
    return Response(status, json.dumps(data).encode("ascii"), "application/json", headers or {})


def text_response(text: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, text.encode("utf-8", "replace"), "text/plain; charset=utf-8", headers or {})


def overloaded() -> Response:
    """503: nothing was stored; the same request may be sent again in a moment."""
    message = "Too busy. Nothing was stored: send it again in a moment."
    return json_response({"code": 503, "message": message}, 503, {"Retry-After": "1"})


class Refusal(Exception):
    """Ends a handler with an answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Refusal:
    """A refusal in the documented shape (facts, section 7): `{"code": ..., "message": ...}`."""
    return Refusal(json_response({"code": status, "message": message}, status, headers))


class Disconnected(Exception):
    """The client went away before its body was whole: there is nobody to answer and nothing to keep."""


class Request:
    """One request. `params` are the parts of its path, digits as integers."""

    __slots__ = ("__dict__", "_receive", "method", "params", "path", "scope")

    def __init__(self, scope: Scope, receive: Receive, params: Mapping[str, Any] | None = None) -> None:
        self.scope = scope
        self._receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.params: Mapping[str, Any] = params or {}

    @cached_property
    def query(self) -> Pairs:
        """The query as pairs. Raises Refusal (400) when there are too many."""
        try:
            return query_pairs(self.scope["query_string"], settings.MAX_FORM_PARTS)
        except BadBody as problem:
            raise refusal(problem.status, problem.message) from None

    def argument(self, name: str) -> str:
        """The last value of a query parameter; empty where there is none."""
        if self.scope["query_string"]:
            for key, value in reversed(self.query):
                if key == name:
                    return value
        return ""

    def header(self, name: str) -> str:
        """A header's value, by its name in lower case; empty where there is none."""
        wanted = name.encode("ascii")
        for key, value in self.scope["headers"]:
            if key == wanted:
                return str(value.decode("latin-1")).strip()
        return ""

    @property
    def client_ip(self) -> str | None:
        client = self.scope.get("client")
        return _known_ip(client[0]) if client else None

    async def body(self, limit: int | None = None) -> bytes:
        """The whole body. Raises Refusal (413, 408) and Disconnected."""
        limit = settings.MAX_BODY_BYTES if limit is None else limit
        if WHOLE_BODY in self.scope:
            return await self._whole(limit)
        try:
            async with asyncio.timeout(settings.BODY_TIMEOUT_SECONDS):
                return await self._whole(limit)
        except TimeoutError:
            raise refusal(408, "The body did not arrive in time.", {"Connection": "close"}) from None

    async def _whole(self, limit: int) -> bytes:
        chunks: list[bytes] = []
        size, more = 0, True
        while more and size <= limit * DRAIN_FACTOR:
            message = await self._receive()
            if message["type"] != "http.request":
                raise Disconnected
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
        if size > limit:
            raise refusal(413, f"The body is larger than {limit} bytes.", {"Connection": "close"} if more else None)
        return b"".join(chunks)

    async def spool(self, file: IO[bytes], limit: int, seen: Callable[[bytes], None]) -> None:
        """Write the whole body into a file; each piece of it is shown to `seen`. Raises Refusal (413, 408) and Disconnected.

        For large bodies: each piece, not the whole, has to arrive in time.
        """
        size, more = 0, True
        while more:
            try:
                async with asyncio.timeout(settings.BODY_TIMEOUT_SECONDS):
                    message = await self._receive()
            except TimeoutError:
                raise refusal(408, "The body did not arrive in time.", {"Connection": "close"}) from None
            if message["type"] != "http.request":
                raise Disconnected
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size > limit:
                raise refusal(413, f"The body is larger than {limit} bytes.", {"Connection": "close"})
            seen(chunk)
            file.write(chunk)

    async def form(self) -> Pairs:
        """The posted pairs. Raises Refusal (400, 408, 413, 415) and Disconnected."""
        if self.header("content-encoding") not in ("", "identity"):
            raise refusal(415, "Post the body without compression.")
        body = await self.body()
        try:
            return body_pairs(self.header("content-type"), body, settings.MAX_FORM_PARTS)
        except BadBody as problem:
            raise refusal(problem.status, problem.message) from None


@lru_cache(maxsize=4096)
def _known_ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


Handler = Callable[[Request], Awaitable[Response]]


class Route:
    """An address: `Route(["POST"], "/api/v{version}/publisher/{publisher_id:int}/...", handler)`.

    `{name}` takes what stands between two slashes, `{name:int}` digits that fit a database key, `{name:a|b}` what matches this
    regular expression. A dot outside of them is written `\\.`.
    """

    __slots__ = ("handler", "methods", "pattern")

    def __init__(self, methods: Sequence[str], path: str, handler: Handler) -> None:
        self.methods = frozenset(methods)
        self.handler = handler
        self.pattern = re.compile(_PLACEHOLDER.sub(_group, path))


_PLACEHOLDER = re.compile(r"\{(\w+)(?::((?:[^{}]|\{[\d,]+\})+))?\}")


def _group(match: re.Match[str]) -> str:
    kind = {None: "[^/]+", "int": "[0-9]{1,18}"}.get(match[2], match[2])
    return f"(?P<{match[1]}{'__int' if match[2] == 'int' else ''}>{kind})"


def dispatch(routes: Iterable[Route], shape: Callable[[Response], Response] = lambda response: response) -> Application:
    """An ASGI application over these routes; what they do not know is a plain 404, a wrong method a 405.

    `shape` gets every answer on its way out, also those that are given here.
    """
    known = tuple(routes)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await _answer(known, scope, receive)
        except Disconnected:
            return
        except Refusal as refused:
            response = refused.response
        except (OperationalError, InterfaceError) as error:
            logger.error("%s %s: no database: %s", scope["method"], _without_secrets(scope["path"]), error_words(error))
            response = overloaded()
        except Exception:
            logger.exception("%s %s failed", scope["method"], _without_secrets(scope["path"]))
            response = json_response({"code": 500, "message": ""}, 500)
        await respond(scope, send, shape(response))

    return application


def _without_secrets(path: str) -> str:
    return re.sub(r"[0-9a-fA-F-]{32,36}", "…", path)


async def _answer(routes: Sequence[Route], scope: Scope, receive: Receive) -> Response:
    path, method = scope["path"], scope["method"]
    allowed: set[str] = set()
    for route in routes:
        match = route.pattern.fullmatch(path)
        if match is None:
            continue
        if method in route.methods or (method == "HEAD" and "GET" in route.methods):
            params = {
                name.removesuffix("__int"): int(value) if name.endswith("__int") else value
                for name, value in match.groupdict().items()
            }
            return await route.handler(Request(scope, receive, params))
        allowed |= route.methods
    if not allowed:
        return text_response("404 Not Found", 404)
    if "GET" in allowed:
        allowed.add("HEAD")
    allow = {"Allow": ", ".join(sorted(allowed | {"OPTIONS"}))}
    if method == "OPTIONS":
        return Response(204, headers={**allow, **(_preflight(scope) if path.startswith(CORS_UNDER) else {})})
    return text_response("405 Method Not Allowed", 405, allow)


def _preflight(scope: Scope) -> dict[str, str]:
    asked = next((v.decode("latin-1") for k, v in scope["headers"] if k == b"access-control-request-headers"), "")
    return {
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Allow-Headers": asked if re.fullmatch(r"[\w, -]{1,500}", asked, re.ASCII) else "Content-Type",
        "Access-Control-Max-Age": "86400",
    }


async def respond(scope: Scope, send: Send, response: Response) -> None:
    """Send an answer."""
    length = len(response.body) if response.pieces is None else response.pieces.length
    headers = [(b"content-length", b"%d" % length)]
    if response.content_type:
        headers.append((b"content-type", response.content_type.encode("latin-1")))
    for name, value in response.headers.items():
        headers.append((name.lower().encode("latin-1"), value.encode("latin-1", "replace")))
    if scope["path"].startswith(CORS_UNDER):
        # Facts, section 6: the campaign webhook is called from browsers on other sites; so is the tracking API.
        headers.append((b"access-control-allow-origin", b"*"))
        headers.append((b"access-control-expose-headers", b"Idempotency-Key-Honoured, Retry-After, X-RateLimit-Reset"))
    if response.status in (204, 304):
        headers.pop(0)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.pieces is not None and scope["method"] != "HEAD":
        for piece in response.pieces.each:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})
