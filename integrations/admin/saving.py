"""What a Configure page sends, read and saved, also when somebody else saved it since the page was opened.

The page keeps, signed, what it was opened with; so what both sides changed since is known field by field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.crypto import salted_hmac

from integrations.admin.mapping_form import MappingTable, form_unseal
from integrations.admin.mapping_rows import own_inputs, row_prefix
from integrations.admin.sending_form import SendingForm, sending_labels, sending_posted
from integrations.admin.settings_form import SettingsForm
from integrations.admin.transform_lines import transforms_to_text
from integrations.discovery import form_store
from integrations.kit.contract import Connector
from integrations.kit.text_map import setting_text
from integrations.mapping import CHOICE, row_as_dict, source_words
from integrations.models import FieldMapping, Integration, MappingVersion
from integrations.versions import RowChange, mapping_save, mapping_version, rows_compare, when_words
from leads.admin.pairs import pairs_to_text
from leads.opened import Conflict, ItemChange, digest

_SALT = "integrations.configure-page"
SHOWN_CHARS = 120


def page_seal(integration: Integration) -> str:
    """What a page is opened with."""
    return signing.dumps([_snapshot(integration), integration.mapping_version], salt=_SALT, compress=True)


def _snapshot(integration: Integration) -> dict[str, str]:
    kept = {"name": integration.name}
    kept |= sending_posted(integration)
    kept |= {f"s-{name}": setting_text(value) for name, value in integration.settings.items()}
    for name, value in integration.secrets.items():
        kept[f"s-{name}"] = salted_hmac(_SALT, str(value)).hexdigest()[:16] if value else ""
    return kept


class PageSave:
    """One posted page. `is_valid` first; then `conflict`; then `store` in a transaction."""

    def __init__(self, integration: Integration, connector: Connector, post: QueryDict) -> None:
        self.integration, self.connector = integration, connector
        self.post: Mapping[str, Any] = post
        self.pulled = form_unseal(integration, post.get("pulled", ""))
        self.settings_changed = False
        """That a setting is another one, once it is stored."""
        self._read()

    def _read(self) -> None:
        self.form = SettingsForm(self.integration, self.connector, None, self.post)
        self.table = MappingTable(self.integration, self.post, self.pulled)
        self.sending = SendingForm(self.integration, self.post)

    def is_valid(self) -> bool:
        return all([self.form.is_valid(), self.table.is_valid(), self.sending.is_valid()])

    def merge(self, conflict: Conflict) -> None:
        """Take theirs wherever nothing was changed on this page."""
        self.post = {**{name: self.post[name] for name in self.post}, **conflict.merged}
        self._read()

    def store(self, by: str) -> list[str]:
        """Save it all, in the caller's transaction; what changed, in words for the history."""
        integration = self.integration
        before = integration.all_settings | {"name": integration.name}
        self.settings_changed = self.form.store()
        integration.save(update_fields=["name", "settings", "secrets", "updated_at"])
        said = self._said(before) + self.sending.store()
        if self.pulled is not None:
            form_store(integration, self.pulled)
            integration.discovered_at, integration.pending_form = timezone.now(), None
            integration.save(update_fields=["discovered_at", "pending_form", "updated_at"])
            integration = Integration.objects.select_related("campaign").get(pk=integration.pk)
            self.integration = integration
            self.table = MappingTable(integration, self.post)
            self.table.is_valid()
        old = {row.pk: row_as_dict(row) for row in FieldMapping.objects.filter(integration=integration.pk)}
        self.table.store()
        new = [row_as_dict(row) for row in FieldMapping.objects.filter(integration=integration.pk)]
        words = rows_compare(list(old.values()), new, self.table.own.labels).words
        mapping_save(integration, by, why=MappingVersion.Why.PULLED if self.pulled else MappingVersion.Why.SAVED)
        return said + words

    def _said(self, before: Mapping[str, Any]) -> list[str]:
        said = []
        now = self.integration.all_settings | {"name": self.integration.name}
        labels = {"name": "Name"} | {box.name: box.label for box in self.connector.manifest.settings}
        for name, value in now.items():
            old, new = (setting_text(each).replace("\n", ", ") for each in (before.get(name), value))
            if old != new:
                if name in self.integration.secrets:
                    said.append(f"{labels.get(name, name)}: {'replaced' if old else 'set'}.")
                else:
                    said.append(f"{labels.get(name, name)}: {_cut(old) or '–'} → {_cut(new) or '–'}.")
        return said

    # --- what somebody else changed meanwhile ---------------------------------------------------------------

    def conflict(self) -> Conflict | None:
        """What somebody else changed since the page was opened, and this page has not been told of; None if nothing."""
        try:
            base, version = signing.loads(self.post.get("opened_with", ""), salt=_SALT)
        except signing.BadSignature:
            return None
        now = _snapshot(self.integration)
        found = Conflict("", "", [], digest({**now, "mapping": self.integration.mapping_version}))
        if found.decided(self.post) == "over":
            return None
        self._settings_changes(base, now, found)
        if version != self.integration.mapping_version:
            self._row_changes(version, found)
        if not found.changes:
            return None
        found.who, found.when = self._last_change()
        return found

    def _settings_changes(self, base: Mapping[str, str], now: Mapping[str, str], found: Conflict) -> None:
        secret = {f"s-{box.name}" for box in self.connector.manifest.settings if box.type == "secret"}
        labels = {"name": "Name"} | {f"s-{box.name}": box.label for box in self.connector.manifest.settings}
        for name in labels:
            was, theirs = base.get(name, ""), now.get(name, "")
            if was == theirs:
                continue
            mine = str(self.post.get(f"settings-{name}", "")).replace("\r\n", "\n")
            if name in secret:
                found.changes.append(ItemChange(labels[name], "", "replaced", "another one" if mine else ""))
                continue
            if mine == was:
                found.merged[f"settings-{name}"] = theirs
            shown = _cut(mine) if mine not in (was, theirs) else ""
            found.changes.append(ItemChange(labels[name], _cut(was) or "–", _cut(theirs) or "–", shown))
        if self.sending.is_bound:
            self._sending_changes(base, now, found)

    def _sending_changes(self, base: Mapping[str, str], now: Mapping[str, str], found: Conflict) -> None:
        for name, label in sending_labels().items():
            was, theirs = base.get(name, now[name]), now[name]
            if was == theirs:
                continue
            mine = str(self.post.get(name, ""))
            if mine == was:
                found.merged[name] = theirs
            shown = _cut(mine) if mine not in (was, theirs) else ""
            found.changes.append(ItemChange(label, was or "–", theirs or "–", shown))

    def _row_changes(self, version: int, found: Conflict) -> None:
        kept = mapping_version(self.integration, version)
        rows = [row_as_dict(row) for row in FieldMapping.objects.filter(integration=self.integration.pk)]
        labels = own_inputs(self.integration).labels
        mine = {form.row.remote_key: form for form in self.table.rows if form.is_bound}
        for change in rows_compare(kept.rows if kept else [], rows, labels).changes:
            if not _chosen_otherwise(change):
                continue
            was = _choice(change.before)
            form = mine.get(change.key)
            here = tuple(form.made) if form is not None else was
            if here == was and change.after is not None:
                found.merged |= _posted(change.key, change.after)
            shown = ""
            if here not in (was, _choice(change.after)):
                shown = source_words({"source": here[0], "value": here[1]}, labels)
            before = source_words(change.before, labels) if change.before else "no such row"
            after = source_words(change.after, labels) if change.after else "removed"
            if before == after:
                before, after = "", change.words
            found.changes.append(ItemChange(change.label, before, after, shown))

    def _last_change(self) -> tuple[str, str]:
        kind = ContentType.objects.get_for_model(Integration)
        entries = LogEntry.objects.filter(content_type=kind, object_id=str(self.integration.pk))
        last = entries.select_related("user").order_by("-action_time").first()
        if last is None:
            return "Somebody", ""
        return last.user.get_username(), when_words(last.action_time, self.integration.campaign.time_zone)


def page_store(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> tuple[PageSave, Conflict | None, bool]:
    """Save a posted page, or tell why not: (the page, what somebody else changed meanwhile, whether it was saved)."""
    with transaction.atomic():
        locked = Integration.objects.select_for_update().select_related("campaign").get(pk=integration.pk)
        page = PageSave(locked, connector, request.POST)
        conflict = page.conflict() if page.is_valid() else None
        if conflict is not None and conflict.decided(page.post) == "merge":
            page.merge(conflict)
            conflict = None
        if conflict is not None or not page.is_valid():
            return page, conflict, False
        said = page.store(request.user.get_username())
        if said:
            model_admin.log_change(request, page.integration, " ".join(said)[:4_000])
    return page, None, True


def _choice(row: Mapping[str, Any] | None) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("source", "value", "value_map", "transforms")) if row else ("", "", {}, [])


def _chosen_otherwise(change: RowChange) -> bool:
    """Whether a person chose otherwise, and it is not only their form that is another one now."""
    if change.before is None or change.after is None:
        row = change.before or change.after or {}
        return row.get("state") == FieldMapping.State.EXTRA
    return any(change.before[name] != change.after[name] for name in CHOICE)


def _posted(key: str, row: Mapping[str, Any]) -> dict[str, str]:
    prefix, has_text = row_prefix(key), row["source"] in ("fixed", "template")
    return {
        f"{prefix}-source": f"{row['source']}:{'' if has_text else row['value']}" if row["source"] else "",
        f"{prefix}-text": row["value"] if has_text else "",
        f"{prefix}-value_map": pairs_to_text(row["value_map"].items()),
        f"{prefix}-transforms": transforms_to_text(row["transforms"]),
    }


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
