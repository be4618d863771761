"""The one seam to the admin's skin, django-unfold: nothing else in the project imports it.

It lies in the lowest layer, for the admin classes of both apps build on it. The skin's settings, which are plain data, are
in portal/skin.py: settings are read before any class of the admin can be imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import ModelAdmin as SkinModelAdmin
from unfold.admin import StackedInline, TabularInline
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, AuthenticationForm, UserChangeForm, UserCreationForm
from unfold.sites import UnfoldAdminSite as AdminSite
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget as NumberInput,
)
from unfold.widgets import (
    UnfoldAdminPasswordWidget as PasswordInput,
)
from unfold.widgets import (
    UnfoldAdminSelectWidget as Select,
)
from unfold.widgets import (
    UnfoldAdminTextareaWidget as Textarea,
)
from unfold.widgets import (
    UnfoldAdminTextInputWidget as TextInput,
)
from unfold.widgets import (
    UnfoldBooleanSwitchWidget as Switch,
)

from leads.history import entries_of, form_message, read

__all__ = [
    "AdminPasswordChangeForm",
    "AdminSite",
    "AuthenticationForm",
    "ChoicesDropdownFilter",
    "DropdownFilter",
    "ModelAdmin",
    "NumberInput",
    "PasswordInput",
    "RangeDateFilter",
    "RelatedDropdownFilter",
    "Select",
    "StackedInline",
    "Switch",
    "TabularInline",
    "TextInput",
    "Textarea",
    "UserChangeForm",
    "UserCreationForm",
    "action",
    "display",
]


HISTORY_PAGE = 50


class ModelAdmin(SkinModelAdmin):  # type: ignore[misc]
    """The skin's, with what all pages of this portal share.

    Nobody is offered "Save and add another", and what is saved stands in the history with its old and new values.
    """

    nothing_yet = ""
    """What a list without any row is for, in a sentence: shown in its place (templates/unfold/helpers/empty_results.html)."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"show_save_and_add_another": False, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)  # type: ignore[no-any-return]

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Iterable[Any], add: bool = False
    ) -> list[dict[str, Any]]:
        return form_message(form, formsets or (), add=add)

    def history_about(self, row: Any) -> list[tuple[type[Model], Iterable[Any]]]:
        """Whose entries the history page of a row shows: (model, ids), ..."""
        return [(self.model, [row.pk])]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Who changed what of a row, and when, the newest first."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_or_change_permission(request, row):
            raise PermissionDenied
        page = Paginator(entries_of(*self.history_about(row)), HISTORY_PAGE).get_page(request.GET.get("p"))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": f"History of {row}",
            "page": page,
            "entries": [read(entry, of=row) for entry in page],
            **(extra_context or {}),
        }
        return TemplateResponse(request, "console/history.html", context)
