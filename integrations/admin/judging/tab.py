"""The Processr's tabs Quality Assurance and Enrichment: what stands there, and what people do with a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from integrations.admin.adding import SHELVES, shelf_context
from integrations.admin.job_actions import Said
from integrations.admin.judging.rows import job_rows, job_standings, reachable
from integrations.judging.arranging import (
    group_remove,
    group_store,
    job_remove,
    job_store,
    job_switch,
    job_tab,
    lets_out_change,
    unit_move,
)
from integrations.judging.problems import jobs_problems
from integrations.kit.jobs import Tab
from integrations.models import Job, JobGroup
from leads.admin.asking import Question
from leads.history import Change, changed, record
from leads.models import Campaign
from leads.skin import TextInput

TABS: dict[str, Tab] = {"quality-assurance": "quality", "enrichment": "enrichment"}
KEYS = {tab: key for key, tab in TABS.items()}
# A lead that reached more than this share of the score is in Caution, not Invalid (facts, section 8).
CAUTION_SHARE = 0.8


def jobs_tab(request: HttpRequest, campaign: Campaign, key: str) -> dict[str, Any]:
    """What one of the two tabs shows."""
    units = job_rows(campaign, TABS[key])
    most = reachable(units)
    return {
        "units": units,
        "judges": key == "quality-assurance",
        "most": most,
        # The most that a lead may miss and be in Caution still: it has to reach more than the share.
        "may_miss": max((miss for miss in range(most) if most - miss > most * CAUTION_SHARE), default=0),
        "lets_out": Campaign.LetsOut.choices,
        **shelf_context(SHELVES[key]),
        **_rights(request),
    }


def jobs_counted(campaign: Campaign) -> dict[str, int]:
    """How many jobs stand under each of the two tabs."""
    counts = dict.fromkeys(TABS, 0)
    for job in Job.objects.filter(campaign=campaign).only("kind"):
        counts[KEYS[job_tab(job)]] += 1
    return counts


def _rights(request: HttpRequest) -> dict[str, Any]:
    user: Any = request.user
    return {
        "can_add": user.has_perm("integrations.add_job"),
        "can_change": user.has_perm("integrations.change_job"),
        "can_remove": user.has_perm("integrations.delete_job"),
        "sees_leads": user.has_perm("leads.view_lead"),
    }


def tab_address(campaign_id: int, tab: Tab = "quality") -> str:
    return reverse("admin:leads_campaign_jobs", args=[campaign_id, KEYS[tab]])


def lets_out_save(request: HttpRequest, campaign: Campaign) -> HttpResponse:
    """What goes out by itself: valid leads, or those in Caution too."""
    if not request.user.has_perm("integrations.change_job"):
        raise PermissionDenied
    before = campaign.get_lets_out_display()
    try:
        lets_out_change(campaign, request.POST.get("lets_out", ""))
    except ValueError:
        raise Http404 from None
    if before != campaign.get_lets_out_display():
        record(request.user, campaign, changed(Change("What goes out", before, campaign.get_lets_out_display())))
        messages.success(request, f"What goes out by itself from now on: {campaign.get_lets_out_display().lower()}.")
    return HttpResponseRedirect(tab_address(campaign.pk))


# --- what is done with a row ------------------------------------------------------------------------------------


def job_view(model_admin: Any, request: HttpRequest, campaign: Campaign, job_id: int, do: str) -> HttpResponse:
    """Pause, resume, move, rename or remove one job."""
    job = Job.objects.filter(campaign=campaign, pk=job_id).first()
    if job is None:
        raise Http404(f"This campaign has no job {job_id}.")
    _may(request, do)
    tab = job_tab(job)
    if do == "rename":
        return _rename(model_admin, request, campaign, job, tab)
    if do == "remove":
        words = "It judges no lead any more. What it said of leads stays on them; its statistics go with it."
        return _remove(model_admin, request, campaign, job, tab, words, lambda: job_remove(job))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    return _done(model_admin, request, campaign, job, tab, _job_do(request, job, do))


def group_view(model_admin: Any, request: HttpRequest, campaign: Campaign, group_id: int, do: str) -> HttpResponse:
    """Move, rename or dissolve a group."""
    group = JobGroup.objects.filter(campaign=campaign, pk=group_id).first()
    if group is None:
        raise Http404(f"This campaign has no group {group_id}.")
    _may(request, do)
    if do == "rename":
        return _rename(model_admin, request, campaign, group, "quality")
    if do == "remove":
        words = "Its jobs stay, and take its place. Each of them runs for all leads then, with the score of its own."
        return _remove(model_admin, request, campaign, group, "quality", words, lambda: group_remove(group))
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if do not in ("up", "down"):
        raise Http404
    return _done(model_admin, request, campaign, group, "quality", _move(request, group, do))


def _may(request: HttpRequest, do: str) -> None:
    right = "delete" if do == "remove" else "change"
    if not request.user.has_perm(f"integrations.{right}_job"):
        raise PermissionDenied


def _job_do(request: HttpRequest, job: Job, do: str) -> Said:
    match do:
        case "up" | "down":
            return _move(request, job, do)
        case "pause":
            return _switch(request, job, False)
        case "resume":
            if problem := jobs_problems(list(Job.objects.filter(campaign=job.campaign_id))).get(job.pk, ""):
                return Said("bad", f"It can’t be switched on yet. {problem}")
            return _switch(request, job, True)
    raise Http404


def _switch(request: HttpRequest, job: Job, on: bool) -> Said:
    if job.enabled != on:
        before = job_standings([job])[job.pk].word
        with transaction.atomic():
            job_switch(job, on)
            record(request.user, job, changed(Change("State", before, "On" if on else "Paused")))
    if not on:
        return Said("good", "Paused: leads that come from now on are not judged by it.")
    return Said("good", "On: leads that come from now on are judged by it.")


def _move(request: HttpRequest, unit: Job | JobGroup, do: str) -> Said:
    with transaction.atomic():
        if not unit_move(unit, -1 if do == "up" else 1):
            return Said("wait", f"It is the {'first' if do == 'up' else 'last'} already.")
        record(request.user, unit, f"Moved {do}.")
    return Said("good", "")


def _done(
    model_admin: Any, request: HttpRequest, campaign: Campaign, unit: Job | JobGroup, tab: Tab, said: Said
) -> HttpResponse:
    """The list again, or the page where no script asked."""
    if request.headers.get("HX-Request"):
        context = {"campaign": campaign, "said": said, "said_of": unit, **jobs_tab(request, campaign, KEYS[tab])}
        return TemplateResponse(request, "console/judging/jobs.html", context)
    level = {"good": messages.SUCCESS, "wait": messages.WARNING, "bad": messages.ERROR}[said.tone]
    if said.words:
        messages.add_message(request, level, f"{unit.name}: {said.words}")
    return HttpResponseRedirect(tab_address(campaign.pk, tab))


class NameForm(forms.Form):
    """Another name for a job or a group."""

    name = forms.CharField(max_length=200, widget=TextInput)

    def __init__(self, unit: Job | JobGroup, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unit, self.initial["name"] = unit, unit.name

    def clean_name(self) -> str:
        name = " ".join(str(self.cleaned_data["name"]).split())
        twins = type(self.unit).objects.filter(campaign=self.unit.campaign_id, name=name).exclude(pk=self.unit.pk)
        if twins.exists():
            what = "job" if isinstance(self.unit, Job) else "group"
            raise forms.ValidationError(f"Another {what} of this campaign has this name. Take another one.")
        return name


def _rename(model_admin: Any, request: HttpRequest, campaign: Campaign, unit: Job | JobGroup, tab: Tab) -> HttpResponse:
    form = NameForm(unit, request.POST if request.method == "POST" else None)
    before, back = unit.name, tab_address(campaign.pk, tab)
    if request.method == "POST" and form.is_valid():
        unit.name = form.cleaned_data["name"]
        if unit.name != before:
            job_store(unit) if isinstance(unit, Job) else group_store(unit)
            record(request.user, unit, changed(Change("Name", before, unit.name)))
            messages.success(request, f"“{before}” is called “{unit.name}” now.")
        return HttpResponseRedirect(back)
    context = {"page": "rename", "form": form, "was": before, "back": back}
    return model_admin.tab(request, campaign, "processr", context)  # type: ignore[no-any-return]


def _remove(
    model_admin: Any, request: HttpRequest, campaign: Campaign, unit: Job | JobGroup, tab: Tab, words: str,
    remove: Callable[[], None],
) -> HttpResponse:  # fmt: skip
    back = tab_address(campaign.pk, tab)
    if request.method == "POST":
        what, name = ("Job" if isinstance(unit, Job) else "Group"), unit.name
        with transaction.atomic():
            record(request.user, campaign, f"{what} “{name}” removed.")
            remove()
        messages.success(request, f"“{name}” is removed.")
        return HttpResponseRedirect(back)
    question = Question(f"Remove “{unit.name}”?", [words], yes="Remove", no="Keep it", back=back)
    context = {"page": "remove", "job": unit, "question": question}
    return model_admin.tab(request, campaign, "processr", context)  # type: ignore[no-any-return]
