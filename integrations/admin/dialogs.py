"""The dialogs of the Configure page: what would be sent, a test lead, and which value of yours is which of theirs.

They show what stands on the page, saved or not. Without JavaScript, Preview and the test lead are pages of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from integrations.admin.mapping_form import MappingTable, form_unseal
from integrations.admin.mapping_rows import own_inputs
from integrations.admin.preview_lead import lead_choices, lead_chosen
from integrations.admin.saving import PageSave, page_seal, page_store
from integrations.admin.value_counts import value_counts
from integrations.discovery import settings_problems
from integrations.kit.contract import Connector
from integrations.kit.mapping import DEFAULT_KEY
from integrations.models import Integration
from integrations.preview import Preview, delivery_preview
from integrations.test_lead import test_lead_send
from leads.models import Lead
from leads.rights import masked, may_see_personal_data

TYPED = "test-lead-"


def preview_dialog(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> HttpResponse:
    """The request as it would go, with each value's origin; nothing is sent."""
    lead = Lead.objects.filter(pk=lead_chosen(request, integration)).first()
    preview: Preview | None = None
    if lead is not None:
        posted = request.method == "POST"
        preview = (
            _preview_unsaved(request, integration, connector, lead) if posted else delivery_preview(integration, lead)
        )
    if preview is not None and not may_see_personal_data(request.user):
        preview = replace(
            preview, fields=tuple(replace(each, value=masked(each.value)) for each in preview.fields), body=""
        )
    context = {"lead": lead, "preview": preview, "not_valid": lead is not None and preview is None}
    return _dialog(model_admin, request, integration, "preview", "Preview", context)


def _preview_unsaved(
    request: HttpRequest, integration: Integration, connector: Connector, lead: Lead
) -> Preview | None:
    """Saves the page, looks, and takes it all back: what is shown is exactly what saving it would send. None: it can't be."""
    preview = None
    with transaction.atomic():
        page = PageSave(integration, connector, request.POST)
        if page.is_valid():
            page.store("")
            preview = delivery_preview(page.integration, lead)
        transaction.set_rollback(True)
    return preview


def test_lead_dialog(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> HttpResponse:
    """Ask with which values; then save the page, send them really, and show the client's answer in words."""
    lead = Lead.objects.filter(pk=lead_chosen(request, integration)).first()
    context: dict[str, Any] = {"lead": lead, "host": _host(integration)}
    if request.method == "POST" and "send" in request.POST:
        context |= _send(model_admin, request, integration, connector, lead)
    clear = may_see_personal_data(request.user)
    values = lead.values if lead is not None and clear else {}
    context["inputs"] = [
        (key, f"{TYPED}{key}", label, request.POST.get(f"{TYPED}{key}", values.get(key, "")))
        for key, label in own_inputs(integration).labels.items()
    ]
    return _dialog(model_admin, request, integration, "test_lead", "Send test lead", context)


def _send(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector, lead: Lead | None
) -> dict[str, Any]:
    if "opened_with" in request.POST:
        page, conflict, saved = page_store(model_admin, request, integration, connector)
        if not saved:
            words = "Somebody else changed this meanwhile: save it first, and see what." if conflict else ""
            return {"refused": words or "Some of what is on the page can’t be right: mend what is marked there first."}
        integration = page.integration
    if problems := settings_problems(connector, integration.all_settings):
        return {"refused": " ".join(problems.values()), "saved": True, "opened_with": page_seal(integration)}
    typed = {
        key: str(request.POST[f"{TYPED}{key}"])
        for key in own_inputs(integration).labels
        if f"{TYPED}{key}" in request.POST
    }
    same = lead is not None and all(lead.values.get(key, "") == value for key, value in typed.items())
    source: Lead | dict[str, str] = lead if lead is not None and same and typed else typed
    answer = test_lead_send(integration, source, request.user.get_username())
    labels = {row.remote_key: str(row) for row in integration.mappings.all()} | dict(own_inputs(integration).labels)
    model_admin.log_change(request, integration, "Sent a test lead.")
    return {
        "answer": answer,
        "outcome": answer.outcome,
        "problem_rows": [(labels.get(key, key), words) for key, words in answer.problems],
        "saved": True,
        "opened_with": page_seal(integration),
    }


def _host(integration: Integration) -> str:
    return str(integration.settings.get("subdomain") or "the client")


def values_dialog(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> HttpResponse:
    """Match values: yours and theirs side by side, the unmatched first, with how many leads carry each."""
    table = MappingTable(integration, request.POST, form_unseal(integration, request.POST.get("pulled", "")))
    table.is_valid()
    row = next((form for form in table.rows if form.prefix == request.GET.get("row")), None)
    if row is None:
        return HttpResponse(status=404)
    source, name, value_map, _ = row.made
    counts = value_counts(integration, name) if source == "field" else {}
    if not may_see_personal_data(request.user):
        # What was chosen from a list says nothing of who chose it; anything else may.
        counts = {own: count for own, count in counts.items() if own in row.own.choices.get(name, ())}
    theirs = [(str(c["value"]), str(c.get("label") or c["value"])) for c in row.row.remote_choices]
    known = {value.casefold(): value for value, _ in theirs}
    called = {label.casefold(): value for value, label in theirs}
    names = row.own.names.get(name, {})
    ours = dict.fromkeys([*row.own.choices.get(name, ()), *counts, *(key for key in value_map if key != DEFAULT_KEY)])
    folded = {own.casefold(): target for own, target in value_map.items()}
    pairs = []
    for own in ours:
        chosen = folded.get(own.casefold())
        if chosen and theirs and chosen not in known.values():
            chosen = None
        joined = chosen is None and own.casefold() in known
        if chosen is None and not joined:
            # By what they are called: GB is the United Kingdom on both sides. For a person to use, so not joined yet.
            label = names.get(own, own).casefold()
            chosen = known.get(label) or called.get(label)
        pairs.append(
            {
                "own": own,
                "label": names.get(own, own),
                "count": counts.get(own, 0),
                "target": known[own.casefold()] if joined else chosen,
                "left_out": chosen == "",
                "joined": joined,
                "open": chosen is None and not joined,
            }
        )
    pairs.sort(key=lambda pair: (not pair["open"], -int(str(pair["count"]))))
    default = value_map.get(DEFAULT_KEY)
    context = {
        "row": row,
        "pairs": pairs,
        "theirs": theirs,
        "default": default,
        "default_left_out": default == "",
        "open_count": sum(bool(pair["open"]) for pair in pairs),
        "source_label": row.own.labels.get(name, name) if source == "field" else "",
    }
    return _dialog(model_admin, request, integration, "values", "Match values", context)


def _dialog(
    model_admin: Any, request: HttpRequest, integration: Integration, name: str, title: str, context: dict[str, Any]
) -> HttpResponse:
    """A fragment for the dialog, or a page of its own where no script asked."""
    context = {"integration": integration, "fragment": f"console/dialog_{name}.html", **context}
    if "HX-Request" in request.headers:
        return render(request, context["fragment"], context)
    site = {**model_admin.admin_site.each_context(request), "opts": model_admin.opts, "title": title}
    context["leads"] = lead_choices(request, integration)
    return render(request, "console/dialog_page.html", {**site, "original": integration, "own_page": True, **context})
