"""Queries that are asked thousands of times: made once by the ORM, then asked again with other parameters.

To build and compile a query of some columns costs the ORM five to ten times what the database needs to answer it. A Reading keeps
the statement and its converters; the values come as the ORM gives them, on either database.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.sql.compiler import SQLCompiler


class Among(models.Lookup):
    """`column__among=[1, 2, 3]`: as `in`, with all values in one parameter, so that the statement is the same for any number."""

    lookup_name = "among"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        left, params = self.process_lhs(compiler, connection)
        right = "= ANY(%s)" if connection.vendor == "postgresql" else "IN (SELECT value FROM json_each(%s))"
        return f"{left} {right}", (*params, _as_one(self.rhs, connection))


def _as_one(values: Sequence[int | str], connection: Any) -> Any:
    return list(values) if connection.vendor == "postgresql" else json.dumps(list(values))


models.Field.register_lookup(Among)
models.ForeignKey.register_lookup(Among)


class Reading:
    """A query that `make` builds, given a place for each of its arguments; ask it by rows().

    `make` gets whole numbers, lists of one for those at the places in `lists`, and times for those in `times`, and must use each
    once, as a value to compare with. What it returns has columns of its own choice (values_list), or is a query of models:
    read those by models().
    """

    def __init__(
        self,
        make: Callable[..., models.QuerySet[Any, Any]],
        *,
        lists: Sequence[int] = (),
        times: Sequence[int] = (),
    ) -> None:
        self._make = make
        self._lists, self._times = frozenset(lists), frozenset(times)
        self._made: dict[str, tuple[str, list[Any], list[int], list[tuple[int, list[Any], Any]]]] = {}
        self._lock = threading.Lock()
        self._model: type[models.Model] | None = None
        self._names: list[str] = []

    def rows(self, *arguments: Any) -> list[Sequence[Any]]:
        """The rows with these arguments, each as its columns in the query's order."""
        connection = connections[DEFAULT_DB_ALIAS]
        known = self._made.get(connection.vendor) or self._compile(connection, len(arguments))
        sql, params, places, converters = known
        given = list(params)
        for number, place in enumerate(places):
            given[place] = self._given(number, arguments[number], connection)
        with connection.cursor() as cursor:
            cursor.execute(sql, given)
            found = cursor.fetchall()
        return [_converted(row, converters, connection) for row in found] if converters else found

    def models(self, *arguments: Any) -> list[Any]:
        """The same as objects of the query's model; the query must have all of its columns, as one without values() has."""
        rows = self.rows(*arguments)
        assert self._model is not None
        return [self._model.from_db(DEFAULT_DB_ALIAS, self._names, row) for row in rows]

    def _mark(self, number: int) -> Any:
        if number in self._times:
            return dt.datetime(1900, 1, 1, microsecond=number + 1, tzinfo=dt.UTC)
        mark = -(7_919_000_000_000 + number)
        return [mark] if number in self._lists else mark

    def _given(self, number: int, value: Any, connection: Any) -> Any:
        if number in self._lists:
            return _as_one(value, connection)
        return connection.ops.adapt_datetimefield_value(value) if number in self._times else value

    def _compile(self, connection: Any, count: int) -> Any:
        with self._lock:
            # Values that stand nowhere else in a query: where they come out, the arguments go in.
            marks = [self._mark(number) for number in range(count)]
            query = self._make(*marks)
            compiler: SQLCompiler = query.query.get_compiler(DEFAULT_DB_ALIAS)
            sql, values = compiler.as_sql()
            params: list[Any] = list(values)
            places = [params.index(self._given(number, mark, connection)) for number, mark in enumerate(marks)]
            columns = [column[0] for column in compiler.select[: compiler.col_count]]
            converters: list[tuple[int, list[Any], Any]] = [
                (place, functions, expression)
                for place, (functions, expression) in compiler.get_converters(columns).items()
            ]
            self._model = query.model
            self._names = [field.attname for field in query.model._meta.concrete_fields]
            made = (sql, params, places, converters)
            self._made[connection.vendor] = made
            return made


def _converted(row: Sequence[Any], converters: Sequence[tuple[int, list[Any], Any]], connection: Any) -> list[Any]:
    changed = list(row)
    for place, functions, expression in converters:
        for function in functions:
            changed[place] = function(changed[place], expression, connection)
    return changed
