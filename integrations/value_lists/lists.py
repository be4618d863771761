"""Lists of values: filled from files, in batches and in the background; searched, changed one by one, and given out.

What is replaced is filled beside what is in force (a new generation) and takes its place at once, so no job ever sees half a list.
What was in force before is deleted by the sweeper. Of a suppression list nothing is kept in clear: values are hashed as they are
read, and the file is deleted with the last of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from integrations.kit.lists import CLIENTS, LIST_KINDS, ListKind, suppression_lookups
from integrations.models import ValueList, ValueListItem
from integrations.value_lists.files import Entry, entries, last_of_each, rows_counted, value_problem
from leads.database import insert_rows
from leads.rights import masked_contact
from leads.tables import csv_line, layout_detect, table_rows

BATCH = 5_000
TIDIED_AT_ONCE = 20_000
MOST_WRONG = 10_000
OVERTAKEN = (
    "Another file took the place of the whole list while this one was read. What is in force now is that one; "
    "upload this one again if it is the newer."
)
_COLUMNS = ("list", "generation", "key", "value")


class ListError(Exception):
    """What can't be done with a list, in words."""


@dataclass(slots=True)
class ListImported:
    """What a file came to: rows read, keys that are new, keys that were there, and (row, words) of what is wrong."""

    read: int = 0
    added: int = 0
    known: int = 0
    wrong: list[tuple[int, str]] = field(default_factory=list)


def list_kind(value_list: ValueList) -> ListKind:
    """What kind of list this is."""
    return LIST_KINDS[value_list.kind]


def list_import(
    value_list: ValueList, file: BinaryIO, *, replace: bool = False, column: int | None = None
) -> ListImported:
    """Fill a list from an open file at once, in a transaction for each batch. Unreadable before anything is changed.

    `column` (0 is the first) has the values, where a file has several; a look-up table has its keys in the first column and what
    they stand for in the second.
    """
    list_refuse_mirrored(value_list)
    kind, layout = list_kind(value_list), layout_detect(file)
    rows_counted(kind, table_rows(file, layout), column=column, most=settings.LIST_MAX_VALUES)
    came = ListImported()
    generation = list_generation(value_list, replace)
    found = entries(kind, table_rows(file, layout), column=column)
    while batch := list(islice(found, BATCH)):
        with transaction.atomic():
            entries_take(value_list, generation, batch, came)
    list_put_in_force(value_list, generation)
    return came


def list_export(value_list: ValueList, *, masked: bool = False) -> Iterator[str]:
    """A list as CSV in pieces: its keys in normal form (of a suppression list: hashes), and what they stand for.

    `masked` for who may see no personal data: addresses and telephone numbers are.
    """
    kind = list_kind(value_list)
    yield csv_line(
        ["key", "value"] if kind.has_value else [{"domains": "domain", "suppression": "hash"}.get(kind.name, "value")]
    )
    for key, value in list_items(value_list).order_by("key").values_list("key", "value").iterator(2_000):
        cells = [key, value] if kind.has_value else [key]
        yield csv_line([masked_contact(cell) for cell in cells] if masked and not kind.hashed else cells)


def list_items(value_list: ValueList) -> Any:
    """The entries that are in force, as a query."""
    return ValueListItem.objects.filter(list=value_list, generation=value_list.generation)


def list_find(value_list: ValueList, text: str, most: int = 100) -> list[ValueListItem]:
    """The entries that have a text in them, as a person looks for them; on a suppression list those of exactly this value."""
    found = list_items(value_list).order_by("key")
    if not text.strip():
        return list(found[:most])
    kind = list_kind(value_list)
    if kind.hashed:
        return list(found.filter(key__in=[kind.key(text), *suppression_lookups(text)])[:most])
    return list(found.filter(key__contains=kind.key(text))[:most])


def list_add(value_list: ValueList, text: str, value: str = "") -> bool:
    """Put one entry on a list; False where its key is there already (a look-up table takes the new value). ListError."""
    list_refuse_mirrored(value_list)
    kind = list_kind(value_list)
    if wrong := value_problem(kind, text):
        raise ListError(wrong)
    if kind.has_value and not value.strip():
        raise ListError("Say what it stands for.")
    came = ListImported()
    with transaction.atomic():
        entry = Entry(1, kind.key(text), value.strip() if kind.has_value else "")
        entries_take(value_list, value_list.generation, [entry], came)
    return came.added == 1


def list_remove(value_list: ValueList, item_ids: Sequence[int]) -> int:
    """Take entries off a list; how many that were. ListError."""
    list_refuse_mirrored(value_list)
    with transaction.atomic():
        removed: int = list_items(value_list).filter(pk__in=item_ids).delete()[0]
        held = ValueList.objects.filter(pk=value_list.pk, generation=value_list.generation)
        held.update(count=F("count") - removed, updated_at=timezone.now())
    return removed


def list_replacement_begin(value_list: ValueList) -> int:
    """Begin to fill what shall take the place of all entries: its number, for list_replacement_add and list_put_in_force."""
    return list_generation(value_list, replace=True)


def list_replacement_add(value_list: ValueList, generation: int, texts: Sequence[str]) -> None:
    """Add entries, as they were written, to what is being filled."""
    kind = list_kind(value_list)
    made = [Entry(row, kind.key(text)) for row, text in enumerate(texts, 1) if kind.key(text)]
    for start in range(0, len(made), BATCH):
        with transaction.atomic():
            entries_take(value_list, generation, made[start : start + BATCH], ListImported())


def list_put_in_force(value_list: ValueList, generation: int) -> None:
    """What was filled is what jobs look values up in from now on.

    ListError where something that was begun later is in force: what was filled may be deleted already, and is the older.
    """
    with transaction.atomic():
        held = ValueList.objects.select_for_update().get(pk=value_list.pk)
        if generation < held.generation:
            raise ListError(OVERTAKEN)
        if generation > held.generation:
            count = ValueListItem.objects.filter(list=held, generation=generation).count()
            ValueList.objects.filter(pk=held.pk).update(generation=generation, count=count, updated_at=timezone.now())
    value_list.refresh_from_db()


def lists_tidy() -> int:
    """Delete entries that are in force no more, some at once, and copies of rules that are gone; how many entries that were."""
    before = timezone.now() - dt.timedelta(minutes=5)
    ValueList.objects.filter(kind=CLIENTS, client_rule=None, created_at__lt=before).delete()
    gone = 0
    old = ValueListItem.objects.filter(list=OuterRef("pk"), generation__lt=OuterRef("generation"))
    for pk, generation in ValueList.objects.filter(Exists(old)).values_list("pk", "generation"):
        behind = ValueListItem.objects.filter(list=pk, generation__lt=generation)
        ids = list(behind.values_list("pk", flat=True)[: TIDIED_AT_ONCE - gone])
        if ids:
            gone += behind.filter(pk__gte=min(ids), pk__lte=max(ids)).delete()[0]
        if gone >= TIDIED_AT_ONCE:
            break
    return gone


def list_refuse_mirrored(value_list: ValueList) -> None:
    if list_kind(value_list).mirrored:
        raise ListError("This list is kept as the client has it. Ask the client to change it.")


def list_generation(value_list: ValueList, replace: bool) -> int:
    """The one in force, or one that nobody else fills, now or later."""
    if not replace:
        return value_list.generation
    with transaction.atomic():
        held = ValueList.objects.select_for_update().get(pk=value_list.pk)
        held.last_begun = max(held.generation, held.last_begun) + 1
        held.save(update_fields=["last_begun"])
    return held.last_begun


def entries_take(value_list: ValueList, generation: int, batch: Sequence[Entry], came: ListImported) -> None:
    """Write a batch of entries, in the caller's transaction. ListError where the list would have too many, or was replaced."""
    found = last_of_each(batch)
    rows = [(value_list.pk, generation, key, value) for key, value in found.items()]
    if list_kind(value_list).has_value and rows:
        there = ValueListItem.objects.filter(list=value_list, generation=generation)
        known = there.filter(key__in=[row[2] for row in rows]).count()
        insert_rows(
            ValueListItem, _COLUMNS, rows, on_conflict="(list_id, generation, key) DO UPDATE SET value = excluded.value"
        )
        added = len(rows) - known
    else:
        added = len(insert_rows(ValueListItem, _COLUMNS, rows, on_conflict="DO NOTHING", returning=["id"]))
    if generation == value_list.generation:
        held = ValueList.objects.filter(pk=value_list.pk, generation=generation)
        if not held.update(count=F("count") + added, updated_at=timezone.now()):
            raise ListError(OVERTAKEN)
        if (total := held.values_list("count", flat=True)[0]) > settings.LIST_MAX_VALUES:
            raise ListError(
                f"The list would have {total:,} values, and {settings.LIST_MAX_VALUES:,} are the most. "
                "Make a second list, and a second job that looks into it."
            )
    wrong = [(entry.row, entry.wrong) for entry in batch if entry.wrong]
    came.read += len(batch)
    came.added += added
    came.known += len(batch) - len(wrong) - added
    came.wrong += wrong[: max(0, MOST_WRONG - len(came.wrong))]
