"""The pages of a publisher's own people. Whatever is another publisher's is not found here."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.contrib import admin
from django.contrib.auth import logout
from django.contrib.auth.views import redirect_to_login
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from leads.admin.badges import badge, campaign_badge
from leads.models import Campaign, CampaignPublisher, Lead, Publisher, Status
from leads.tracking_information import Desk, tracking_page

DAYS = 7
P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, Publisher, P], HttpResponse]


def publisher_of(user: Any) -> Publisher | None:
    """The publisher that a person works for; None for anybody who does not, or is not let in any more."""
    if not user.is_authenticated or not user.is_active:
        return None
    publisher: Publisher | None = user.publisher
    return publisher if publisher is not None and publisher.active else None


def for_publishers(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Gives the view the publisher of who asks. Others are asked to sign in; staff are sent to the console."""

    @wraps(view)
    @never_cache
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        publisher = publisher_of(request.user)
        if publisher is None:
            if admin.site.has_permission(request):
                return HttpResponseRedirect(reverse("admin:index"))
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        return view(request, publisher, *args, **kwargs)

    return guarded


@require_safe
@for_publishers
def campaigns(request: HttpRequest, publisher: Publisher) -> HttpResponse:
    """The publisher's campaigns: state, forms, links, what came in the last days, and Tracking."""
    contracts = (
        CampaignPublisher.objects.filter(publisher=publisher)
        .select_related("campaign")
        .prefetch_related("campaign__forms", "campaign__links")
        .order_by("-campaign_id")
    )
    counts = _counts(publisher, [row.campaign_id for row in contracts])
    rows = [
        {
            "campaign": row.campaign,
            "badge": campaign_badge(_without_reason(row.campaign)) if row.active else badge("Closed for you", "off"),
            "open": row.active and row.campaign.status == Campaign.Status.ACTIVE,
            "counts": counts.get(row.campaign_id, Counter()),
            "total": sum(counts.get(row.campaign_id, Counter()).values()),
        }
        for row in contracts
    ]
    rows.sort(key=lambda row: not row["open"])
    return TemplateResponse(
        request,
        "console/publisher/campaigns.html",
        {**_context(request, publisher), "title": "Your campaigns", "rows": rows, "days": DAYS},
    )


@require_http_methods(["GET", "HEAD", "POST"])
@for_publishers
def tracking(request: HttpRequest, publisher: Publisher, campaign_id: int) -> HttpResponse:
    """Tracking Information of one of the publisher's campaigns."""
    contract = (
        CampaignPublisher.objects.filter(publisher=publisher, campaign=campaign_id).select_related("campaign").first()
    )
    if contract is None:
        raise Http404
    desk = Desk(
        request=request,
        campaign=contract.campaign,
        publisher=publisher,
        publishers=[publisher],
        may_rotate=True,
        base="console/publisher/base.html",
        back=reverse("publisher:campaigns"),
        context=_context(request, publisher),
    )
    return tracking_page(desk)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponseRedirect(reverse("admin:login"))


def _counts(publisher: Publisher, campaign_ids: list[int]) -> dict[int, Counter[str]]:
    """Campaign to its leads of the last days by status; tests are not counted."""
    since = timezone.now() - dt.timedelta(days=DAYS)
    rows = (
        Lead.objects.filter(campaign__in=campaign_ids, created_at__gte=since, publisher=publisher)
        .exclude(status=Status.TEST)
        .order_by()
        .values_list("campaign_id", "status")
        .annotate(count=Count("*"))
    )
    found: dict[int, Counter[str]] = {}
    for campaign_id, status, count in rows:
        found.setdefault(campaign_id, Counter())[status] = count
    return found


def _without_reason(campaign: Campaign) -> Campaign:
    # Why a campaign is not active is written for colleagues.
    campaign.status_reason = ""
    return campaign


def _context(request: HttpRequest, publisher: Publisher) -> dict[str, Any]:
    return {**admin.site.each_context(request), "publisher": publisher, "instance_name": settings.INSTANCE_NAME}
