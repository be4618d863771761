"""What people do with an integration from the campaign's page: pause, resume, test, rename, remove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from integrations.delivery import integration_switch
from integrations.discovery import integration_check
from integrations.kit.contract import ConnectorError
from integrations.kit.registry import connectors
from integrations.models import Integration, IntegrationState
from integrations.releasing import release_words
from leads.admin.asking import Question
from leads.history import Change, changed, record
from leads.models import Campaign
from leads.skin import TextInput

WORDS_CHARS = 600


@dataclass(frozen=True, slots=True)
class Said:
    """What came of an action, in words; `tone` is good, wait or bad."""

    tone: str
    words: str


def job_do(request: HttpRequest, job: Integration, do: str) -> Said:
    """Pause, resume or test an integration; the test asks the client, outside of any transaction."""
    match do:
        case "pause":
            return _pause(request, job)
        case "resume":
            return _resume(request, job)
        case "test":
            return _test(job)
    raise Http404


def _pause(request: HttpRequest, job: Integration) -> Said:
    if job.state == IntegrationState.NEEDS_SETUP:
        return Said("wait", "It was never switched on: there is nothing to pause.")
    before = job.get_state_display()
    integration_switch(job, False)
    state_record(request.user, job, before)
    return Said("good", "Paused: leads wait for it until it is resumed.")


def _resume(request: HttpRequest, job: Integration) -> Said:
    before = job.get_state_display()
    try:
        released = integration_switch(job, True)
    except ConnectorError as error:
        return Said("bad", f"It can’t be switched on yet. {error.message[:WORDS_CHARS]}")
    state_record(request.user, job, before)
    return Said("good", f"On: new leads go out, and so does what waited. {release_words(released, job)}".strip())


def _test(job: Integration) -> Said:
    connector = connectors().get(job.connector)
    if connector is None or connector.check is None:
        return Said("wait", "This connector has no test.")
    try:
        integration_check(job)
    except ConnectorError as error:
        return Said("bad", f"The test failed. {error.message[:WORDS_CHARS]}")
    return Said("good", "The client’s instance answered, and takes these settings.")


def state_record(user: Any, job: Integration, before: str) -> None:
    """Write down who switched an integration; `before` is what its state was called."""
    job.refresh_from_db(fields=["state"])
    if before != job.get_state_display():
        record(user, job, changed(Change("State", before, job.get_state_display())))


class NameForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Integration
        fields = ("name",)
        widgets = {"name": TextInput}

    def clean_name(self) -> str:
        name = " ".join(str(self.cleaned_data["name"]).split())
        twins = Integration.objects.filter(campaign=self.instance.campaign_id, name=name).exclude(pk=self.instance.pk)
        if twins.exists():
            raise forms.ValidationError("Another integration of this campaign has this name. Take another one.")
        return name


def rename_page(model_admin: Any, request: HttpRequest, campaign: Campaign, job: Integration) -> HttpResponse:
    """Ask for another name; leads and deliveries stay as they are."""
    before = job.name
    form = NameForm(request.POST if request.method == "POST" else None, instance=job)
    if request.method == "POST" and form.is_valid():
        if job.name != before:
            job.save(update_fields=["name", "updated_at"])
            record(request.user, job, changed(Change("Name", before, job.name)))
            messages.success(request, f"“{before}” is called “{job.name}” now.")
        return HttpResponseRedirect(_list(campaign))
    context = {"page": "rename", "form": form, "job": job, "was": before, "back": _list(campaign)}
    return model_admin.tab(request, campaign, "processr", context)  # type: ignore[no-any-return]


def remove_page(model_admin: Any, request: HttpRequest, campaign: Campaign, job: Integration) -> HttpResponse:
    """Ask once, then remove an integration that never had a lead. One that had is part of its leads' history."""
    if job.deliveries.exists():
        raise PermissionDenied
    if request.method == "POST":
        with transaction.atomic():
            model_admin.log_deletions(request, Integration.objects.filter(pk=job.pk))
            record(request.user, campaign, f"Integration “{job.name}” removed.")
            name = job.name
            job.delete()
        messages.success(request, f"“{name}” is removed.")
        return HttpResponseRedirect(_list(campaign))
    words = (
        "No lead was ever handed to it. Its settings and its mapping go with it; its history stays with the campaign."
    )
    question = Question(f"Remove “{job.name}”?", [words], yes="Remove", no="Keep it", back=_list(campaign))
    context = {"page": "remove", "job": job, "question": question}
    return model_admin.tab(request, campaign, "processr", context)  # type: ignore[no-any-return]


def _list(campaign: Campaign) -> str:
    return reverse("admin:leads_campaign_jobs", args=[campaign.pk, "integrations"])
