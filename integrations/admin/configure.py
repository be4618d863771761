"""The Configure page: where the leads go, and what of a lead goes into which of the client's fields.

With JavaScript its boxes fill as they are typed (living.py). Without, Save does the same in one step more: the client is
asked after the transaction has ended, never in it, and what it answers, or that it does not answer, is said in words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.text import Truncator

from integrations.admin.asking import Asked, settings_ask
from integrations.admin.badges import integration_badge
from integrations.admin.job_actions import state_record
from integrations.admin.mapping_form import MappingTable
from integrations.admin.preview_lead import lead_choices, lead_chosen
from integrations.admin.saving import page_seal, page_store
from integrations.admin.sending_form import SendingForm
from integrations.admin.settings_form import SettingsForm
from integrations.delivery import integration_hold, integration_problems, integration_switch
from integrations.discovery import DiscoveryReport, integration_discover, settings_problems
from integrations.drift import drift_pending
from integrations.kit.contract import Connector, ConnectorError
from integrations.kit.mapping import TRANSFORMS
from integrations.kit.registry import connector as find_connector
from integrations.kit.text_map import setting_text
from integrations.mapping import leads_facts
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from integrations.releasing import release_words
from integrations.waiting import gate_words
from leads.admin.flagging import counted
from leads.history import Change, changed, record
from leads.opened import Conflict
from leads.rights import may_see_personal_data

WORDS_CHARS = 600


def configure_page(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> HttpResponse:
    """Show the page of an integration; a POST saves it, and then does what its button says (`do`).

    do: save, close, test (Test connection), refresh (Refresh fields), preview, test-lead, on, pause; merge and over decide
    on what somebody else changed meanwhile.
    """
    if request.method != "POST":
        asked = None
        if "ask" in request.GET and integration.settings:
            asked = settings_ask(connector, integration.all_settings)
        return _show(model_admin, request, integration, connector, SettingsForm(integration, connector, asked))
    page, conflict, saved = page_store(model_admin, request, integration, connector)
    if saved:
        return _follow(request, connector, page.integration, settings_changed=page.settings_changed)
    # Shown again with all that was typed, and the client's lists for what was typed.
    asked = settings_ask(connector, page.form.all_settings) if "js" not in request.POST else None
    form = SettingsForm(integration, connector, asked, page.post)
    form.is_valid()
    if conflict is None:
        messages.error(request, "Nothing is saved yet: what needs a look is marked below.")
    return _show(model_admin, request, integration, connector, form, page.table, conflict, page.sending)


def _show(
    model_admin: Any,
    request: HttpRequest,
    integration: Integration,
    connector: Connector,
    form: SettingsForm,
    table: MappingTable | None = None,
    conflict: Conflict | None = None,
    sending: SendingForm | None = None,
) -> HttpResponse:
    drift = drift_pending(integration)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": integration,
        "title": f"Configure {integration.name}",
        "badge": integration_badge(integration),
        "can_check": connector.check is not None,
        "can_compare": connector.poll is not None and integration.state != IntegrationState.NEEDS_SETUP,
        "conflict": conflict,
        "opened_with": request.POST.get("opened_with") or page_seal(integration),
        "form": form,
        "sending": sending or SendingForm(integration),
        "closed": integration.closed_reason and gate_words(integration, timezone.now())[0],
        "drift": drift,
        "problems": integration_problems(integration) if integration.settings and drift is None else [],
        "waiting": Delivery.objects.filter(integration=integration, state=DeliveryState.HELD).count(),
        "can_delete": model_admin.has_delete_permission(request, integration),
        **mapping_context(request, integration, connector, table or MappingTable(integration)),
    }
    return TemplateResponse(request, "console/configure.html", context)


def mapping_context(
    request: HttpRequest, integration: Integration, connector: Connector, table: MappingTable
) -> dict[str, Any]:
    """What the mapping table and its fragments are drawn from, the preview column included."""
    lead_id = lead_chosen(request, integration)
    table.look_at(leads_facts([lead_id])[lead_id] if lead_id else None, clear=may_see_personal_data(request.user))
    return {
        "integration": integration,
        "manifest": connector.manifest,
        "can_discover": connector.discover is not None,
        "table": table,
        "lead_id": lead_id,
        "leads": lead_choices(request, integration),
        "transforms": [
            {
                "name": each.name,
                "label": each.label,
                "help": each.help,
                "params": [
                    {"name": p.name, "label": p.label, "default": p.default, "help": p.help, "choices": p.choices}
                    for p in each.params
                ],
            }
            for each in TRANSFORMS.values()
        ],
    }


def _follow(
    request: HttpRequest, connector: Connector, integration: Integration, *, settings_changed: bool
) -> HttpResponse:
    """What follows from a save: asking the client, switching on, and the page that comes next."""
    do = request.POST.get("do", "save")
    _ask_client(request, connector, integration, do, settings_changed=settings_changed)
    _switch(request, integration, do)
    here = reverse("admin:integrations_integration_change", args=[integration.pk])
    if do == "close":
        return HttpResponseRedirect(reverse("admin:leads_campaign_change", args=[integration.campaign_id]))
    if do in ("preview", "test-lead"):
        lead = request.POST.get("lead", "")
        page = reverse(f"admin:integrations_integration_{do.replace('-', '_')}", args=[integration.pk])
        return HttpResponseRedirect(f"{page}?lead={lead}" if lead.isdigit() else page)
    # Where no script asks for the client's lists, the page has them when it comes.
    return HttpResponseRedirect(here if "js" in request.POST else f"{here}?ask")


def _ask_client(
    request: HttpRequest, connector: Connector, integration: Integration, do: str, *, settings_changed: bool
) -> None:
    """What follows from a save on the client's side: choices that make themselves, their fields, a test."""
    pull = connector.discover is not None and (
        do == "refresh" or integration.discovered_at is None or (settings_changed and "pulled" not in request.POST)
    )
    asked = Asked()
    if (settings_changed and pull) or do == "test":
        asked = settings_ask(connector, integration.all_settings, fresh_login=do == "test")
        if asked.filled:
            integration = _fill(request, connector, integration, asked.filled)
    problems = settings_problems(connector, integration.all_settings)
    if problems:
        messages.warning(request, _cut(f"Saved, unfinished. {' '.join(problems.values())}"))
        return
    if pull and not asked.busy:
        try:
            report = integration_discover(integration, request.user.get_username())
            messages.success(request, _cut(f"Saved. {_pulled(report)}"))
        except ConnectorError as error:
            messages.error(request, _cut(f"Saved, but the client’s fields were not pulled. {_words(connector, error)}"))
    else:
        messages.success(request, "Saved.")
    if do == "test":
        if asked.passed:
            messages.success(request, "The client’s instance answered, and takes these settings.")
        else:
            messages.error(request, _cut(f"The test failed. {asked.problem}"))


def _fill(
    request: HttpRequest, connector: Connector, integration: Integration, filled: Mapping[str, Any]
) -> Integration:
    """Write what filled itself in, into the settings of now: others may have saved while the client was asked.

    A box that somebody filled or changed meanwhile stays as it is.
    """
    labels = {box.name: box.label for box in connector.manifest.settings}
    with transaction.atomic():
        row = Integration.objects.select_for_update().select_related("campaign").get(pk=integration.pk)
        taken = {
            name: value
            for name, value in filled.items()
            if row.settings.get(name) == integration.settings.get(name) != value
        }
        if taken:
            changes = [
                Change(labels.get(name, name), setting_text(row.settings.get(name)), setting_text(value))
                for name, value in taken.items()
            ]
            row.settings = {**row.settings, **taken}
            row.save(update_fields=["settings", "updated_at"])
            record(request.user, row, changed(*changes))
    return row


def _switch(request: HttpRequest, integration: Integration, do: str) -> None:
    integration = Integration.objects.get(pk=integration.pk)
    problems, before = integration_problems(integration), integration.get_state_display()
    goes = "leads" if "lead" in find_connector(integration.connector).manifest.accepts else "events"
    if do == "on":
        try:
            released = integration_switch(integration, True)
            state_record(request.user, integration, before)
            spread = release_words(released, integration)
            words = f"{integration.name} is on: new {goes} go out, and so does what waited. {spread}"
            messages.success(request, words.strip())
        except ConnectorError as error:
            messages.error(request, _cut(f"It can’t be switched on yet. {error.message}"))
    elif do == "pause" and integration.state != IntegrationState.NEEDS_SETUP:
        integration_switch(integration, False)
        state_record(request.user, integration, before)
        messages.success(request, f"{integration.name} is paused: {goes} wait for it until it is switched on again.")
    elif integration.state == IntegrationState.ON and problems:
        integration_hold(integration.pk, " ".join(problems))
        messages.warning(request, _cut(f"{goes.capitalize()} wait from now on: {' '.join(problems)}"))


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


__all__ = ["configure_page", "mapping_context"]
