"""Many rows in one statement, the same on PostgreSQL and SQLite.

The hot path writes hundreds of rows at a time; the ORM's save() and bulk_create() cost more than the statement itself.
Column names and value adaption come from the models, so a renamed column can't be missed here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
import uuid_utils.compat
from django.db import DEFAULT_DB_ALIAS, connections, models

uuid7 = uuid_utils.compat.uuid7
"""A new UUIDv7: ordered by time, with 74 random bits."""


class JSONText(bytes):
    """A JSON value that is written already, for insert_rows: it is not read and written once more on its way."""


def _columns(model: type[models.Model], names: Sequence[str]) -> list[Any]:
    return [model._meta.get_field(name) for name in names]


def _source(connection: Any, fields: Sequence[Any], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """The rows as a query and its parameters.

    On PostgreSQL they travel as one JSON document: the driver need not take apart a text with thousands of placeholders,
    which cost more than the insert itself (200 leads: a third of the CPU). On SQLite plain VALUES are the cheapest.
    """
    if connection.vendor != "postgresql":
        prepared = [
            [value.decode() for value in column]
            if isinstance(column[0], JSONText)
            else [field.get_db_prep_save(value, connection) for value in column]
            for field, column in zip(fields, zip(*rows, strict=True), strict=True)
        ]
        row_sql = "(" + ", ".join(["%s"] * len(fields)) + ")"
        return f"VALUES {', '.join([row_sql] * len(rows))}", [
            value for row in zip(*prepared, strict=True) for value in row
        ]
    kinds = [field.rel_db_type(connection) if field.is_relation else field.db_type(connection) for field in fields]
    names = [f"v{place}" for place in range(len(fields))]
    columns = [
        _in_document(field, column, connection) for field, column in zip(fields, zip(*rows, strict=True), strict=True)
    ]
    table = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    try:
        document = orjson.dumps(table, default=str).decode()
    except TypeError:
        if any(isinstance(value, JSONText) for value in rows[0]):
            raise
        # Numbers of more than 64 bits.
        document = json.dumps(table, default=str)
    typed = ", ".join(f"{name} {kind}" for name, kind in zip(names, kinds, strict=True))
    return f"SELECT * FROM json_to_recordset(%s::json) AS u({typed})", [document]  # noqa: S608  names and types of our own


# PostgreSQL reads these from JSON as they are; taking each value through its field costs more than writing the document.
_AS_THEY_ARE = (
    models.CharField,
    models.TextField,
    models.IntegerField,
    models.BooleanField,
    models.DateTimeField,
    models.UUIDField,
    models.ForeignKey,
    models.JSONField,
)


def _in_document(field: Any, column: Sequence[Any], connection: Any) -> Sequence[Any]:
    if isinstance(column[0], JSONText):
        # It takes plain bytes only, none of a kind of their own.
        return [orjson.Fragment(bytes(text)) for text in column]
    if isinstance(field, _AS_THEY_ARE) and type(field).__module__.startswith("django."):
        return column
    return [field.get_db_prep_save(value, connection) for value in column]


def insert_rows(
    model: type[models.Model],
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    on_conflict: str = "",
    returning: Sequence[str] = (),
) -> list[tuple[Any, ...]]:
    """Insert rows (one sequence of values each, in the order of `names`) in one statement.

    `names` are field names; a foreign key takes its id. Columns that are left out take the database's default. With
    `returning` (field names) the inserted rows' values come back in no promised order, and raw as the driver gives
    them (so ask for integers or text). `on_conflict` is what stands behind ON CONFLICT.
    """
    if not rows:
        return []
    connection = connections[DEFAULT_DB_ALIAS]  # itself: its proxy would cost a look-up for each of thousands of values
    fields = _columns(model, names)
    quote = connection.ops.quote_name
    source, params = _source(connection, fields, rows)
    columns = ", ".join(quote(field.column) for field in fields)
    sql = f"INSERT INTO {quote(model._meta.db_table)} ({columns}) {source}"
    if on_conflict:
        sql += f" ON CONFLICT {on_conflict}"
    if returning:
        sql += " RETURNING " + ", ".join(quote(field.column) for field in _columns(model, returning))
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if returning else []


def ids_reserve(model: type[models.Model], count: int) -> list[int]:
    """Ids for rows that are going to be written with them. PostgreSQL only."""
    connection = connections[DEFAULT_DB_ALIAS]
    key = model._meta.pk
    assert key is not None
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
            [connection.ops.quote_name(model._meta.db_table), key.column, count],
        )
        return [row[0] for row in cursor.fetchall()]


def copy_rows(model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write rows as insert_rows does, by COPY: thousands of them in a third of the time, and all or none. PostgreSQL only."""
    connection = connections[DEFAULT_DB_ALIAS]
    fields = _columns(model, names)
    quote = connection.ops.quote_name
    columns = [_copy_text(field, column) for field, column in zip(fields, zip(*rows, strict=True), strict=True)]
    text = "\n".join(map("\t".join, zip(*columns, strict=True)))
    into = f"COPY {quote(model._meta.db_table)} ({', '.join(quote(field.column) for field in fields)}) FROM STDIN"
    # The driver’s own errors become Django’s, as with any other statement.
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(into) as copy:
        copy.write(text + "\n")


# What has a meaning of its own in COPY's text.
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copy_text(field: Any, column: Sequence[Any]) -> list[str]:
    if len({*map(id, column)}) == 1 and not isinstance(field, models.JSONField):
        return [_copy_value(column[0])] * len(column)
    if isinstance(field, models.JSONField):
        # JSON has no tabs and line ends of its own; backslashes it has.
        return [r"\N" if value is None else orjson.dumps(value).decode().replace("\\", "\\\\") for value in column]
    return [_copy_value(value) for value in column]


def _copy_value(value: Any) -> str:
    if value is None:
        return r"\N"
    text = value if type(value) is str else str(value)
    return text.translate(_COPY_ESCAPES) if type(value) is str and not text.isalnum() else text


def update_rows(
    model: type[models.Model],
    match: Sequence[str],
    change: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> set[tuple[Any, ...]]:
    """Update many rows, each to its own values, in one statement.

    Each of `rows` holds the values of the fields in `match`, then of those in `change`. Only rows whose `match` values
    are found are changed; their `match` values are returned, as the driver gives them (match on integers).
    """
    rows = list(rows)
    if not rows:
        return set()
    connection = connections[DEFAULT_DB_ALIAS]
    fields = _columns(model, [*match, *change])
    quote = connection.ops.quote_name
    source, params = _source(connection, fields, rows)
    names = [f"v{place}" for place in range(len(fields))]
    table = quote(model._meta.db_table)
    columns = [quote(field.column) for field in fields]
    sets = ", ".join(f"{column} = v.{name}" for column, name in list(zip(columns, names, strict=True))[len(match) :])
    where = " AND ".join(
        f"{table}.{column} = v.{name}" for column, name in zip(columns[: len(match)], names, strict=False)
    )
    back = ", ".join(f"{table}.{column}" for column in columns[: len(match)])
    if connection.vendor == "postgresql":
        # Said once more for the planner: with stale statistics it reads the whole table to find a few rows.
        where += f" AND {table}.{columns[0]} = ANY(%s)"
        params = [*params, [row[0] for row in rows]]
    sql = (
        f"WITH v({', '.join(names)}) AS ({source}) "  # noqa: S608
        f"UPDATE {table} SET {sets} FROM v WHERE {where} RETURNING {back}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return set(cursor.fetchall())


def connection_drop() -> None:
    """After an error of the database: the next statement opens a new connection; in a transaction there is only this one."""
    connection = connections[DEFAULT_DB_ALIAS]
    if not connection.in_atomic_block:
        connection.close()
