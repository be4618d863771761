"""What every view of the partner API shares: who calls, what the key may do, how often, and that JSON is answered.

A view says which scope each of its methods asks for: `scopes = {"GET": "leads:read"}`, "" where any key will do. A method
that it does not name is not there. What the key may not see it does not find: views read through `partner_of(request)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, MethodNotAllowed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from leads import limits
from leads.limits import Use
from leads.partner_keys import Partner, partner


def partner_of(request: Request) -> Partner:
    """Who calls."""
    return cast(Partner, request.auth)


class KeyAuthentication(BaseAuthentication):
    """Authorization: Bearer cp_live_…"""

    def authenticate(self, request: Request) -> tuple[Any, Partner] | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        found = partner(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise AuthenticationFailed
        return found, found

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ScopePermission(BasePermission):
    """The key needs the scope that the view names for this method. HEAD is answered as GET is: it asks for the same."""

    message = ""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, Partner):
            return False
        method = str(request.method)
        scope = view.scopes.get("GET" if method == "HEAD" else method)
        if scope is None:
            raise MethodNotAllowed(method)
        if not scope or scope in request.auth.scopes:
            return True
        self.message = f"This needs a key with the scope {scope}."
        return False


class KeyThrottle(BaseThrottle):
    """Calls of a key in a rolling window, counted with those of the async handlers."""

    def __init__(self) -> None:
        self._used: Use | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = settings.RATE_LIMIT_PARTNER
        if limit <= 0 or not isinstance(request.auth, Partner):
            return True
        self._used = limits.use_in_thread(request.auth.limit_key, limit, float(settings.RATE_LIMIT_WINDOW_SECONDS))
        # Read by the middleware, which writes it on the answer, whatever that is.
        request._request.partner_use = self._used  # type: ignore[attr-defined]
        return self._used.wait <= 0

    def wait(self) -> float | None:
        return self._used.wait if self._used else None


class AlwaysJson(BaseContentNegotiation):
    """JSON is answered whatever Accept says; the body is read by its Content-Type."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next((each for each in parsers if _same_type(request.content_type or "", each.media_type)), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


def _same_type(given: str, taken: str) -> bool:
    return given.partition(";")[0].strip().lower() == taken


def limit_headers(used: Use | None) -> Mapping[str, str]:
    """How many calls are left (the IETF's draft on RateLimit headers), and when to come again where none are."""
    if used is None:
        return {}
    reset = max(1, math.ceil(used.reset))
    said = {
        "RateLimit-Policy": f'"key";q={settings.RATE_LIMIT_PARTNER};w={settings.RATE_LIMIT_WINDOW_SECONDS}',
        "RateLimit": f'"key";r={used.left};t={reset}',
    }
    if used.wait > 0:
        said["Retry-After"] = str(max(1, math.ceil(used.wait)))
    return said
