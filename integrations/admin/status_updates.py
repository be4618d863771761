"""Status updates: each message with a verdict as it came, and whether it was applied. Read only: it is a log."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.admin.badges import update_badge, verdict_badge
from integrations.models import StatusUpdate
from leads.admin.badges import moment, short, two_lines
from leads.admin.filters import DaysFilter
from leads.rights import may_see_personal_data
from leads.skin import ChoicesDropdownFilter, ModelAdmin

EARLY = "A lead that is not recorded as sent here (yet): it is applied once that is"


@admin.register(StatusUpdate)
class StatusUpdateAdmin(ModelAdmin):
    nothing_yet = "What clients say of leads that they got stands here, and what came of it."
    list_display = ("received", "verdict_label", "reason", "said_by", "via", "whom", "state_label")
    list_filter = (
        ("verdict", ChoicesDropdownFilter),
        ("state", ChoicesDropdownFilter),
        ("via", ChoicesDropdownFilter),
        ("received_at", DaysFilter),
    )
    list_filter_submit = True
    list_select_related = ("delivery__integration",)
    ordering = ("-id",)
    list_display_links = ("received",)
    sortable_by = ()
    show_full_result_count = False
    list_per_page = 50
    fields = (
        ("verdict_label", "state_label"), "whom", "reason_code", "comment", ("by", "via"), ("decided_at", "received_at"), "raw",
    )  # fmt: skip
    readonly_fields = ("verdict_label", "state_label", "whom")

    def get_list_display(self, request: HttpRequest) -> list[str]:
        columns = super().get_list_display(request)
        if may_see_personal_data(request.user):
            return list(columns)
        return ["reason_code" if column == "reason" else column for column in columns]

    def get_fields(self, request: HttpRequest, obj: StatusUpdate | None = None) -> list[Any]:
        """What clients wrote may name a person."""
        fields = super().get_fields(request, obj)
        if may_see_personal_data(request.user):
            return list(fields)
        return [each for each in fields if each not in ("comment", "raw")]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: StatusUpdate | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: StatusUpdate | None = None) -> bool:
        return False

    @admin.display(description="Verdict")
    def verdict_label(self, update: StatusUpdate) -> SafeString:
        return verdict_badge(update.verdict)

    @admin.display(description="State")
    def state_label(self, update: StatusUpdate) -> SafeString:
        return update_badge(update)

    @admin.display(description="Reason")
    def reason(self, update: StatusUpdate) -> SafeString:
        return two_lines(update.reason_code or "–", update.comment)

    @admin.display(description="Received", ordering="id")
    def received(self, update: StatusUpdate) -> SafeString | str:
        return moment(update.received_at)

    @admin.display(description="By")
    def said_by(self, update: StatusUpdate) -> str:
        return short(update.by) or "–"

    @admin.display(description="About")
    def whom(self, update: StatusUpdate) -> SafeString | str:
        delivery = update.delivery
        if delivery is None:
            return EARLY if update.about else "Nobody knows what it is about"
        if delivery.lead_id is None:
            return f"Delivery {delivery.pk}"
        return format_html(
            '<a class="pt-link" href="{}">Lead {}</a> <span class="pt-quiet">{}</span>',
            reverse("admin:leads_lead_change", args=[delivery.lead_id]),
            delivery.lead_id,
            short(delivery.integration.name, 40),
        )
