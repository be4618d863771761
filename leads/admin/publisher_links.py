"""The page of a publisher's links: made for people without an account, copied, and taken back."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from leads.models import Publisher
from leads.publisher_links import DAYS, link_address, link_make, link_revoke


def links_page(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """The links of a publisher. POST: action make (name, days) or revoke (link)."""
    publisher = model_admin.get_object(request, object_id)
    if publisher is None:
        raise Http404
    if not model_admin.has_change_permission(request, publisher):
        raise PermissionDenied
    if request.method == "POST":
        if request.POST.get("action") == "revoke":
            _revoke(model_admin, request, publisher)
        else:
            _make(model_admin, request, publisher)
        return HttpResponseRedirect(request.path)
    now = timezone.now()
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": publisher,
        "title": "Links to its page",
        "publisher": publisher,
        "links": [
            (link, link_address(link) if link.revoked_at is None and link.expires_at > now else "")
            for link in publisher.links.all()
        ],
        "days": DAYS,
    }
    return TemplateResponse(request, "console/publisher_links.html", context)


def _make(model_admin: Any, request: HttpRequest, publisher: Publisher) -> None:
    days = request.POST.get("days", "")
    name = request.POST.get("name", "").strip()
    if not name:
        messages.error(request, "Say who gets the link.")
        return
    try:
        link = link_make(
            publisher, name=name, days=int(days) if days.isdecimal() else 0, by=request.user.get_username()
        )
    except ValueError:
        messages.error(request, "Choose for how long the link works.")
        return
    model_admin.log_change(request, publisher, f"Link to its page made for {link.name}, for {days} days.")
    messages.success(request, "The link is made: copy it below and hand it on.")


def _revoke(model_admin: Any, request: HttpRequest, publisher: Publisher) -> None:
    link_id = request.POST.get("link", "")
    found = (
        publisher.links.filter(pk=int(link_id)).first()
        if link_id.isascii() and link_id.isdecimal() and len(link_id) < 19
        else None
    )
    if found is not None:
        link_revoke(found)
        model_admin.log_change(request, publisher, f"Link to its page for {found.name} taken back.")
        messages.success(request, f"The link for {found.name} opens nothing any more.")
