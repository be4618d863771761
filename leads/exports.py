"""Leads as CSV or XLSX, streamed: the first rows go out while the last are not yet read, and memory stays flat.

A CSV cell that begins with = + - @ tab or carriage return, which a spreadsheet would take for a formula, gets an apostrophe in
front; imports take it away again. In XLSX every cell says itself that it is text, and nothing is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from leads.models import Form, Lead
from leads.models.lead import failed_words
from leads.rights import masked_values
from leads.tables import csv_line
from leads.xlsx import MOST_ROWS, xlsx_stream

CHUNK = 1_000
COLUMNS = (
    "id", "hash", "received", "campaign", "publisher", "link", "status", "flag", "reason code", "comment",
    "score", "max score", "held", "failed jobs", "added values",
)  # fmt: skip
# What a campaign's judging is worth, what it holds and what it bought besides, is the account manager's.
PUBLISHER_COLUMNS = tuple(name for name in COLUMNS if name not in ("score", "max score", "held", "added values"))
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

_VALUES = (
    "pk", "hash", "created_at", "campaign__name", "publisher__name", "link__name", "status", "flag", "reason_code", "comment",
    "score", "max_score", "held", "failed_jobs", "enriched", "form_id", "values",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MoreColumns:
    """Columns that a layer above adds: their names, and their cells for leads by id, asked for a chunk at a time."""

    names: tuple[str, ...]
    cells: Callable[[Sequence[int]], Mapping[int, Sequence[str]]]


OTHERS = "other values"
"""The last column: what leads say beyond the fields of now, as under a name that a field had before, or appended later."""
XLSX_LEADS = MOST_ROWS - 1
XLSX_FULL = f"An Excel workbook holds {XLSX_LEADS:,} leads at the most, and these are more. Choose CSV."

NO_MORE = MoreColumns((), lambda ids: {})


def leads_csv(
    leads: QuerySet[Lead],
    *,
    columns: Sequence[str] = COLUMNS,
    more: MoreColumns = NO_MORE,
    masked: bool = False,
    bom: bool = True,
) -> Iterator[bytes]:
    """Leads as CSV in pieces. With `bom` spreadsheets know that it is UTF-8; `masked` for who may read no personal data."""
    rows = lead_rows(leads, columns=columns, more=more, masked=masked)
    piece = ["\ufeff" if bom else ""]
    for row in rows:
        piece.append(csv_line(row))
        if len(piece) >= CHUNK:
            yield "".join(piece).encode()
            piece = []
    yield "".join(piece).encode()


def leads_xlsx(
    leads: QuerySet[Lead],
    *,
    columns: Sequence[str] = COLUMNS,
    more: MoreColumns = NO_MORE,
    masked: bool = False,
) -> Iterator[bytes]:
    """Leads as a workbook in pieces. ValueError, where it was not asked before, if they are more than XLSX_LEADS."""
    return xlsx_stream(lead_rows(leads, columns=columns, more=more, masked=masked))


def lead_rows(
    leads: QuerySet[Lead],
    *,
    columns: Sequence[str] = COLUMNS,
    more: MoreColumns = NO_MORE,
    masked: bool = False,
) -> Iterator[list[str]]:
    """The column names, then a row for each lead, oldest first. `columns` are those of COLUMNS that the reader may see."""
    used = leads.order_by().values_list("form_id", flat=True).distinct()
    forms = Form.objects.filter(pk__in=set(used)).prefetch_related("fields").order_by("pk")
    keys = list(dict.fromkeys(key for form in forms for field in form.fields.all() for key in field.inputs))
    fields = {form.pk: form.fields.all() for form in forms}
    places = [COLUMNS.index(name) for name in columns]
    known = set(keys)
    yield [*columns, *more.names, *keys, OTHERS]
    no_cells = ("",) * len(more.names)
    last = 0
    while chunk := list(leads.filter(pk__gt=last).order_by("pk").values_list(*_VALUES)[:CHUNK]):
        last = chunk[-1][0]
        added = more.cells([row[0] for row in chunk])
        for pk, lead_hash, received, *facts, score, most, held, failed, enriched, form_id, values in chunk:
            if masked:
                # Of a form that came while this is read no type is known: all of it is masked.
                values = masked_values(values, fields.get(form_id, ()))
                # A comment, a reason, a value made of others may quote anything: who may not read the lead is not shown it.
                facts[-1], failed, enriched = "", [], None
            cells = [
                *(str(pk), lead_hash.hex, received.isoformat(timespec="seconds")),
                *map(_text, facts),
                *(_number(score), _number(most), held, "; ".join(failed_words(failed)), _pairs(enriched)),
            ]
            others = _pairs({key: value for key, value in values.items() if key not in known})
            its_own = (values.get(key, "") for key in keys)
            yield [*(cells[place] for place in places), *added.get(pk, no_cells), *its_own, others]


def xlsx_holds(leads: QuerySet[Lead]) -> bool:
    """Whether a workbook has room for all of them."""
    return leads.order_by()[: XLSX_LEADS + 1].count() <= XLSX_LEADS


def _text(value: str | None) -> str:
    return value or ""


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _pairs(values: Mapping[str, str] | None) -> str:
    return "; ".join(f"{name}: {value}" for name, value in (values or {}).items())
