"""Publishers: their campaigns, their users, and their API keys."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leads.admin.badges import badge
from leads.admin.keys import keys_page, keys_summary
from leads.admin.publisher_links import links_page
from leads.models import CampaignPublisher, Publisher
from leads.skin import ModelAdmin, TabularInline, action


class CampaignInline(TabularInline):  # type: ignore[misc]
    model = CampaignPublisher
    extra = 0
    hide_title = True
    verbose_name = "campaign"
    verbose_name_plural = "campaigns it may send leads to"
    autocomplete_fields = ("campaign",)
    fields = ("campaign", "active")


@admin.register(Publisher)
class PublisherAdmin(ModelAdmin):
    nothing_yet = "A publisher sends leads, with keys and links of its own."
    list_display = ("name", "identifier", "state", "key_endings")
    search_fields = ("name",)
    inlines = (CampaignInline,)
    actions_detail = ("keys", "links")
    readonly_fields = ("identifier", "key_endings", "people")
    fieldsets = ((None, {"fields": (("name", "active"), "identifier", "key_endings", "people")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Publisher]:
        queryset: QuerySet[Publisher] = super().get_queryset(request)
        return queryset.prefetch_related("api_keys")

    @admin.display(description="State", ordering="active")
    def state(self, publisher: Publisher) -> SafeString:
        return badge("Active", "good") if publisher.active else badge("Switched off", "off")

    @admin.display(description="Publisher ID", ordering="id")
    def identifier(self, publisher: Publisher) -> SafeString:
        return format_html('<span class="pt-mono">{}</span>', publisher.pk or "given when it is saved")

    @admin.display(description="API keys")
    def key_endings(self, publisher: Publisher) -> str:
        return keys_summary(publisher)

    @admin.display(description="Users")
    def people(self, publisher: Publisher) -> SafeString | str:
        if publisher.pk is None:
            return "Added once this is saved."
        links = format_html_join(
            ", ",
            '<a class="pt-link" href="{}">{}</a>',
            ((reverse("admin:leads_user_change", args=[user.pk]), user.username) for user in publisher.users.all()),
        )
        add = f"{reverse('admin:leads_user_add')}?publisher={publisher.pk}"
        return format_html(
            '{}<a class="pt-link" href="{}">Add a user</a>', format_html("{} · ", links) if links else "", add
        )

    @action(description="API keys", url_path="keys", icon="key", permissions=["change"])  # type: ignore[untyped-decorator]
    def keys(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return keys_page(self, request, object_id)

    @action(description="Links to its page", url_path="links", icon="link", permissions=["change"])  # type: ignore[untyped-decorator]
    def links(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return links_page(self, request, object_id)
