"""Delivering a selection of leads because a person wants it: one page asks to which integrations, and shows the count."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from integrations.delivery import accepting, deliveries_queue
from integrations.models import Delivery, Integration, IntegrationState
from leads.admin.flagging import back_to, counted, selection_context
from leads.models import Lead

# Leads in one transaction: the database's limit on parameters is not far above.
BATCH = 5_000


class SendForm(forms.Form):
    integrations = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, error_messages={"required": "Choose at least one."}
    )

    def __init__(self, offered: list[Integration], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["integrations"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(str(row.pk), _offer(row)) for row in offered]
        if len(offered) == 1:
            field.initial = [str(offered[0].pk)]


def _offer(row: Integration) -> str:
    note = (
        ""
        if row.state == IntegrationState.ON
        else f" – {row.get_state_display().lower()}: leads wait there until it is on"
    )
    return f"{row.name} ({row.campaign.name}){note}"


def send_selection(
    model_admin: Any, request: HttpRequest, leads: QuerySet[Lead], *, resend: bool
) -> HttpResponse | None:
    """Ask once to which integrations these leads go; then queue them. To be returned by an action of the lead list."""
    campaigns = set(leads.order_by().values_list("campaign_id", flat=True).distinct())
    offered = [row for rows in accepting(campaigns, Delivery.Kind.LEAD).values() for row in rows]
    if not offered:
        messages.warning(
            request,
            "No integration of these leads’ campaigns takes leads. Add one, configure it, and switch it on first.",
        )
        return None
    form = SendForm(offered, request.POST if "confirmed" in request.POST else None)
    if form.is_valid():
        return _send(request, leads, [int(pk) for pk in form.cleaned_data["integrations"]], resend=resend)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": "Send again" if resend else "Deliver",
        "resend": resend,
        "count": leads.count(),
        "form": form,
        **selection_context(request),
    }
    return TemplateResponse(request, "console/send.html", context)


def _send(request: HttpRequest, leads: QuerySet[Lead], integration_ids: list[int], *, resend: bool) -> HttpResponse:
    ids = list(leads.order_by("pk").values_list("pk", flat=True))
    queued, skipped = 0, dict[str, int]()
    for start in range(0, len(ids), BATCH):
        report = deliveries_queue(ids[start : start + BATCH], integration_ids=integration_ids, resend=resend)
        queued += report.queued
        for words, count in report.skipped.items():
            skipped[words] = skipped.get(words, 0) + count
    queue_messages(request, queued, skipped)
    return HttpResponseRedirect(back_to(request))


def queue_messages(request: HttpRequest, queued: int, skipped: dict[str, int]) -> None:
    """What a wish to deliver came to, in words."""
    if queued:
        verb = "is" if queued == 1 else "are"
        messages.success(
            request, f"{counted(queued, 'delivery') if queued == 1 else f'{queued:,} deliveries'} {verb} on the way."
        )
    elif not skipped:
        messages.info(request, "There was nothing to send.")
    for words, count in skipped.items():
        messages.warning(request, f"{counted(count)} not sent: {words}.")
