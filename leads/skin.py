"""The one seam to the admin's skin, django-unfold: nothing else in the project imports it.

It lies in the lowest layer, for the admin classes of both apps build on it. The skin's settings, which are plain data, are
in portal/skin.py: settings are read before any class of the admin can be imported.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
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


class ModelAdmin(SkinModelAdmin):  # type: ignore[misc]
    """The skin's, with the one thing all pages of this portal share: nobody is offered "Save and add another"."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"show_save_and_add_another": False, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)  # type: ignore[no-any-return]
