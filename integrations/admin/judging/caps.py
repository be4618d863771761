"""How many leads are wanted of a publisher: on the campaign's tab Publishers with what is used so far, and the page that says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from integrations.judging.caps import CapUsed, caps_used
from integrations.judging.changes import campaign_caps_changed
from leads import clock
from leads.history import Change, changed, form_changes, record
from leads.models import Campaign, CampaignPublisher, Held
from leads.opened import boxes_seal
from leads.opened_forms import boxes_of, page_conflict
from leads.skin import NumberInput

WORDS = {Held.CAP_DAY: "today", Held.CAP_WEEK: "this week", Held.CAP_MONTH: "this month", Held.CAP_TOTAL: "in all"}
MOST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CapShown:
    """One cap with what is used of it, in words, and whether it is reached."""

    words: str
    reached: bool
    percent: int


def caps_shown(campaign: Campaign, contracts: Sequence[CampaignPublisher]) -> Mapping[int, list[CapShown]]:
    """Contract to its caps, the shortest span first. Contracts without a cap cost nothing."""
    zone, now = ZoneInfo(campaign.time_zone), clock.now()
    found = {}
    for contract in contracts:
        if any(
            value is not None for value in (contract.cap_day, contract.cap_week, contract.cap_month, contract.cap_total)
        ):
            found[contract.pk] = [_shown(cap) for cap in reversed(caps_used(contract, zone, now))]
    return found


def _shown(cap: CapUsed) -> CapShown:
    share = min(100, 100 * cap.used // cap.cap) if cap.cap else 100
    return CapShown(f"{cap.used:,} of {cap.cap:,} {WORDS[cap.held]}", cap.used >= cap.cap, share)


class CapsForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = CampaignPublisher
        fields = ("cap_day", "cap_week", "cap_month", "cap_total", "over_cap")
        labels = {"cap_day": "In a day", "cap_week": "In a week", "cap_month": "In a month", "cap_total": "In all"}
        widgets = {
            **{
                name: NumberInput(attrs={"class": "pt-number", "placeholder": "any"})
                for name in ("cap_day", "cap_week", "cap_month", "cap_total")
            },
            "over_cap": forms.RadioSelect,
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        over: Any = self.fields["over_cap"]
        over.label, over.required, over.choices = "Beyond that", True, CampaignPublisher.OverCap.choices
        for name in ("cap_day", "cap_week", "cap_month", "cap_total"):
            box: Any = self.fields[name]
            box.max_value = MOST

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name in ("cap_day", "cap_week", "cap_month", "cap_total"):
            value = cleaned.get(name)
            if value == 0:
                self.add_error(
                    name, "Write 1 or more, or nothing for no bound. To take no leads at all, stop the publisher."
                )
            elif value is not None and value > MOST:
                self.add_error(name, f"{MOST:,} is the most. Leave it empty for no bound.")
        return cleaned


def caps_page(model_admin: Any, request: HttpRequest, campaign: Campaign, contract_id: int) -> HttpResponse:
    """Say how many leads are wanted of one publisher, and what becomes of the others."""
    contract = campaign.contracts.select_related("publisher").filter(pk=contract_id).first()
    if contract is None:
        raise Http404(f"This campaign has no publisher {contract_id}.")
    if not request.user.has_perm("leads.change_campaignpublisher"):
        raise PermissionDenied
    back = reverse("admin:leads_campaign_publishers", args=[campaign.pk])
    form, conflict = CapsForm(instance=contract), None
    opened = request.POST.get("opened_with") or boxes_seal(boxes_of(form))
    if request.method == "POST":
        with transaction.atomic():
            contract = (
                campaign.contracts.select_for_update(of=("self",)).select_related("publisher").get(pk=contract_id)
            )
            conflict = page_conflict(request, campaign, CapsForm(instance=contract))
            form = CapsForm(request.POST, instance=contract)
            if form.is_valid() and conflict is None:
                changes = [
                    Change(f"{contract.publisher}: {each.label}", each.old, each.new) for each in form_changes(form)
                ]
                if changes:
                    form.save()
                    campaign_caps_changed(campaign.pk)
                    record(request.user, campaign, changed(*changes))
                messages.success(request, f"{contract.publisher.name}: saved.")
                return HttpResponseRedirect(back)
    # As it is kept: what was typed and not saved stands on the form's row.
    kept = CampaignPublisher.objects.get(pk=contract.pk)
    used = caps_shown(campaign, [kept]).get(contract.pk, [])
    context = {"page": "caps", "form": form, "contract": contract, "used": used, "back": back}
    context |= {"conflict": conflict, "opened_with": opened}
    return model_admin.tab(request, campaign, "publishers", context)  # type: ignore[no-any-return]
