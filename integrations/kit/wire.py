"""A request as it goes out and an answer as it is taken in, the same for both clients of kit/http.py."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, urlencode

from integrations.kit.addresses import Destination, destination
from integrations.kit.contract import NoAnswer, Request, Response

BODY_CAP = 256 * 1024
USER_AGENT = "connect-portal"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request as both clients send it."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    to: Destination


def prepare(request: Request, private_hosts: Collection[str]) -> Prepared:
    """The request, encoded; NoAnswer(sent=False) where it may not go where it wants, or can't be written."""
    to = destination(request.url, private_hosts)
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity", **request.headers}
    body = request.body
    if request.form is not None:
        body = _form_body(request.form)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif request.json is not None:
        body = json_body(request.json) if request.body is None else request.body
        headers["Content-Type"] = "application/json"
    if request.bearer:
        headers["Authorization"] = f"Bearer {request.bearer}"
    if any(not value.isprintable() or not value.isascii() for value in headers.values()):
        raise NoAnswer("A header of the request has characters that can't be sent.", sent=False)
    url = request.url
    if request.query:
        url += ("&" if "?" in url else "?") + urlencode(request.query, errors="replace")
    return Prepared(request.method, url, headers, body, to)


def json_body(value: Any) -> bytes:
    """Request.json as it goes out, byte for byte: what a connector signs."""
    return json.dumps(value).encode("ascii")


@lru_cache(maxsize=4096)
def _key(name: str) -> str:
    return quote_plus(name, errors="replace")


def _form_body(form: Sequence[tuple[str, str]]) -> bytes:
    """urlencoded; the keys of a form are the same for every lead, so each is encoded once."""
    return "&".join([f"{_key(name)}={quote_plus(value, errors='replace')}" for name, value in form]).encode("ascii")


def taken(status: int, headers: Mapping[str, str], body: bytes, *, whole: bool) -> Response:
    """The answer, unpacked and cut at the cap; `whole` says whether the body came to its end."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate") and body:
        body, whole = _unpacked(body, whole=whole)
    return Response(status, headers, body[:BODY_CAP], cut=not whole or len(body) > BODY_CAP)


def _unpacked(body: bytes, *, whole: bool) -> tuple[bytes, bool]:
    """What a server packed although it was asked not to; a packed flood is cut like any other."""
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):
        unpacker = zlib.decompressobj(window)
        with contextlib.suppress(zlib.error):
            plain = unpacker.decompress(body, BODY_CAP + 1)
            return plain, whole and unpacker.eof
    return body, False
