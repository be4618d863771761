"""What flows are given and how a single one is run: a connector's call, the calls that a person waits for, and tokens.

A token belongs to a credential (connector, host and secrets), is kept encrypted in a row, and is shared by every worker and
integration with that credential, so that log-ins stay far below the client's limit (facts, sections 1d and 7).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings

from integrations.kit.contract import Call, Connector, Flow, NoAnswer, Request, Response, Token
from integrations.kit.flow import run
from integrations.kit.single_calls import send_once
from integrations.models import RemoteToken
from leads import clock

T = TypeVar("T")

# A token is given up this long before its end, so that none ends on its way to the client.
TOKEN_MARGIN = dt.timedelta(seconds=120)
SINGLE_CALL_SECONDS = 10

# What this process knows of the rows: value and end of the token, by credential.
_tokens: dict[str, tuple[str, dt.datetime]] = {}


def connector_call(connector: Connector, values: Mapping[str, Any], *, token: str = "", key: str = "") -> Call:
    """What a connector may see: its settings and the deployment's keys that its manifest names."""
    environment = {name: settings.CONNECTOR_ENVIRONMENT[name] for name in connector.manifest.environment}
    return Call(settings=values, environment=environment, token=token, idempotency_key=key)


class SingleCalls:
    """The calls that one person waits for: so many seconds for all of them together, and no look-up is made twice."""

    def __init__(self, seconds: float = SINGLE_CALL_SECONDS) -> None:
        self.answers = 0
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._known: dict[tuple[Any, ...], Response] = {}

    def send(self, request: Request) -> Response:
        """The answer to a request; NoAnswer where there is none, or no time is left."""
        lookup = (request.url, tuple(request.query.items()), tuple(request.headers.items()), request.bearer)
        if request.method == "GET" and lookup in self._known:
            return self._known[lookup]
        left = self._until - time.monotonic()
        try:
            if left <= 0:
                raise NoAnswer("", sent=False)
            response = send_once(request, timeout_s=left, private_hosts=settings.CONNECTOR_PRIVATE_HOSTS)
        except NoAnswer as silence:
            if time.monotonic() < self._until:
                raise
            host = urlsplit(request.url).netloc
            raise NoAnswer(f"{host} has not answered for {self._seconds:g} seconds.", sent=silence.sent) from None
        self.answers += 1
        if request.method == "GET":
            self._known[lookup] = response
        return response


def run_step(
    connector: Connector,
    step: Callable[[Call], Flow[T]],
    values: Mapping[str, Any],
    *,
    fresh_login: bool = False,
    calls: SingleCalls | None = None,
) -> T:
    """Run one step for a person who waits: logged in, and bounded to a few seconds in all, those of earlier `calls` included.

    ConnectorError where a person can mend it, NoAnswer where the client gave no answer.
    """
    calls = calls or SingleCalls()
    token = token_get(connector, values, fresh=fresh_login, calls=calls)
    return run(step(connector_call(connector, values, token=token)), calls.send)


def token_known(connector: Connector, values: Mapping[str, Any], *, refused: str = "") -> str:
    """A token that is still good for a while, other than the refused one; "" where a log-in is needed."""
    credential = credential_of(connector, values)
    soon = clock.now() + TOKEN_MARGIN
    value, expires_at = _tokens.get(credential, ("", soon))
    if value != refused and expires_at > soon:
        return value
    kept = RemoteToken.objects.filter(credential=credential, expires_at__gt=soon).first()
    if kept is None or kept.token["value"] == refused:
        return ""
    _tokens[credential] = (str(kept.token["value"]), kept.expires_at)
    return _tokens[credential][0]


def token_keep(connector: Connector, values: Mapping[str, Any], token: Token) -> str:
    """Keep a new token, for this process and then for all workers; its value."""
    credential = credential_of(connector, values)
    expires_at = clock.now() + dt.timedelta(seconds=token.expires_in_s)
    _tokens[credential] = (token.value, expires_at)
    RemoteToken.objects.update_or_create(
        credential=credential, defaults={"token": {"value": token.value}, "expires_at": expires_at}
    )
    return token.value


def token_get(
    connector: Connector, values: Mapping[str, Any], *, fresh: bool = False, calls: SingleCalls | None = None
) -> str:
    """A token that is still good for a while, logging in where there is none; "" for a connector without log-in."""
    if connector.authenticate is None:
        return ""
    known = "" if fresh else token_known(connector, values)
    if known:
        return known
    token = run(connector.authenticate(connector_call(connector, values)), (calls or SingleCalls()).send)
    return token_keep(connector, values, token)


def token_renew(
    connector: Connector, values: Mapping[str, Any], refused: str, *, calls: SingleCalls | None = None
) -> str:
    """A token other than the refused one: a colleague's newer one where there is one, else from a new log-in."""
    known = token_known(connector, values, refused=refused)
    return known or token_get(connector, values, fresh=True, calls=calls)


def credential_of(connector: Connector, values: Mapping[str, Any]) -> str:
    """What a token belongs to: a digest of connector, host and secrets."""
    secrets = {field.name: values.get(field.name) for field in connector.manifest.settings if field.type == "secret"}
    host = connector.host(connector_call(connector, values))
    text = json.dumps([connector.manifest.slug, host, secrets], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
