"""What the home page shows: what needs a person, first; then where things are."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from integrations.admin.badges import integration_badge
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState, StatusUpdate
from leads.admin.badges import SHAPES, campaign_badge
from leads.models import Campaign, Lead

NEEDS_A_PERSON = {
    DeliveryState.HELD: ("wait", "waiting"),
    DeliveryState.UNKNOWN: ("wait", "in doubt: sent, but no answer came"),
    DeliveryState.REFUSED: ("bad", "refused by the client"),
    DeliveryState.EXHAUSTED: ("bad", "given up after the last try"),
}
SHOWN = 50
CAMPAIGNS = 12


@dataclass(frozen=True, slots=True)
class Need:
    """One sentence with a button."""

    tone: str
    subject: str
    words: str
    button: str
    link: str

    @property
    def shape(self) -> str:
        return SHAPES[self.tone]


def home_context(request: HttpRequest) -> dict[str, Any]:
    """For the home page's template; each part only for those who may see what it is about."""
    user: Any = request.user
    sees_deliveries = user.has_perm("integrations.view_delivery") or user.has_perm("integrations.change_delivery")
    sees_leads = user.has_perm("leads.view_lead") or user.has_perm("leads.change_lead")
    needs: list[Need] = []
    if user.has_perm("integrations.change_integration"):
        needs += _integrations()
    if sees_deliveries:
        needs += [*_deliveries(), *_conflicts()]
    return {"needs": needs[:SHOWN], "figures": _figures() if sees_leads else [], "campaigns": _campaigns(user)}


def _integrations() -> list[Need]:
    rows = Integration.objects.filter(managed=False, campaign__status=Campaign.Status.ACTIVE).select_related("campaign")
    words = {
        IntegrationState.NEEDS_A_LOOK: ("bad", "stopped: {}", "Review"),
        IntegrationState.NEEDS_SETUP: ("off", "is not set up yet", "Configure"),
        IntegrationState.PAUSED: ("wait", "is paused", "Open"),
    }
    needs = []
    for row in rows.exclude(state=IntegrationState.ON)[:SHOWN]:
        tone, sentence, button = words[IntegrationState(row.state)]
        said = sentence.format(row.state_reason or "its set-up needs a look")
        link = reverse("admin:integrations_integration_change", args=[row.pk])
        needs.append(Need(tone, f"{row.name} ({row.campaign.name})", said, button, link))
    for row in rows.filter(state=IntegrationState.ON).exclude(state_reason="")[:SHOWN]:
        link = reverse("admin:integrations_integration_change", args=[row.pk])
        needs.append(Need("wait", f"{row.name} ({row.campaign.name})", row.state_reason, "Open", link))
    return sorted(needs, key=lambda need: need.tone != "bad")


def _deliveries() -> list[Need]:
    rows = (
        Delivery.objects.filter(state__in=list(NEEDS_A_PERSON))
        .values("integration_id", "integration__name", "state")
        .annotate(count=Count("pk"))
        .order_by("integration__name", "state")
    )
    needs = []
    for row in rows:
        tone, words = NEEDS_A_PERSON[DeliveryState(row["state"])]
        noun = "delivery" if row["count"] == 1 else "deliveries"
        query = f"?state__exact={row['state']}&integration__id__exact={row['integration_id']}"
        link = reverse("admin:integrations_delivery_changelist") + query
        needs.append(Need(tone, row["integration__name"], f"{row['count']:,} {noun} {words}", "Look", link))
    return needs


def _conflicts() -> list[Need]:
    found = StatusUpdate.objects.filter(state=StatusUpdate.State.CONFLICTING).count()
    if not found:
        return []
    words = (
        f"{found:,} verdict{'s' if found != 1 else ''} that conflict{'' if found != 1 else 's'} with what is known here"
    )
    link = reverse("admin:integrations_statusupdate_changelist") + f"?state__exact={StatusUpdate.State.CONFLICTING}"
    return [Need("wait", "Clients say otherwise", words, "Compare", link)]


def _figures() -> list[tuple[str, int, str]]:
    """Label, number and link, of the last seven days."""
    since = timezone.now() - dt.timedelta(days=7)
    leads = Lead.objects.filter(created_at__gte=since).aggregate(
        received=Count("pk"),
        valid=Count("pk", filter=Q(status="valid")),
        invalid=Count("pk", filter=Q(status="invalid")),
    )
    sent = Delivery.objects.filter(delivered_at__gte=since, kind=Delivery.Kind.LEAD, test=False).count()
    lead_list = reverse("admin:leads_lead_changelist")
    day = f"created_at_from={timezone.localdate(since):%Y-%m-%d}"
    return [
        ("Leads received", leads["received"], f"{lead_list}?{day}"),
        ("Judged valid", leads["valid"], f"{lead_list}?status__exact=valid&{day}"),
        ("Judged invalid", leads["invalid"], f"{lead_list}?status__exact=invalid&{day}"),
        ("Delivered", sent, f"{reverse('admin:integrations_delivery_changelist')}?state__exact=delivered&{day}"),
    ]


def _campaigns(user: Any) -> list[tuple[Campaign, SafeString, list[tuple[SafeString, str]]]]:
    """The latest campaigns, each with its state and its integrations' states and names."""
    if not (user.has_perm("leads.view_campaign") or user.has_perm("leads.change_campaign")):
        return []
    jobs: dict[int, list[tuple[SafeString, str]]] = {}
    campaigns = list(Campaign.objects.select_related("advertiser")[:CAMPAIGNS])
    for row in Integration.objects.filter(campaign__in=campaigns, managed=False).defer("settings", "secrets"):
        jobs.setdefault(row.campaign_id, []).append((integration_badge(row), row.name))
    return [(campaign, campaign_badge(campaign), jobs.get(campaign.pk, [])) for campaign in campaigns]
