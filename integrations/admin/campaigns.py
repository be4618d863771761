"""The campaign's page, extended: its integrations come first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from integrations.admin.badges import integration_badge
from integrations.admin.integrations import connector_name
from integrations.models import Integration
from leads.admin.campaigns import CampaignAdmin
from leads.models import Campaign

admin.site.unregister(Campaign)


@admin.register(Campaign)
class DeliveringCampaignAdmin(CampaignAdmin):
    change_form_outer_before_template = "console/campaign_integrations.html"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        jobs = []
        if object_id.isdigit():
            for integration in Integration.objects.filter(campaign=int(object_id), managed=False):
                name = connector_name(integration.connector)
                jobs.append({"row": integration, "connector": name, "badge": integration_badge(integration)})
        context = {
            "integrations": jobs,
            "campaign_id": object_id,
            "can_add_integration": request.user.has_perm("integrations.add_integration"),
            "can_configure": request.user.has_perm("integrations.change_integration"),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)  # type: ignore[no-any-return]
