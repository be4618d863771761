"""What the buttons of a row's own page do: one address, to which an action's name is posted, and back to the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from leads.admin.shown_once import secret_keep
from leads.history import record

Deed = Callable[[HttpRequest, Any], None]
"""Does something with a row, and says in messages what came of it."""


def deeds_url(admin: Any, deeds: Mapping[str, Deed]) -> URLPattern:
    """The address, named …_act, of what is done on the pages of this admin: action name to deed.

    404 for a row that is not there and for an action without a deed, 403 for who may not change the row, 405 without a POST.
    """
    name = f"{admin.opts.app_label}_{admin.opts.model_name}"

    def act(request: HttpRequest, row_id: int) -> HttpResponse:
        row = row_to_change(admin, request, row_id)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        deed_do(deeds, request, row)
        return HttpResponseRedirect(reverse(f"admin:{name}_change", args=[row.pk]))

    view: Callable[..., HttpResponse] = admin.admin_site.admin_view(act)
    return path("<int:row_id>/act/", view, name=f"{name}_act")


def row_to_change(admin: Any, request: HttpRequest, row_id: int) -> Any:
    """A row of this admin's, for who may change it. Raises Http404 and PermissionDenied."""
    row = admin.get_queryset(request).filter(pk=row_id).first()
    if row is None:
        raise Http404
    if not admin.has_change_permission(request, row):
        raise PermissionDenied
    return row


def deed_do(deeds: Mapping[str, Deed], request: HttpRequest, row: Any) -> None:
    """Do what was posted as `action`. Raises Http404 where that is none of these deeds."""
    deed = deeds.get(request.POST.get("action", ""))
    if deed is None:
        raise Http404
    deed(request, row)


def rotating(
    rotate: Callable[[Any], str], rotated: Callable[[Any], None], refused: type[Exception], *, before: str
) -> Mapping[str, Deed]:
    """The two deeds that change a signing secret: `rotate` makes a new one, `rotated` ends the old one.

    `refused` is what `rotate` raises where it can't be, in words; `before` says for how long the old one signs too.
    """

    def new_secret(request: HttpRequest, row: Any) -> None:
        try:
            secret = rotate(row)
        except refused as why:
            messages.warning(request, str(why))
            return
        record(request.user, row, f"New signing secret; it ends in {secret[-4:]}.")
        secret_keep(request, row, secret, before=before)

    def old_ended(request: HttpRequest, row: Any) -> None:
        rotated(row)
        record(request.user, row, "The old signing secret signs nothing any more.")
        messages.success(request, "Messages are signed with the new secret alone.")

    return {"rotate": new_secret, "rotated": old_ended}
