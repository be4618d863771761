"""Four figures and the charts of 14 days: of all campaigns on the home page, of one on its own."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.urls import reverse
from django.utils import timezone

from integrations.admin.filters import CountedFilter, OfCampaignFilter
from integrations.admin.tallies import (
    DAYS,
    Verdicts,
    delivered_by_day,
    leads_by_day,
    verdicts,
    waits_by_day,
)
from integrations.models import Integration
from integrations.selections import JUDGED
from leads.admin.badges import STATUS_TONES
from leads.admin.charts import Chart, Figure, Series, Share, figure, last_days, share_figure
from leads.lead_search import NO_TESTS
from leads.models import Status

SHARES = 12
SHOWN_STATUSES = (Status.VALID, Status.CAUTION, Status.INVALID, Status.PENDING)


def overview(campaign_id: int | None = None, *, integrations: Sequence[Integration] | None = None) -> dict[str, Any]:
    """Figures, charts and shares for the template, in at most five queries."""
    days = last_days(timezone.localdate(), DAYS)
    leads = leads_by_day(days[0], campaign_id)
    delivered = delivered_by_day(days[0], campaign_id)
    decided = verdicts(days[0], campaign_id)
    waits = waits_by_day(days[0], delivered.total(), campaign_id)
    return {
        "figures": _figures(days, leads, delivered, decided, campaign_id),
        "charts": [
            Chart(
                "leads",
                "Leads by status",
                days,
                [
                    Series(status.label, STATUS_TONES[status], [leads[f"{day}", status] for day in days])
                    for status in SHOWN_STATUSES
                ],
                empty="No lead came in these 14 days.",
            ),
            Chart(
                "delivered",
                "Delivered",
                days,
                [Series("Delivered", "busy", [delivered[f"{day}"] for day in days])],
                empty="Nothing was delivered in these 14 days.",
            ),
            Chart(
                "waits",
                "Time from arrival",
                days,
                [
                    Series("To delivery", "busy", [waits.to_delivery.get(f"{day}") for day in days]),
                    Series("To the client’s verdict", "test", [waits.to_verdict.get(f"{day}") for day in days]),
                ],
                kind="lines",
                durations=True,
                logarithmic=True,
                note="Half of the day’s leads were faster, half slower.",
                empty="Nothing was delivered in these 14 days.",
            ),
        ],
        "shares": _shares(days[0], decided, integrations),
    }


def _figures(
    days: Sequence[dt.date],
    leads: Counter[tuple[str, str]],
    delivered: Counter[str],
    decided: Verdicts,
    campaign_id: int | None,
) -> list[Figure]:
    before, week = days[:7], days[7:]
    came = [sum(leads[f"{day}", status] for status in Status.values) for day in days]
    judged = {
        name: (
            sum(leads[f"{day}", Status.VALID] for day in some),
            sum(leads[f"{day}", status] for day in some for status in (Status.VALID, Status.CAUTION, Status.INVALID)),
        )
        for name, some in (("week", week), ("before", before))
    }
    since = f"created_at_from={week[0]:%Y-%m-%d}" + (f"&campaign__id__exact={campaign_id}" if campaign_id else "")
    lead_list = reverse("admin:leads_lead_changelist")
    sent = f"{_deliveries(campaign_id)}&delivered_at_from={week[0]:%Y-%m-%d}"
    decided_since = f"decided_at_from={week[0]:%Y-%m-%d}"
    return [
        figure("Leads received", sum(came[7:]), sum(came[:7]), f"{lead_list}?status__exact={NO_TESTS}&{since}"),
        share_figure("Judged valid", judged["week"], judged["before"], f"{lead_list}?status__exact=valid&{since}"),
        figure(
            "Delivered",
            sum(delivered[f"{day}"] for day in week),
            sum(delivered[f"{day}"] for day in before),
            sent,
        ),
        share_figure(
            "Valid for the clients",
            decided.between(week[0], week[-1]),
            decided.between(before[0], before[-1]),
            f"{_deliveries(campaign_id)}&verdict__exact=valid&{decided_since}",
        ),
    ]


def _deliveries(campaign_id: int | None = None) -> str:
    """The list of what figures count."""
    address = f"{reverse('admin:integrations_delivery_changelist')}?{CountedFilter.parameter_name}=1"
    return f"{address}&{OfCampaignFilter.parameter_name}={campaign_id}" if campaign_id else address


def _shares(since: dt.date, decided: Verdicts, integrations: Sequence[Integration] | None) -> list[Share]:
    """The share of valid leads by integration, those with the most verdicts first."""
    totals = {pk: states.total() for pk, states in decided.by_integration.items()}
    shown = sorted(totals, key=lambda pk: -totals[pk])[:SHARES]
    if not shown:
        return []
    if integrations is None:
        found = Integration.objects.filter(pk__in=shown).select_related("campaign").only("name", "campaign__name")
        names = {row.pk: (row.name, row.campaign.name) for row in found}
    else:
        names = {row.pk: (row.name, "") for row in integrations}
    return [
        Share(
            names[pk][0],
            decided.by_integration[pk]["valid"],
            totals[pk],
            link=f"{_deliveries()}&integration__id__exact={pk}&verdict__exact={JUDGED}&decided_at_from={since:%Y-%m-%d}",
            note=names[pk][1],
        )
        for pk in shown
        if pk in names
    ]
