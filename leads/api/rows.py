"""Many leads in one body: NDJSON, a JSON array or CSV, row by row. No database; of NDJSON and CSV only the row at hand is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, NamedTuple

import orjson

from leads.forms import CompiledForm
from leads.json_forms import NO_FIELD, json_form
from leads.posted import Pairs
from leads.tables import Layout, Unreadable, columns_named, layout_detect, table_rows

NDJSON, JSON, CSV = "application/x-ndjson", "application/json", "text/csv"
TYPES = {
    "application/x-ndjson": NDJSON,
    "application/ndjson": NDJSON,
    "application/jsonl": NDJSON,
    JSON: JSON,
    CSV: CSV,
}


class Row(NamedTuple):
    """One row and its number: of NDJSON the line, of an array the place from 1, of CSV the row that a spreadsheet shows.

    It is an object of JSON, or the pairs of a row of CSV, or `problem` says why it can't be read.
    """

    number: int
    said: Mapping[str, Any] | None = None
    pairs: Pairs | None = None
    problem: str = ""


class BadBody(Exception):
    """The body as a whole can't be used; nothing of it was taken. `columns` names those that are no fields."""

    def __init__(self, slug: str, words: str, columns: tuple[str, ...] = ()) -> None:
        super().__init__(words)
        self.slug = slug
        self.words = words
        self.columns = columns


def body_rows(file: BinaryIO, kind: str, form: CompiledForm, *, most: int, most_bytes: int) -> Iterator[Row]:
    """The rows of a body of one of TYPES, once it is known that there are no more than `most`. Raises BadBody.

    A row of NDJSON has at most `most_bytes`.
    """
    file.seek(0)
    if kind == NDJSON:
        if _lines(file) > most:
            raise _too_many(most)
        return _ndjson(file, most_bytes)
    if kind == JSON:
        return _array(file, most)
    try:
        return _csv(file, form, most)
    except Unreadable as error:
        raise BadBody("unreadable", str(error)) from None


def _too_many(most: int) -> BadBody:
    return BadBody("too-large", f"Send at most {most:,} rows in one call. Nothing was taken in.")


def _lines(file: BinaryIO) -> int:
    count = 0
    last = b"\n"
    while piece := file.read(1024 * 1024):
        count += piece.count(b"\n")
        last = piece
    file.seek(0)
    return count + (not last.endswith(b"\n"))


def _ndjson(file: BinaryIO, most_bytes: int) -> Iterator[Row]:
    number = 0
    while line := file.readline(most_bytes + 1):
        number += 1
        if len(line) > most_bytes and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(most_bytes)
            yield Row(number, problem=f"This row is larger than {most_bytes} bytes.")
        elif line.strip():
            yield _row(number, line)


def _row(number: int, line: bytes) -> Row:
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Row(number, problem=f"This is no JSON: {error.msg}, at character {error.colno}.")
    return _object(number, said)


def _object(number: int, said: Any) -> Row:
    return Row(number, said) if isinstance(said, dict) else Row(number, problem="Write a lead as a JSON object.")


def _array(file: BinaryIO, most: int) -> Iterator[Row]:
    try:
        said = orjson.loads(file.read())
    except orjson.JSONDecodeError as error:
        words = f"This is no JSON: {error.msg}, in line {error.lineno}, column {error.colno}. Nothing was taken in."
        raise BadBody("unreadable", words) from None
    if not isinstance(said, list):
        raise BadBody("invalid", "Send a JSON array of leads, or NDJSON with one lead on each line.")
    if len(said) > most:
        raise _too_many(most)
    return (_object(number, each) for number, each in enumerate(said, 1))


def _csv(file: BinaryIO, form: CompiledForm, most: int) -> Iterator[Row]:
    layout = layout_detect(file)
    if layout.format != "csv":
        raise BadBody("wrong-media-type", "This is a workbook, no CSV. Save it as CSV, or import it as a file.")
    # Read to its end first, so that what can’t be read or is too much is known before anything is taken in.
    rows = 0
    for rows, _ in enumerate(table_rows(file, layout)):
        if rows > most:
            raise _too_many(most)
    header = next(table_rows(file, layout), (1, []))[1]
    names = columns_named(header)
    wires = json_form(form).columns
    unknown = tuple(name for name in names if name not in wires)
    if unknown:
        raise BadBody("invalid", NO_FIELD, unknown)
    return _cells(file, layout, [wires[name] for name in names])


def _cells(file: BinaryIO, layout: Layout, wires: list[str]) -> Iterator[Row]:
    rows = table_rows(file, layout)
    next(rows, None)
    for number, cells in rows:
        yield Row(number, pairs=list(zip(wires, cells, strict=False)))
