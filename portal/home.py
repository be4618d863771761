"""What the home page shows: what needs a person, first; then where things are."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString

from integrations.admin.jobs import Standing, standings
from integrations.admin.needs import needs
from integrations.admin.overview import overview
from integrations.models import Integration
from leads.admin.badges import campaign_badge
from leads.models import Campaign

CAMPAIGNS = 12


def home_context(request: HttpRequest) -> dict[str, Any]:
    """For the home page's template; each part only for those who may see what it is about."""
    user: Any = request.user
    sees_leads = user.has_perm("leads.view_lead") or user.has_perm("leads.change_lead")
    return {"needs": needs(user), **(overview() if sees_leads else {}), "campaigns": _campaigns(user)}


def _campaigns(user: Any) -> list[tuple[Campaign, SafeString, list[tuple[Standing, str]]]]:
    """The latest campaigns, each with its state and its integrations' states and names."""
    if not (user.has_perm("leads.view_campaign") or user.has_perm("leads.change_campaign")):
        return []
    campaigns = list(Campaign.objects.select_related("advertiser")[:CAMPAIGNS])
    rows = list(Integration.objects.filter(campaign__in=campaigns, managed=False))
    states = standings(rows)
    jobs: dict[int | None, list[tuple[Standing, str]]] = {}
    for row in rows:
        jobs.setdefault(row.campaign_id, []).append((states[row.pk], row.name))
    return [(campaign, campaign_badge(campaign), jobs.get(campaign.pk, [])) for campaign in campaigns]
