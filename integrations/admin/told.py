"""What the pages of those who are told by webhook have in common: partners' webhooks and notice targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Model

from integrations.models import Integration


def host_of(integration: Integration) -> str:
    """The host that is told: the rest of an address may have a key of the receiver's in it."""
    return urlsplit(str(integration.settings.get("url", ""))).netloc


def plain_choosers(form: Any, *names: str) -> Any:
    """The form, whose boxes of these names only choose: what they choose from is made and changed on pages of its own."""
    for name in names:
        if name in form.base_fields:
            widget = form.base_fields[name].widget
            widget.can_add_related = widget.can_change_related = widget.can_view_related = False
    return form


def removed_with_messages(rows: Sequence[Model]) -> tuple[list[str], dict[str, int], set[str], list[str]]:
    """What the admin asks about before rows are removed: their messages, which nobody edits, need no right of their own."""
    kind = str(rows[0]._meta.verbose_name_plural if rows else "")
    return [str(each) for each in rows], {kind: len(rows)}, set(), []
