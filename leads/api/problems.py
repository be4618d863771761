"""What is wrong with a call, as problem details (RFC 9457): a type that stays, what happened, where, and what to do.

The types are a closed list; each has a heading in docs/api.md, and its address answers with what it says here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, TooManyFilesSent
from django.db import InterfaceError, OperationalError
from django.http import Http404, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response as RestResponse

from leads.web import Refusal, Response

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
TYPES_AT = "/api/v1/problems/"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A kind of problem: the last part of its address, its HTTP status, its title, and what whoever gets it can do."""

    slug: str
    status: int
    title: str
    advice: str

    @property
    def uri(self) -> str:
        return TYPES_AT + self.slug


_ALL = (
    ProblemType(
        "unreadable", 400, "The request can’t be read", "Mend the body or its Content-Type, and send it again."
    ),
    ProblemType("key-missing", 401, "No key, or one that opens nothing", "Send Authorization: Bearer and your key."),
    ProblemType("scope-missing", 403, "The key may not do this", "Ask for a key with the scope that is named."),
    ProblemType(
        "campaign-inactive", 403, "The campaign takes no leads", "Ask your account manager when it starts again."
    ),
    ProblemType(
        "not-found", 404, "Nothing that this key sees is here", "Look at the address: its ids may be another’s."
    ),
    ProblemType("method-not-allowed", 405, "This address knows no such method", "Use one that Allow names."),
    ProblemType("timeout", 408, "The body did not arrive in time", "Send it again, or less at a time."),
    ProblemType(
        "still-running", 409, "The first call with this Idempotency-Key still runs", "Send it again in a moment."
    ),
    ProblemType("conflict", 409, "It is not in a state for this", "Read it again, and see what it waits for."),
    ProblemType("too-large", 413, "The body is too large", "Send less at a time."),
    ProblemType(
        "wrong-media-type", 415, "This type of body is not taken here", "Send one of the types that are named."
    ),
    ProblemType("invalid", 422, "Something in the request is not as it should be", "Mend what errors names."),
    ProblemType(
        "idempotency-key-reused", 422, "This Idempotency-Key came before, with another request", "Take a new key."
    ),
    ProblemType("too-many-requests", 429, "Too many calls with this key", "Wait for as long as Retry-After says."),
    ProblemType(
        "failed", 500, "The portal failed", "Send it again later, with an Idempotency-Key; tell us if it stays."
    ),
    ProblemType("busy", 503, "Too busy", "Nothing was stored. Send it again after Retry-After."),
)
TYPES: Mapping[str, ProblemType] = {each.slug: each for each in _ALL}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong: the field, what is wrong with it, and where it stands; `row` counts from 1."""

    field: str
    message: str
    row: int | None = None
    column: str = ""
    pointer: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for people: “row 17, column email”."""
        row = f"row {self.row}" if self.row is not None else ""
        where = f"column {self.column}" if self.column else f"field {self.field}" if self.field else ""
        return ", ".join(filter(None, (row, where))) or "the body as a whole"

    def as_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"field": self.field, "place": self.place, "message": self.message}
        for name in ("row", "column", "pointer"):
            if (value := getattr(self, name)) not in (None, ""):
                said[name] = value
        return said


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, ready to be answered with."""

    type: ProblemType
    detail: str
    errors: Sequence[Wrong] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "type": self.type.uri,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.detail,
            "help": self.type.advice,
        }
        if self.errors:
            said["errors"] = [each.as_json() for each in self.errors]
        return said


def problem(slug: str, detail: str, errors: Iterable[Wrong] = (), headers: Mapping[str, str] | None = None) -> Problem:
    """A problem of a known type."""
    return Problem(TYPES[slug], detail, tuple(errors), headers or {})


def invalid(errors: Sequence[Wrong]) -> Problem:
    """What is wrong with the values of a request; the first of them in words."""
    first = errors[0]
    more = f" And {len(errors) - 1} more." if len(errors) > 1 else ""
    return problem("invalid", f"{first.place[:1].upper()}{first.place[1:]}: {first.message}{more}", errors)


# --- answered by async handlers -----------------------------------------------------------------------------


def problem_response(found: Problem) -> Response:
    """A problem as an async handler's answer."""
    return Response(found.type.status, json.dumps(found.as_json()).encode("ascii"), CONTENT_TYPE, found.headers)


def refused(slug: str, detail: str, errors: Iterable[Wrong] = (), headers: Mapping[str, str] | None = None) -> Refusal:
    """Ends an async handler with a problem."""
    return Refusal(problem_response(problem(slug, detail, errors, headers)))


def as_problem(response: Response) -> Response:
    """What leads/web.py answers by itself (a body too large, no database, no such route), in this API's shape."""
    if response.status < 400 or response.content_type == CONTENT_TYPE:
        return response
    try:
        detail = str(json.loads(response.body)["message"])
    except (ValueError, KeyError, TypeError):
        detail = ""
    return problem_response(problem_of_status(response.status, detail, response.headers))


def problem_of_status(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Problem:
    """The problem that a bare HTTP status stands for."""
    slug = _OF_STATUS.get(status, "unreadable" if status < 500 else "failed")
    return problem(slug, detail or TYPES[slug].title + ".", headers=headers)


_OF_STATUS = {
    400: "unreadable", 401: "key-missing", 403: "scope-missing", 404: "not-found", 405: "method-not-allowed", 408: "timeout",
    413: "too-large", 415: "wrong-media-type", 429: "too-many-requests", 503: "busy",
}  # fmt: skip


# --- answered by views --------------------------------------------------------------------------------------


class ProblemRaised(exceptions.APIException):
    """Ends a view with a problem."""

    def __init__(self, found: Problem) -> None:
        super().__init__(found.detail)
        self.problem = found


def raised(slug: str, detail: str, errors: Iterable[Wrong] = ()) -> ProblemRaised:
    """A problem to be raised in a view."""
    return ProblemRaised(problem(slug, detail, errors))


def wrong(field: str, words: str, *, pointer: str = "") -> ProblemRaised:
    """One thing that is wrong in a request, to be raised in a view; `pointer` says where it stands in a body of JSON."""
    return ProblemRaised(invalid([Wrong(field, words, pointer=pointer)]))


def exception_handler(error: Exception, context: Mapping[str, Any]) -> RestResponse:
    """REST framework's handler: whatever a view raises becomes a problem. What nobody foresaw is logged, never shown."""
    found = _found(error)
    if found.type.status >= 500:
        logger.error("%s failed", context["request"].path, exc_info=error)
    return RestResponse(found.as_json(), found.type.status, headers=dict(found.headers), content_type=CONTENT_TYPE)


def problem_json(found: Problem) -> JsonResponse:
    """A problem as Django's answer, for what never reaches a view of REST framework."""
    return JsonResponse(
        found.as_json(), status=found.type.status, content_type=CONTENT_TYPE, headers=dict(found.headers)
    )


def _found(error: Exception) -> Problem:
    match error:
        case ProblemRaised():
            return error.problem
        case exceptions.ValidationError():
            return invalid(wrongs_of(error.detail) or [Wrong("", "This is not as it should be.")])
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            words = "Send your key as: Authorization: Bearer cp_live_… It was missing, or opens nothing (any more)."
            return problem("key-missing", words, headers={"WWW-Authenticate": "Bearer"})
        case exceptions.PermissionDenied() | PermissionDenied():
            return problem("scope-missing", str(error) or "This key may not do this.")
        case exceptions.NotFound() | Http404():
            return problem("not-found", "There is nothing here, or nothing that this key sees.")
        case exceptions.MethodNotAllowed():
            return problem("method-not-allowed", str(error.detail))
        case exceptions.UnsupportedMediaType():
            return problem("wrong-media-type", str(error.detail))
        case exceptions.Throttled():
            return problem("too-many-requests", "This key has made too many calls in a short time.")
        case RequestDataTooBig() | TooManyFilesSent():
            return problem("too-large", "The body is larger than what is taken here.")
        case exceptions.ParseError():
            return problem("unreadable", str(error.detail))
        case OperationalError() | InterfaceError():
            return problem("busy", "The database does not answer. Nothing was stored.", headers={"Retry-After": "1"})
    return problem("failed", "Something failed here. It was written down.")


def wrongs_of(detail: Any) -> list[Wrong]:
    """REST framework's errors as things that are wrong."""
    return list(_wrongs(detail))


def _wrongs(detail: Any, path: tuple[str, ...] = (), row: int | None = None) -> Iterable[Wrong]:
    """REST framework's nested errors, flat: {"values": {"email": [...]}} or [{}, {"email": [...]}]."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            yield from _wrongs(inner, path if name == "non_field_errors" else (*path, str(name)), row)
    elif isinstance(detail, list | tuple):
        many = any(isinstance(each, Mapping | list) for each in detail)
        for place, inner in enumerate(detail):
            if many and row is None and not path:
                yield from _wrongs(inner, path, place + 1)
            else:
                yield from _wrongs(inner, (*path, str(place)) if many else path, row)
    else:
        pointer = "".join(f"/{part}" for part in ([str(row - 1)] if row else []) + list(path))
        yield Wrong(".".join(path), str(detail), row=row, pointer=pointer)
