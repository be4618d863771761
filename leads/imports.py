"""Importing leads from files: check every row, take them in as intake does, mend what failed.

Reading a file and mapping its columns is in leads/import_files.py.

An import is an activity (leads/activity.py): its preparation reads and checks every row, then it waits for a person, then its
rows become leads. The checks are those of posted leads. A row's idempotency key is made of the file's digest and the row's
number, so taking the same file in twice makes no lead twice; a test has keys of its own, and is in no real import's way. The
link is no part of the key: with another link the same persons would go to the client a second time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from django.conf import settings
from django.utils import timezone

from leads.activity import (
    ActivityError,
    Kind,
    Result,
    activity_cancel,
    activity_go_on,
    activity_start,
    items_insert,
)
from leads.catalog import compiled_form
from leads.database import uuid7
from leads.forms import Cleaned, CompiledForm, clean
from leads.import_files import (
    ROW_COLUMN,
    WRONG_COLUMN,
    columns_digest,
    file_rows,
    import_problems,
    input_labels,
    own_columns,
)
from leads.intake import KeyReused, LeadRow, Received, body_digest, leads_insert
from leads.models import (
    Activity,
    ActivityItem,
    ActivityState,
    Campaign,
    ImportChunk,
    ImportFile,
    ImportMapping,
    ItemState,
    Lead,
    LeadChange,
    Status,
)
from leads.status import leads_note
from leads.tables import Unreadable, column_letters, csv_line

CHECK_BATCH = 500


def import_check(
    file: ImportFile,
    *,
    form_id: int,
    publisher_id: int,
    link_id: int | None,
    mapping: Mapping[str, str],
    test: bool,
    by: str,
    token: str,
    key_id: int | None = None,
) -> Activity:
    """Check every row in the background; nothing is taken in. The activity then waits (state ready) for `import_take`.

    `key_id` is the partner API's key that brings it. An earlier check of the same file that nobody went on with is dropped. Raises ActivityError with words.
    """
    if file.campaign_id is None:
        raise ActivityError("This file has values for a list, and no leads.")
    form = _form(file.campaign_id, form_id, publisher_id, link_id)
    if problems := import_problems(file, form, mapping):
        raise ActivityError(" ".join(problems))
    kept = {column: key for column, key in mapping.items() if key and column in file.columns}
    ImportMapping.objects.update_or_create(
        campaign_id=file.campaign_id,
        form_id=form_id,
        columns=columns_digest(file.columns),
        defaults={"mapping": kept},
    )
    params = {
        "file": file.pk,
        "name": file.name,
        "digest": file.digest,
        "columns": file.columns,
        "form": form_id,
        "publisher": publisher_id,
        "link": link_id,
        "mapping": kept,
        "test": test,
        "key": key_id,
    }
    activity = activity_start(KIND.name, params, by=by, token=token, campaign_id=file.campaign_id)
    for earlier in Activity.objects.filter(
        kind=KIND.name, params__file=file.pk, state__in=[ActivityState.PREPARING, ActivityState.READY]
    ).exclude(pk=activity.pk):
        activity_cancel(earlier.pk)
        earlier.items.update(data=None)
    return activity


def import_take(activity: Activity, *, lawful_basis: bool, by: str) -> Activity:
    """Take the good rows in. Who says that there is a lawful basis is kept with the import and with each lead.

    Raises ActivityError without that tick, or where the import can't begin.
    """
    if not lawful_basis:
        raise ActivityError("Tick that there is a lawful basis for having and passing on this data.")
    said = {"lawful_basis": {"by": by, "at": timezone.now().isoformat()}}
    activity = activity_go_on(activity.pk, said)
    ImportChunk.objects.filter(file=activity.params["file"]).delete()
    return activity


def import_failures_csv(activity: Activity) -> Iterator[str]:
    """The rows that failed as they were uploaded, with their number and what is wrong behind; to be mended and uploaded."""
    yield csv_line([*own_columns(activity.params["columns"]), ROW_COLUMN, WRONG_COLUMN])
    places = [place for place, name in enumerate(activity.params["columns"]) if name not in (ROW_COLUMN, WRONG_COLUMN)]
    failed = ActivityItem.objects.filter(activity=activity, state=ItemState.FAILED).order_by("subject")
    for row, words, data in failed.values_list("subject", "words", "data").iterator(1_000):
        cells = data["cells"] if data else []
        shown = [cells[place] if place < len(cells) else "" for place in places]
        yield csv_line([*shown, str(row), " ".join(words.splitlines())])


def imports_purge() -> int:
    """Forget files that nobody took in, and failed rows that nobody mended; how many files that were."""
    old = ImportFile.objects.filter(
        campaign__isnull=False, created_at__lt=timezone.now() - dt.timedelta(days=settings.IMPORT_KEEP_DAYS)
    )
    ids = list(old.values_list("pk", flat=True))
    for file_id in ids:
        for activity in Activity.objects.filter(kind=KIND.name, params__file=file_id):
            activity_cancel(activity.pk)
            activity.items.filter(data__isnull=False).update(data=None)
    old.filter(pk__in=ids).delete()
    return len(ids)


class _Checking:
    """Reads a file from where the activity has come to; stays open for one worker's turn."""

    def __init__(self) -> None:
        self._reader: Iterator[tuple[int, list[str]]] | None = None
        self._read_to = 0

    def __call__(self, activity: Activity) -> bool:
        params = activity.params
        form = _form(activity.campaign_id, params["form"], params["publisher"], params["link"])
        if self._reader is None or self._read_to != activity.prepared_to:
            file = ImportFile.objects.filter(pk=params["file"]).first()
            if file is None:
                raise ActivityError("The file is not kept any more. Upload it again.")
            self._reader = file_rows(file, behind=activity.prepared_to)
        take = _Rows(form, params)
        items = []
        try:
            for number, cells in self._reader:
                words = take.problems(take.clean(cells))
                state = ItemState.FAILED if words else ItemState.WAITING
                items.append((activity.pk, number, None, state, words, {"cells": cells}))
                if len(items) == CHECK_BATCH:
                    break
        except Unreadable as error:
            raise ActivityError(str(error)) from None
        if not items:
            return False
        items_insert(items)
        self._read_to = activity.prepared_to = items[-1][1]
        activity.total += len(items)
        activity.failed += sum(item[3] == ItemState.FAILED for item in items)
        if activity.total > settings.IMPORT_MAX_ROWS:
            raise ActivityError(f"This file has more than {settings.IMPORT_MAX_ROWS:,} rows. Split it.")
        return True


def _take_rows(activity: Activity, items: Sequence[ActivityItem]) -> Mapping[int, Result]:
    params = activity.params
    if "lawful_basis" not in params:
        raise ActivityError("Nobody has said that there is a lawful basis.")
    form = _form(activity.campaign_id, params["form"], params["publisher"], params["link"])
    take = _Rows(form, params)
    file = f"import:{activity.campaign_id}:{params['digest'][:32]}" + (":test" if params["test"] else "")
    keys = {item.pk: f"{file}:{item.subject}" for item in items}
    results: dict[int, Result] = {}
    rows: dict[int, LeadRow] = {}
    for item in items:
        if item.data is None:
            results[item.pk] = Result(ItemState.FAILED, "The row is not kept any more. Upload the file again.")
            continue
        cleaned = take.clean(item.data["cells"])
        if words := take.problems(cleaned):
            results[item.pk] = Result(ItemState.FAILED, words)
            continue
        assert isinstance(cleaned, Cleaned)
        rows[item.pk] = LeadRow(
            hash=uuid7(),
            campaign_id=cast(int, activity.campaign_id),
            publisher_id=params["publisher"],
            form_id=form.id,
            form_version=form.version,
            link_id=params["link"],
            values=cleaned.values,
            status=Status.TEST.value if params["test"] else Status.PENDING.value,
            idempotency_key=keys[item.pk],
            body_digest=body_digest(list(cleaned.values.items()), "import"),
            email_key=form.email_key(cleaned.values),
        )
    notes: dict[int, int] = {}
    taken = dict(zip(rows, leads_insert(list(rows.values())) if rows else (), strict=True))
    elsewhere = _other_links([each for pk, each in taken.items() if not _is_new(each, rows[pk])], params["link"])
    before = f"This row of the same file was taken in{' as a test' if params['test'] else ''} before"
    for pk, received in taken.items():
        if isinstance(received, KeyReused):
            words = f"{before}, with other values or columns."
            results[pk] = Result(ItemState.SKIPPED, words, clear_data=True)
        elif isinstance(received, Exception):
            raise received
        elif not _is_new(received, rows[pk]):
            words = f"{before}{elsewhere.get(received.lead_id, '')}."
            results[pk] = Result(ItemState.SKIPPED, words, received.lead_id, clear_data=True)
        else:
            results[pk] = Result(ItemState.DONE, "Taken in.", received.lead_id, clear_data=True)
            notes[received.lead_id] = pk
    subjects = {item.pk: item.subject for item in items}
    said = f"lawful basis confirmed by {params['lawful_basis']['by']}"
    leads_note(
        LeadChange.Kind.IMPORTED,
        {lead_id: f"Row {subjects[pk]} of “{params['name']}”; {said}." for lead_id, pk in notes.items()},
        by=activity.by,
        data={lead_id: {"activity": str(activity.pk), "row": str(subjects[pk])} for lead_id, pk in notes.items()},
    )
    return results


def _is_new(received: Received | Exception, row: LeadRow) -> bool:
    return isinstance(received, Received) and received.hash == row.hash


def _other_links(received: Sequence[Received | Exception], link_id: int | None) -> dict[int, str]:
    """Of leads that were there before, those that came with another link (lead id to words)."""
    ids = [each.lead_id for each in received if isinstance(each, Received)]
    found = Lead.objects.filter(pk__in=ids).values_list("pk", "link", "link__name") if ids else ()
    return {
        pk: f", {f'with the link “{name}”' if link else 'without a link'}: a lead keeps the link that it came with"
        for pk, link, name in found
        if link != link_id
    }


class _Rows:
    """Rows of a file put to a form, by their mapping."""

    def __init__(self, form: CompiledForm, params: Mapping[str, Any]) -> None:
        self.form = form
        wires = {made.key: wire for wire, made in form.inputs.items()}
        places = {name: place for place, name in enumerate(params["columns"])}
        self._mapped = [(places[column], wires[key]) for column, key in params["mapping"].items() if key in wires]
        self._columns = {wire: column_letters(place) for place, wire in self._mapped}
        self._labels = {wire: input_labels(form)[made.key] for wire, made in form.inputs.items()}

    def clean(self, cells: Sequence[str]) -> Any:
        """What the form's check makes of a row: Cleaned, or its errors."""
        pairs = [(wire, cells[place]) for place, wire in self._mapped if place < len(cells)]
        return clean(self.form, pairs, settings.MAX_VALUE_CHARS)

    def problems(self, cleaned: Any) -> str:
        """What is wrong with a row, a line for each column; never what is in it."""
        if isinstance(cleaned, Cleaned):
            return ""
        lines = []
        for error in cleaned:
            column, label = self._columns.get(error.name), self._labels.get(error.name, "")
            place = f"Column {column} ({label}): " if column else f"{label}: " if label else ""
            lines.append(place + error.message)
        return "\n".join(lines)


KIND = Kind("import", "Import", _Checking, _take_rows, waits=True)


def _form(campaign_id: int | None, form_id: int, publisher_id: int, link_id: int | None) -> CompiledForm:
    """The form, where this campaign may take leads of this publisher now. Raises ActivityError."""
    campaign = Campaign.objects.filter(pk=campaign_id or 0).first()
    if campaign is None:
        raise ActivityError("The campaign is not there any more.")
    if campaign.status != Campaign.Status.ACTIVE:
        raise ActivityError(f"The campaign takes no leads: it is {campaign.get_status_display().lower()}.")
    if not campaign.contracts.filter(publisher=publisher_id, active=True, publisher__active=True).exists():
        raise ActivityError("This publisher may not send leads to this campaign.")
    if link_id is not None and not campaign.links.filter(pk=link_id).exists():
        raise ActivityError("This campaign has no such link.")
    form = compiled_form(campaign.pk, form_id)
    if form is None:
        raise ActivityError("This campaign has no such form.")
    return form
