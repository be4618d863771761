"""Their form changed: what is different, a choice for each field that needs one, and what accepting would let out."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import Truncator

from integrations.admin.configure import mapping_context
from integrations.admin.mapping_form import MappingTable
from integrations.drift import Drift, drift_accept, drift_pending
from integrations.form_diff import ChangeKind, form_of
from integrations.kit.contract import Connector, ConnectorError
from integrations.models import Integration
from integrations.preview import drift_preview
from integrations.releasing import release_words
from integrations.versions import MappingConflict
from leads.admin.flagging import counted
from leads.history import record

WORDS_CHARS = 600


def drift_page(model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector) -> HttpResponse:
    """The page of a change that waits. do: accept, preview, keep."""
    configure = reverse("admin:integrations_integration_change", args=[integration.pk])
    drift = drift_pending(integration)
    if drift is None:
        messages.info(request, "No change of their form waits for a decision.")
        return HttpResponseRedirect(configure)
    do = request.POST.get("do", "") if request.method == "POST" else ""
    if do == "keep":
        messages.info(request, f"Kept waiting: {counted(drift.waiting)} wait until you accept the change.")
        return HttpResponseRedirect(configure)
    table = _table(integration, drift, request)
    context: dict[str, Any] = {"drift": drift, "preview": None}
    if do and table.is_valid():
        renames, choices = drift.diff.renames, _choices(table)
        if do == "accept" and _accept(request, integration, renames, choices):
            return HttpResponseRedirect(configure)
        context["preview"] = drift_preview(integration, renames=renames, choices=choices) if do == "preview" else None
    if do == "preview" and "HX-Request" in request.headers:
        return render(request, "console/drift_preview.html", {**context, "not_valid": context["preview"] is None})
    context |= {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": integration,
        "title": "Their form changed",
        "version": request.POST.get("version", integration.mapping_version),
        "lines": _lines(drift, table),
        "open_lines": drift.diff.breaking,
    }
    context |= mapping_context(request, integration, connector, table)
    return TemplateResponse(request, "console/drift.html", context)


def _table(integration: Integration, drift: Drift, request: HttpRequest) -> MappingTable:
    """Their new form as rows; of what was renamed, the mapping comes along."""
    assert integration.pending_form is not None
    data = request.POST if request.method == "POST" else None
    table = MappingTable(integration, data, form_of(integration.pending_form["form"]), renames=drift.diff.renames)
    changed = {change.key for change in drift.diff.changes if change.field is not None}
    table.rows = [form for form in table.rows if form.row.remote_key in changed]
    table.extra = []
    return table


def _lines(drift: Drift, table: MappingTable) -> list[dict[str, Any]]:
    """Each field once, with all that changed of it; its row where a choice is to be made or can be."""
    rows = {form.row.remote_key: form for form in table.rows}
    lines: dict[str, dict[str, Any]] = {}
    for change in drift.diff.changes:
        line = lines.setdefault(change.key, {"change": change, "words": [], "breaks": [], "row": None})
        line["words"].append(change.words)
        if change.breaks:
            line["breaks"].append(change.breaks)
        asks = change.breaks or change.kind in (ChangeKind.ADDED, ChangeKind.RENAMED, ChangeKind.CHOICES)
        if asks and change.field is not None:
            line["row"] = rows.get(change.key)
    return list(lines.values())


def _choices(table: MappingTable) -> dict[str, dict[str, Any]]:
    names = ("source", "value", "value_map", "transforms")
    return {form.row.remote_key: dict(zip(names, form.made, strict=True)) for form in table.rows if form.is_bound}


def _accept(
    request: HttpRequest, integration: Integration, renames: dict[str, str], choices: dict[str, dict[str, Any]]
) -> bool:
    version = request.POST.get("version", "")
    try:
        report = drift_accept(
            integration,
            request.user.get_username(),
            renames=renames,
            choices=choices,
            digest=request.POST.get("digest", ""),
            expected_version=int(version) if version.isascii() and version.isdigit() else None,
        )
    except (ConnectorError, MappingConflict) as error:
        messages.error(request, Truncator(error.message).chars(WORDS_CHARS))
        return False
    record(request.user, integration, f"Accepted the change of their form as version {report.version} of the mapping.")
    if report.missing:
        words = Truncator(" ".join(report.missing)).chars(WORDS_CHARS)
        messages.warning(request, f"Accepted as version {report.version}. Leads still wait: {words}")
    elif report.on:
        spread = release_words(report.released, Integration.objects.get(pk=integration.pk))
        messages.success(
            request, f"Accepted as version {report.version}: {counted(report.released)} on the way. {spread}".strip()
        )
    else:
        messages.success(request, f"Accepted as version {report.version}.")
    return True
