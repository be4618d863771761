"""Deliveries: the list with its causes, Release and Replay, and the page of one with its attempts."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.admin.badges import delivery_badge, verdict_badge
from integrations.admin.bulk_dialog import allowed, bulk_actions, bulk_urls, chosen_ids, link_to
from integrations.admin.bulk_forms import DELIVERY_ASKINGS
from integrations.admin.causes import causes
from integrations.admin.filters import (
    CauseFilter,
    CountedFilter,
    DecidedDays,
    DeliveredDays,
    DeliveryVerdictFilter,
    KindFilter,
    OfCampaignFilter,
    OfIntegrationFilter,
    StateFilter,
)
from integrations.admin.integrations import connector_name
from integrations.admin.mend_page import may_mend, mend_link, mend_page
from integrations.admin.timeline import delivery_entries, standing_words
from integrations.mending import mendable
from integrations.models import Delivery, DeliveryState
from integrations.selections import DeliverySelection
from integrations.waiting import gate_words, repeat_words, waiting_words
from leads.admin.badges import moment, short
from leads.admin.filters import AskedDays, chips, days_between, number
from leads.admin.leads import lead_person
from leads.admin.timeline import in_order, rewritten
from leads.rights import may_see_personal_data, without_personal
from leads.skin import ModelAdmin

CAUSE = CauseFilter.parameter_name


@admin.register(Delivery)
class DeliveryAdmin(ModelAdmin):
    """Deliveries are the engine's rows: people read them, release them and send them again, nothing else."""

    nothing_yet = "Each lead that goes to a client stands here, with every try."
    list_display = ("number", "subject", "integration", "state_label", "verdict_label", "tries", "next_try", "made")
    list_display_links = ("number",)
    list_filter = (
        StateFilter,
        OfCampaignFilter,
        OfIntegrationFilter,
        DeliveryVerdictFilter,
        KindFilter,
        CauseFilter,
        CountedFilter,
        ("created_at", AskedDays),
        ("delivered_at", DeliveredDays),
        ("decided_at", DecidedDays),
    )
    list_filter_submit = True
    list_select_related = ("integration__campaign", "lead")
    list_per_page = 50
    show_full_result_count = False
    sortable_by = ()
    search_fields = ("id", "lead__id", "reference")
    search_help_text = "Delivery, lead, or the client's reference"
    actions = bulk_actions(DELIVERY_ASKINGS)
    list_before_template = "console/causes.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        mend = self.admin_site.admin_view(partial(mend_page, self))
        own = [path("<int:delivery_id>/mend/", mend, name="integrations_delivery_mend")]
        return [*bulk_urls(self, DELIVERY_ASKINGS), *own, *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return allowed(DELIVERY_ASKINGS, request, super().get_actions(request))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        request.chips = chips(request, changelist.filter_specs)  # type: ignore[attr-defined]
        return changelist

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The causes stand above the list; who may not see personal data is not shown clients' words."""
        clear = may_see_personal_data(request.user)
        context = {**(causes(request, self.matching(request)) if clear else {}), **(extra_context or {})}
        return super().changelist_view(request, context)  # type: ignore[no-any-return]

    def selection(self, request: HttpRequest) -> DeliverySelection:
        """What was chosen, on the page of an action: ids, or all that the list was asked for."""
        ids = chosen_ids(request)
        return self.matching(request) if ids is None else DeliverySelection(ids=ids)

    def matching(self, request: HttpRequest) -> DeliverySelection:
        """All that the list is asked for in its address."""
        asked = request.GET
        since, until = days_between(asked, "created_at")
        delivered, decided = days_between(asked, "delivered_at"), days_between(asked, "decided_at")
        return DeliverySelection(
            all_that_match=True,
            campaign_id=number(asked.get(OfCampaignFilter.parameter_name)),
            integration_id=number(asked.get("integration__id__exact")),
            state=asked.get("state__exact", ""),
            verdict=asked.get("verdict__exact", ""),
            reason=asked.get(CAUSE, "") if may_see_personal_data(request.user) else "",
            kind=asked.get("kind__exact", ""),
            text=asked.get("q", ""),
            since=since,
            until=until,
            delivered_since=delivered[0],
            delivered_until=delivered[1],
            decided_since=decided[0],
            decided_until=decided[1],
            counted=bool(asked.get(CountedFilter.parameter_name)),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """All filters and the search box at once: what is shown is what work on all that match is done with."""
        return _light(self.matching(request).deliveries()), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return _light(super().get_queryset(request))

    def get_list_display(self, request: HttpRequest) -> list[str]:
        """For those who may not see personal data: no names, no clients' words."""
        columns = super().get_list_display(request)
        if may_see_personal_data(request.user):
            return list(columns)
        names = {"subject": "subject_masked", "state_label": "state_masked", "verdict_label": "verdict_masked"}
        return [names.get(column, column) for column in columns]

    @admin.display(description="Delivery", ordering="id")
    def number(self, delivery: Delivery) -> SafeString:
        return format_html('<span class="pt-num pt-strong">{}</span>', delivery.pk)

    @admin.display(description="What")
    def subject(self, delivery: Delivery) -> SafeString | str:
        return self._subject(delivery, *lead_person(delivery.lead.values if delivery.lead else {}))

    @admin.display(description="What")
    def subject_masked(self, delivery: Delivery) -> SafeString | str:
        return self._subject(delivery, "", "")

    def _subject(self, delivery: Delivery, name: str, email: str) -> SafeString | str:
        if delivery.lead is None:
            return delivery.get_kind_display()
        link = reverse("admin:leads_lead_change", args=[delivery.lead.pk])
        kind = {Delivery.Kind.STATUS: "Status of lead", Delivery.Kind.EVENT: "Message on lead"}.get(
            Delivery.Kind(delivery.kind), "Lead"
        )
        return format_html(
            '<span class="pt-cell"><a class="pt-link" href="{}">{} {}</a><span class="pt-quiet pt-small">{}</span></span>',
            link, kind, delivery.lead.pk, short(name or email, 40),
        )  # fmt: skip

    @admin.display(description="State")
    def state_label(self, delivery: Delivery) -> SafeString:
        return format_html(
            '<span class="pt-badges pt-cell pt-cell-wide">{}<span class="pt-quiet pt-small">{}</span></span>',
            delivery_badge(delivery),
            short(standing_words(delivery), 120),
        )

    @admin.display(description="State")
    def state_masked(self, delivery: Delivery) -> SafeString:
        words = " ".join(filter(None, (_ours(delivery), repeat_words(delivery))))
        return format_html(
            '<span class="pt-badges pt-cell pt-cell-wide">{}<span class="pt-quiet pt-small">{}</span></span>',
            delivery_badge(delivery, with_reason=False),
            short(words, 120),
        )

    @admin.display(description="Verdict")
    def verdict_masked(self, delivery: Delivery) -> SafeString | str:
        return verdict_badge(delivery.verdict, delivery.reason_code) if delivery.verdict else "–"

    @admin.display(description="Next try")
    def next_try(self, delivery: Delivery) -> SafeString | str:
        until = _until(delivery)
        return moment(until) if until else "–"

    @admin.display(description="Since")
    def made(self, delivery: Delivery) -> SafeString | str:
        return moment(delivery.created_at)

    @admin.display(description="Verdict")
    def verdict_label(self, delivery: Delivery) -> SafeString | str:
        hint = " · ".join(filter(None, (delivery.reason_code, delivery.comment)))
        return verdict_badge(delivery.verdict, hint) if delivery.verdict else "–"

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One delivery with its attempts. It has no form, so nothing that the engine wrote can be overwritten."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        rows = Delivery.objects.select_related("integration__campaign", "lead").prefetch_related(
            "attempts", "status_updates"
        )
        delivery = rows.filter(pk=object_id).first() if object_id.isdigit() and len(object_id) < 19 else None
        if delivery is None:
            raise Http404(f"There is no delivery {object_id}.")
        if not self.has_view_permission(request, delivery):
            raise PermissionDenied
        entries = in_order(delivery_entries([delivery]))
        if not may_see_personal_data(request.user):
            posted = dict(delivery.lead.values) if delivery.lead else {}
            entries = rewritten(entries, lambda text: without_personal(text, posted))
            delivery.reason = without_personal(delivery.reason, posted)
            delivery.comment = without_personal(delivery.comment, posted)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": delivery,
            "title": f"Delivery {delivery.pk}",
            "delivery": delivery,
            "connector": connector_name(delivery.integration.connector),
            "state_badge": delivery_badge(delivery),
            "standing": standing_words(delivery),
            "until": _until(delivery),
            "verdict_badge": verdict_badge(delivery.verdict) if delivery.verdict else "",
            "entries": entries,
            "actions": _actions(request, delivery),
            "mend": mend_link(delivery) if mendable(delivery) and may_mend(request.user) else "",
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/delivery.html", context)


def _until(delivery: Delivery) -> dt.datetime | None:
    """When it is tried next, as far as that is known."""
    _, until = waiting_words(delivery)
    return until or (delivery.next_try_at if delivery.state == DeliveryState.QUEUED else None)


def _ours(delivery: Delivery) -> str:
    """Why a queued delivery waits, as far as our own words say it."""
    if delivery.state != DeliveryState.QUEUED:
        return ""
    return gate_words(delivery.integration, timezone.now(), test=delivery.test)[0]


def _light(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    return deliveries.select_related("integration__campaign", "lead").defer(
        "data", "problems", "integration__settings", "integration__secrets"
    )


def _actions(request: HttpRequest, delivery: Delivery) -> list[tuple[str, str]]:
    """What may be done with it as it stands."""
    able = {
        "release": delivery.state in (DeliveryState.HELD, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED),
        "replay": delivery.kind == Delivery.Kind.LEAD
        and delivery.state not in (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.HELD),
    }
    return [
        (asking.title, link_to("integrations_delivery", asking.name, delivery.pk))
        for asking in DELIVERY_ASKINGS.values()
        if able[asking.name] and request.user.has_perm(asking.right)
    ]
