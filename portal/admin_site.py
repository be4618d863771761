"""The admin site: who may come in, and its home page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse

from leads.models import User
from leads.skin import AdminSite, AuthenticationForm


class SignInForm(AuthenticationForm):  # type: ignore[misc]
    """Says plainly why a publisher's user is not let in: such a user works with the API."""

    def confirm_login_allowed(self, user: User) -> None:
        if user.publisher_id is not None:
            raise ValidationError(
                "This user belongs to a publisher and signs in through the API, not here. Ask the people who run this "
                "portal for a user of your own.",
                code="publisher_user",
            )
        super().confirm_login_allowed(user)


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

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # Imported late: what it shows comes from admin classes, which register with this site as they are imported.
        from portal.home import home_context

        return super().index(request, {**home_context(request), **(extra_context or {})})  # type: ignore[no-any-return]
