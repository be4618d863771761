"""History of a mapping: each version with who made it, when and why; compared with another one; restored."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from integrations.admin.mapping_rows import own_inputs
from integrations.kit.contract import Connector, ConnectorError
from integrations.mapping import source_words
from integrations.models import Integration, MappingVersion
from integrations.restoring import mapping_restore
from integrations.versions import MappingConflict, mapping_compare, mapping_version, mapping_versions
from leads.admin.badges import short

PAGE = 50


def versions_page(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> HttpResponse:
    """All versions; `?a=3&b=5` compares two, `?see=3` shows one. A POST with `restore` brings one back as a new version."""
    here = reverse("admin:integrations_integration_versions", args=[integration.pk])
    if request.method == "POST":
        _restore(model_admin, request, integration)
        return HttpResponseRedirect(here)
    labels = own_inputs(integration).labels
    a, b = (_version(integration, request.GET.get(name)) for name in "ab")
    seen = _version(integration, request.GET.get("see"))
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": integration,
        "title": "History of the mapping",
        "integration": integration,
        "versions": Paginator(mapping_versions(integration), PAGE).get_page(request.GET.get("page")),
        "a": a,
        "b": b,
        "comparison": mapping_compare(a, b, labels) if a and b else None,
        "seen": seen,
        "seen_rows": [{**row, "words": source_words(row, labels)} for row in seen.rows] if seen else [],
    }
    return TemplateResponse(request, "console/versions.html", context)


def _version(integration: Integration, number: str | None) -> MappingVersion | None:
    known = number and number.isascii() and number.isdigit() and len(number) < 10
    return mapping_version(integration, int(number)) if known and number else None


def _restore(model_admin: Any, request: HttpRequest, integration: Integration) -> None:
    wanted, expected = (_version(integration, request.POST.get(name)) for name in ("restore", "version"))
    if wanted is None:
        messages.error(request, "There is no such version of this mapping.")
        return
    try:
        report = mapping_restore(
            integration,
            wanted.number,
            request.user.get_username(),
            expected_version=expected.number if expected else None,
        )
    except (ConnectorError, MappingConflict) as error:
        messages.error(request, short(error.message, 600))
        return
    model_admin.log_change(request, integration, f"Mapping: version {wanted.number} restored as {report.version}.")
    messages.success(
        request, f"The mapping is again as in version {wanted.number}. It is version {report.version} now."
    )
    if report.gone:
        messages.warning(
            request, short(f"Not brought back, for their form has them no longer: {', '.join(report.gone)}.", 600)
        )
    if report.problems:
        messages.warning(request, short(f"Leads wait from now on: {' '.join(report.problems)}", 600))
