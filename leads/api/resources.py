"""The form that most addresses of the partner API have: rows that are listed, one that is read, and something done with it.

What a key may not see it does not find, filters that are written wrongly are refused, a call under an Idempotency-Key is done
once, what keeps it from being done is a problem, and what a key did stands in the row's history: all of it here alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leads.api.calls import partner_of
from leads.api.paging import PARAMETERS, page_of, page_schema
from leads.api.problems import ProblemRaised, raised, wrong
from leads.api.repeating import IDEMPOTENCY_KEY, done_once
from leads.history import record_by_key
from leads.partner_keys import Partner

R = TypeVar("R", bound=Model)
Refusals = Mapping[type[Exception], Callable[[Any], ProblemRaised]]


@dataclass(frozen=True, slots=True)
class Filter:
    """A parameter that narrows a list; `value` reads it, and raises ValueError with words for what can't be."""

    parameter: OpenApiParameter
    value: Callable[[str], Any]

    @property
    def name(self) -> str:
        """As requests write it, and as the rows' field is called."""
        return str(self.parameter.name)


def state_filter(states: Sequence[str], description: str = "Those that stand so.") -> Filter:
    """The filter of all lists whose rows have a state."""

    def value(text: str) -> str:
        if text not in states:
            raise ValueError(f"Write one of: {', '.join(states)}.")
        return text

    return Filter(OpenApiParameter("state", OpenApiTypes.STR, enum=list(states), description=description), value)


@dataclass(frozen=True, slots=True)
class Rows(Generic[R]):
    """Rows that keys see: what one is called, which a key sees, and how it is answered.

    `own` is given the key; or, with `within`, the row of those that the address names, and these are of it. `refusals` turn
    what keeps an action on one from being done into a problem.
    """

    noun: str
    own: Callable[[Any], QuerySet[R]]
    answer: type[serializers.Serializer[Any]]
    filters: Sequence[Filter] = ()
    within: Rows[Any] | None = None
    refusals: Refusals = field(default_factory=dict)

    def one(self, request: Request, pk: int) -> R:
        """The row, where the key sees it. Raises ProblemRaised (404)."""
        found = self.own(partner_of(request)).filter(pk=pk).first()
        if found is None:
            raise raised("not-found", f"There is no such {self.noun}.")
        return found

    def page(self, request: Request, named: Mapping[str, int]) -> Response:
        """The page that a request asks for. Raises ProblemRaised."""
        rows = self.own(self.within.one(request, *named.values()) if self.within else partner_of(request))
        for each in self.filters:
            if (text := request.query_params.get(each.name)) is not None:
                try:
                    rows = rows.filter(**{each.name: each.value(text)})
                except ValueError as error:
                    raise wrong(each.name, str(error)) from None
        page = page_of(request, rows, filters=[each.name for each in self.filters])
        return Response(page.answered(self.answer(page.rows, many=True).data))

    def refusal(self, error: Exception) -> ProblemRaised:
        """The problem that such an error is answered with."""
        return next(made for kind, made in self.refusals.items() if isinstance(error, kind))(error)


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: its answer, and in words for the row's history, if it changed anything."""

    answer: Any
    words: str = ""


Do = Callable[[Partner, Any, Mapping[str, Any]], Done]


def given_in(takes: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    """What a body says, checked. Raises what is wrong with it."""
    asked = takes(data=data)
    asked.is_valid(raise_exception=True)
    return cast(dict[str, Any], asked.validated_data)


def listing(rows: Rows[Any], *, scope: str, tag: str, operation: str, summary: str, page: str) -> type[APIView]:
    """GET of a list; `page` is the name of its pages in the document."""

    @extend_schema(
        operation_id=operation,
        tags=[tag],
        summary=summary,
        parameters=[*PARAMETERS, *(each.parameter for each in rows.filters)],
        responses=page_schema(page, rows.answer),
    )
    def get(self: APIView, request: Request, **named: int) -> Response:
        return rows.page(request, named)

    return _view(operation, {"GET": scope}, get=get)


def reading(
    rows: Rows[Any],
    *,
    scope: str,
    tag: str,
    operation: str,
    summary: str,
    read: Callable[[Any], Any] = lambda row: row,
    answers: type[serializers.Serializer[Any]] | None = None,
) -> type[APIView]:
    """GET of one row, or of what `read` makes of it."""
    answer = answers or rows.answer

    @extend_schema(operation_id=operation, tags=[tag], summary=summary, responses=answer)
    def get(self: APIView, request: Request, **named: int) -> Response:
        return Response(answer(read(rows.one(request, *named.values()))).data)

    return _view(operation, {"GET": scope}, get=get)


def acting(
    rows: Rows[Any],
    do: Do,
    *,
    scope: str,
    tag: str,
    operation: str,
    summary: str,
    description: str = "",
    takes: type[serializers.Serializer[Any]] | None = None,
    answers: type[serializers.Serializer[Any]] | None = None,
    status: int = 200,
    secret: Collection[str] = (),
    examples: Sequence[OpenApiExample] = (),
    method: str = "POST",
    alone: bool = True,
) -> type[APIView]:
    """Something that is done with one row, by POST or another method.

    `secret` names members of the answer that are said once; not `alone`: it waits for another's system meanwhile.
    """

    @extend_schema(
        operation_id=operation,
        tags=[tag],
        summary=summary,
        description=description or None,
        parameters=[IDEMPOTENCY_KEY],
        request=takes,
        responses={status: answers},
        examples=list(examples),
    )
    @done_once(without=secret, alone=alone)
    def act(self: APIView, request: Request, **named: int) -> HttpResponseBase:
        row = rows.one(request, *named.values())
        given = {} if takes is None else given_in(takes, request.data or {})
        partner = partner_of(request)
        try:
            with transaction.atomic() if alone else nullcontext():
                done = do(partner, row, given)
                if done.words:
                    record_by_key(partner, row, done.words)
        except tuple(rows.refusals) as error:
            raise rows.refusal(error) from None
        return cast(HttpResponseBase, Response(done.answer, status))

    return _view(operation, {method: scope}, **{method.lower(): act})


def together(*views: type[APIView]) -> type[APIView]:
    """One address whose methods are those of these views."""
    scopes: dict[str, str] = {}
    methods: dict[str, Any] = {}
    for view in views:
        own: Mapping[str, str] = view.scopes  # type: ignore[attr-defined]
        scopes |= own
        methods |= {method.lower(): getattr(view, method.lower()) for method in own}
    parsers = {each for view in views for each in view.parser_classes} - set(APIView.parser_classes)
    if parsers:
        methods["parser_classes"] = tuple(parsers)
    return _view("_".join(view.__name__ for view in views), scopes, **methods)


def _view(name: str, scopes: Mapping[str, str], **members: Any) -> type[APIView]:
    return type(name, (APIView,), {"scopes": dict(scopes), "__module__": __name__, **members})
