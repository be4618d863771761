"""The lead pages, extended by what is known above: deliveries, attempts and the clients' verdicts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from integrations.admin.badges import delivery_badge, verdict_badge
from integrations.admin.bulk_dialog import allowed, bulk_actions, bulk_urls, chosen_ids, link_to
from integrations.admin.bulk_forms import LEAD_ASKINGS
from integrations.admin.filters import DeliveryStateFilter, FailedJobFilter, IntegrationFilter, VerdictFilter
from integrations.admin.mend_page import may_mend, mend_link
from integrations.admin.timeline import activity_entries, delivery_entries, event_entries
from integrations.judging.actions import ACCEPT, REJECT
from integrations.judging.held import held_words
from integrations.mending import mendable
from integrations.models import Delivery
from integrations.selections import LeadSelection
from leads.admin.badges import short
from leads.admin.filters import number
from leads.admin.leads import LeadAdmin
from leads.admin.timeline import Entry, in_order
from leads.models import Flag, Lead

SHOWN = 3
# Of leads that wait: they stand beside the words that say so.
DECISIONS = (ACCEPT.name, REJECT.name)

admin.site.unregister(Lead)


@admin.register(Lead)
class DeliveredLeadAdmin(LeadAdmin):
    list_display = ("number", "person", "whose", "judged", "flagged", "sent", "verdict")
    list_filter = (
        *LeadAdmin.list_filter[:-1],
        FailedJobFilter,
        IntegrationFilter,
        DeliveryStateFilter,
        VerdictFilter,
        LeadAdmin.list_filter[-1],
    )
    actions = bulk_actions(LEAD_ASKINGS)
    masked_columns = {**LeadAdmin.masked_columns, "sent": "sent_masked", "verdict": "verdict_masked"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Lead]:
        return _with_deliveries(super().get_queryset(request))

    def get_urls(self) -> list[Any]:
        return [*bulk_urls(self, LEAD_ASKINGS), *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return allowed(LEAD_ASKINGS, request, super().get_actions(request))

    def selection(self, request: HttpRequest) -> LeadSelection:
        """What was chosen, on the page of an action: ids, or all that the list was asked for."""
        ids = chosen_ids(request)
        return self.matching(request) if ids is None else LeadSelection(ids=ids)

    def matching(self, request: HttpRequest) -> LeadSelection:
        """All that the list is asked for; nothing where this person may not ask."""
        search = self.search(request)
        if search is None:
            return LeadSelection()
        asked = request.GET
        return LeadSelection(
            search=search,
            integration_id=number(asked.get("integration")),
            delivery_state=asked.get("delivery", ""),
            verdict=asked.get("verdict", ""),
        )

    def found(self, request: HttpRequest) -> QuerySet[Lead]:
        if self.search(request) is None:
            return _with_deliveries(super().found(request))
        return _with_deliveries(self.matching(request).leads())

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

    def timeline(self, lead: Lead) -> list[Entry]:
        # What webhooks are told of it stands on their own pages.
        deliveries = (
            lead.deliveries.exclude(kind=Delivery.Kind.EVENT)
            .select_related("integration__campaign")
            .prefetch_related("attempts", "status_updates")
        )
        entries = [*super().timeline(lead), *delivery_entries(deliveries), *event_entries(lead)]
        return in_order([*entries, *activity_entries(lead, [row.pk for row in deliveries])])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of one lead, with what may be done with it."""
        pk = number(object_id) or 0
        may = [asking for asking in LEAD_ASKINGS.values() if request.user.has_perm(asking.right)]
        flags = [(flag.label, link_to("leads_lead", "flag", pk, flag=flag.value)) for flag in Flag if flag]
        mend = _mendable(pk) if may_mend(request.user) else []
        lead = Lead.objects.filter(pk=pk).only("held", "held_until").first()
        context = {
            "held_words": held_words(lead) if lead is not None else "",
            "decide": [
                (may_do.title, link_to("leads_lead", may_do.name, pk), may_do.name == ACCEPT.name)
                for may_do in may
                if may_do.name in DECISIONS
            ],
            "mend": [(f"Edit and send to {row.integration.name} again", mend_link(row)) for row in mend],
            "flags": flags if any(asking.name == "flag" for asking in may) else [],
            "actions": [
                (asking.title, link_to("leads_lead", asking.name, pk), asking.danger)
                for asking in may
                if asking.name != "flag" and asking.name not in DECISIONS
            ],
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)


def _mendable(lead_id: int) -> list[Delivery]:
    """Of a lead's latest delivery to each integration, those that can be mended and sent again."""
    rows = Delivery.objects.filter(lead=lead_id, kind=Delivery.Kind.LEAD).select_related("integration", "lead")
    return [row for row in {row.integration_id: row for row in rows.order_by("pk")}.values() if mendable(row)]


def _with_deliveries(leads: QuerySet[Lead]) -> QuerySet[Lead]:
    deliveries = Delivery.objects.filter(kind=Delivery.Kind.LEAD).select_related("integration").order_by("id")
    unread = ("data", "problems", "integration__secrets", "integration__settings")
    return leads.select_related("campaign", "publisher").prefetch_related(
        Prefetch("deliveries", deliveries.defer(*unread))
    )


def _latest(lead: Lead) -> list[Delivery]:
    """The last delivery of a lead to each integration."""
    return list({row.integration_id: row for row in lead.deliveries.all()}.values())
