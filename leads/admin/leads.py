"""Leads: the list with what became of them, flags for many at once, and the page of one. Reason codes."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from leads.admin.badges import campaign_badge, flag_badge, moment, short, status_badge, two_lines
from leads.admin.filters import (
    AskedDays,
    CampaignFilter,
    FlagFilter,
    HeldFilter,
    PublisherFilter,
    ReasonCodeFilter,
    StatusFilter,
    chips,
    lead_search,
    number,
)
from leads.admin.flagging import counted
from leads.admin.imports import import_urls, may_import
from leads.admin.timeline import Entry, in_order, lead_entries, rewritten
from leads.callback_hash import callback_hash
from leads.lead_search import LeadSearch
from leads.models import Field, Lead, ReasonCode
from leads.rights import (
    masked,
    masked_email,
    masked_values,
    may_export,
    may_see_personal_data,
    open_keys,
    without_personal,
)
from leads.skin import ChoicesDropdownFilter, ModelAdmin

# A longer number may be a telephone, which is personal data.
ID_DIGITS = 6
NAME_KEYS = ("firstname", "first_name", "lastname", "last_name", "surname")


@admin.register(ReasonCode)
class ReasonCodeAdmin(ModelAdmin):
    nothing_yet = "They say why a lead was not wanted: give each a code and a sentence."
    list_display = ("code", "label", "flag", "active")
    list_filter = (("flag", ChoicesDropdownFilter),)
    search_fields = ("code", "label")


@admin.register(Lead)
class LeadAdmin(ModelAdmin):
    """Leads are read here, and flagged through leads/status.py; nobody adds, edits or removes one."""

    nothing_yet = "They appear here as publishers send them, or when a file is imported."
    list_display: tuple[str, ...] = ("number", "person", "whose", "judged", "flagged")
    list_display_links = ("number",)
    list_filter: tuple[Any, ...] = (
        CampaignFilter,
        PublisherFilter,
        StatusFilter,
        HeldFilter,
        FlagFilter,
        ReasonCodeFilter,
        ("created_at", AskedDays),
    )
    list_filter_submit = True
    list_select_related = ("campaign", "publisher")
    list_per_page = 50
    show_full_result_count = False
    sortable_by = ()
    search_fields = ("id",)
    search_help_text = "E-mail, telephone, name, lead ID or hash"
    actions: tuple[Any, ...] = ()
    list_before_template = "console/lead_list_head.html"
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

    def get_urls(self) -> list[Any]:
        return [*import_urls(self), *super().get_urls()]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        request.chips = chips(request, changelist.filter_specs)  # type: ignore[attr-defined]
        return changelist

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "may_import": may_import(request.user),
            "may_export": may_export(request.user),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)  # type: ignore[no-any-return]

    def search(self, request: HttpRequest) -> LeadSearch | None:
        """What the list is asked for; None where this person may not even know whether somebody is among the leads."""
        asked = lead_search(request.GET)
        return asked if may_see_personal_data(request.user) or not _in_values(asked.text) else None

    def found(self, request: HttpRequest) -> QuerySet[Lead]:
        """The leads that match what the list is asked for."""
        search = self.search(request)
        if search is not None:
            return search.leads()
        asked = lead_search(request.GET)
        return replace(asked, text="").leads().filter(pk=number(asked.text.removeprefix("#")) or 0)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Lead], search_term: str
    ) -> tuple[QuerySet[Lead], bool]:
        """All filters and the search box at once: what is shown is what work on all that match is done with."""
        return self.found(request), False

    def get_list_display(self, request: HttpRequest) -> list[str]:
        columns = super().get_list_display(request)
        if may_see_personal_data(request.user):
            return list(columns)
        return [self.masked_columns.get(column, column) for column in columns]

    @admin.display(description="Lead", ordering="id")
    def number(self, lead: Lead) -> SafeString:
        when = moment(lead.created_at)
        return format_html(
            '<span class="pt-cell"><span class="pt-num pt-strong">{}</span><span class="pt-quiet pt-small">{}</span></span>',
            lead.pk,
            when,
        )

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
            .filter(pk=number(object_id) or 0)
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
            given, chosen = (
                {**(lead.enriched or {}), **lead.values, "": lead.ip or "", **_visitor(lead)},
                open_keys(fields),
            )
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
            "enriched": [
                (name, str(value) if clear else masked(str(value))) for name, value in (lead.enriched or {}).items()
            ],
            "score": f"{lead.score:,} of {lead.max_score:,}" if lead.max_score else "",
            "entries": entries,
            "callback_hash": callback_hash(lead.hash) if request.user.has_perm("leads.change_lead") else "",
            "visitor": _visitor(lead) if clear else {},
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/lead.html", context)


def _visitor(lead: Lead) -> dict[str, str]:
    """Whose tracked events a lead belongs to, as it was posted; by the names under which its page shows that."""
    said = lead.visitor or {}
    named = {"User ID": said.get("userId", ""), "Anonymous ID": said.get("anonymousId", "")}
    return {name: value for name, value in named.items() if value}


def exported(request: HttpRequest, count: int, kind: str, *, masked: bool) -> None:
    """Writes into the history that somebody took leads along as a file."""
    how = ", personal data masked" if masked else ""
    LogEntry.objects.create(
        user_id=request.user.pk or 0,
        content_type=ContentType.objects.get_for_model(Lead),
        object_repr=counted(count),
        action_flag=CHANGE,
        change_message=f"Exported as {kind.upper()}{how}",
    )


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


def _in_values(term: str) -> bool:
    """Whether a term is looked for in what was posted, rather than being an id or a hash. Many digits may be a telephone."""
    digits = term.removeprefix("#")
    is_id = digits.isascii() and digits.isdigit() and len(digits) <= ID_DIGITS
    return bool(term) and not is_id and not _is_hash(term)


def _is_hash(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
