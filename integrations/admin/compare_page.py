"""Asks once what is to be compared with clients, and begins it: the activity's page shows what differs and what was done."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from integrations.admin.bulk_forms import CHANGE_DELIVERY
from integrations.comparing import comparable, deliveries_to_compare
from integrations.comparison import comparison_start
from integrations.kit.contract import Connector
from integrations.models import Integration
from leads.activity import ActivityError
from leads.admin.flagging import counted
from leads.database import uuid7

SPANS = {"1": "The last day", "7": "The last 7 days", "30": "The last 30 days", "90": "The last 90 days"}


class CompareForm(forms.Form):
    integrations = forms.MultipleChoiceField(
        label="Integrations",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one integration."},
    )
    days = forms.ChoiceField(label="Leads sent in", choices=list(SPANS.items()), widget=forms.RadioSelect, initial="7")
    only_compare = forms.BooleanField(label="Only compare: change nothing here", required=False)

    def __init__(self, *args: Any, offered: list[Integration], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["integrations"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(str(row.pk), row.name) for row in offered]

    def since(self) -> dt.datetime:
        return timezone.now() - dt.timedelta(days=int(self.cleaned_data["days"]))


def compare_page(
    model_admin: Any, request: HttpRequest, integration: Integration, connector: Connector
) -> HttpResponse:
    """Offers this integration and the others of its campaign. A POST begins the comparison, and leads to its page."""
    if not request.user.has_perm(CHANGE_DELIVERY):
        raise PermissionDenied
    offered = comparable(Integration.objects.filter(campaign=integration.campaign_id, managed=False))
    posted = request.POST if request.method == "POST" else None
    chosen = [str(row.pk) for row in offered if row.pk == integration.pk or "all" in request.GET]
    form = CompareForm(posted, offered=offered, initial={"integrations": chosen})
    if posted is not None and form.is_valid():
        try:
            activity = comparison_start(
                [int(pk) for pk in form.cleaned_data["integrations"]],
                form.since(),
                by=request.user.get_username(),
                token=posted.get("token", ""),
                campaign_id=integration.campaign_id,
                dry_run=form.cleaned_data["only_compare"],
            )
        except ActivityError as error:
            form.add_error(None, str(error))
        else:
            return HttpResponseRedirect(reverse("admin:leads_activity_change", args=[activity.pk]))
    week = timezone.now() - dt.timedelta(days=7)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": integration,
        "title": "Compare with the client",
        "integration": integration,
        "offered": offered,
        "form": form,
        "week": counted(deliveries_to_compare([row.pk for row in offered], week).count(), "delivery"),
        "token": (posted.get("token") if posted else "") or uuid7().hex,
    }
    return TemplateResponse(request, "console/compare.html", context)
