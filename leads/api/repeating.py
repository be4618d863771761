"""Views that write, and an Idempotency-Key: done once, and answered the same for a day.

What a view does and its answer are one transaction. An answer that is no success is not kept: nothing was done, and the same
key may be used for the mended call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from contextlib import nullcontext
from typing import Any, cast

import orjson
from django.db import transaction
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from leads.answered_calls import (
    MOST_KEY_CHARS,
    Answered,
    Claim,
    StillRunning,
    call_answer,
    call_claim,
    call_digest,
    call_drop,
)
from leads.api.bodies import said_in
from leads.api.calls import partner_of
from leads.api.problems import ProblemRaised, Wrong, invalid, problem
from leads.intake import KeyReused

REPLAYED = "Idempotency-Replayed"
JSON = "application/json"
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="Sent again with the same key within a day, the call is answered as it was, and done once.",
)

View = Callable[..., HttpResponseBase]


def done_once(*, without: Collection[str] = (), alone: bool = True) -> Callable[[View], View]:
    """A view's method that honours Idempotency-Key. `without` names members that are null when the answer is said again: secrets.

    Not `alone`: it waits for another's system, and no transaction is held meanwhile.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def method(self: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
            key = _key(request)
            if not key:
                return view(self, request, *args, **kwargs)
            digest = call_digest(str(request.method).encode(), request.get_full_path().encode(), *said_in(request))
            claim = _claimed(request, key, digest)
            if isinstance(claim, Answered):
                return _again(claim)
            try:
                with transaction.atomic() if alone else nullcontext():
                    response = cast(Response, view(self, request, *args, **kwargs))
                    kept = _kept(response.data, without)
                    location = response.headers.get("Location", "")
                    call_answer(claim, response.status_code, JSON if kept else "", [kept], location)
            except BaseException:
                call_drop(claim)
                raise
            return response

        return method

    return decorate


def _again(answered: Answered) -> HttpResponse:
    headers = {REPLAYED: "true", **({"Location": answered.location} if answered.location else {})}
    response = HttpResponse(answered.body, answered.content_type or None, answered.status, headers=headers)
    if not answered.content_type:
        del response.headers["Content-Type"]
    return response


def _key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > MOST_KEY_CHARS or not (key.isascii() and key.isprintable()):
        words = f"Write at most {MOST_KEY_CHARS} letters, digits and signs."
        raise ProblemRaised(invalid([Wrong("Idempotency-Key", words)]))
    return key


def _claimed(request: Request, key: str, digest: str) -> Claim | Answered:
    try:
        return call_claim(partner_of(request).key_id, key, digest)
    except StillRunning:
        words = "The first call with this Idempotency-Key is being worked just now."
        raise ProblemRaised(problem("still-running", words, headers={"Retry-After": "2"})) from None
    except KeyReused:
        words = "This Idempotency-Key came before, with another request. Nothing was done."
        raise ProblemRaised(problem("idempotency-key-reused", words)) from None


def _kept(data: Any, without: Collection[str]) -> bytes:
    if data is None:
        return b""
    written: bytes = JSONRenderer().render(data)
    if not without:
        return written
    return orjson.dumps({**orjson.loads(written), **dict.fromkeys(without)})
