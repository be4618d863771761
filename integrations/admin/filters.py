"""Filters by what became of a lead."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from integrations.models import Delivery, DeliveryState, Integration, VerdictState
from leads.models import Lead
from leads.skin import DropdownFilter

NOT_SENT = "none"


class DeliveryFilter(DropdownFilter):  # type: ignore[misc]
    """Leads with a delivery of which something is so. Each filter looks for itself: they need not mean the same one."""

    column = ""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lead]) -> QuerySet[Lead]:
        value = self.value()
        if not value:
            return queryset
        deliveries = Delivery.objects.filter(lead=OuterRef("pk"), kind=Delivery.Kind.LEAD)
        if value == NOT_SENT:
            return queryset.exclude(Exists(deliveries))
        return queryset.filter(Exists(deliveries.filter(**{self.column: value})))


class DeliveryStateFilter(DeliveryFilter):
    title = "delivery"
    parameter_name = "delivery"
    column = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(NOT_SENT, "Not handed to any integration"), *DeliveryState.choices]


class VerdictFilter(DeliveryFilter):
    title = "the client's verdict"
    parameter_name = "verdict"
    column = "verdict"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [choice for choice in VerdictState.choices if choice[0]]


class IntegrationFilter(DeliveryFilter):
    title = "integration"
    parameter_name = "integration"
    column = "integration"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = Integration.objects.filter(managed=False).select_related("campaign")
        return [(str(row.pk), f"{row.name} ({row.campaign.name})") for row in rows]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Lead]) -> QuerySet[Lead]:
        return super().queryset(request, queryset) if str(self.value() or "").isdigit() else queryset
