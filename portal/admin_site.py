"""The admin site: who may come in, and its home page. One sign-in serves staff and publishers' own people."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from leads import limits
from leads.access import digest
from leads.models import User
from leads.skin import AdminSite, AuthenticationForm

TOO_MANY = "too_many"


class SignInForm(AuthenticationForm):  # type: ignore[misc]
    """Lets in staff, and a publisher's own people as long as the publisher is switched on.

    So many tries for a name, and from an address: beyond them no password is looked at, not even the right one.
    """

    def clean(self) -> dict[str, Any]:
        name = str(self.cleaned_data.get("username", "")).strip().lower()
        # The address first: what is turned down there uses up nobody's tries.
        wait = limits.count_in_thread("passwords", limits.address_key(self.request.META.get("REMOTE_ADDR")))
        wait = wait or limits.count_in_thread("sign_ins", "user:" + digest(name))
        if wait:
            self.wait = wait
            words = f"Too many tries to sign in. Wait {_minutes(wait)}, then try again."
            raise ValidationError(words, code=TOO_MANY)
        cleaned: dict[str, Any] = super().clean()
        return cleaned

    def confirm_login_allowed(self, user: User) -> None:
        if user.publisher is None:
            super().confirm_login_allowed(user)
        elif not user.is_active or not user.publisher.active:
            raise ValidationError(
                f"{user.publisher.name} is switched off here. Ask the people who run this portal.", code="switched_off"
            )


def _minutes(seconds: int) -> str:
    minutes = -(-seconds // 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


class PortalAdminSite(AdminSite):  # type: ignore[misc]
    site_title = settings.INSTANCE_NAME
    site_header = settings.INSTANCE_NAME
    index_title = "Home"
    index_template = "console/home.html"
    login_form = SignInForm
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        """Staff, and never a publisher's user, whatever else was ticked for it."""
        return bool(super().has_permission(request)) and getattr(request.user, "publisher_id", None) is None

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The sign-in page. A publisher's user who is signed in goes on to the publisher's own pages."""
        # Imported late: its pages wear this site's skin.
        from leads.publisher_console.visitors import publisher_of

        if request.method == "GET" and publisher_of(request.user) is not None:
            return HttpResponseRedirect(reverse("publisher:campaigns"))
        response: HttpResponse = super().login(request, extra_context)
        form = getattr(response, "context_data", {}).get("form")
        if isinstance(form, SignInForm) and form.has_error(NON_FIELD_ERRORS, TOO_MANY):
            response.status_code = 429
            response.headers["Retry-After"] = str(form.wait)
        if request.method == "POST" and response.status_code == 302 and publisher_of(request.user) is not None:
            return HttpResponseRedirect(self._publishers_page(request))
        return response

    def _publishers_page(self, request: HttpRequest) -> str:
        """Where a publisher's user wanted to go, if it is one of the publisher's pages."""
        home, wanted = reverse("publisher:campaigns"), request.POST.get("next", request.GET.get("next", ""))
        safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith(home)
        return wanted if safe else home

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # Imported late: what it shows comes from admin classes, which register with this site as they are imported.
        from portal.home import home_context

        return super().index(request, {**home_context(request), **(extra_context or {})})  # type: ignore[no-any-return]
