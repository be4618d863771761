"""Filters by what became of leads and deliveries. They show what can be asked for; a selection finds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest

from integrations.judging.arranging import job_tab
from integrations.models import Delivery, DeliveryState, Integration, Job, VerdictState
from integrations.selections import JUDGED
from leads.admin.badges import short
from leads.admin.filters import Asked, AskedDays, CampaignFilter, number

NOT_SENT = "none"


class DeliveryStateFilter(Asked):
    title = "delivery"
    parameter_name = "delivery"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(NOT_SENT, "Never handed over"), *DeliveryState.choices]


class VerdictFilter(Asked):
    title = "the client's verdict"
    parameter_name = "verdict"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [choice for choice in VerdictState.choices if choice[0]]


class FailedJobFilter(Asked):
    """A job that a lead did not pass."""

    title = "failed job"
    parameter_name = "failed_job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        jobs = Job.objects.select_related("campaign").order_by("campaign__name", "name").defer("settings")
        if (campaign := number(request.GET.get("campaign__id__exact"))) is not None:
            jobs = jobs.filter(campaign=campaign)
        return [(str(job.pk), f"{job.name} ({job.campaign.name})") for job in jobs if job_tab(job) == "quality"]


class IntegrationFilter(Asked):
    title = "integration"
    parameter_name = "integration"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        rows = Integration.objects.filter(managed=False).select_related("campaign").order_by("campaign__name", "name")
        return [(str(row.pk), f"{row.name} ({row.campaign.name})") for row in rows.defer("settings", "secrets")]


class OfIntegrationFilter(IntegrationFilter):
    """The same on the list of deliveries, where those that tell others of flags count too."""

    parameter_name = "integration__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        rows = Integration.objects.select_related("campaign").order_by("campaign__name", "name")
        return [(str(row.pk), _named(row)) for row in rows.defer("settings", "secrets")]


def _named(row: Integration) -> str:
    return f"{row.name} ({row.campaign.name})" if row.campaign_id else row.name


class StateFilter(Asked):
    title = "state"
    parameter_name = "state__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return DeliveryState.choices


class DeliveryVerdictFilter(VerdictFilter):
    parameter_name = "verdict__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [*super().lookups(request, model_admin), (JUDGED, "Decided: valid, invalid or returned")]


class OfCampaignFilter(CampaignFilter):
    """The campaign whose integration a delivery is of."""

    parameter_name = "campaign"


class CountedFilter(Asked):
    """What the figures of home and overview count."""

    title = "counted"
    parameter_name = "counted"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("1", "To clients, without tests")]


class CauseFilter(Asked):
    """One of the reasons that stand above the list; picked there, taken away here."""

    title = "cause"
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        asked = request.GET.get(self.parameter_name, "")
        return [(asked, short(asked, 80))] if asked else []


class KindFilter(Asked):
    title = "kind"
    parameter_name = "kind__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return Delivery.Kind.choices


class DeliveredDays(AskedDays):
    words = "delivered"


class DecidedDays(AskedDays):
    words = "decided"
