"""The pages of a publisher's own people, and of those who were handed a link. Whatever is another publisher's is not found."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from leads.admin.badges import badge, campaign_badge
from leads.catalog import compiled_form
from leads.form_schema import form_example
from leads.models import Campaign, CampaignPublisher, Form, Publisher
from leads.publisher_console.results import WORDS, counts_of_days, counts_of_today, latest_results, without_tests
from leads.publisher_console.specification import form_inputs
from leads.publisher_console.visitors import SESSION_KEY, Visitor, for_publishers, page_context
from leads.publisher_links import link_opened
from leads.tracking_information import KEY_PLACE, PARTNER_KEY_PLACE, Desk, curl, endpoints, partner_curl, tracking_page

DAYS = 7


@require_safe
@for_publishers
def campaigns(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The publisher's campaigns: state, forms, links, what came today and in the last days, and the latest results."""
    publisher = visitor.publisher
    contracts = (
        CampaignPublisher.objects.filter(publisher=publisher)
        .select_related("campaign")
        .prefetch_related("campaign__forms", "campaign__links")
        .order_by("-campaign_id")
    )
    counts = counts_of_days(publisher, [row.campaign_id for row in contracts], DAYS)
    today = counts_of_today(publisher, [row.campaign for row in contracts])
    rows = [
        {
            "campaign": row.campaign,
            "badge": _contract_badge(row),
            "open": row.active and row.campaign.status == Campaign.Status.ACTIVE,
            "counts": counts[row.campaign_id],
            "total": without_tests(counts[row.campaign_id]),
            "today": without_tests(today[row.campaign_id]),
        }
        for row in contracts
    ]
    rows.sort(key=lambda row: not row["open"])
    context = {
        **page_context(request, visitor),
        "title": "Your campaigns",
        "rows": rows,
        "days": DAYS,
        "results": latest_results(publisher, clear=visitor.may_change),
    }
    return TemplateResponse(request, "console/publisher/campaigns.html", context)


@require_safe
@for_publishers
def campaign(request: HttpRequest, visitor: Visitor, campaign_id: int) -> HttpResponse:
    """One campaign: its forms as they are now, where and how leads are posted, today's counts, the latest results."""
    contract = _contract(visitor.publisher, campaign_id)
    found = contract.campaign
    forms = [
        {
            "form": form,
            "inputs": form_inputs(form),
            "endpoints": endpoints(found, visitor.publisher, form),
            "curl": curl(found, visitor.publisher, form),
            "partner_curl": _partner_curl(found, form),
        }
        for form in found.forms.prefetch_related("fields").order_by("id")
    ]
    today = counts_of_today(visitor.publisher, [found])[found.pk]
    context = {
        **page_context(request, visitor),
        "title": found.name,
        "campaign": found,
        "badge": _contract_badge(contract),
        "forms": forms,
        "links": list(found.links.all()),
        "key_place": KEY_PLACE,
        "partner_key_place": PARTNER_KEY_PLACE,
        "today": [(word, today[name]) for name, (word, _) in WORDS.items()],
        "total": without_tests(today),
        "results": latest_results(visitor.publisher, found, clear=visitor.may_change),
    }
    return TemplateResponse(request, "console/publisher/campaign.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_publishers
def tracking(request: HttpRequest, visitor: Visitor, campaign_id: int) -> HttpResponse:
    """Tracking Information of one of the publisher's campaigns."""
    publisher = visitor.publisher
    desk = Desk(
        request=request,
        campaign=_contract(publisher, campaign_id).campaign,
        publisher=publisher,
        publishers=[publisher],
        may_rotate=visitor.may_change,
        base="console/publisher/base.html",
        back=reverse("publisher:campaigns"),
        context=page_context(request, visitor),
    )
    return tracking_page(desk)


@require_safe
@never_cache
def link(request: HttpRequest, signed: str) -> HttpResponse:
    """Opens the pages to whoever was handed this address; from then on they stand under addresses of their own."""
    found = link_opened(signed)
    if found is None:
        return link_ended(request)
    request.session[SESSION_KEY] = found.pk
    return HttpResponseRedirect(reverse("publisher:campaigns"))


@require_safe
@never_cache
def link_ended(request: HttpRequest) -> HttpResponse:
    """Says what to do about a link that opens nothing."""
    request.session.pop(SESSION_KEY, None)
    context = {**admin.site.each_context(request), "title": "This link has ended"}
    return TemplateResponse(request, "console/publisher/link_ended.html", context, status=404)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Ends the session, however it began."""
    logout(request)
    return HttpResponseRedirect(reverse("admin:login"))


def _partner_curl(campaign: Campaign, form: Form) -> str:
    compiled = compiled_form(campaign.pk, form.pk)
    return partner_curl(campaign, form, form_example(compiled)) if compiled is not None else ""


def _contract(publisher: Publisher, campaign_id: int) -> CampaignPublisher:
    found = (
        CampaignPublisher.objects.filter(publisher=publisher, campaign=campaign_id).select_related("campaign").first()
    )
    if found is None:
        raise Http404
    return found


def _contract_badge(contract: CampaignPublisher) -> str:
    return campaign_badge(_without_reason(contract.campaign)) if contract.active else badge("Closed for you", "off")


def _without_reason(campaign: Campaign) -> Campaign:
    # Why a campaign is not active is written for colleagues.
    campaign.status_reason = ""
    return campaign
