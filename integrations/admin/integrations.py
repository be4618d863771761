"""Integrations: the list, Add (name, campaign and connector only), and Configure as the page of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Max, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from integrations.admin.badges import integration_badge
from integrations.admin.compare_page import compare_page
from integrations.admin.configure import configure_page
from integrations.admin.dialogs import preview_dialog, test_lead_dialog, values_dialog
from integrations.admin.drift_page import drift_page
from integrations.admin.job_actions import state_record
from integrations.admin.living import check_fragment, look_fragment
from integrations.admin.versions_page import versions_page
from integrations.delivery import integration_switch
from integrations.kit.contract import Connector, ConnectorError
from integrations.kit.registry import connectors
from integrations.models import Integration, IntegrationState
from integrations.releasing import release_words
from leads.admin.badges import short
from leads.models import Campaign
from leads.skin import ChoicesDropdownFilter, ModelAdmin, RelatedDropdownFilter, Select, TextInput


def connector_name(slug: str) -> str:
    """A connector's name; its slug where its folder is gone."""
    found = connectors().get(slug)
    return found.manifest.name if found else slug


class AddForm(forms.ModelForm):  # type: ignore[type-arg]
    """What an integration is made with; everything else is set on Configure."""

    connector = forms.ChoiceField(widget=Select)

    class Meta:
        model = Integration
        fields = ("campaign", "name", "connector")
        help_texts = {"name": "For colleagues, such as “Acme EU”."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [
            (slug, f"{found.manifest.name} – {found.manifest.summary}")
            for slug, found in connectors().items()
            if found.manifest.offered
        ]
        connector = self.fields["connector"]
        assert isinstance(connector, forms.ChoiceField)
        connector.choices = offered if len(offered) == 1 else [("", "Choose…"), *offered]
        campaign = self.fields["campaign"]
        assert isinstance(campaign, forms.ModelChoiceField)
        campaign.queryset = Campaign.objects.select_related("advertiser")
        campaign.widget = Select(choices=campaign.choices)
        self.fields["name"].widget = TextInput()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        twin = Integration.objects.filter(campaign=cleaned.get("campaign"), name=cleaned.get("name"))
        if cleaned.get("campaign") and twin.exists():
            self.add_error("name", "Another integration of this campaign has this name. Take another one.")
        return cleaned

    def _get_validation_exclusions(self) -> set[str]:
        # The twin is told of above, in better words.
        return {*super()._get_validation_exclusions(), "campaign"}  # type: ignore[misc]


@admin.register(Integration)
class IntegrationAdmin(ModelAdmin):
    nothing_yet = "Add one in a campaign, on its tab Processr."
    list_display = ("name", "campaign", "connector_label", "state_label", "why")
    list_filter = (("state", ChoicesDropdownFilter), ("campaign", RelatedDropdownFilter))
    list_filter_submit = True
    list_select_related = ("campaign",)
    search_fields = ("name", "campaign__name")
    actions = ("switch_on", "pause")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Integration]:
        # What the engine made for itself is nobody's to configure.
        queryset: QuerySet[Integration] = super().get_queryset(request).filter(managed=False)
        return queryset

    def has_delete_permission(self, request: HttpRequest, obj: Integration | None = None) -> bool:
        """One that delivered is part of its leads' history: it can be paused, not removed."""
        if obj is None or obj.deliveries.exists():
            return False
        return bool(super().has_delete_permission(request, obj))

    @admin.display(description="Connector", ordering="connector")
    def connector_label(self, integration: Integration) -> str:
        return connector_name(integration.connector)

    @admin.display(description="State", ordering="state")
    def state_label(self, integration: Integration) -> SafeString:
        return integration_badge(integration)

    @admin.display(description="What it needs")
    def why(self, integration: Integration) -> SafeString:
        return format_html('<span class="pt-quiet">{}</span>', short(integration.state_reason, 120))

    @admin.action(description="Switch on", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Integration]) -> None:
        for integration in queryset:
            before = integration.get_state_display()
            try:
                released = integration_switch(integration, True)
                state_record(request.user, integration, before)
                spread = release_words(released, integration)
                messages.success(request, f"{integration.name} is on. {spread}".strip())
            except ConnectorError as error:
                messages.error(request, short(f"{integration.name} can’t be switched on yet. {error.message}", 600))

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Integration]) -> None:
        for integration in queryset.exclude(state__in=[IntegrationState.NEEDS_SETUP, IntegrationState.PAUSED]):
            before = integration.get_state_display()
            integration_switch(integration, False)
            state_record(request.user, integration, before)
            messages.success(request, f"{integration.name} is paused: leads wait for it until it is switched on again.")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Name, campaign and connector; then on to Configure."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = AddForm(request.POST or None, initial={"campaign": request.GET.get("campaign", "")})
        if request.method == "POST" and form.is_valid():
            integration = form.save(commit=False)
            last = Integration.objects.filter(campaign=integration.campaign).aggregate(last=Max("position"))["last"]
            integration.position = (last or 0) + 1
            integration.save()
            self.log_addition(request, integration, [{"added": {}}])
            return HttpResponseRedirect(reverse("admin:integrations_integration_change", args=[integration.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Add an integration",
            "form": form,
            "connectors": [found.manifest for found in connectors().values() if found.manifest.offered],
        }
        return TemplateResponse(request, "console/add_integration.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Configure."""
        return self._of_one(request, object_id, configure_page)

    def get_urls(self) -> list[URLPattern]:
        """Configure's fragments, its dialogs and the pages behind it."""
        pages: dict[str, Callable[..., HttpResponse]] = {
            "check": check_fragment,
            "look": look_fragment,
            "values": values_dialog,
            "preview": preview_dialog,
            "test_lead": test_lead_dialog,
            "drift": drift_page,
            "versions": versions_page,
            "compare": compare_page,
        }
        post_only = {"check", "look", "values"}

        def view_of(name: str) -> Callable[..., HttpResponse]:
            def view(request: HttpRequest, object_id: str) -> HttpResponse:
                # What was typed, secrets too, never stands in an address.
                if name in post_only and request.method != "POST":
                    return HttpResponseNotAllowed(["POST"])
                return self._of_one(request, object_id, pages[name])

            wrapped: Callable[..., HttpResponse] = self.admin_site.admin_view(view)
            return wrapped

        own = [path(f"<str:object_id>/{n}/", view_of(n), name=f"integrations_integration_{n}") for n in pages]
        return [*own, *super().get_urls()]

    def _of_one(self, request: HttpRequest, object_id: str, page: Callable[..., HttpResponse]) -> HttpResponse:
        integration = self.get_queryset(request).select_related("campaign").filter(pk=_number(object_id)).first()
        if integration is None:
            raise Http404(f"There is no integration {object_id}.")
        if not self.has_change_permission(request, integration):
            raise PermissionDenied
        connector: Connector | None = connectors().get(integration.connector)
        if connector is None:
            messages.error(request, f"This portal has no connector “{integration.connector}” any more.")
            return HttpResponseRedirect(reverse("admin:integrations_integration_changelist"))
        return page(self, request, integration, connector)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
