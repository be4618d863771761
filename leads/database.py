"""Many rows in one statement, the same on PostgreSQL and SQLite.

The hot path writes hundreds of rows at a time; the ORM's save() and bulk_create() cost more than the statement itself.
Column names and value adaption come from the models, so a renamed column can't be missed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import uuid_utils.compat
from django.db import DEFAULT_DB_ALIAS, connections, models

uuid7 = uuid_utils.compat.uuid7
"""A new UUIDv7: ordered by time, with 74 random bits."""


def _columns(model: type[models.Model], names: Sequence[str]) -> list[Any]:
    return [model._meta.get_field(name) for name in names]


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
    columns = ", ".join(quote(field.column) for field in fields)
    row_sql = "(" + ", ".join(["%s"] * len(fields)) + ")"
    params: list[Any] = []
    for row in rows:
        params.extend(field.get_db_prep_save(value, connection) for field, value in zip(fields, row, strict=True))
    sql = f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES {', '.join([row_sql] * len(rows))}"  # noqa: S608
    if on_conflict:
        sql += f" ON CONFLICT {on_conflict}"
    if returning:
        sql += " RETURNING " + ", ".join(quote(field.column) for field in _columns(model, returning))
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if returning else []


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
    on_postgresql = connection.vendor == "postgresql"
    # PostgreSQL takes the type of a VALUES column from its text; SQLite keeps what it is given.
    casts = [
        f"%s::{field.rel_db_type(connection) if field.is_relation else field.db_type(connection)}"
        if on_postgresql
        else "%s"
        for field in fields
    ]
    first_row = "(" + ", ".join(casts) + ")"
    row_sql = "(" + ", ".join(["%s"] * len(fields)) + ")"
    names = [f"v{place}" for place in range(len(fields))]
    table = quote(model._meta.db_table)
    sets = ", ".join(
        f"{quote(field.column)} = v.{name}"
        for field, name in zip(fields[len(match) :], names[len(match) :], strict=True)
    )
    where = " AND ".join(
        f"{table}.{quote(field.column)} = v.{name}" for field, name in zip(fields[: len(match)], names, strict=False)
    )
    back = ", ".join(f"{table}.{quote(field.column)}" for field in fields[: len(match)])
    params: list[Any] = []
    for row in rows:
        params.extend(field.get_db_prep_save(value, connection) for field, value in zip(fields, row, strict=True))
    values = ", ".join([first_row, *[row_sql] * (len(rows) - 1)])
    sql = (
        f"WITH v({', '.join(names)}) AS (VALUES {values}) "  # noqa: S608
        f"UPDATE {table} SET {sets} FROM v WHERE {where} RETURNING {back}"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return set(cursor.fetchall())
