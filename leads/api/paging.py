"""Pages of a list by cursor: what is added meanwhile neither repeats nor hides a row.

A cursor says behind which row the next page begins. Rows are in the order of their ids, the newest first or the oldest first.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Model, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request

from leads.api.problems import wrong

R = TypeVar("R", bound=Model)

PER_PAGE, MOST_PER_PAGE = 50, 500
NEWEST, OLDEST = "newest", "oldest"
_CURSOR = re.compile(r"([no])([0-9]{1,18})")

PARAMETERS = [
    OpenApiParameter("cursor", OpenApiTypes.STR, description="Where the page begins: as an earlier answer gave it."),
    OpenApiParameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": MOST_PER_PAGE, "default": PER_PAGE}, description="Rows of a page."
    ),
    OpenApiParameter(
        "order",
        OpenApiTypes.STR,
        enum=[NEWEST, OLDEST],
        default=NEWEST,
        description="“oldest” to follow what arrives: ask again with the last cursor, and only what is new comes.",
    ),
]  # fmt: skip


def page_schema(name: str, rows: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """A page of such rows, as the document has it under this name."""
    fields = {
        "data": rows(many=True),
        "next": serializers.CharField(allow_null=True, help_text="The address of the next page; null behind the last."),
        "cursor": serializers.CharField(allow_null=True, help_text="Stands behind the last row of this page."),
    }
    return inline_serializer(name, fields)


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Rows of one page. `next` is the address of the page behind it, None for the last; `cursor` stands behind its last row."""

    rows: list[R]
    next: str | None
    cursor: str | None

    def answered(self, data: Any) -> dict[str, Any]:
        """The answer's body around what the rows became."""
        return {"data": data, "next": self.next, "cursor": self.cursor}


def page_of(request: Request, rows: QuerySet[R], *, filters: Collection[str] = ()) -> Page[R]:
    """The page that a request asks for: cursor, limit, order. Raises ProblemRaised.

    `filters` are what else this list takes: one that is written wrongly is refused, or it would show more than was asked for.

    “Oldest first” ends before the first row that a row with a smaller id may yet appear before: ids are given before the
    commit, so one who follows a table by its ids would miss the slower of two writers. Rows without `created_at` are those
    of an import, which one worker alone writes, in their order.
    """
    for name in request.query_params:
        if name not in ("cursor", "limit", "order", *filters):
            raise wrong(
                name[:60],
                f"This list has no such parameter. It has: {', '.join(['cursor', 'limit', 'order', *filters])}.",
            )
    limit = _limit(request.query_params.get("limit"))
    cursor = request.query_params.get("cursor", "")
    order = request.query_params.get("order", "")
    if order not in (NEWEST, OLDEST) and "order" in request.query_params:
        raise wrong("order", f"Write {NEWEST} or {OLDEST}.")
    oldest, behind = _read(cursor, order)
    if oldest:
        # Asked before the rows: who writes then is seen here, and who has written by then is seen among the rows.
        until = _settled_until()
        rows = rows.filter(pk__gt=behind) if behind else rows
        found = list(rows.order_by("pk")[: limit + 1])
        if until is not None:
            found = list(takewhile(lambda row: getattr(row, "created_at", _LONG_AGO) < until, found))
    else:
        rows = rows.filter(pk__lt=behind) if behind else rows
        found = list(rows.order_by("-pk")[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    at = _written(oldest, found[-1].pk) if found else cursor or None
    query = {name: value for name, value in request.query_params.items() if name not in ("cursor", "order")}
    following = f"{request.path}?{urlencode({**query, 'cursor': at})}" if more else None
    return Page(found, following, at)


# A row takes its id while its transaction is under way, and at most a second after its own time: so whoever holds a smaller
# id began before that. Not by the row's xmin: each later change of the row sets it anew, and between two transactions that
# insert in turns it says nothing. The portal's processes have one role, which sees the times of all of them.
_UNTIL = """
SELECT least(statement_timestamp(), min(xact_start)) - interval '1 second' FROM pg_stat_activity
WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
"""
_LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)


def _settled_until() -> dt.datetime | None:
    """No row can appear any more before one that was made before this time. None: before no row at all."""
    if connection.vendor != "postgresql":
        return None  # one writer at a time: ids come in the order of commits
    with connection.cursor() as reading:
        reading.execute(_UNTIL)
        found: dt.datetime = reading.fetchall()[0][0]
    return found


def _limit(text: str | None) -> int:
    if text is None:
        return PER_PAGE
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MOST_PER_PAGE):
        raise wrong("limit", f"Write a number from 1 to {MOST_PER_PAGE}.")
    return int(text)


def _written(oldest: bool, pk: int) -> str:
    return base64.urlsafe_b64encode(f"{'o' if oldest else 'n'}{pk}".encode()).decode().rstrip("=")


def _read(cursor: str, order: str) -> tuple[bool, int]:
    if not cursor:
        return order == OLDEST, 0
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        text = ""
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise wrong("cursor", "This is no cursor of this list. Begin without one.")
    oldest = match[1] == "o"
    if order and (order == OLDEST) != oldest:
        raise wrong("cursor", "This cursor is of a list in the other order. Begin without one.")
    return oldest, int(match[2])
