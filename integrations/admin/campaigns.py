"""The campaign's page, extended by where its leads go: the tab Processr, and what the overview says of deliveries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from integrations.admin.adding import INTEGRATIONS, SHELVES, add_page, offer, shelf_context
from integrations.admin.job_actions import Said, job_do, remove_page, rename_page
from integrations.admin.jobs import standings
from integrations.admin.judging.caps import caps_shown
from integrations.admin.judging.statistics import failures_chart
from integrations.admin.judging.tab import jobs_counted, jobs_tab, lets_out_save
from integrations.admin.judging.urls import judging_urls
from integrations.admin.needs import needs
from integrations.admin.overview import overview
from integrations.admin.tallies import job_numbers
from integrations.judging.changes import campaign_caps_changed, processr_changed
from integrations.kit.registry import connectors
from integrations.models import Delivery, Integration, Job, JobGroup
from leads.admin.campaigns import CampaignAdmin
from leads.admin.charts import lasting
from leads.models import Campaign, CampaignPublisher

admin.site.unregister(Campaign)

KINDS = (("quality-assurance", "Quality Assurance"), ("enrichment", "Enrichment"), ("integrations", "Integrations"))


@admin.register(Campaign)
class DeliveringCampaignAdmin(CampaignAdmin):
    tabs = (CampaignAdmin.tabs[0], ("processr", "Processr"), *CampaignAdmin.tabs[1:])

    def get_urls(self) -> list[URLPattern]:
        wrap, jobs = self.admin_site.admin_view, "<int:campaign_id>/processr/integrations"
        return [
            path("<int:campaign_id>/processr/", wrap(self.processr_view), name="leads_campaign_processr"),
            *judging_urls(self),
            path("<int:campaign_id>/processr/<slug:kind>/add/", wrap(self.add_job_view), name="leads_campaign_add_job"),
            path(f"{jobs}/<int:job_id>/<slug:do>/", wrap(self.job_view), name="leads_campaign_job"),
            path("<int:campaign_id>/processr/<slug:kind>/", wrap(self.processr_view), name="leads_campaign_jobs"),
            *super().get_urls(),
        ]

    def history_about(self, row: Any) -> list[tuple[type[Model], Iterable[Any]]]:
        """Its own entries, and those of what stands in its Processr."""
        integrations = Integration.objects.filter(campaign=row.pk, managed=False).values_list("pk", flat=True)
        jobs, groups = row.jobs.values_list("pk", flat=True), row.job_groups.values_list("pk", flat=True)
        of_processr = [(Integration, list(integrations)), (Job, list(jobs)), (JobGroup, list(groups))]
        return [*super().history_about(row), *of_processr]

    def overview_context(self, request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
        jobs = list(_jobs(campaign))
        found = overview(campaign.pk, integrations=jobs) if self._may(request, "lead") else {}
        states = standings(jobs)
        if found and (chart := failures_chart(campaign)) is not None:
            found["charts"] = [*found["charts"], chart]
        return {"needs": needs(request.user, campaign), "jobs": [(job, states[job.pk]) for job in jobs], **found}

    def caps(self, campaign: Campaign, contracts: Sequence[CampaignPublisher]) -> Mapping[int, Sequence[Any]]:
        return caps_shown(campaign, contracts)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """What judges the campaign's leads may be another thing with other forms, publishers or time zone."""
        super().save_related(request, form, formsets, change)
        if change:
            campaign_caps_changed(form.instance.pk)
            processr_changed(form.instance.pk)

    def processr_view(self, request: HttpRequest, campaign_id: int, kind: str = "integrations") -> HttpResponse:
        """What the campaign does with a lead: one tab for each kind of job."""
        campaign = self.campaign(request, campaign_id)
        if kind not in dict(KINDS):
            raise Http404
        if request.method == "POST":
            return lets_out_save(request, campaign)
        jobs = list(_jobs(campaign).annotate(used=Exists(Delivery.objects.filter(integration=OuterRef("pk")))))
        counts = {"integrations": len(jobs), **jobs_counted(campaign)}
        context: dict[str, Any] = {
            "kind": kind,
            "kinds": [
                (name, reverse("admin:leads_campaign_jobs", args=[campaign.pk, key]), counts.get(key, 0), key == kind)
                for key, name in KINDS
            ],
        }
        if kind == "integrations":
            context |= {"jobs": self._rows(jobs), **shelf_context(INTEGRATIONS), **self._rights(request)}
        else:
            context |= jobs_tab(request, campaign, kind)
        return self.tab(request, campaign, "processr", context)

    def add_job_view(self, request: HttpRequest, campaign_id: int, kind: str) -> HttpResponse:
        """[+ Add]: a connector or a kind of job is chosen, and Configure opens."""
        campaign = self.campaign(request, campaign_id)
        if kind not in SHELVES:
            raise Http404
        return add_page(self, request, campaign, SHELVES[kind])

    def job_view(self, request: HttpRequest, campaign_id: int, job_id: int, do: str) -> HttpResponse:
        """Pause, resume, test, rename or remove one integration."""
        campaign = self.campaign(request, campaign_id)
        jobs = _jobs(campaign).annotate(used=Exists(Delivery.objects.filter(integration=OuterRef("pk"))))
        job = jobs.filter(pk=job_id).first()
        if job is None:
            raise Http404(f"This campaign has no integration {job_id}.")
        right = "delete" if do == "remove" else "change"
        if not request.user.has_perm(f"integrations.{right}_integration"):
            raise PermissionDenied
        if do == "rename":
            return rename_page(self, request, campaign, job)
        if do == "remove":
            return remove_page(self, request, campaign, job)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        said = job_do(request, job, do)
        if request.headers.get("HX-Request"):
            return self._row(request, campaign, jobs.get(pk=job_id), said)
        level = {"good": messages.SUCCESS, "wait": messages.WARNING, "bad": messages.ERROR}[said.tone]
        messages.add_message(request, level, f"{job.name}: {said.words}")
        return HttpResponseRedirect(reverse("admin:leads_campaign_jobs", args=[campaign.pk, "integrations"]))

    def _row(self, request: HttpRequest, campaign: Campaign, job: Integration, said: Said) -> HttpResponse:
        context = {"campaign": campaign, "job": self._rows([job])[0], "said": said, **self._rights(request)}
        return TemplateResponse(request, "console/campaign/job.html", context)

    def _rows(self, jobs: Sequence[Integration]) -> list[dict[str, Any]]:
        numbers, states, known = job_numbers([job.pk for job in jobs]), standings(jobs), connectors()
        rows = []
        for job in jobs:
            connector = known.get(job.connector)
            rows.append(
                {
                    "row": job,
                    "offer": offer(connector.manifest) if connector else None,
                    "standing": states[job.pk],
                    "numbers": numbers[job.pk],
                    "ago": _ago(numbers[job.pk].last_verdict),
                    "can_test": connector is not None and connector.check is not None,
                    "can_compare": connector is not None and connector.poll is not None,
                }
            )
        return rows

    def _rights(self, request: HttpRequest) -> dict[str, Any]:
        user: Any = request.user
        return {
            "can_add": user.has_perm("integrations.add_integration"),
            "can_change": user.has_perm("integrations.change_integration"),
            "can_remove": user.has_perm("integrations.delete_integration"),
            "sees_deliveries": user.has_perm("integrations.view_delivery"),
        }


def _ago(at: dt.datetime | None) -> str:
    return f"{lasting(max((timezone.now() - at).total_seconds(), 1))} ago" if at else ""


def _jobs(campaign: Campaign) -> QuerySet[Integration]:
    return Integration.objects.filter(campaign=campaign, managed=False)
