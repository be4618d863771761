"""Files of leads that people bring: kept, read, and their columns mapped to a form's inputs. See leads/imports.py."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO, Protocol, cast

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from leads.forms import CompiledForm
from leads.models import Campaign, ImportChunk, ImportFile, ImportMapping
from leads.tables import Layout, Unreadable, columns_named, layout_detect, table_rows

CHUNK = 1024 * 1024
# What a download of failed rows adds: no columns of the file's own.
ROW_COLUMN, WRONG_COLUMN = "Row in the file", "What is wrong"


class Upload(Protocol):
    """An uploaded file, as Django gives it."""

    def chunks(self) -> Iterable[bytes]: ...


def import_upload(upload: Upload, *, name: str, campaign: Campaign | None, by: str) -> ImportFile:
    """Keep an uploaded file and read its start: columns, encoding, delimiter. Raises Unreadable with words.

    A file without a campaign is one of values for a list, and not of leads.
    """
    with tempfile.TemporaryFile() as file:
        size, digest = 0, hashlib.sha256()
        for piece in upload.chunks():
            size += len(piece)
            if size > settings.IMPORT_MAX_BYTES:
                raise Unreadable(f"This file is larger than {settings.IMPORT_MAX_BYTES // CHUNK} MB. Split it.")
            digest.update(piece)
            file.write(piece)
        layout = layout_detect(cast(BinaryIO, file))
        first = next(table_rows(cast(BinaryIO, file), layout), None)
        if first is None:
            raise Unreadable("This table has no rows.")
        made = ImportFile(
            campaign=campaign,
            name=name[:255],
            size=size,
            digest=digest.hexdigest(),
            format=layout.format,
            encoding=layout.encoding,
            delimiter=layout.delimiter,
            columns=columns_named(first[1]),
            by=by[:200],
            created_at=timezone.now(),
        )
        file.seek(0)
        with transaction.atomic():
            made.save()
            number = 0
            while piece := file.read(CHUNK):
                ImportChunk.objects.create(file=made, number=number, data=piece)
                number += 1
    return made


def import_sample(file: ImportFile, rows: int = 5) -> list[list[str]]:
    """The first rows under the columns, to show."""
    reader = file_rows(file)
    return [cells for (_, cells), _ in zip(reader, range(rows), strict=False)]


def import_offer(file: ImportFile, form: CompiledForm) -> dict[str, str]:
    """A mapping (column to input key) to begin with: the one that was used for these columns before, else by name."""
    keys = {made.key for made in form.inputs.values()}
    known = ImportMapping.objects.filter(campaign=file.campaign_id, form=form.id, columns=columns_digest(file.columns))
    for earlier in known:
        kept = {_plain(column): key for column, key in earlier.mapping.items() if key in keys}
        return {column: kept[_plain(column)] for column in file.columns if _plain(column) in kept}
    by_name = {_plain(key): key for key in keys}
    for field in form.fields:
        if field.label and field.name in keys:
            by_name.setdefault(_plain(field.label), field.name)
    offered: dict[str, str] = {}
    for column in file.columns:
        key = by_name.get(_plain(column))
        if key is not None and key not in offered.values():
            offered[column] = key
    return offered


def import_problems(file: ImportFile, form: CompiledForm, mapping: Mapping[str, str]) -> list[str]:
    """What keeps a mapping from being used, in words; empty when it can be."""
    labels = input_labels(form)
    used = [key for column, key in mapping.items() if column in file.columns and key]
    problems = [
        f"{labels[key]} is filled from two columns."
        for key in dict.fromkeys(used)
        if used.count(key) > 1 and key in labels
    ]
    problems += [f"This form has no input “{key}”." for key in used if key not in labels]
    problems += [
        f"{labels[made.key]} is required, and no column is mapped to it."
        for made in form.inputs.values()
        if made.required and made.key not in used
    ]
    return problems if used else ["Map at least one column.", *problems]


def input_labels(form: CompiledForm) -> dict[str, str]:
    """Input key to what a person calls it."""
    labels = {}
    for made in form.inputs.values():
        name, _, part = made.key.partition(".")
        field = next(field for field in form.fields if field.name == name)
        labels[made.key] = (field.label or field.name) + (f" ({part})" if part else "")
    return labels


def file_rows(file: ImportFile, *, behind: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The rows under the columns, behind a row number."""
    width = len(file.columns)
    rows = all_rows(file)
    next(rows, None)
    for number, cells in rows:
        if number > behind:
            yield number, cells[:width]


def all_rows(file: ImportFile) -> Iterator[tuple[int, list[str]]]:
    """All rows of a file that is kept, the first one too. Raises Unreadable."""
    with tempfile.TemporaryFile() as copy:
        for piece in (
            ImportChunk.objects.filter(file=file).order_by("number").values_list("data", flat=True).iterator(4)
        ):
            copy.write(piece)
        if not copy.tell():
            raise Unreadable("The file is not kept any more. Upload it again.")
        yield from table_rows(cast(BinaryIO, copy), Layout(file.format, file.encoding, file.delimiter))


def own_columns(columns: Sequence[str]) -> list[str]:
    """The columns without those that a download of failed rows added."""
    return [name for name in columns if name not in (ROW_COLUMN, WRONG_COLUMN)]


def columns_digest(columns: Sequence[str]) -> str:
    """What tells that a file has the same columns, in any order and letter case."""
    names = sorted(_plain(name) for name in own_columns(columns))
    return hashlib.sha256("\0".join(names).encode()).hexdigest()


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))
