"""The lead pages, extended by what is known above: deliveries, attempts and the clients' verdicts."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from integrations.admin.badges import delivery_badge, verdict_badge
from integrations.admin.filters import DeliveryStateFilter, IntegrationFilter, VerdictFilter
from integrations.admin.sending import send_selection
from integrations.admin.timeline import delivery_entries
from integrations.models import Delivery
from leads.admin.badges import short
from leads.admin.leads import LeadAdmin
from leads.admin.timeline import Entry, in_order
from leads.models import Lead

SHOWN = 3

admin.site.unregister(Lead)


@admin.register(Lead)
class DeliveredLeadAdmin(LeadAdmin):
    list_display = ("number", "person", "whose", "judged", "flagged", "sent", "verdict", "received")
    list_filter = (
        *LeadAdmin.list_filter[:-1],
        IntegrationFilter,
        DeliveryStateFilter,
        VerdictFilter,
        LeadAdmin.list_filter[-1],
    )
    actions = (*LeadAdmin.actions, "deliver", "resend")
    masked_columns = {**LeadAdmin.masked_columns, "sent": "sent_masked", "verdict": "verdict_masked"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Lead]:
        queryset: QuerySet[Lead] = super().get_queryset(request)
        deliveries = Delivery.objects.filter(kind=Delivery.Kind.LEAD).select_related("integration").order_by("id")
        return queryset.prefetch_related(
            Prefetch(
                "deliveries", deliveries.defer("data", "problems", "integration__secrets", "integration__settings")
            )
        )

    @admin.display(description="Deliveries")
    def sent(self, lead: Lead) -> SafeString | str:
        return self._sent(lead, clear=True)

    @admin.display(description="Deliveries")
    def sent_masked(self, lead: Lead) -> SafeString | str:
        return self._sent(lead, clear=False)

    def _sent(self, lead: Lead, *, clear: bool) -> SafeString | str:
        rows = _latest(lead)
        if not rows:
            return "–"
        badges = format_html_join(
            "",
            '<span class="pt-one-line">{}<span class="pt-quiet pt-small">{}</span></span>',
            ((delivery_badge(row, with_reason=clear), short(row.integration.name, 30)) for row in rows[:SHOWN]),
        )
        more = (
            format_html('<span class="pt-quiet pt-small">and {} more</span>', len(rows) - SHOWN)
            if len(rows) > SHOWN
            else ""
        )
        return format_html('<span class="pt-badges">{}{}</span>', badges, more)

    @admin.display(description="Verdict")
    def verdict(self, lead: Lead) -> SafeString | str:
        return self._verdict(lead, clear=True)

    @admin.display(description="Verdict")
    def verdict_masked(self, lead: Lead) -> SafeString | str:
        return self._verdict(lead, clear=False)

    def _verdict(self, lead: Lead, *, clear: bool) -> SafeString | str:
        rows = [row for row in _latest(lead) if row.verdict]
        if not rows:
            return "–"
        badges = format_html_join(
            "",
            "{}",
            (
                (verdict_badge(row.verdict, " · ".join(filter(None, (row.reason_code, row.comment if clear else "")))),)
                for row in rows[:SHOWN]
            ),
        )
        return format_html('<span class="pt-badges">{}</span>', badges)

    @admin.action(description="Deliver…", permissions=["change"])
    def deliver(self, request: HttpRequest, queryset: QuerySet[Lead]) -> HttpResponse | None:
        return send_selection(self, request, queryset, resend=False)

    @admin.action(description="Send again…", permissions=["change"])
    def resend(self, request: HttpRequest, queryset: QuerySet[Lead]) -> HttpResponse | None:
        return send_selection(self, request, queryset, resend=True)

    def timeline(self, lead: Lead) -> list[Entry]:
        deliveries = lead.deliveries.select_related("integration").prefetch_related("attempts", "status_updates")
        return in_order([*super().timeline(lead), *delivery_entries(deliveries)])


def _latest(lead: Lead) -> list[Delivery]:
    """The last delivery of a lead to each integration."""
    return list({row.integration_id: row for row in lead.deliveries.all()}.values())
