"""Leads: the list with what became of them, flags for many at once, and the page of one. Reason codes."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from leads.admin.badges import campaign_badge, flag_badge, moment, short, status_badge, two_lines
from leads.admin.filters import DaysFilter
from leads.admin.flagging import flag_selection
from leads.admin.timeline import Entry, in_order, lead_entries, rewritten
from leads.models import Field, Flag, Lead, ReasonCode
from leads.rights import (
    masked,
    masked_email,
    masked_values,
    may_see_personal_data,
    open_keys,
    without_personal,
)
from leads.skin import ChoicesDropdownFilter, ModelAdmin, RelatedDropdownFilter

NAME_KEYS = ("firstname", "first_name", "lastname", "last_name", "surname")


@admin.register(ReasonCode)
class ReasonCodeAdmin(ModelAdmin):
    list_display = ("code", "label", "flag", "active")
    list_filter = (("flag", ChoicesDropdownFilter),)
    search_fields = ("code", "label")


@admin.register(Lead)
class LeadAdmin(ModelAdmin):
    """Leads are read here, and flagged through leads/status.py; nobody adds, edits or removes one."""

    list_display: tuple[str, ...] = ("number", "person", "whose", "judged", "flagged", "received")
    list_display_links = ("number",)
    list_filter: tuple[Any, ...] = (
        ("campaign", RelatedDropdownFilter),
        ("publisher", RelatedDropdownFilter),
        ("status", ChoicesDropdownFilter),
        ("flag", ChoicesDropdownFilter),
        ("created_at", DaysFilter),
    )
    list_filter_submit = True
    list_select_related = ("campaign", "publisher")
    list_per_page = 50
    show_full_result_count = False
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "Lead ID, hash, e-mail or name"
    actions: tuple[str, ...] = ("flag_valid", "flag_invalid", "flag_returned", "flag_test")
    # What takes a column's place for those who may not see personal data.
    masked_columns: dict[str, str] = {
        "person": "person_masked",
        "judged": "judged_masked",
        "flagged": "flagged_masked",
    }

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Lead | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Lead], search_term: str
    ) -> tuple[QuerySet[Lead], bool]:
        term = search_term.strip()
        if _in_values(term) and not may_see_personal_data(request.user):
            # Whether somebody is among the leads is personal data too.
            return queryset.none(), False
        return (queryset.filter(_matches(term)) if not _in_values(term) else _search_values(queryset, term)), False

    def get_list_display(self, request: HttpRequest) -> list[str]:
        columns = super().get_list_display(request)
        if may_see_personal_data(request.user):
            return list(columns)
        return [self.masked_columns.get(column, column) for column in columns]

    @admin.display(description="Lead", ordering="id")
    def number(self, lead: Lead) -> SafeString:
        return format_html('<span class="pt-num pt-strong">{}</span>', lead.pk)

    @admin.display(description="Who")
    def person(self, lead: Lead) -> SafeString:
        name, email = lead_person(lead.values)
        return two_lines(name or "–", email, strong=True)

    @admin.display(description="Who")
    def person_masked(self, lead: Lead) -> SafeString:
        name, email = masked_person(lead.values)
        return two_lines(name or "–", email, strong=True)

    @admin.display(description="Campaign")
    def whose(self, lead: Lead) -> SafeString:
        return two_lines(lead.campaign.name, lead.publisher.name)

    @admin.display(description="Received", ordering="id")
    def received(self, lead: Lead) -> SafeString | str:
        return moment(lead.created_at)

    @admin.display(description="Status")
    def judged(self, lead: Lead) -> SafeString:
        return status_badge(lead)

    @admin.display(description="Status")
    def judged_masked(self, lead: Lead) -> SafeString:
        return status_badge(lead, with_jobs=False)

    @admin.display(description="Flag")
    def flagged(self, lead: Lead) -> SafeString | str:
        if not lead.flag:
            return "–"
        return self._flag(lead, " · ".join(part for part in (lead.reason_code, lead.comment, lead.flagged_by) if part))

    @admin.display(description="Flag")
    def flagged_masked(self, lead: Lead) -> SafeString | str:
        return self._flag(lead, lead.flagged_by) if lead.flag else "–"

    def _flag(self, lead: Lead, hint: str) -> SafeString:
        reason = (
            format_html('<span class="pt-quiet pt-small">{}</span>', short(lead.reason_code, 40))
            if lead.reason_code
            else ""
        )
        return format_html('<span class="pt-badges">{}{}</span>', flag_badge(lead.flag, hint), reason)

    @admin.action(description="Flag valid…", permissions=["change"])
    def flag_valid(self, request: HttpRequest, queryset: QuerySet[Lead]) -> HttpResponse:
        return flag_selection(self, request, queryset, Flag.VALID)

    @admin.action(description="Flag invalid…", permissions=["change"])
    def flag_invalid(self, request: HttpRequest, queryset: QuerySet[Lead]) -> HttpResponse:
        return flag_selection(self, request, queryset, Flag.INVALID)

    @admin.action(description="Flag returned…", permissions=["change"])
    def flag_returned(self, request: HttpRequest, queryset: QuerySet[Lead]) -> HttpResponse:
        return flag_selection(self, request, queryset, Flag.RETURNED)

    @admin.action(description="Flag as test…", permissions=["change"])
    def flag_test(self, request: HttpRequest, queryset: QuerySet[Lead]) -> HttpResponse:
        return flag_selection(self, request, queryset, Flag.TEST)

    def timeline(self, lead: Lead) -> list[Entry]:
        """The lead's way, oldest first."""
        return in_order(lead_entries(lead))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of one lead: its values and its timeline. It has no form, so nothing here can be overwritten."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        lead = (
            Lead.objects.select_related("campaign__advertiser", "publisher", "form", "link")
            .filter(pk=_number(object_id))
            .first()
        )
        if lead is None:
            raise Http404(f"There is no lead {object_id}.")
        if not self.has_view_permission(request, lead):
            raise PermissionDenied
        fields = list(lead.form.fields.all())
        person, values, entries = lead_person(lead.values), lead.values, self.timeline(lead)
        clear = may_see_personal_data(request.user)
        if not clear:
            given, chosen = {**lead.values, "": lead.ip or ""}, open_keys(fields)
            person, values = masked_person(lead.values), masked_values(lead.values, fields)
            entries = rewritten(entries, lambda text: without_personal(text, given, chosen))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": lead,
            "title": f"Lead {lead.pk}",
            "lead": lead,
            "person": person,
            "masked": not clear,
            "status_badge": status_badge(lead, with_jobs=clear),
            "flag_badge": flag_badge(lead.flag) if lead.flag else "",
            "campaign_badge": campaign_badge(lead.campaign),
            "values": _labelled(fields, values),
            "entries": entries,
            "actions": [
                (name, description.rstrip("…"))
                for name, (_, _, description) in self.get_actions(request).items()
                if name != "delete_selected"
            ],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/lead.html", context)


def lead_person(values: dict[str, Any]) -> tuple[str, str]:
    """Who a lead is about, as name and e-mail, by the names that forms commonly give these fields; "" where unknown."""
    lower = {key.lower(): str(value) for key, value in values.items()}
    name = " ".join(lower[key] for key in NAME_KEYS if lower.get(key))
    email = next(
        (value for key, value in lower.items() if key.replace("_", "").replace("-", "").startswith("email")), ""
    )
    return name or lower.get("name", "") or lower.get("fullname", ""), email


def masked_person(values: dict[str, Any]) -> tuple[str, str]:
    """Who a lead is about, for those who may not know it."""
    name, email = lead_person(values)
    return " ".join(masked(part) for part in name.split()), masked_email(email)


def _labelled(fields: list[Field], values: dict[str, Any]) -> list[tuple[str, str, str]]:
    """A lead's values in the order of its form: label, key, value. What the form has no field for comes last."""
    rows, left = [], dict(values)
    for field in fields:
        for key in field.inputs:
            if key in left:
                part = f" ({key.rpartition('.')[2]})" if "." in key else ""
                rows.append((f"{field.label or field.name}{part}", key, str(left.pop(key))))
    return rows + [(key, key, str(value)) for key, value in left.items()]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _hash(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _in_values(term: str) -> bool:
    return bool(term) and not _number(term) and _hash(term) is None


def _matches(term: str) -> Q:
    if not term:
        return Q()
    found = _hash(term)
    return Q(hash=found) if found else Q(pk=_number(term))


def _search_values(queryset: QuerySet[Lead], term: str) -> QuerySet[Lead]:
    # The text of the JSON column: SQLite keeps what is not ASCII as \u escapes, PostgreSQL as it is.
    escaped = json.dumps(term)[1:-1]
    queryset = queryset.annotate(values_text=Cast("values", TextField()))
    return queryset.filter(Q(values_text__icontains=term) | Q(values_text__icontains=escaped))
