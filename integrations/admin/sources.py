"""The live view of a source, extended by what became of its events at each destination."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse

from integrations.admin.badges import DELIVERY_TONES
from integrations.models import Delivery, DeliveryState
from leads.admin.sources import SourceAdmin, outcome
from leads.models import Source
from leads.rights import may_see_personal_data

admin.site.unregister(Source)

# Reasons that are our own words; any other may be the client's, which may name what was said.
_OURS = (DeliveryState.NOT_SENT, DeliveryState.HELD)


@admin.register(Source)
class RoutedSourceAdmin(SourceAdmin):
    def outcomes(self, request: HttpRequest, event_ids: Sequence[int]) -> dict[int, list[dict[str, str]]]:
        clear = may_see_personal_data(request.user)
        links = request.user.has_perm("integrations.view_delivery")
        found: dict[int, list[dict[str, str]]] = {}
        rows = Delivery.objects.filter(event__in=event_ids).select_related("integration").order_by("pk")
        for row in rows.only("event_id", "state", "reason", "integration__name"):
            state = DeliveryState(row.state)
            reason = row.reason if clear or state in _OURS else ""
            address = reverse("admin:integrations_delivery_change", args=[row.pk]) if links else ""
            found.setdefault(row.event_id or 0, []).append(
                outcome(row.integration.name, state.label, DELIVERY_TONES[state], reason, address)
            )
        return found
