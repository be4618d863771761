"""Files with values for a list: which column they stand in, and what each row comes to. No database.

How a file is written (encoding, delimiter, workbook) is found out by leads/tables.py, as for files of leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from integrations.kit.lists import DOMAINS, ListKind
from integrations.kit.normal_forms import folded
from leads.tables import Unreadable, column_letters

MOST_VALUE_CHARS = 1_000
_LOOKED_AT = 1_000
_LEAST_DIGITS = 5
# What the first row of a file says where it names its columns.
_COLUMN_NAMES = frozenset(
    [
        *("value", "values", "key", "keys", "name", "names", "word", "words", "domain", "domains", "hash", "hashes"),
        *("email", "e-mail", "emails", "e-mail address", "email address", "email_address", "sha256", "sha-256", "md5"),
        *("telephone", "telephone number", "phone", "phone number", "mobile", "postcode", "zip", "zip code", "country"),
        *("company", "company name", "industry", "job title", "region", "city", "state", "from", "to", "code", "id"),
    ]
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of a file: its key and value, or what is wrong with it."""

    row: int
    key: str = ""
    value: str = ""
    wrong: str = ""


def rows_counted(kind: ListKind, rows: Iterable[tuple[int, Sequence[str]]], *, column: int | None, most: int) -> int:
    """How many rows of values a file has, read to its end. Unreadable says where it can't be read, or why it is no list."""
    count = wide = widest = 0
    for row, cells in _under_names(rows):
        filled = _filled(cells)
        if count == 0:
            _check_first(kind, row, filled, len(cells), column)
        count += 1
        if count <= _LOOKED_AT:
            wide, widest = wide + (filled > 1), max(widest, filled)
        if count > most:
            raise Unreadable(f"This file has more than {most:,} values, which is the most that a list holds. Split it.")
    if not count:
        raise Unreadable("This file has no values in it.")
    if column is None and not kind.has_value and wide * 2 > min(count, _LOOKED_AT):
        raise Unreadable(f"This file has {widest} columns. Say which one has the values, or save that column alone.")
    return count


def entries(kind: ListKind, rows: Iterable[tuple[int, Sequence[str]]], *, column: int | None) -> Iterator[Entry]:
    """What each row comes to, without the row that names the columns."""
    for row, cells in _under_names(rows):
        yield _entry(kind, row, cells, column)


def last_of_each(found: Iterable[Entry]) -> Mapping[str, str]:
    """Key to value of the entries that are good; of a key that is there twice the last one counts."""
    return {entry.key: entry.value for entry in found if not entry.wrong}


def _under_names(rows: Iterable[tuple[int, Sequence[str]]]) -> Iterator[tuple[int, Sequence[str]]]:
    for place, (row, cells) in enumerate(rows):
        if place or not any(folded(cell) in _COLUMN_NAMES for cell in cells):
            yield row, cells


def _filled(cells: Sequence[str]) -> int:
    return sum(bool(cell) for cell in cells)


def _check_first(kind: ListKind, row: int, filled: int, width: int, column: int | None) -> None:
    if kind.has_value and filled < 2:
        raise Unreadable(
            f"Row {row} has one column only, and a look-up table needs two: what is looked up, and what it stands for. "
            "Columns may be apart by comma, semicolon, tab or pipe."
        )
    if column is not None and column >= width:
        raise Unreadable(f"This file has no column {column_letters(column)}.")


def _entry(kind: ListKind, row: int, cells: Sequence[str], column: int | None) -> Entry:
    if kind.has_value:
        if _filled(cells[:2]) < 2:
            return Entry(row, wrong="One of the two columns is empty.")
        if len(cells[1]) > MOST_VALUE_CHARS:
            return Entry(row, wrong=f"What it stands for is longer than {MOST_VALUE_CHARS:,} characters.")
    elif column is None and _filled(cells) > 1:
        return Entry(row, wrong="It has more than one column: put a value with commas into quotation marks.")
    text = cells[column or 0] if len(cells) > (column or 0) else ""
    if wrong := value_problem(kind, text):
        return Entry(row, wrong=wrong)
    return Entry(row, kind.key(text), cells[1].replace("\x00", "") if kind.has_value else "")


def value_problem(kind: ListKind, text: str) -> str:
    """Why a text is no entry of a list of this kind, in words; "" where it is one."""
    key = kind.key(text)
    if not text.strip() or not key:
        return "There is no value in it."
    if kind.name == DOMAINS and ("." not in key or "@" in key or " " in key):
        return "This is no domain. Write it as in example.com."
    if kind.hashed and "@" not in text and key != text.strip().lower() and sum(map(str.isdigit, text)) < _LEAST_DIGITS:
        return "This is no e-mail address, no telephone number, and no SHA-256 or MD5 of one."
    return ""
