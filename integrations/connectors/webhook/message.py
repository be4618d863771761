"""One signed message: where it goes, what is in it, and the request that carries it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from integrations.kit.contract import Call, ConnectorError, Flow, NotCalled, Request, Response
from integrations.kit.signing import BadSecret, secret_key, signed_headers
from integrations.kit.wire import json_body

MAX_URL_CHARS = 2_000
_VISIBLE = re.compile(r"[!-~]+\Z")
_NETLOC = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")


class Clash(ValueError):
    """Two names that can't be in one body. Says which."""


def address(call: Call) -> str:
    """The URL, its host in lower case; ConnectorError where it is none.

    http is left to the engine: it calls nothing without encryption but what the deployment lists as its own.
    """
    return _address(str(call.settings.get("url") or "").strip())


@lru_cache(maxsize=1024)
def _address(text: str) -> str:
    if not text:
        raise ConnectorError("URL is missing.", "url")
    if len(text) > MAX_URL_CHARS or not _VISIBLE.match(text) or "\\" in text:
        raise ConnectorError(
            "The URL has characters that an address can't have. Copy it again from the receiver.", "url"
        )
    if "#" in text:
        raise ConnectorError("Leave out the # of the URL and what is after it: it is never sent.", "url")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ConnectorError("The URL's host or port can't be read. Copy it again from the receiver.", "url") from None
    if parts.scheme not in ("http", "https"):
        raise ConnectorError("The URL has to start with https://", "url")
    if "@" in parts.netloc:
        raise ConnectorError("The URL must not have a user or a password in it: leads are signed instead.", "url")
    if not _NETLOC.match(parts.netloc) or port == 0:
        raise ConnectorError("The URL's host or port can't be read. Copy it again from the receiver.", "url")
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path or '/'}{query}"


def host(call: Call) -> str:
    """The receiver's host, with the port where one is given."""
    return urlsplit(address(call)).netloc


def secrets(call: Call) -> list[str]:
    """What a message is signed with: the secret, and the previous one while it is being changed."""
    found = []
    for name, label in (("signing_secret", "Signing secret"), ("previous_secret", "Previous secret")):
        secret = str(call.settings.get(name) or "").strip()
        if not secret and name == "signing_secret":
            raise ConnectorError(f"{label} is missing.", name)
        if secret:
            try:
                secret_key(secret)
            except BadSecret as problem:
                raise ConnectorError(str(problem), name) from None
            found.append(secret)
    return found


def nested(fields: Mapping[str, str]) -> dict[str, Any]:
    """Names with full stops as objects in objects: address.city is {"address": {"city": ...}}.

    A name with nothing before or after a full stop is left as it is. Clash where one name is a value and holds another.
    """
    whole: dict[str, Any] = {}
    for key, value in fields.items():
        parts = key.split(".")
        if not all(parts):
            parts = [key]
        inside = whole
        for part in parts[:-1]:
            inside = inside.setdefault(part, {})
            if not isinstance(inside, dict):
                raise Clash(_clash(key))
        if parts[-1] in inside:
            raise Clash(_clash(key))
        inside[parts[-1]] = value
    return whole


def _clash(key: str) -> str:
    return f"{key} can't be sent beside the other fields: one of them is a value and holds a value as well. Rename one."


def post(call: Call, kind: str, message_id: str, data: Mapping[str, Any], *, test: bool) -> Flow[Response]:
    """Send one message, signed at this moment; ConnectorError where its address may not be called at all."""
    at = call.now()
    body = {"type": kind, "id": message_id, "timestamp": at.isoformat(timespec="seconds"), "test": test, "data": data}
    return (yield from _send(call, message_id, at, body))


def post_event(call: Call, message_id: str, event: Mapping[str, Any], *, test: bool) -> Flow[Response]:
    """Send an event: its `type` and `timestamp` (when it happened) as they are; the signature's time is that of the try.

    A tracked call, known by its messageId, is itself the data; a notice has data of its own.
    """
    body = {
        "type": event.get("type", "event"),
        "id": message_id,
        "timestamp": event.get("timestamp", ""),
        "test": test,
        "data": event if "messageId" in event else event.get("data", {}),
    }
    return (yield from _send(call, message_id, call.now(), body))


def _send(call: Call, message_id: str, at: dt.datetime, body: Mapping[str, Any]) -> Flow[Response]:
    url, signed_with, written = address(call), secrets(call), json_body(body)
    _, _, query = url.partition("?")
    try:
        response = yield Request(
            "POST",
            url,
            json=body,
            body=written,
            headers=signed_headers(signed_with, message_id, at, written),
            # Addresses often have a key of the receiver's in them.
            secrets=frozenset(pair.partition("=")[0] for pair in query.split("&") if pair),
        )
    except NotCalled as refusal:
        raise ConnectorError(str(refusal), "url") from None
    return response
