"""The page of an owner's API keys: issue, rotate, take away. A key is shown in the answer that made it and never again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from leads.access import api_key_issue, api_key_rotate, api_keys_good
from leads.models import Campaign, Publisher

OVERLAP_HOURS = 24


def keys_summary(owner: Publisher | Campaign) -> str:
    """An owner's keys in one line: their endings."""
    if owner.pk is None:
        return "Made once this is saved."
    good = api_keys_good(owner)
    if not good:
        return "None yet"
    return ", ".join(f"ends in {key.ending}" + (" (being replaced)" if key.expires_at else "") for key in good)


def keys_page(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """The keys of the publisher or campaign that `model_admin` is for. POST: action issue, rotate or revoke."""
    owner = model_admin.get_object(request, object_id)
    if owner is None:
        raise Http404
    if not model_admin.has_change_permission(request, owner):
        raise PermissionDenied
    new_key = ""
    if request.method == "POST":
        if request.POST.get("action") == "revoke":
            return _revoke(model_admin, request, owner)
        if request.POST.get("action") == "rotate":
            new_key = api_key_rotate(owner, overlap_hours=OVERLAP_HOURS)
            model_admin.log_change(request, owner, f"API key rotated; the new one ends in {new_key[-4:]}.")
        else:
            new_key = api_key_issue(**{"publisher" if isinstance(owner, Publisher) else "campaign": owner})
            model_admin.log_change(request, owner, f"API key made; it ends in {new_key[-4:]}.")
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": owner,
        "title": "API keys",
        "owner": owner,
        "is_publisher": isinstance(owner, Publisher),
        "keys": owner.api_keys.order_by("id"),
        "now": timezone.now(),
        "new_key": new_key,
        "overlap_hours": OVERLAP_HOURS,
    }
    return TemplateResponse(request, "console/keys.html", context)


def _revoke(model_admin: Any, request: HttpRequest, owner: Publisher | Campaign) -> HttpResponse:
    key_id = request.POST.get("key", "")
    key = owner.api_keys.filter(pk=int(key_id)).first() if key_id.isascii() and key_id.isdigit() else None
    if key is not None:
        # Tokens that were handed out for it go with it.
        key.delete()
        model_admin.log_change(request, owner, f"API key taken away; it ended in {key.ending}.")
        messages.success(request, f"The key that ends in {key.ending} opens nothing any more.")
    return HttpResponseRedirect(request.path)
