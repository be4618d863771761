"""The Configure page: where the leads go, and what of a lead goes into which of the client's fields.

Every button saves first, so that nothing typed is lost. The client is asked after the transaction has ended, never in it,
and what it answers, or that it does not answer, is said in words.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import Truncator

from integrations.admin.badges import integration_badge
from integrations.admin.mapping_form import MappingTable
from integrations.admin.settings_form import Options, SettingsForm, choice_fill, options_load
from integrations.delivery import integration_hold, integration_problems, integration_switch
from integrations.discovery import DiscoveryReport, integration_check, integration_discover, settings_problems
from integrations.kit.contract import Connector, ConnectorError
from integrations.kit.mapping import TRANSFORMS
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from leads.admin.flagging import counted

WORDS_CHARS = 600


def configure_page(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> HttpResponse:
    """Show the page of an integration; a POST saves it, and then does what its button says (`do`).

    do: save, close, test (Test connection), refresh (Refresh fields), on, pause.
    """
    if request.method == "POST":
        form = SettingsForm(integration, connector, Options(), request.POST)
        table = MappingTable(integration, request.POST)
        if all([form.is_valid(), table.is_valid()]):
            return _save(model_admin, request, connector, form, table)
        # Shown again with all that was typed, with the client's lists for what was typed.
        options = options_load(connector, form.all_settings)
        form = SettingsForm(integration, connector, options, request.POST)
        form.is_valid()
        messages.error(request, "Nothing is saved yet: what needs a look is marked below.")
    else:
        options = options_load(connector, integration.all_settings) if integration.settings else Options()
        form, table = SettingsForm(integration, connector, options), MappingTable(integration)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": integration,
        "title": f"Configure {integration.name}",
        "integration": integration,
        "manifest": connector.manifest,
        "can_discover": connector.discover is not None,
        "can_check": connector.check is not None,
        "badge": integration_badge(integration),
        "form": form,
        "table": table,
        "transforms": TRANSFORMS.values(),
        "problems": integration_problems(integration) if integration.settings else [],
        "waiting": Delivery.objects.filter(integration=integration, state=DeliveryState.HELD).count(),
        "can_delete": model_admin.has_delete_permission(request, integration),
    }
    return TemplateResponse(request, "console/configure.html", context, status=200)


def _save(
    model_admin: Any, request: HttpRequest, connector: Connector, form: SettingsForm, table: MappingTable
) -> HttpResponse:
    integration, do = form.integration, request.POST.get("do", "save")
    with transaction.atomic():
        settings_changed = form.store()
        integration.save(update_fields=["name", "settings", "secrets", "updated_at"])
        mapping_changed = table.store()
        if form.has_changed() or mapping_changed:
            said = [form.fields[name].label or name for name in form.changed_data if not name.endswith("-sealed")]
            said += ["Mapping"] if mapping_changed else []
            model_admin.log_change(request, integration, f"Changed: {', '.join(map(str, said))}.")
    _ask_client(request, connector, integration, do, settings_changed=settings_changed)
    _switch(request, integration, do)
    if do == "close":
        return HttpResponseRedirect(reverse("admin:leads_campaign_change", args=[integration.campaign_id]))
    return HttpResponseRedirect(request.path)


def _ask_client(
    request: HttpRequest, connector: Connector, integration: Integration, do: str, *, settings_changed: bool
) -> None:
    """What follows from a save on the client's side: choices that make themselves, their fields, a test."""
    if settings_changed:
        _fill(connector, integration)
    problems = settings_problems(connector, integration.all_settings)
    if problems:
        messages.warning(request, _cut(f"Saved, unfinished. {' '.join(problems.values())}"))
        return
    if connector.discover and (settings_changed or do == "refresh" or integration.discovered_at is None):
        try:
            messages.success(request, _cut(f"Saved. {_pulled(integration_discover(integration))}"))
        except ConnectorError as error:
            messages.error(request, _cut(f"Saved, but the client’s fields were not pulled. {_words(connector, error)}"))
            return
    else:
        messages.success(request, "Saved.")
    if do == "test":
        try:
            integration_check(integration)
            messages.success(request, "The client’s instance answered, and takes these settings.")
        except ConnectorError as error:
            messages.error(request, _cut(f"The test failed. {_words(connector, error)}"))


def _fill(connector: Connector, integration: Integration) -> None:
    options = options_load(connector, integration.all_settings)
    filled = choice_fill(connector, integration.all_settings, options)
    if filled:
        integration.settings = {**integration.settings, **filled}
        integration.save(update_fields=["settings", "updated_at"])


def _switch(request: HttpRequest, integration: Integration, do: str) -> None:
    integration = Integration.objects.get(pk=integration.pk)
    problems = integration_problems(integration)
    if do == "on":
        try:
            integration_switch(integration, True)
            messages.success(request, f"{integration.name} is on: new leads go out, and so does what waited.")
        except ConnectorError as error:
            messages.error(request, _cut(f"It can’t be switched on yet. {error.message}"))
    elif do == "pause" and integration.state != IntegrationState.NEEDS_SETUP:
        integration_switch(integration, False)
        messages.success(request, f"{integration.name} is paused: leads wait for it until it is switched on again.")
    elif integration.state == IntegrationState.ON and problems:
        integration_hold(integration.pk, " ".join(problems))
        messages.warning(request, _cut(f"Leads wait from now on: {' '.join(problems)}"))


def _pulled(report: DiscoveryReport) -> str:
    """What a pull of the client's form changed, in words."""
    added, vanished = len(report.added), len(report.vanished)
    if not added and not vanished:
        return (
            f"The client’s form is as it was: {counted(report.kept, 'field')}."
            if report.kept
            else "Their form has no fields."
        )
    words = []
    if added:
        matched = "none of them matched" if not report.matched else f"{report.matched} matched by their names"
        words.append(f"{counted(added, 'field')} of the client pulled in, {matched}.")
    if vanished:
        words.append(f"{counted(vanished, 'field')} no longer on their form: {', '.join(report.vanished)}.")
    return " ".join(words)


def _words(connector: Connector, error: ConnectorError) -> str:
    labels = {box.name: box.label for box in connector.manifest.settings}
    label = labels.get(error.field, "")
    return error.message if not label or label in error.message else f"{label}: {error.message}"


def _cut(words: str) -> str:
    return Truncator(words).chars(WORDS_CHARS)


__all__ = ["configure_page"]
