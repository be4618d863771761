"""Tables that people bring as CSV or XLSX: what they are written in, their columns, and their rows one by one. No database.

Nothing of a file is held in memory as a whole but an XLSX's shared strings, which are bounded.
"""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import openpyxl

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
ENCODING_WORDS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "cp1252": "Windows-1252, because it is not UTF-8: look whether letters such as é and ü are right",
}
MOST_COLUMNS = 500
MOST_CELL_CHARS = 100_000
# A workbook is a zip: what it unpacks to is bounded before it is read.
MOST_UNPACKED = 1024 * 1024 * 1024
MOST_SHARED_STRINGS = 128 * 1024 * 1024
MOST_EMPTY_ROWS = 100_000
_HEAD = 256 * 1024
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Unreadable(Exception):
    """A file that can't be read, in words that say what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is written. `encoding` and `delimiter` are a CSV's."""

    format: str
    encoding: str = ""
    delimiter: str = ""


def layout_detect(file: BinaryIO) -> Layout:
    """Find out how a file is written, by reading it once. Raises Unreadable."""
    file.seek(0)
    head = file.read(_HEAD)
    if not head.strip():
        raise Unreadable("This file is empty.")
    if head.startswith(b"PK\x03\x04"):
        _check_workbook(file)
        return Layout("xlsx")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable(
            "This is a workbook of an old kind (.xls), or one with a password. Save it as .xlsx or as CSV."
        )
    encoding = _encoding(file, head)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    if "\x00" in text:
        raise Unreadable("This is no table as text. Bring a CSV file or an .xlsx workbook.")
    return Layout("csv", encoding, _delimiter(text))


def table_rows(file: BinaryIO, layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Rows as (number, cells) with the number that a spreadsheet shows; empty ones are left out. Raises Unreadable."""
    file.seek(0)
    rows = _xlsx_rows(file) if layout.format == "xlsx" else _csv_rows(file, layout)
    empty = 0
    for number, cells in enumerate(rows, 1):
        if any(cells):
            empty = 0
            yield number, cells
        elif (empty := empty + 1) > MOST_EMPTY_ROWS:
            return


def columns_named(cells: Sequence[str]) -> list[str]:
    """Names for the columns from the first row: none empty, none twice. Raises Unreadable."""
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) > MOST_COLUMNS:
        raise Unreadable(f"This table has more than {MOST_COLUMNS} columns.")
    seen: Counter[str] = Counter()
    names = []
    for place, cell in enumerate(cells, 1):
        name = " ".join(cell.split())[:200] or f"Column {place}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return names


def column_letters(place: int) -> str:
    """What a spreadsheet calls a column: 0 is A, 26 is AA."""
    letters, place = "", place + 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def csv_line(cells: Iterable[str]) -> str:
    """One line of CSV. A cell that a spreadsheet would take for a formula gets an apostrophe in front.

    These are cells that begin with = + - @ tab or carriage return; `cell_meant` takes the apostrophe away again.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["'" + cell if cell.startswith(_FORMULA_STARTS) else cell for cell in cells])
    return out.getvalue()


def cell_meant(cell: str) -> str:
    """A cell without the apostrophe that an export put before what looks like a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA_STARTS) else cell


def _encoding(file: BinaryIO, head: bytes) -> str:
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if head[1:200:2].count(0) > 40:
        return "utf-16-le"
    if head[0:200:2].count(0) > 40:
        return "utf-16-be"
    for encoding in ("utf-8", "cp1252"):
        decoder = codecs.getincrementaldecoder(encoding)()
        file.seek(0)
        try:
            while piece := file.read(1024 * 1024):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    raise Unreadable("The letters in this file can't be read. Save it as “CSV UTF-8”.")


def _delimiter(text: str) -> str:
    """The delimiter that makes the most columns in the same number on the most lines."""
    if text.lower().startswith("sep=") and text[4:5] in DELIMITERS:
        return text[4]
    lines = text.splitlines(keepends=True)[:50]
    if len(text) >= _HEAD // 4:
        lines = lines[:-1] or lines
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        try:
            counts = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        except csv.Error:
            continue
        columns, often = max(counts.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if columns > 1 and (score := (often / counts.total(), columns)) > best_score:
            best, best_score = delimiter, score
    return best


def _csv_rows(file: BinaryIO, layout: Layout) -> Iterator[list[str]]:
    # Kept from closing the file that it was given.
    text = io.TextIOWrapper(io.BufferedReader(_Unclosed(file)), encoding=layout.encoding, newline="")
    reader = csv.reader(text, delimiter=layout.delimiter)
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            words = f"Row {number} can't be read: is a quotation mark in it opened and never closed?"
            raise Unreadable(words) from None
        except UnicodeError:
            raise Unreadable(f"Row {number} has letters that can't be read. Save the file as “CSV UTF-8”.") from None
        if number == 1 and len(cells) <= 2 and cells and cells[0].lower().startswith("sep="):
            number -= 1
            continue
        yield [cell_meant(cell.strip()) for cell in cells]


class _Unclosed(io.RawIOBase):
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _check_workbook(file: BinaryIO) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, OSError):
        raise Unreadable("This workbook is damaged. Save it anew, or save it as CSV.") from None
    if "xl/workbook.xml" not in sizes:
        raise Unreadable("This is a zip file, but no .xlsx workbook. Unpack it first.")
    if sum(sizes.values()) > MOST_UNPACKED or sizes.get("xl/sharedStrings.xml", 0) > MOST_SHARED_STRINGS:
        raise Unreadable("This workbook is too large inside. Save it as CSV.")


def _xlsx_rows(file: BinaryIO) -> Iterator[list[str]]:
    try:
        workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheet = workbook.worksheets[0]
        # Its own word on how large it is may be wrong.
        sheet.reset_dimensions()
        for row in sheet.iter_rows(values_only=True):
            yield [_cell_text(value) for value in row[: MOST_COLUMNS + 1]]
    except Exception as error:  # openpyxl raises whatever a damaged file makes of it
        raise Unreadable("This workbook can't be read. Save it anew, or save it as CSV.") from error


def _cell_text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case dt.datetime() if value.time() == dt.time():
            return value.date().isoformat()
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
    return cell_meant(str(value).strip())
