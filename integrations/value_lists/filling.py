"""A list filled from an uploaded file in the background: an activity, so that it can be left and found again (leads/activity.py).

The whole file is read before anything is kept of it, so that what is wrong with it is said where it is uploaded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from django.conf import settings
from django.utils import timezone

from integrations.models import ValueList
from integrations.value_lists.files import Entry, entries, rows_counted
from integrations.value_lists.lists import (
    BATCH,
    MOST_WRONG,
    OVERTAKEN,
    ListError,
    ListImported,
    entries_take,
    list_generation,
    list_kind,
    list_put_in_force,
    list_refuse_mirrored,
)
from leads.activity import AT_WORK, ActivityError, Kind, Result, activity_start, items_insert
from leads.import_files import Upload, all_rows, import_upload
from leads.models import Activity, ActivityItem, ImportFile, ItemState
from leads.tables import Unreadable, csv_line

NAME = "list_import"


def list_import_start(
    value_list: ValueList,
    upload: Upload,
    *,
    name: str,
    by: str,
    token: str = "",
    replace: bool = False,
    column: int | None = None,
) -> Activity:
    """Fill a list from an uploaded file in the background. The whole file is read first: Unreadable says where and what to do.

    The activity's `done` are the good rows; each bad one is an item of it, by its number in the file, with words and without what
    stands in it.
    """
    list_refuse_mirrored(value_list)
    file = import_upload(upload, name=name, campaign=None, by=by)
    try:
        count = rows_counted(list_kind(value_list), all_rows(file), column=column, most=settings.LIST_MAX_VALUES)
    except Unreadable:
        file.delete()
        raise
    params = {
        "list": value_list.pk,
        "name": name,
        "file": file.pk,
        "replace": replace,
        "column": column,
        "rows": count,
        "generation": list_generation(value_list, replace),
        "encoding": file.encoding,
    }
    return activity_start(NAME, params, by=by, token=token)


class _Filling:
    """Reads a file from where the activity has come to; stays open for one worker's turn."""

    def __init__(self) -> None:
        self._entries: Iterator[Entry] | None = None
        self._read_to = 0

    def __call__(self, activity: Activity) -> bool:
        params = activity.params
        value_list = ValueList.objects.filter(pk=params["list"]).first()
        file = ImportFile.objects.filter(pk=params["file"]).first()
        if value_list is None or file is None:
            raise ActivityError(
                "The list was removed meanwhile." if file else "The file is not kept any more. Upload it again."
            )
        if params["generation"] < value_list.generation:
            raise ActivityError(OVERTAKEN)
        if self._entries is None or self._read_to != activity.prepared_to:
            try:
                self._entries = entries(list_kind(value_list), all_rows(file), column=params["column"])
                self._entries = (entry for entry in self._entries if entry.row > activity.prepared_to)
            except Unreadable as error:
                raise ActivityError(str(error)) from None
        batch = list(islice(self._entries, BATCH))
        if not batch:
            try:
                list_put_in_force(value_list, params["generation"])
            except ListError as error:
                raise ActivityError(str(error)) from None
            file.delete()
            return False
        came = ListImported()
        try:
            entries_take(value_list, params["generation"], batch, came)
        except ListError as error:
            raise ActivityError(str(error)) from None
        kept = max(0, MOST_WRONG - activity.failed)
        items_insert([(activity.pk, row, None, ItemState.FAILED, words, None) for row, words in came.wrong[:kept]])
        activity.total += came.read
        activity.done += came.read - len(came.wrong)
        activity.failed += len(came.wrong)
        counts = {name: params.get(name, 0) + getattr(came, name) for name in ("added", "known")}
        activity.params = {**params, **counts}
        self._read_to = activity.prepared_to = batch[-1].row
        return True


def _again(_activity: Activity, items: Sequence[ActivityItem]) -> Mapping[int, Result]:
    words = "Mend this row in the file, and upload it again."
    return {item.pk: Result(ItemState.SKIPPED, words) for item in items}


KIND = Kind(NAME, "Fill list", _Filling, _again)


def list_failures_csv(activity: Activity) -> Iterator[str]:
    """The rows that were left out, with their number in the file and what is wrong. What stands in them is not kept."""
    yield csv_line(["Row in the file", "What is wrong"])
    failed = ActivityItem.objects.filter(activity=activity, state=ItemState.FAILED).order_by("subject")
    for row, words in failed.values_list("subject", "words").iterator(1_000):
        yield csv_line([str(row), words])


def list_files_tidy() -> None:
    """Delete files whose filling has ended: those of activities that were cancelled or failed."""
    before = timezone.now() - dt.timedelta(minutes=5)
    for file_id in list(ImportFile.objects.filter(campaign=None, created_at__lt=before).values_list("pk", flat=True)):
        if not Activity.objects.filter(kind=NAME, state__in=AT_WORK, params__file=file_id).exists():
            ImportFile.objects.filter(pk=file_id).delete()
