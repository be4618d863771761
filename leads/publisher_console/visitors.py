"""Who looks at a publisher's pages: one of its own people, signed in, or whoever was handed a link."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.cache import never_cache

from leads.models import Publisher, PublisherLink
from leads.publisher_links import link_good

SESSION_KEY = "publisher_link"
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whose pages these are, and how the visitor came in. Who came by a link makes and changes nothing but tests."""

    publisher: Publisher
    link: PublisherLink | None = None

    @property
    def may_change(self) -> bool:
        return self.link is None


View = Callable[Concatenate[HttpRequest, Visitor, P], HttpResponse]


def publisher_of(user: Any) -> Publisher | None:
    """The publisher that a person works for; None for anybody who does not, or is not let in any more."""
    if not user.is_authenticated or not user.is_active:
        return None
    publisher: Publisher | None = user.publisher
    return publisher if publisher is not None and publisher.active else None


def visitor_of(request: HttpRequest) -> Visitor | None:
    """Who asks; None for nobody of a publisher's."""
    publisher = publisher_of(request.user)
    if publisher is not None:
        return Visitor(publisher)
    link_id = request.session.get(SESSION_KEY)
    link = link_good(link_id) if isinstance(link_id, int) else None
    return Visitor(link.publisher, link) if link is not None else None


def for_publishers(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Gives the view its visitor. Others are asked to sign in; staff are sent to the console."""

    @wraps(view)
    @never_cache
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        visitor = visitor_of(request)
        if visitor is None:
            if SESSION_KEY in request.session:
                return HttpResponseRedirect(reverse("publisher:link_ended"))
            if admin.site.has_permission(request):
                return HttpResponseRedirect(reverse("admin:index"))
            return redirect_to_login(request.get_full_path(), reverse("admin:login"))
        return view(request, visitor, *args, **kwargs)

    return guarded


def page_context(request: HttpRequest, visitor: Visitor) -> dict[str, Any]:
    """What every page of a publisher's shows around itself."""
    return {
        **admin.site.each_context(request),
        "visitor": visitor,
        "publisher": visitor.publisher,
        "instance_name": settings.INSTANCE_NAME,
    }
