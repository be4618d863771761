"""Deliveries: the list with its causes, Release and Send again, and the page of one with its attempts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.admin.badges import delivery_badge, verdict_badge
from integrations.admin.integrations import connector_name
from integrations.admin.sending import BATCH, queue_messages
from integrations.admin.timeline import delivery_entries
from integrations.delivery import deliveries_queue, deliveries_release
from integrations.models import Delivery, DeliveryState
from leads.admin.badges import moment, short
from leads.admin.filters import DaysFilter
from leads.admin.flagging import counted
from leads.admin.leads import lead_person
from leads.admin.timeline import in_order, rewritten
from leads.rights import may_see_personal_data, without_personal
from leads.skin import ChoicesDropdownFilter, ModelAdmin, RelatedDropdownFilter


@admin.register(Delivery)
class DeliveryAdmin(ModelAdmin):
    """Deliveries are the engine's rows: people read them, release them and send them again, nothing else."""

    list_display = ("number", "subject", "integration", "state_label", "verdict_label", "tries", "next_try", "made")
    list_display_links = ("number",)
    list_filter = (
        ("state", ChoicesDropdownFilter),
        ("integration", RelatedDropdownFilter),
        ("verdict", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("created_at", DaysFilter),
    )
    list_filter_submit = True
    list_select_related = ("integration", "lead")
    list_per_page = 50
    show_full_result_count = False
    sortable_by = ()
    search_fields = ("id", "lead__id", "reference")
    search_help_text = "Delivery, lead, or the client's reference"
    actions = ("release", "send_again")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = queryset.filter(reference=term)
        if term.isascii() and term.isdigit() and len(term) < 19:
            found = found | queryset.filter(pk=int(term)) | queryset.filter(lead=int(term))
        return found, False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        queryset: QuerySet[Delivery] = super().get_queryset(request)
        return queryset.defer("data", "problems", "integration__settings", "integration__secrets")

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """For those who may not see personal data: no names, no clients' words."""
        columns = super().get_list_display(request)
        if may_see_personal_data(request.user):
            return list(columns)
        names = {"subject": "subject_masked", "state_label": "state_masked", "verdict_label": "verdict_masked"}
        return [names.get(column, column) for column in columns]

    @admin.display(description="Delivery", ordering="id")
    def number(self, delivery: Delivery) -> SafeString:
        return format_html('<span class="pt-num pt-strong">{}</span>', delivery.pk)

    @admin.display(description="What")
    def subject(self, delivery: Delivery) -> SafeString | str:
        return self._subject(delivery, *lead_person(delivery.lead.values if delivery.lead else {}))

    @admin.display(description="What")
    def subject_masked(self, delivery: Delivery) -> SafeString | str:
        return self._subject(delivery, "", "")

    def _subject(self, delivery: Delivery, name: str, email: str) -> SafeString | str:
        if delivery.lead is None:
            return delivery.get_kind_display()
        link = reverse("admin:leads_lead_change", args=[delivery.lead.pk])
        kind = "Status of lead" if delivery.kind == Delivery.Kind.STATUS else "Lead"
        return format_html(
            '<span class="pt-cell"><a class="pt-link" href="{}">{} {}</a><span class="pt-quiet pt-small">{}</span></span>',
            link, kind, delivery.lead.pk, short(name or email, 40),
        )  # fmt: skip

    @admin.display(description="State")
    def state_label(self, delivery: Delivery) -> SafeString:
        return format_html(
            '<span class="pt-badges pt-cell pt-cell-wide">{}<span class="pt-quiet pt-small">{}</span></span>',
            delivery_badge(delivery),
            short(delivery.reason, 90),
        )

    @admin.display(description="State")
    def state_masked(self, delivery: Delivery) -> SafeString:
        return delivery_badge(delivery, with_reason=False)

    @admin.display(description="Verdict")
    def verdict_masked(self, delivery: Delivery) -> SafeString | str:
        return verdict_badge(delivery.verdict, delivery.reason_code) if delivery.verdict else "–"

    @admin.display(description="Next try")
    def next_try(self, delivery: Delivery) -> SafeString | str:
        return moment(delivery.next_try_at) if delivery.state == DeliveryState.QUEUED else "–"

    @admin.display(description="Since")
    def made(self, delivery: Delivery) -> SafeString | str:
        return moment(delivery.created_at)

    @admin.display(description="Verdict")
    def verdict_label(self, delivery: Delivery) -> SafeString | str:
        hint = " · ".join(filter(None, (delivery.reason_code, delivery.comment)))
        return verdict_badge(delivery.verdict, hint) if delivery.verdict else "–"

    @admin.action(description="Release: send what waits, is in doubt or was given up", permissions=["change"])
    def release(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True))
        released = sum(deliveries_release(ids[start : start + BATCH]) for start in range(0, len(ids), BATCH))
        if released:
            messages.success(request, f"{_deliveries(released)} on the way.")
        if left := len(ids) - released:
            messages.info(
                request,
                f"{_deliveries(left)} left as they were: on their way already, decided, or their integration is not on.",
            )

    @admin.action(description="Send again, as a new delivery", permissions=["change"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        rows = (
            queryset.filter(kind=Delivery.Kind.LEAD, lead__isnull=False)
            .order_by("pk")
            .values_list("integration", "lead")
        )
        by_integration: dict[int, set[int]] = {}
        for integration_id, lead_id in rows:
            by_integration.setdefault(integration_id, set()).add(lead_id)
        queued, skipped = 0, dict[str, int]()
        for integration_id, found in by_integration.items():
            lead_ids = sorted(found)
            for start in range(0, len(lead_ids), BATCH):
                report = deliveries_queue(
                    lead_ids[start : start + BATCH], integration_ids=[integration_id], resend=True
                )
                queued += report.queued
                for words, count in report.skipped.items():
                    skipped[words] = skipped.get(words, 0) + count
        queue_messages(request, queued, skipped)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One delivery with its attempts. It has no form, so nothing that the engine wrote can be overwritten."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        rows = Delivery.objects.select_related("integration__campaign", "lead").prefetch_related(
            "attempts", "status_updates"
        )
        delivery = rows.filter(pk=object_id).first() if object_id.isdigit() and len(object_id) < 19 else None
        if delivery is None:
            raise Http404(f"There is no delivery {object_id}.")
        if not self.has_view_permission(request, delivery):
            raise PermissionDenied
        entries = in_order(delivery_entries([delivery]))
        if not may_see_personal_data(request.user):
            posted = dict(delivery.lead.values) if delivery.lead else {}
            entries = rewritten(entries, lambda text: without_personal(text, posted))
            delivery.reason = without_personal(delivery.reason, posted)
            delivery.comment = without_personal(delivery.comment, posted)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": delivery,
            "title": f"Delivery {delivery.pk}",
            "delivery": delivery,
            "connector": connector_name(delivery.integration.connector),
            "state_badge": delivery_badge(delivery),
            "verdict_badge": verdict_badge(delivery.verdict) if delivery.verdict else "",
            "entries": entries,
            "actions": ["release", "send_again"] if self.has_change_permission(request, delivery) else [],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/delivery.html", context)


def _deliveries(count: int) -> str:
    return counted(count, "delivery") if count == 1 else f"{count:,} deliveries"
