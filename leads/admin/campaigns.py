"""Advertisers and campaigns. A campaign's page has tabs, each with an address of its own; integrations/admin adds to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, QuerySet
from django.forms import BaseInlineFormSet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from leads.access import api_keys_good
from leads.admin.audiences import audiences_tab
from leads.admin.badges import badge, campaign_badge, flag_badge, moment, status_badge
from leads.admin.flagging import counted
from leads.admin.keys import keys_page, keys_summary
from leads.admin.lead_events import lead_events_save
from leads.admin.leads import lead_person, masked_person
from leads.admin.sources import source_add, sources_tab
from leads.models import Advertiser, Campaign, CampaignPublisher, Lead, Link, Publisher, Status
from leads.rights import may_see_personal_data
from leads.skin import ChoicesDropdownFilter, ModelAdmin, RelatedDropdownFilter, TabularInline, action
from leads.tracking_information import Desk, tracking_page

LEADS_SHOWN = 25


@admin.register(Advertiser)
class AdvertiserAdmin(ModelAdmin):
    nothing_yet = "An advertiser is the client that campaigns are run for."
    list_display = ("name", "created_at")
    search_fields = ("name",)


class PublisherInline(TabularInline):  # type: ignore[misc]
    model = CampaignPublisher
    extra = 0
    hide_title = True
    verbose_name = "publisher"
    verbose_name_plural = "publishers that may send leads"
    autocomplete_fields = ("publisher",)
    # Their caps have a page of their own, with what is used of them.
    fields = ("publisher", "active")


class LinksFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """A link that leads came through is removed only by who has seen how many of them lose it."""

    def clean(self) -> None:
        super().clean()
        gone = [form.instance for form in self.initial_forms if form.cleaned_data.get("DELETE")]
        counts = {
            link: count for link in gone if (count := Lead.objects.filter(campaign=link.campaign_id, link=link).count())
        }
        seen = ",".join(f"{link.pk}:{count}" for link, count in counts.items())
        if not counts or self.data.get("links_lost") == seen:
            return
        said = ", ".join(f"“{link.name}” ({counted(count, 'lead')})" for link, count in counts.items())
        raise ValidationError(
            format_html(
                "Leads came through {}, and would not say so any more: not in lists, exports and mappings. To take no "
                "further leads through it, tell your publishers; to remove it all the same, tick this and save again. "
                '<label class="pt-choice"><input type="checkbox" name="links_lost" value="{}"> '
                "<span>Yes, remove it</span></label>",
                said, seen,
            )
        )  # fmt: skip


class LinkInline(TabularInline):  # type: ignore[misc]
    model = Link
    formset = LinksFormSet
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
    nothing_yet = "A campaign has the forms, publishers and integrations of one client’s leads."
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
            {
                "classes": ("collapse",),
                "fields": (
                    ("time_zone", "verdict_days"),
                    ("silence_times", "releases_held"),
                    "webhook_keys",
                    "identifier",
                ),
            },
        ),
    )
    # Key, name and address of each tab, in their order.
    tabs: tuple[tuple[str, str], ...] = (
        ("overview", "Overview"),
        ("leads", "Leads"),
        ("form", "Form"),
        ("publishers", "Publishers"),
        ("sources", "Sources"),
        ("audiences", "Audiences"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        queryset: QuerySet[Campaign] = super().get_queryset(request)
        return queryset.prefetch_related("forms")

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "leads_campaign_{}".format
        return [
            path("<int:campaign_id>/leads/", wrap(self.leads_view), name=name("leads")),
            path("<int:campaign_id>/form/", wrap(self.form_view), name=name("form")),
            path("<int:campaign_id>/publishers/", wrap(self.publishers_view), name=name("publishers")),
            path("<int:campaign_id>/sources/", wrap(self.sources_view), name=name("sources")),
            path("<int:campaign_id>/audiences/", wrap(self.audiences_view), name=name("audiences")),
            path("<int:campaign_id>/settings/", wrap(self.settings_view), name=name("settings")),
            path("<int:campaign_id>/tracking/", wrap(self.tracking_view), name=name("tracking")),
            *super().get_urls(),
        ]

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

    # --- the campaign's page --------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Overview. What is posted here, and what opens in a window of its own, is the settings' form."""
        if request.method == "POST" or "_popup" in request.GET:
            return super().change_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        campaign = self.campaign(request, int(object_id) if object_id.isdigit() and len(object_id) < 19 else 0)
        context = {**self.overview_context(request, campaign), **(extra_context or {})}
        return self.tab(request, campaign, "overview", context)

    def overview_context(self, request: HttpRequest, campaign: Campaign) -> dict[str, Any]:
        """What stands on the overview; extended above by what is known of deliveries."""
        return {}

    def leads_view(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """How many leads the campaign has by status, and the newest of them."""
        campaign = self.campaign(request, campaign_id)
        if not self._may(request, "lead"):
            raise PermissionDenied
        counts = dict(
            Lead.objects.filter(campaign=campaign).order_by().values_list("status").annotate(count=Count("*"))
        )
        clear = may_see_personal_data(request.user)
        newest = Lead.objects.filter(campaign=campaign).select_related("publisher").order_by("-id")[:LEADS_SHOWN]
        rows = [
            {
                "lead": lead,
                "person": lead_person(lead.values) if clear else masked_person(lead.values),
                "status": status_badge(lead, with_jobs=clear),
                "flag": flag_badge(lead.flag) if lead.flag else "",
                "received": moment(lead.created_at),
            }
            for lead in newest
        ]
        counted = [(status, counts.get(status.value, 0)) for status in Status]
        return self.tab(request, campaign, "leads", {"counts": counted, "total": sum(counts.values()), "rows": rows})

    def form_view(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """The campaign's forms with their fields, to be edited on the forms' own pages."""
        campaign = self.campaign(request, campaign_id)
        forms = campaign.forms.prefetch_related("fields").annotate(used=Count("campaigns"))
        context = {
            "forms": [{"form": form, "fields": list(form.fields.all()), "elsewhere": form.used - 1} for form in forms],
            "can_edit_form": request.user.has_perm("leads.change_form"),
        }
        return self.tab(request, campaign, "form", context)

    def publishers_view(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """Who may send leads, through which links, with which keys."""
        campaign = self.campaign(request, campaign_id)
        contracts = campaign.contracts.select_related("publisher").prefetch_related("publisher__api_keys")
        rows: list[dict[str, Any]] = [
            {
                "contract": row,
                "publisher": row.publisher,
                "badge": _contract_badge(row),
                "keys": api_keys_good(row.publisher),
            }
            for row in contracts.order_by("publisher__name")
        ]
        caps = self.caps(campaign, [row["contract"] for row in rows])
        context = {
            "rows": [{**row, "caps": caps.get(row["contract"].pk, [])} for row in rows],
            "can_cap": request.user.has_perm("leads.change_campaignpublisher"),
            "links": list(campaign.links.all()),
            "webhook_keys": api_keys_good(campaign),
            "can_edit_publisher": request.user.has_perm("leads.change_publisher"),
        }
        return self.tab(request, campaign, "publishers", context)

    def caps(self, campaign: Campaign, contracts: Sequence[CampaignPublisher]) -> Mapping[int, Sequence[Any]]:
        """What is used of each contract's caps; extended above, where it is counted."""
        return {}

    def sources_view(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """Where tracked events come from. POST: name, for a new one; action lead_events, for what leads send as events."""
        campaign = self.campaign(request, campaign_id)
        if not self._may(request, "source"):
            raise PermissionDenied
        if request.method == "POST" and request.POST.get("action") == "lead_events":
            return lead_events_save(request, campaign)
        if request.method == "POST":
            return source_add(request, campaign)
        return self.tab(request, campaign, "sources", sources_tab(request, campaign))

    def audiences_view(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """Audiences and computed traits."""
        campaign = self.campaign(request, campaign_id)
        if not self._may(request, "audience"):
            raise PermissionDenied
        return self.tab(request, campaign, "audiences", audiences_tab(request, campaign))

    def settings_view(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """The campaign's own form: name, status, forms, publishers, links."""
        return super().change_view(request, str(campaign_id), "", {"title": "Settings"})  # type: ignore[no-any-return]

    def tracking_view(self, request: HttpRequest, campaign_id: int) -> HttpResponse:
        """Tracking Information, of a publisher that is chosen."""
        campaign = self.campaign(request, campaign_id)
        publishers = list(Publisher.objects.filter(contracts__campaign=campaign).order_by("name"))
        asked = request.GET.get("publisher", "")
        publisher = next((each for each in publishers if str(each.pk) == asked), None)
        if asked and publisher is None:
            raise Http404
        desk = Desk(
            request=request,
            campaign=campaign,
            publisher=publisher or (publishers[0] if publishers else None),
            publishers=publishers,
            may_rotate=request.user.has_perm("leads.change_publisher"),
            base="admin/base_site.html",
            context={**self.admin_site.each_context(request), "opts": self.opts, "original": campaign},
            back=reverse("admin:leads_campaign_change", args=[campaign.pk]),
            sources=list(campaign.sources.filter(enabled=True)) if self._may(request, "source") else None,
        )
        return tracking_page(desk)

    def campaign(self, request: HttpRequest, campaign_id: int) -> Campaign:
        """The campaign that a page is about, for those who may see it."""
        campaign = Campaign.objects.select_related("advertiser").filter(pk=campaign_id).first()
        if campaign is None:
            raise Http404(f"There is no campaign {campaign_id}.")
        if not self.has_view_or_change_permission(request, campaign):
            raise PermissionDenied
        return campaign

    def tab(self, request: HttpRequest, campaign: Campaign, key: str, context: dict[str, Any]) -> HttpResponse:
        """One tab of the campaign's page."""
        counts = {"publishers": campaign.contracts.count()}
        models = (("leads", "lead"), ("sources", "source"), ("audiences", "audience"))
        hidden = {name for name, model in models if not self._may(request, model)}
        if "leads" not in hidden:
            counts["leads"] = Lead.objects.filter(campaign=campaign).count()
        if "sources" not in hidden:
            counts["sources"] = campaign.sources.count()
        if "audiences" not in hidden:
            counts["audiences"] = campaign.audiences.count()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": campaign,
            "campaign": campaign,
            "title": campaign.name,
            "badge": campaign_badge(campaign),
            "tabs": [
                (name, self.tab_address(each, campaign.pk), each == key, counts.get(each))
                for each, name in self.tabs
                if each not in hidden
            ],
            "tab": key,
            "may_change": self.has_change_permission(request, campaign),
            "may_remove": self.has_delete_permission(request, campaign) and not campaign.leads.exists(),
            **context,
        }
        return TemplateResponse(request, f"console/campaign/{context.get('page', key)}.html", context)

    def tab_address(self, key: str, campaign_id: int) -> str:
        name = "change" if key == "overview" else key
        return reverse(f"admin:leads_campaign_{name}", args=[campaign_id])

    def response_post_save_change(self, request: HttpRequest, obj: Campaign) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:leads_campaign_change", args=[obj.pk]))

    def response_post_save_add(self, request: HttpRequest, obj: Campaign) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:leads_campaign_change", args=[obj.pk]))

    def _may(self, request: HttpRequest, model: str) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"leads.view_{model}") or user.has_perm(f"leads.change_{model}"))


def _contract_badge(contract: CampaignPublisher) -> SafeString:
    if not contract.publisher.active:
        return badge("Switched off", "off", "The publisher is switched off in this whole portal.")
    return badge("May send", "good") if contract.active else badge("Stopped", "off", "Not for this campaign.")
