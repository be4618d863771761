"""Fragments of the Configure page, asked for as it is typed: the state of each box, the client's lists and form, the preview
column. Nothing is saved by them, and what was typed comes as POST only."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from integrations.admin.asking import Asked, settings_ask
from integrations.admin.configure import mapping_context
from integrations.admin.mapping_form import MappingTable, form_unseal
from integrations.admin.settings_form import SettingsForm
from integrations.form_diff import form_diff, form_digest
from integrations.kit.contract import Connector, RemoteForm
from integrations.mapping import mapping_columns
from integrations.models import Integration


def check_fragment(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> HttpResponse:
    """Ask the client about the boxes as they are typed. With `fresh` it is Test connection, and the result is said on top."""
    form = SettingsForm(integration, connector, None, request.POST)
    form.is_valid()
    values = form.all_settings
    asked = settings_ask(connector, values, fresh_login="fresh" in request.GET)
    context: dict[str, Any] = {
        "form": SettingsForm(integration, connector, asked, request.POST),
        "asked": asked,
        "tested": "fresh" in request.GET,
        "can_discover": connector.discover is not None,
    }
    context["form"].is_valid()
    if asked.form is not None:
        context |= _their_form(request, integration, connector, asked, {**values, **asked.filled})
    return render(request, "console/check.html", context)


def look_fragment(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> HttpResponse:
    """How each row of the table stands as it is on the page, and what becomes of the preview lead."""
    table = MappingTable(integration, request.POST, form_unseal(integration, request.POST.get("pulled", "")))
    table.is_valid()
    return render(request, "console/look.html", mapping_context(request, integration, connector, table))


def _their_form(
    request: HttpRequest, integration: Integration, connector: Connector, asked: Asked, values: dict[str, Any]
) -> dict[str, Any]:
    """The mapping table where their form is one that the page does not show yet; what was chosen on the page stays."""
    assert asked.form is not None
    stored = {box.name: box.default for box in connector.manifest.settings} | integration.all_settings
    same_source = all(str(stored.get(name) or "") == str(values.get(name) or "") for name in asked.form_read)
    changed = integration.discovered_at is None or bool(form_diff(mapping_columns(integration), asked.form))
    if integration.discovered_at is not None and (same_source or not changed):
        if "pulled" in request.POST:
            # The settings were changed, and changed back: the stored rows again.
            return _drawn(request, integration, connector, None)
        # A change that waits for a decision is said on top already.
        return {"form_changed": changed and integration.pending_form is None}
    if request.POST.get("pulled_digest") == form_digest(asked.form):
        return {}
    return _drawn(request, integration, connector, asked.form)


def _drawn(
    request: HttpRequest, integration: Integration, connector: Connector, form: RemoteForm | None
) -> dict[str, Any]:
    table = MappingTable(integration, request.POST, form)
    table.is_valid()
    return {**mapping_context(request, integration, connector, table), "draw_mapping": True}
