"""The box of a campaign that says which changes of its leads are tracked as events, and of which source."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse

from leads.models import Campaign, LeadEvents
from leads.tracking.lead_events import NAMES

WHEN = {
    "received": "it came in and was no test",
    "valid": "a colleague or the client says so, also by accepting it out of Caution",
    "invalid": "the Processr, a colleague or the client says so",
    "returned": "the client gives it back",
}


class LeadEventsForm(forms.ModelForm):  # type: ignore[type-arg]
    """Boxes, source and worth. Nothing ticked is as good as off."""

    class Meta:
        model = LeadEvents
        fields = ("source", *NAMES, "revenue", "currency")

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        source: Any = self.fields["source"]
        source.queryset = self.instance.campaign.sources.all()
        source.empty_label = None
        source.widget.attrs["class"] = "pt-input"
        self.fields["revenue"].widget.attrs.update(
            {"class": "pt-input", "style": "width: 8rem", "min": "0", "step": "0.01"}
        )
        self.fields["currency"].widget.attrs.update(
            {"class": "pt-input", "style": "width: 5rem", "placeholder": "EUR", "aria-label": "Currency", "size": "4"}
        )

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).upper()

    def boxes(self) -> list[tuple[Any, str]]:
        """Each change with its box, and when it happens, in words."""
        return [(self[name], WHEN[name]) for name in NAMES]


def lead_events_form(campaign: Campaign, data: Any = None) -> LeadEventsForm:
    """The form of a campaign, empty where it has none yet."""
    rule = LeadEvents.objects.filter(campaign=campaign).first() or LeadEvents(campaign=campaign)
    return LeadEventsForm(data, instance=rule)


def lead_events_save(request: HttpRequest, campaign: Campaign) -> HttpResponseRedirect:
    """Keep what was posted, say it in the campaign's history, and go back to the tab."""
    if not request.user.has_perm("leads.change_source"):
        raise PermissionDenied
    form = lead_events_form(campaign, request.POST)
    if form.is_valid():
        on = [name for key, name in NAMES.items() if form.cleaned_data[key]]
        rule = form.save()
        words = f"Leads as events: {', '.join(on)}, of {rule.source.name}." if on else "Leads as events: switched off."
        if form.has_changed():
            LogEntry.objects.create(
                user_id=request.user.pk or 0,
                content_type=ContentType.objects.get_for_model(Campaign),
                object_id=str(campaign.pk),
                object_repr=str(campaign)[:200],
                action_flag=CHANGE,
                change_message=words,
            )
        messages.success(request, words)
    else:
        for name, problems in form.errors.items():
            label = form.fields[name].label if name in form.fields else ""
            messages.error(request, " ".join(filter(None, (f"{label}:" if label else "", *map(str, problems)))))
    return HttpResponseRedirect(reverse("admin:leads_campaign_sources", args=[campaign.pk]))
