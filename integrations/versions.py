"""Versions of a mapping: each saved one is kept, can be compared with any other, and is what deliveries name."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from integrations.mapping import mapping_columns, source_words
from integrations.models import FieldMapping, Integration, MappingVersion

Why = MappingVersion.Why
NOTE_CHARS = 500
_THEIRS = {
    "remote_label": "their label",
    "remote_type": "their type",
    "remote_hidden": "whether it is hidden",
    "remote_choices": "their choices",
}


@dataclass(frozen=True, slots=True)
class RowChange:
    """What became of one row between two versions; `before` and `after` are its columns, None where there was no row."""

    kind: Literal["added", "removed", "changed"]
    key: str
    label: str
    words: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is different from one version to another, in the rows' order."""

    changes: tuple[RowChange, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def words(self) -> list[str]:
        return [f"{change.label}: {change.words}." for change in self.changes]

    def of_kind(self, kind: str) -> list[RowChange]:
        return [change for change in self.changes if change.kind == kind]


class MappingConflict(Exception):
    """Somebody else saved this mapping after the page was opened. Raised before anything is kept of the second save.

    `current` is the version in force, `changes` what is different in it from the one that the page was opened with.
    """

    def __init__(self, current: MappingVersion, changes: Comparison, when: str) -> None:
        who = current.by or "The portal"
        said = " ".join(changes.words[:5]) + (" …" if len(changes.changes) > 5 else "")
        super().__init__(
            f"{who} saved version {current.number} on {when}, after you opened this page. {said} "
            "Yours is not saved yet, and nothing of it is lost: look at what changed, then save again."
        )
        self.current = current
        self.changes = changes

    @property
    def message(self) -> str:
        return str(self)


def mapping_save(
    integration: Integration, by: str = "", *, why: str = Why.SAVED, expected_version: int | None = None
) -> int:
    """Keep the mapping as its rows are now; the number of the version in force. To be called after rows were changed.

    Where nothing is different from the last version nothing is written. `expected_version` is the one that the page was
    opened with: MappingConflict if another came since; call it in the transaction that changed the rows, which then are
    as they were.
    """
    with transaction.atomic():
        now = Integration.objects.select_for_update().only("mapping_version", "remote_form", "sync_keys")
        locked = now.get(pk=integration.pk)
        rows = mapping_columns(integration)
        form = {"name": locked.remote_form, "sync_keys": locked.sync_keys}
        last = MappingVersion.objects.filter(integration=integration.pk, number=locked.mapping_version).first()
        integration.mapping_version = locked.mapping_version
        if (last is None and not rows) or (last is not None and last.form == form and _same(last.rows, rows)):
            return locked.mapping_version
        mapping_expect(integration, expected_version)
        integration.mapping_version += 1
        MappingVersion.objects.create(
            integration_id=integration.pk,
            number=integration.mapping_version,
            rows=rows,
            form=form,
            why=why,
            by=by[:200],
            note=" ".join(rows_compare(last.rows if last else [], rows).words)[:NOTE_CHARS] if last else "",
        )
        integration.save(update_fields=["mapping_version", "updated_at"])
    return integration.mapping_version


def mapping_expect(integration: Integration, expected_version: int | None) -> None:
    """MappingConflict where another version than this one is in force; nothing where it is, or None was expected."""
    if expected_version is None or expected_version == integration.mapping_version:
        return
    current = mapping_version(integration, integration.mapping_version)
    if current is not None:
        seen = mapping_version(integration, expected_version)
        changes = rows_compare(seen.rows if seen else [], current.rows)
        raise MappingConflict(current, changes, when_words(current.created_at, integration.campaign.time_zone))


def mapping_versions(integration: Integration) -> QuerySet[MappingVersion]:
    """All versions, the newest first, without their rows (which are read when they are asked for)."""
    return MappingVersion.objects.filter(integration=integration.pk).defer("rows")


def mapping_version(integration: Integration, number: int) -> MappingVersion | None:
    """A version with its rows; None where none was kept under this number."""
    return MappingVersion.objects.filter(integration=integration.pk, number=number).first()


def mapping_compare(a: MappingVersion, b: MappingVersion, labels: Mapping[str, str] | None = None) -> Comparison:
    """What is different in `b` from `a`. `labels` are our inputs' by their names, for the words."""
    return rows_compare(a.rows, b.rows, labels)


def rows_compare(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], labels: Mapping[str, str] | None = None
) -> Comparison:
    """What is different in `after` from `before`, both rows as a version keeps them. Their order says nothing."""
    old, new = _by_key(before), _by_key(after)
    changes = []
    for key, row in new.items():
        was = old.get(key)
        if was is None:
            changes.append(RowChange("added", key, _label(row), f"new, from {source_words(row, labels)}", None, row))
        elif words := _difference(was, row, labels):
            changes.append(RowChange("changed", key, _label(row), words, was, row))
    for key, row in old.items():
        if key not in new:
            words = f"gone, was from {source_words(row, labels)}"
            changes.append(RowChange("removed", key, _label(row), words, row, None))
    return Comparison(tuple(changes))


def when_words(moment: dt.datetime, time_zone: str) -> str:
    """A moment as a colleague says it: 21 Nov 14:02, in the campaign's time zone."""
    local = moment.astimezone(zoneinfo.ZoneInfo(time_zone))
    year = f" {local.year}" if local.year != timezone.now().year else ""
    return f"{local.day} {local:%b}{year} {local:%H:%M}"


def _difference(was: Mapping[str, Any], row: Mapping[str, Any], labels: Mapping[str, str] | None) -> str:
    said = []
    if (was["source"], was["value"]) != (row["source"], row["value"]):
        said.append(f"now from {source_words(row, labels)}, was from {source_words(was, labels)}")
    if was["value_map"] != row["value_map"]:
        said.append("values are matched otherwise")
    if was["transforms"] != row["transforms"]:
        said.append("transforms are others")
    if was["state"] != row["state"]:
        said.append("no longer on their form" if row["state"] == FieldMapping.State.VANISHED else "on their form")
    if was["remote_required"] != row["remote_required"]:
        said.append("required now" if row["remote_required"] else "no longer required")
    theirs = [words for name, words in _THEIRS.items() if was[name] != row[name]]
    if theirs:
        said.append(f"{' and '.join(theirs)} changed")
    return "; ".join(said)


def _by_key(rows: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {row["remote_key"]: row for row in rows}


def _same(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> bool:
    def told(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        return {row["remote_key"]: {name: row[name] for name in row if name != "position"} for row in rows}

    return told(before) == told(after)


def _label(row: Mapping[str, Any]) -> str:
    label = str(row["remote_label"] or row["remote_key"])
    return label if len(label) <= 80 else label[:80] + "…"
