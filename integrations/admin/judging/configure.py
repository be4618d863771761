"""The Configure page of a job: its boxes, checked as each is left, and what it makes of the campaign's last leads.

Without JavaScript, Save does the same in one step more.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from integrations.admin.judging.job_form import JobForm, Offered
from integrations.admin.judging.rows import job_standings, when_words
from integrations.admin.judging.setting_words import job_changes, setting_words
from integrations.admin.judging.tab import tab_address
from integrations.admin.judging.trying import form_spec, last_asked, preview_context, tried_context
from integrations.judging.arranging import job_store, job_tab
from integrations.judging.client_rules import client_rules_find, client_rules_offered, offers_rules
from integrations.judging.problems import campaigns_inputs, inputs_before
from integrations.judging.trying import MOST_LEADS, jobs_try
from integrations.kit.contract import ConnectorError
from integrations.kit.job_registry import job_kinds
from integrations.kit.jobs import JobKind
from integrations.models import Integration, Job, ValueList
from leads.admin.filters import number
from leads.admin.flagging import counted
from leads.history import changed, record, shown
from leads.models import Campaign
from leads.opened import Box, Boxes, Conflict, boxes_conflict, boxes_seal
from leads.skin import ModelAdmin


@admin.register(Job)
class JobAdmin(ModelAdmin):
    """Configure and the history of a job. There is no list of all of them: they stand on their campaign's page."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Job | None = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        check = path("<str:object_id>/check/", wrap(self.check_view), name="integrations_job_check")
        return [check, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:leads_campaign_changelist"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Configure."""
        job, kind = self._job(request, object_id)
        if kind is None:
            messages.error(request, f"This portal has no kind of job “{job.kind}” any more. Remove it.")
            return HttpResponseRedirect(tab_address(job.campaign_id, job_tab(job)))
        if request.method == "POST":
            return self._posted(request, job, kind)
        return self._show(request, JobForm(job, kind, offered(job)))

    def check_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What is wrong with the boxes as they are typed, and what comes of the last leads with them. Nothing is saved."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        job, kind = self._job(request, object_id)
        if kind is None:
            raise Http404
        form = JobForm(job, kind, offered(job), request.POST)
        form.is_valid()
        return render(request, "console/judging/check.html", {"form": form, **preview_context(request, form)})

    def _job(self, request: HttpRequest, object_id: str) -> tuple[Job, JobKind | None]:
        job = Job.objects.select_related("campaign__advertiser").filter(pk=number(object_id) or 0).first()
        if job is None:
            raise Http404(f"There is no job {object_id}.")
        if not self.has_change_permission(request, job):
            raise PermissionDenied
        return job, job_kinds().get(job.kind)

    def _posted(self, request: HttpRequest, job: Job, kind: JobKind) -> HttpResponse:
        do = request.POST.get("do", "save")
        if do == "ask-clients":
            _ask_clients(request, job)
            return self._show(request, JobForm(job, kind, offered(job), request.POST))
        if do == "try":
            return self._try(request, JobForm(job, kind, offered(job), request.POST, complete=True))
        with transaction.atomic():
            job = Job.objects.select_for_update(of=("self",)).select_related("campaign__advertiser").get(pk=job.pk)
            before = Job.objects.get(pk=job.pk)
            choices = offered(job)
            form = JobForm(job, kind, choices, request.POST, complete=do == "on" or (job.enabled and do != "pause"))
            if form.do(do):
                return self._show(request, form)
            valid = form.is_valid()
            if valid:
                form.store()
                conflict = boxes_conflict(
                    request.POST, job, job_boxes(before, kind, choices), job_boxes(job, kind, choices)
                )
                if conflict is not None and not (decided := conflict.decided(request.POST)):
                    return self._show(request, form, conflict)
                if conflict is not None and decided == "merge":
                    _take_theirs(job, before, conflict)
                if do in ("on", "pause"):
                    job.enabled = do == "on"
                job_store(job)
                if changes := job_changes(before, job, kind, choices):
                    record(request.user, job, changed(*changes))
        if not valid:
            messages.error(request, "Nothing is saved yet: what needs a look is marked below.")
            return self._show(request, form)
        _say(request, before, job)
        if do == "close":
            return HttpResponseRedirect(tab_address(job.campaign_id, job_tab(job)))
        return HttpResponseRedirect(request.path)

    def _try(self, request: HttpRequest, form: JobForm) -> HttpResponse:
        """Whom of the last leads the job would have judged otherwise, as it stands on the page."""
        tried: dict[str, Any] = {}
        if form.is_valid():
            found = jobs_try(form.job.campaign, [form_spec(form)], last=last_asked(request.POST))
            tried = tried_context(request, found)
        return self._show(request, form, more=tried)

    def _show(
        self,
        request: HttpRequest,
        form: JobForm,
        conflict: Conflict | None = None,
        more: dict[str, Any] | None = None,
    ) -> HttpResponse:
        job = form.job
        # As it is kept: what is typed and not saved is no state.
        kept = Job.objects.get(pk=job.pk)
        standing = job_standings(list(Job.objects.filter(campaign=job.campaign_id)))[job.pk]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": kept,
            "title": f"Configure {kept.name}",
            "job": kept,
            "campaign": job.campaign,
            "manifest": form.kind.manifest,
            "standing": standing,
            "when": when_words(kept),
            "form": form,
            "conflict": conflict,
            "opened_with": request.POST.get("opened_with") or boxes_seal(job_boxes(kept, form.kind, form.offered)),
            "tab": tab_address(job.campaign_id, job_tab(job)),
            "lists_page": reverse("admin:integrations_valuelist_changelist"),
            "last": last_asked(request.POST),
            "most_leads": MOST_LEADS,
            **preview_context(request, form),
            **(more or {}),
        }
        return TemplateResponse(request, "console/judging/configure.html", context)


def offered(job: Job) -> Offered:
    """What the boxes of a job choose from."""
    own = campaigns_inputs([job.campaign_id])[job.campaign_id]
    inputs = inputs_before(job, Job.objects.filter(campaign=job.campaign_id), own)
    lists = list(ValueList.objects.order_by("name"))
    campaigns = Campaign.objects.select_related("advertiser").order_by("name", "pk")
    rules = client_rules_offered(job.campaign_id)
    return Offered(inputs, lists, [(row.pk, f"{row.name} ({row.advertiser.name})") for row in campaigns], rules)


def _ask_clients(request: HttpRequest, job: Job) -> None:
    """Ask the clients of the campaign's integrations which rules they show, with no transaction open."""
    asked = [row for row in Integration.objects.filter(campaign=job.campaign_id) if offers_rules(row.connector)]
    if not asked:
        messages.warning(
            request, "This campaign has no integration whose client could show rules. Add Convertr Connect first."
        )
    for integration in asked:
        try:
            count = len(client_rules_find(integration))
        except ConnectorError as error:
            messages.error(request, f"{integration.name}: {error.message}")
        else:
            messages.success(request, f"{integration.name} shows {counted(count, 'rule')}.")


def job_boxes(job: Job, kind: JobKind, offered: Offered) -> Boxes:
    """What the page says of a job, box by box."""
    said: dict[str, tuple[str, Any, str]] = {"name": ("Name", job.name, job.name)}
    if kind.manifest.tab == "quality":
        said["score"] = ("Score", job.score, str(job.score))
        said["hard_fail"] = ("Hard fail", job.hard_fail, shown(job.hard_fail))
    if kind.manifest.showable:
        said["shown_to_publishers"] = ("Shown to publishers", job.shown_to_publishers, shown(job.shown_to_publishers))
    for box in kind.manifest.settings:
        value = job.settings.get(box.name, box.default)
        said[f"s-{box.name}"] = (box.label, value, setting_words(box, job.settings, offered))
    return {key: Box(label, (json.dumps(value, sort_keys=True),), words) for key, (label, value, words) in said.items()}


def _take_theirs(job: Job, theirs: Job, conflict: Conflict) -> None:
    """Put on a job, unsaved, what somebody else changed and this page did not."""
    for key in conflict.merged:
        name = key.removeprefix("s-")
        if key == name:
            setattr(job, name, getattr(theirs, name))
        elif name in theirs.settings:
            job.settings = {**job.settings, name: theirs.settings[name]}


def _say(request: HttpRequest, before: Job, job: Job) -> None:
    if job.enabled and not before.enabled:
        messages.success(request, f"{job.name} is on: leads that come from now on are judged by it.")
    elif before.enabled and not job.enabled:
        messages.success(request, f"{job.name} is paused: leads that come from now on are not judged by it.")
    else:
        messages.success(request, "Saved.")
