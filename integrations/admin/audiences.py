"""The page of an audience, extended by the destinations that are told of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from integrations.models import AudienceSync, DeliveryState, IntegrationState
from integrations.tracked_events.audience_sync import integrations_to_tell, sync_add, sync_figures, sync_now, sync_stop
from leads import clock
from leads.admin.audiences import AudienceAdmin
from leads.admin.badges import badge
from leads.models import Audience

admin.site.unregister(Audience)

_WAITING = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.HELD)
_FAILED = (DeliveryState.REFUSED, DeliveryState.EXHAUSTED, DeliveryState.UNKNOWN)


@admin.register(Audience)
class ToldAudienceAdmin(AudienceAdmin):
    def told(self, request: HttpRequest, audience: Audience) -> dict[str, Any]:
        """Each destination with its syncs, and those that could be told too."""
        user: Any = request.user
        if not (user.has_perm("integrations.view_audiencesync") or user.has_perm("integrations.change_audiencesync")):
            return {"syncs": None}
        syncs = list(AudienceSync.objects.filter(audience=audience).select_related("integration"))
        known = {sync.integration_id for sync in syncs}
        return {
            "syncs": [_row(audience, sync) for sync in syncs],
            "offered": [each for each in integrations_to_tell(audience) if each.pk not in known],
            "may_sync": user.has_perm("integrations.change_audiencesync"),
            "destinations_link": reverse("admin:leads_campaign_jobs", args=[audience.campaign_id, "integrations"]),
        }

    def do(self, request: HttpRequest, audience: Audience, action: str) -> str:
        if not action.startswith("sync-"):
            return super().do(request, audience, action)
        if not request.user.has_perm("integrations.change_audiencesync"):
            raise PermissionDenied
        asked = request.POST.get("integration", "")
        if action == "sync-add":
            chosen = next((each for each in integrations_to_tell(audience) if str(each.pk) == asked), None)
            if chosen is None:
                return ""
            sync_add(audience, chosen)
            return f"{chosen.name} is told from now on."
        syncs = AudienceSync.objects.filter(audience=audience).select_related("integration")
        sync = next((each for each in syncs if str(each.integration_id) == asked), None)
        if sync is None:
            return ""
        if action == "sync-now":
            sync_now(sync)
            return f"{sync.integration.name}: a sync begins now."
        sync_stop(sync)
        return f"{sync.integration.name} is told nothing more."


def _row(audience: Audience, sync: AudienceSync) -> dict[str, Any]:
    figures = sync_figures(sync)
    most = max(_FAILED, key=lambda state: figures.get(state, 0))
    failed = {"integration__id__exact": sync.integration_id, "kind__exact": "event", "state__exact": most.value}
    return {
        "sync": sync,
        "name": sync.integration.name,
        "badge": _badge(sync),
        "next": _next(audience, sync),
        "sent": figures.get(DeliveryState.DELIVERED, 0),
        "waiting": sum(figures.get(state, 0) for state in _WAITING),
        "failed": sum(figures.get(state, 0) for state in _FAILED),
        "not_sent": figures.get(DeliveryState.NOT_SENT, 0),
        "failed_link": f"{reverse('admin:integrations_delivery_changelist')}?{urlencode(failed)}",
    }


def _badge(sync: AudienceSync) -> SafeString:
    if not sync.enabled:
        return badge("Stopped", "off")
    if sync.integration.state != IntegrationState.ON:
        return badge(sync.integration.get_state_display(), "wait", "What it is told waits until it is on.")
    if sync.began_at is not None:
        return badge("Syncing", "busy")
    return badge("Told", "good") if sync.first_done_at else badge("First sync to come", "wait")


def _next(audience: Audience, sync: AudienceSync) -> str:
    if not sync.enabled or not audience.enabled:
        return "–"
    if not audience.generation:
        return "once it is computed"
    if sync.next_at is None or sync.next_at <= clock.now():
        return "now"
    return f"{timezone.localtime(sync.next_at):%-d %b %H:%M}"
