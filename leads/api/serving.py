"""Async handlers of the partner API, served: who calls, whether the key may, how often, and problems in one shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from django.conf import settings

from leads import catalog, limits
from leads.api.calls import limit_headers
from leads.api.deprecations import deprecation_headers
from leads.api.openapi import Hot
from leads.api.problems import as_problem, refused
from leads.limits import Use
from leads.partner_keys import BEGINNING, MOST_KEY_CHARS, Partner
from leads.web import Application, Handler, Refusal, Request, Response, Route, dispatch


def partner_pattern(routes: Sequence[Hot]) -> re.Pattern[str]:
    """What the paths of these routes match, whatever the method: what matches is answered here, never by a view."""
    patterns = {re.sub(r"\?P<\w+>", "?:", each.pattern.pattern) for each in _routes(routes)}
    return re.compile("|".join(f"(?:{pattern})" for pattern in sorted(patterns)))


def partner_application(routes: Sequence[Hot]) -> Application:
    """An ASGI application over these routes."""
    return dispatch(_routes(routes), shape=as_problem)


def _routes(routes: Sequence[Hot]) -> list[Route]:
    return [Route([hot.method], hot.pattern, _served(hot)) for hot in routes]


def _served(hot: Hot) -> Handler:
    async def served(request: Request) -> Response:
        partner = await _caller(request)
        used = await _counted(partner)
        headers = {**limit_headers(used), **deprecation_headers(request.method, request.path)}
        try:
            if used is not None and used.wait > 0:
                raise refused("too-many-requests", "This key has made too many calls in a short time.")
            if hot.scope and hot.scope not in partner.scopes:
                raise refused("scope-missing", f"This needs a key with the scope {hot.scope}.")
            response = await hot.handler(request, partner)
        except Refusal as refusal:
            response = refusal.response
        return replace(response, headers={**response.headers, **headers})

    return served


async def _caller(request: Request) -> Partner:
    scheme, _, token = request.header("authorization").partition(" ")
    token = token.strip()
    # What can be no key is not looked up, and takes no place among those that were.
    likely = scheme.lower() == "bearer" and token.startswith(BEGINNING) and len(token) <= MOST_KEY_CHARS
    found = await catalog.partner(token) if likely else None
    if found is None:
        words = "Send your key as: Authorization: Bearer cp_live_… It was missing, or opens nothing (any more)."
        raise refused("key-missing", words, headers={"WWW-Authenticate": "Bearer"})
    return found


async def _counted(partner: Partner) -> Use | None:
    limit: int = settings.RATE_LIMIT_PARTNER
    if limit <= 0:
        return None
    return await limits.use(partner.limit_key, limit, float(settings.RATE_LIMIT_WINDOW_SECONDS))
