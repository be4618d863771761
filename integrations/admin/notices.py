"""Notices: what people were told of, what is still open, who was told, and whether it arrived."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.models import Delivery, DeliveryState, Notice, NoticeKind, NoticeMessage, NoticeStep
from integrations.notices.words import leads_waiting, notice_name, waiting_words
from leads.admin.badges import SHAPES, badge, moment, short
from leads.skin import ChoicesDropdownFilter, DropdownFilter, ModelAdmin

_TONES = {
    NoticeKind.FAILING: "bad",
    NoticeKind.STOPPED: "bad",
    NoticeKind.CHANGED: "bad",
    NoticeKind.SWITCHED_OFF: "bad",
    NoticeKind.DOUBT: "wait",
    NoticeKind.REASONS: "wait",
    NoticeKind.SILENCE: "wait",
}
_LABELS = {
    NoticeStep.What.START: "It started",
    NoticeStep.What.STILL: "It went on",
    NoticeStep.What.END: "It ended",
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """How one message stands: word and tone for the badge, and why it has not arrived."""

    who: str
    word: str
    tone: str
    words: str
    at: dt.datetime | None
    link: str

    @property
    def badge(self) -> SafeString:
        return badge(self.word, self.tone)


def arrival(message: NoticeMessage) -> Arrival:
    """Whether a message arrived: the mail server took it, or the webhook's receiver did."""
    if message.delivery is not None:
        return delivery_arrival(message.delivery, message.target.name)
    who = f"{message.target.name} <{message.to}>"
    if message.sent_at:
        return Arrival(who, "Sent", "good", "", message.sent_at, "")
    if message.due_at is None:
        return Arrival(who, "Not sent", "bad", message.error, None, "")
    word = "Tried again" if message.error else "On its way"
    return Arrival(who, word, "wait" if message.error else "busy", message.error, message.due_at, "")


def delivery_arrival(delivery: Delivery, who: str) -> Arrival:
    """Whether a webhook's message arrived."""
    link = reverse("admin:integrations_delivery_change", args=[delivery.pk])
    match delivery.state:
        case DeliveryState.DELIVERED:
            return Arrival(who, "Arrived", "good", "", delivery.delivered_at, link)
        case DeliveryState.QUEUED | DeliveryState.SENDING:
            word = "Tried again" if delivery.tries else "On its way"
            return Arrival(who, word, "busy", delivery.reason, delivery.next_try_at, link)
        case DeliveryState.HELD:
            return Arrival(who, "Waiting", "wait", delivery.reason, None, link)
    return Arrival(who, "Did not arrive", "bad", delivery.reason, None, link)


class OpenFilter(DropdownFilter):  # type: ignore[misc]
    title = "state"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [("yes", "Open"), ("no", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Notice]) -> QuerySet[Notice]:
        if self.value() in ("yes", "no"):
            return queryset.filter(ended_at__isnull=self.value() == "yes")
        return queryset


@admin.register(Notice)
class NoticeAdmin(ModelAdmin):
    """Read only: the engine raises and ends them."""

    nothing_yet = "When something needs a person, it is told here; when it is over, too."
    list_display = ("state", "what", "since", "until", "told")
    list_display_links = ("what",)
    list_filter = (OpenFilter, ("kind", ChoicesDropdownFilter))
    list_filter_submit = True
    list_select_related = ("integration__campaign", "campaign")
    list_per_page = 50
    # The open ones first, then the newest.
    ordering = (F("ended_at").desc(nulls_first=True), "-id")
    sortable_by = ()
    show_full_result_count = False
    list_before_template = "console/notice_targets_link.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Notice]:
        queryset: QuerySet[Notice] = super().get_queryset(request)
        return queryset.defer("integration__secrets").prefetch_related(
            "steps__messages__delivery", "steps__messages__target"
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Notice | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Notice | None = None) -> bool:
        return False

    @admin.display(description="State")
    def state(self, notice: Notice) -> SafeString:
        kind = NoticeKind(notice.kind)
        return badge(kind.label, _TONES[kind] if notice.ended_at is None else "off")

    @admin.display(description="What happened")
    def what(self, notice: Notice) -> SafeString:
        return format_html(
            '<span class="pt-cell pt-cell-wide" title="{}"><span class="{}">{}</span>'
            '<span class="pt-quiet pt-small">{}</span></span>',
            short(notice.words, 400),
            "pt-strong" if notice.ended_at is None else "",
            short(notice_name(notice), 80),
            short(notice.words, 140),
        )

    @admin.display(description="Since")
    def since(self, notice: Notice) -> SafeString | str:
        return moment(notice.started_at)

    @admin.display(description="Until")
    def until(self, notice: Notice) -> SafeString | str:
        return moment(notice.ended_at) if notice.ended_at else "still open"

    @admin.display(description="Told")
    def told(self, notice: Notice) -> SafeString | str:
        found = [arrival(message) for step in notice.steps.all() for message in step.messages.all()]
        if not found:
            return "nobody"
        arrived = sum(each.tone == "good" for each in found)
        if arrived == len(found):
            return f"{arrived} of {len(found)} arrived"
        worst = "bad" if any(each.tone == "bad" for each in found) else "wait"
        return format_html("{}", badge(f"{arrived} of {len(found)} arrived", worst))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One incident: its cause, what to look at, and each thing that was told of it to whom."""
        notice = self.get_object(request, object_id)
        if notice is None:
            raise Http404
        kind = NoticeKind(notice.kind)
        steps = [
            {
                "title": _LABELS[NoticeStep.What(step.what)],
                "shape": SHAPES["good" if step.what == NoticeStep.What.END else _TONES[kind]],
                "tone": "good" if step.what == NoticeStep.What.END else _TONES[kind],
                "step": step,
                "messages": [arrival(message) for message in step.messages.all()],
            }
            for step in notice.steps.all()
        ]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": notice,
            "title": notice_name(notice),
            "notice": notice,
            "state_badge": self.state(notice),
            "steps": steps,
            "waiting": waiting_words(leads_waiting(notice.integration_id)) if notice.integration_id else "",
            **_places(request, notice),
        }
        return TemplateResponse(request, "console/notice.html", context)


def _places(request: HttpRequest, notice: Notice) -> dict[str, str]:
    """Where a person may look and act, as far as this one may."""
    integration, user = notice.integration, request.user
    places = {}
    if integration is not None and not integration.managed and user.has_perm("integrations.change_integration"):
        page = "drift" if integration.pending_form else "change"
        places["integration_link"] = reverse(f"admin:integrations_integration_{page}", args=[integration.pk])
        places["button"] = "Review change" if integration.pending_form else "Open the integration"
    target = getattr(integration, "notice_target", None) if integration is not None and integration.managed else None
    if target is not None and user.has_perm("integrations.change_noticetarget"):
        places["integration_link"] = reverse("admin:integrations_noticetarget_change", args=[target.pk])
        places["button"] = "Open who is told"
    subscription_id = integration.subscription_id if integration is not None else None
    if subscription_id is not None and user.has_perm("leads.change_subscription"):
        places["integration_link"] = reverse("admin:leads_subscription_change", args=[subscription_id])
        places["button"] = "Open the webhook"
    campaign_id = notice.campaign_id or (integration.campaign_id if integration else None)
    if campaign_id and user.has_perm("leads.view_campaign"):
        places["campaign_link"] = reverse("admin:leads_campaign_change", args=[campaign_id])
    return places
