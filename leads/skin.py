"""The one seam to the admin's skin, django-unfold: nothing else in the project imports it.

It lies in the lowest layer, for the admin classes of both apps build on it. The skin's settings, which are plain data, are
in portal/skin.py: settings are read before any class of the admin can be imported.
"""

from __future__ import annotations

from unfold.admin import ModelAdmin, StackedInline, TabularInline
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
