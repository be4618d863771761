"""Reason codes: the list that the instance keeps, and for each integration the table that turns the client's codes into ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from integrations.admin.badges import verdict_badge
from integrations.admin.integrations import connector_name
from integrations.models import Integration, ReasonTranslation
from integrations.reasons import reason_codes_unknown, reason_translate
from leads.admin.badges import moment
from leads.admin.flagging import counted
from leads.admin.leads import ReasonCodeAdmin
from leads.history import Change, changed, record
from leads.models import Flag, ReasonCode
from leads.skin import ModelAdmin

CHANGE = "integrations.change_reasontranslation"
VIEW = "integrations.view_reasontranslation"
KNOWN_SHOWN = 500

admin.site.unregister(ReasonCode)


@admin.register(ReasonCode)
class TranslatedReasonCodeAdmin(ReasonCodeAdmin):
    """The list, with the clients' tables above it."""

    list_before_template = "console/reason_tables.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"tables": _tables() if request.user.has_perm(VIEW) else [], **(extra_context or {})}
        return super().changelist_view(request, context)  # type: ignore[no-any-return]


@admin.register(ReasonTranslation)
class ReasonTranslationAdmin(ModelAdmin):
    """One page for each integration: all of its codes at once. Rows are never edited one by one."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        table = path(
            "of/<int:integration_id>/",
            self.admin_site.admin_view(self.table_view),
            name="integrations_reasontranslation_table",
        )
        return [table]

    def table_view(self, request: HttpRequest, integration_id: int) -> HttpResponse:
        """A client's codes: those that nobody has a word for with how often they came, and those that have one."""
        if not request.user.has_perm(VIEW):
            raise PermissionDenied
        integration = Integration.objects.select_related("campaign").filter(pk=integration_id).first()
        if integration is None:
            raise Http404("There is no such integration.")
        may_change = request.user.has_perm(CHANGE)
        if request.method == "POST":
            if not may_change:
                raise PermissionDenied
            return _save(request, integration)
        unknown = reason_codes_unknown(integration)
        own = ReasonTranslation.objects.filter(integration=integration).select_related("reason")
        shared = ReasonTranslation.objects.filter(integration=None, connector=integration.connector).select_related(
            "reason"
        )
        context = {
            **self.admin_site.each_context(request),
            "opts": ReasonCode._meta,
            "title": f"Reason codes of {integration.name}",
            "integration": integration,
            "connector": connector_name(integration.connector),
            "unknown": [
                {
                    "code": row.code,
                    "badge": verdict_badge(row.verdict) if row.verdict else "",
                    "count": row.count,
                    "last": moment(row.last_at),
                }
                for row in unknown
            ],
            "own": _rows(own),
            "shared": _rows(shared),
            "choices": _choices(),
            "may_change": may_change,
        }
        return TemplateResponse(request, "console/reason_table.html", context)


def _save(request: HttpRequest, integration: Integration) -> HttpResponse:
    """What was picked for each code; `whole` says that it holds for every integration of the connector.

    Of rows that were there only what was picked otherwise is written: a page that is older undoes nothing of a colleague's.
    """
    ours = {str(code.pk): code for code in ReasonCode.objects.all()}
    new: dict[str, ReasonCode | None] = {}
    for theirs, picked in zip(request.POST.getlist("theirs"), request.POST.getlist("ours"), strict=False):
        if picked in ours:
            new[theirs] = ours[picked]
    kept: dict[bool, dict[str, ReasonCode | None]] = {False: {}, True: {}}
    for whole in (False, True):
        side = "shared" if whole else "own"
        rows = zip(*(request.POST.getlist(f"{side}_{name}") for name in ("theirs", "ours", "was")), strict=False)
        kept[whole] = {theirs: ours.get(picked) for theirs, picked, was in rows if picked != was}
    with transaction.atomic():
        # Two who save at once are one after the other.
        Integration.objects.select_for_update().filter(connector=integration.connector).order_by("pk").first()
        before = _table(integration)
        meanwhile = _added(integration, new, whole="whole" in request.POST)
        kept["whole" in request.POST] |= {theirs: code for theirs, code in new.items() if theirs not in meanwhile}
        for whole, codes in kept.items():
            reason_translate(integration, codes, whole_connector=whole)
        _note(request, integration, before, _table(integration))
    for theirs, code in meanwhile.items():
        if code != new[theirs]:
            messages.warning(request, f"A colleague has translated {theirs} as {code.code} meanwhile: that stays.")
    if done := len(new) - len(meanwhile):
        messages.success(request, f"{counted(done, 'code')} translated: for verdicts that come from now on.")
    else:
        messages.success(request, "Saved.")
    return HttpResponseRedirect(reverse("admin:integrations_reasontranslation_table", args=[integration.pk]))


def _added(integration: Integration, new: Mapping[str, Any], *, whole: bool) -> dict[str, ReasonCode]:
    """Of codes that the page had as new those that have a translation by now."""
    rows = ReasonTranslation.objects.filter(
        connector=integration.connector, integration=None if whole else integration, theirs__in=list(new)
    )
    return {row.theirs: row.reason for row in rows.select_related("reason")}


def _table(integration: Integration) -> dict[str, str]:
    """Each code and what it is called, as the history names them."""
    rows = ReasonTranslation.objects.filter(
        Q(integration=integration) | Q(integration=None, connector=integration.connector)
    ).select_related("reason")
    everywhere = f"every {connector_name(integration.connector)} integration"
    return {
        f"Their code {row.theirs} ({'this integration' if row.integration_id else everywhere})": row.reason.code
        for row in rows
    }


def _note(request: HttpRequest, integration: Integration, before: dict[str, str], after: dict[str, str]) -> None:
    """Writes what was changed into the integration's history."""
    changes = [
        Change(label, before.get(label, ""), after.get(label, ""))
        for label in sorted({*before, *after})
        if before.get(label) != after.get(label)
    ]
    if changes:
        record(request.user, integration, changed(*changes))


def _rows(rows: QuerySet[ReasonTranslation]) -> list[dict[str, Any]]:
    """Rows of a table; `gone` is a code of ours that was switched off since, which stays what is chosen."""
    return [
        {"theirs": row.theirs, "reason_id": row.reason_id, "gone": None if row.reason.active else row.reason}
        for row in rows[:KNOWN_SHOWN]
    ]


def _choices() -> list[tuple[str, list[ReasonCode]]]:
    """Our codes by flag."""
    codes = list(ReasonCode.objects.filter(active=True))
    found = [(flag.label, [code for code in codes if code.flag == flag]) for flag in Flag if flag]
    return [(label, rows) for label, rows in found if rows]


def _tables() -> list[tuple[str, str]]:
    """The integrations that get verdicts: name with campaign, and the address of their table."""
    rows = Integration.objects.filter(managed=False).select_related("campaign").defer("settings", "secrets")
    return [
        (f"{row.name} ({row.campaign.name})", reverse("admin:integrations_reasontranslation_table", args=[row.pk]))
        for row in rows.order_by("campaign__name", "name")
    ]
