"""The page of an owner's API keys: issue, rotate, take away. A key is shown once, by the page after, and never again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone

from leads.access import api_key_issue, api_key_rotate, api_keys_good
from leads.admin.asking import Question, last_used
from leads.admin.deeds import deed_do
from leads.admin.shown_once import secret_keep, secret_shown
from leads.history import record
from leads.models import ApiKey, Campaign, Publisher

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
    """The keys of the publisher or campaign that `model_admin` is for. POST: action issue, rotate or revoke (key).

    GET with `take_away` (a key's id) asks whether that one is to be taken away.
    """
    owner = model_admin.get_object(request, object_id)
    if owner is None:
        raise Http404
    if not model_admin.has_change_permission(request, owner):
        raise PermissionDenied
    if request.method == "POST":
        deed_do(DEEDS, request, owner)
        return HttpResponseRedirect(request.path)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": owner,
        "title": "API keys",
        "base": "admin/base_site.html",
    }
    asked = _key(owner, request.GET.get("take_away", ""))
    if asked is not None:
        context["question"] = _question(request, owner, asked)
        return TemplateResponse(request, "console/ask_page.html", context)
    context |= {
        "owner": owner,
        "is_publisher": isinstance(owner, Publisher),
        "keys": owner.api_keys.order_by("id"),
        "now": timezone.now(),
        "secret": secret_shown(request, owner),
        "overlap_hours": OVERLAP_HOURS,
    }
    return TemplateResponse(request, "console/keys.html", context)


def _issue(request: HttpRequest, owner: Publisher | Campaign) -> None:
    key = api_key_issue(**{"publisher" if isinstance(owner, Publisher) else "campaign": owner})  # type: ignore[arg-type]
    record(request.user, owner, f"API key made; it ends in {key[-4:]}.")
    secret_keep(request, owner, key)


def _rotate(request: HttpRequest, owner: Publisher | Campaign) -> None:
    key = api_key_rotate(owner, overlap_hours=OVERLAP_HOURS)
    record(request.user, owner, f"API key rotated; the new one ends in {key[-4:]}.")
    secret_keep(request, owner, key, before=f"Those before work for another {OVERLAP_HOURS} hours.")


def _revoke(request: HttpRequest, owner: Publisher | Campaign) -> None:
    key = _key(owner, request.POST.get("key", ""))
    if key is not None:
        # Tokens that were handed out for it go with it.
        key.delete()
        record(request.user, owner, f"API key taken away; it ended in {key.ending}.")
        messages.success(request, f"The key that ends in {key.ending} opens nothing any more.")


DEEDS = {"issue": _issue, "rotate": _rotate, "revoke": _revoke}


def _key(owner: Publisher | Campaign, given: str) -> ApiKey | None:
    found = given.isascii() and given.isdigit() and len(given) < 19
    return owner.api_keys.filter(pk=int(given)).first() if found else None


def _question(request: HttpRequest, owner: Publisher | Campaign, key: ApiKey) -> Question:
    what = "It opens nothing from that moment on: whoever still sends leads with it is refused."
    tokens = " So are the tokens that were handed out for it." if isinstance(owner, Publisher) else ""
    if key.expires_at is None:
        rest = (
            f"To replace it without a gap, rotate: then it works for another {OVERLAP_HOURS} hours beside the new one."
        )
    else:
        ends = "ended" if key.expires_at <= timezone.now() else "is being replaced, and ends by itself"
        rest = f"It {ends} on {timezone.localtime(key.expires_at):%-d %b %Y at %H:%M}."
    return Question(
        title=f"Take away the key of {owner} that ends in {key.ending}?",
        words=[last_used(key.last_used_at), what + tokens, rest],
        yes="Take away",
        no="Keep it",
        back=request.path,
        to=request.path,
        values={"action": "revoke", "key": str(key.pk)},
    )
