"""Advertisers and campaigns, with the publishers that may send leads and the links they come through."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from leads.admin.badges import campaign_badge
from leads.admin.keys import keys_page, keys_summary
from leads.models import Advertiser, Campaign, CampaignPublisher, Link
from leads.skin import ChoicesDropdownFilter, ModelAdmin, RelatedDropdownFilter, TabularInline, action


@admin.register(Advertiser)
class AdvertiserAdmin(ModelAdmin):
    list_display = ("name", "created_at")
    search_fields = ("name",)


class PublisherInline(TabularInline):  # type: ignore[misc]
    model = CampaignPublisher
    extra = 0
    hide_title = True
    verbose_name = "publisher"
    verbose_name_plural = "publishers that may send leads"
    autocomplete_fields = ("publisher",)


class LinkInline(TabularInline):  # type: ignore[misc]
    model = Link
    extra = 0
    hide_title = True
    verbose_name_plural = "links (optional): the channels leads come through"
    fields = ("name", "channel", "destination")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "destination":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(Campaign)
class CampaignAdmin(ModelAdmin):
    list_display = ("name", "advertiser", "state", "form_names", "created_at")
    list_filter = (("status", ChoicesDropdownFilter), ("advertiser", RelatedDropdownFilter))
    list_filter_submit = True
    search_fields = ("name", "advertiser__name")
    list_select_related = ("advertiser",)
    autocomplete_fields = ("forms", "advertiser")
    inlines = (PublisherInline, LinkInline)
    actions_detail = ("keys",)
    readonly_fields = ("identifier", "webhook_keys")
    fieldsets = (
        (None, {"fields": (("name", "advertiser"), ("status", "status_reason"), "forms")}),
        (
            "Setup",
            {"classes": ("collapse",), "fields": (("time_zone", "verdict_days"), "webhook_keys", "identifier")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        queryset: QuerySet[Campaign] = super().get_queryset(request)
        return queryset.prefetch_related("forms")

    @admin.display(description="Status", ordering="status")
    def state(self, campaign: Campaign) -> SafeString:
        return campaign_badge(campaign)

    @admin.display(description="Forms")
    def form_names(self, campaign: Campaign) -> str:
        return ", ".join(form.name for form in campaign.forms.all()) or "–"

    @admin.display(description="Campaign ID")
    def identifier(self, campaign: Campaign) -> SafeString:
        return format_html('<span class="pt-mono">{}</span>', campaign.pk or "given when it is saved")

    @admin.display(description="Webhook API keys")
    def webhook_keys(self, campaign: Campaign) -> str:
        return keys_summary(campaign)

    @action(description="Webhook API keys", url_path="keys", icon="key", permissions=["change"])  # type: ignore[untyped-decorator]
    def keys(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return keys_page(self, request, object_id)
