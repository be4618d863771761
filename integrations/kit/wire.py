"""A request as it goes out and an answer as it is taken in, the same for both clients (kit/http.py, kit/single_calls.py)."""

from __future__ import annotations

import contextlib
import json
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, urlencode

from integrations.kit.addresses import Destination, destination
from integrations.kit.contract import NoAnswer, Request, Response
from integrations.kit.silence import unreadable

BODY_CAP = 256 * 1024
USER_AGENT = "connect-portal"
_VISIBLE = re.compile(r"[!-~]+\Z")
_TARGET = re.compile(r"\A[A-Za-z]+://[^/?]*")
_NAME = re.compile(r"[!#-'*+.^-z|~A-Z0-9-]+\Z")


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
    if any(not value.isprintable() or not value.isascii() or not _is_name(name) for name, value in headers.items()):
        raise NoAnswer("A header of the request has characters that can't be sent.", sent=False)
    url = request.url
    if request.query:
        url += ("&" if "?" in url else "?") + urlencode(request.query, errors="replace")
    return Prepared(request.method, url, headers, body, to)


def written(prepared: Prepared) -> bytes:
    """The request as one message of HTTP/1.1; NoAnswer(sent=False) where its address can't be written."""
    # What comes after a # is for the caller alone.
    url = prepared.url.partition("#")[0]
    if not _VISIBLE.match(url):
        raise unreadable()
    target = _TARGET.sub("", url)
    lines = [f"{prepared.method} {target if target[:1] == '/' else '/' + target} HTTP/1.1"]
    lines.append(f"Host: {prepared.to.netloc}")
    lines += [f"{name}: {value}" for name, value in prepared.headers.items()]
    body = prepared.body or b""
    if body or prepared.method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + body


def json_body(value: Any) -> bytes:
    """Request.json as it goes out, byte for byte: what a connector signs."""
    return json.dumps(value).encode("ascii")


@lru_cache(maxsize=1024)
def _is_name(name: str) -> bool:
    return _NAME.match(name) is not None


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
