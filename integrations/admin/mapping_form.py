"""The mapping table of the Configure page: a row for each of the client's fields, stored or just pulled, with suggestions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from django.core import signing

from integrations.admin.mapping_rows import ExtraRowForm, Look, RowForm, State, own_inputs
from integrations.discovery import row_describe
from integrations.form_diff import form_as_dict, form_digest, form_of
from integrations.kit.contract import RemoteField, RemoteForm
from integrations.kit.mapping import LeadFacts, suggest
from integrations.kit.suggestions import SAME_NAME
from integrations.models import FieldMapping, Integration
from leads.rights import masked

_EXTRA = re.compile(r"new-(\d{1,3})-remote_key\Z")
MAX_EXTRA = 100
_SALT = "integrations.pulled-form"
# A pulled form that a page has kept longer than this is pulled again when the page is saved.
PULLED_SECONDS = 6 * 3600


def form_seal(integration: Integration, form: RemoteForm) -> str:
    """A pulled form for the page to keep until it is saved; nobody can change it there."""
    return signing.dumps([integration.pk, form_as_dict(form)], salt=_SALT, compress=True)


def form_unseal(integration: Integration, sealed: str) -> RemoteForm | None:
    """The form in it; None where it was pulled for another integration, was changed, or is old."""
    try:
        pk, kept = signing.loads(sealed, salt=_SALT, max_age=PULLED_SECONDS)
        return form_of(kept) if pk == integration.pk else None
    except (signing.BadSignature, ValueError, TypeError, KeyError):
        return None


class MappingTable:
    """All rows of an integration's mapping, as they are on the page.

    With `form`, the rows are those of that form, which is not stored yet: rows of fields that were mapped before keep
    their mapping (under their new key, where `renames` has it), and where a field of ours has the same name as a new one of
    theirs, they are matched.
    """

    def __init__(
        self,
        integration: Integration,
        data: Mapping[str, Any] | None = None,
        form: RemoteForm | None = None,
        renames: Mapping[str, str] | None = None,
    ) -> None:
        self.integration, self.form = integration, form
        self.own = own_inputs(integration)
        stored = list(integration.mappings.all()) if integration.pk else []
        rows = stored if form is None else self._rows_of(form, stored, renames or {})
        self.rows: list[RowForm] = []
        for row in rows:
            made = RowForm(row, self.own)
            # A row that the page did not have, for it came since, is left alone.
            bound = data is not None and f"{made.prefix}-source" in data
            self.rows.append(RowForm(row, self.own, data) if bound else made)
        numbers = _extra_numbers(data or {})
        self.extra = [ExtraRowForm(integration, self.own, number, data) for number in numbers]
        if not self.extra:
            self.extra = [ExtraRowForm(integration, self.own, 0)]
        self._suggest()

    def _rows_of(
        self, form: RemoteForm, stored: Iterable[FieldMapping], renames: Mapping[str, str]
    ) -> list[FieldMapping]:
        known = {renames.get(row.remote_key, row.remote_key): row for row in stored}
        for key, kept in known.items():
            kept.remote_key = key
        entries = [entry for entry in form.fields if not entry.sync]
        new = [entry for entry in entries if entry.key not in known]
        same = {found.remote_key: found.name for found in suggest(new, self.own.fields) if found.reason == SAME_NAME}
        rows = []
        for position, entry in enumerate(entries):
            row: FieldMapping | None = known.pop(entry.key, None)
            if row is None:
                name = same.get(entry.key, "")
                row = FieldMapping(integration=self.integration, remote_key=entry.key, state=State.NEW)
                row.source, row.value = ("field", name) if name else ("", "")
            else:
                row.state = State.CURRENT
            row_describe(row, entry, position)
            rows.append(row)
        for gone in known.values():
            if gone.state != State.EXTRA:
                gone.state = State.VANISHED
            rows.append(gone)
        return rows

    def _suggest(self) -> None:
        """For rows without a choice, which of our fields may be theirs, with the reason."""
        theirs = [form for form in self.rows if form.row.state != State.VANISHED]
        entries = [RemoteField(form.row.remote_key, form.row.remote_label, form.row.remote_type) for form in theirs]
        # Of all of their fields, for a reason may be that it is the only one of its type.
        found = {entry.remote_key: entry for entry in suggest(entries, self.own.fields)}
        for form in theirs:
            form.suggestion = None if form.made[0] else found.get(form.row.remote_key)

    def look_at(self, lead: LeadFacts | None, *, clear: bool = True) -> None:
        """Fill the column that shows what becomes of a lead; masked for those who may not see personal data."""
        if lead is None:
            return
        for form in [*self.rows, *self.extra]:
            look = form.look_at(lead)
            form.look = (
                look if clear else Look(masked(look.raw), masked(look.value), look.problem and "It can’t be made.")
            )

    @property
    def digest(self) -> str:
        """Which form the table shows, where it is one that is not stored yet."""
        return form_digest(self.form) if self.form is not None else ""

    @property
    def sealed(self) -> str:
        return form_seal(self.integration, self.form) if self.form is not None else ""

    @property
    def has_sync(self) -> bool:
        if self.form is not None:
            return any(entry.sync for entry in self.form.fields)
        return bool(self.integration.sync_keys)

    def is_valid(self) -> bool:
        checked = [form.is_valid() for form in [*self.rows, *self.extra] if form.is_bound]
        keys = [form.row.remote_key for form in self.extra if form.row.remote_key]
        twice = {key for key in keys if keys.count(key) > 1}
        for form in self.extra:
            if form.row.remote_key in twice:
                form.add_error("remote_key", f"{form.row.remote_key} is there twice.")
        return all(checked) and not twice

    def store(self) -> bool:
        """Save what was chosen, in the caller's transaction; True where the mapping is another one now."""
        changed = False
        for form in self.rows:
            if not form.is_bound:
                continue
            if form.removable and form.cleaned_data["remove"]:
                form.row.delete()
                changed = True
                continue
            is_other = form.store()
            # New rows have been seen now.
            seen = form.row.state == State.NEW
            if seen:
                form.row.state = State.CURRENT
            if is_other or seen:
                form.row.save()
            changed |= is_other
        for form in self.extra:
            if form.is_bound and form.row.remote_key:
                form.store()
                form.row.save()
                changed = True
        return changed

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many of the client's fields there are, how many have a value, and how many required ones have none."""
        theirs = [form for form in self.rows if form.row.state != State.VANISHED]
        new = sum(form.row.state == State.NEW for form in theirs)
        return {
            "fields": len(theirs),
            "mapped": sum(bool(form.made[0]) for form in theirs),
            "missing": sum(form.missing for form in theirs),
            # After the first pull all are new: then it says nothing.
            "new": new if new < len(theirs) else 0,
            "vanished": len(self.rows) - len(theirs),
            "suggested": sum(form.suggestion is not None for form in theirs),
        }


def _extra_numbers(data: Iterable[str]) -> list[int]:
    return sorted(int(found[1]) for name in data if (found := _EXTRA.match(name)))[:MAX_EXTRA]
