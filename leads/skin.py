"""The one seam to the admin's skin, django-unfold: nothing else in the project imports it.

It lies in the lowest layer, for the admin classes of both apps build on it. The skin's settings, which are plain data, are
in portal/skin.py: settings are read before any class of the admin can be imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
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
from leads.opened import boxes_seal
from leads.opened_forms import boxes_of, page_conflict

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

    Nobody is offered "Save and add another", what is saved stands in the history with its old and new values, and nobody
    undoes what somebody else saved since the page was opened without having seen it.
    """

    nothing_yet = ""
    """What a list without any row is for, in a sentence: shown in its place (templates/unfold/helpers/empty_results.html)."""
    change_form_template = "console/change_form.html"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"show_save_and_add_another": False, **(extra_context or {})}
        if object_id is None:
            return super().changeform_view(request, object_id, form_url, context)  # type: ignore[no-any-return]
        with transaction.atomic():
            if request.method == "POST":
                # Two who save at once are one after the other: the second is told of the first.
                self.model._default_manager.select_for_update().filter(pk=unquote(object_id)).first()
            row = self.get_object(request, unquote(object_id))
            if row is not None and self.has_change_permission(request, row):
                context |= self._opened_with(request, row)
            return super().changeform_view(request, object_id, form_url, context)  # type: ignore[no-any-return]

    def _opened_with(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the page is opened with; of a posted one, what somebody else changed since, which stops the save."""
        fields = flatten_fieldsets(self.get_fieldsets(request, row))
        form = self.get_form(request, row, change=True, fields=fields)(instance=row)
        formsets = [
            made(instance=row, prefix=made.get_default_prefix(), queryset=inline.get_queryset(request))
            for made, inline in self.get_formsets_with_inlines(request, row)
        ]
        if request.method != "POST":
            return {"opened_with": boxes_seal(boxes_of(form, formsets))}
        conflict = page_conflict(request, row, form, formsets)
        request.conflict = conflict  # type: ignore[attr-defined]
        return {"opened_with": request.POST.get("opened_with", ""), "conflict": conflict}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form; one that saves nothing while somebody else's change is not decided on."""
        form = super().get_form(request, obj, change=change, **kwargs)
        return _undecided(form) if getattr(request, "conflict", None) is not None else form

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


def _undecided(form: Any) -> Any:
    class Undecided(form):  # type: ignore[misc]
        """Shown again with all that was typed, and without an error: nothing is wrong with it."""

        def is_valid(self) -> bool:
            super().is_valid()
            return False

    return Undecided
