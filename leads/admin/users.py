"""People: staff of this portal, and publishers' users, which the admin never lets in."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.safestring import SafeString

from leads.admin.badges import badge
from leads.models import User
from leads.skin import AdminPasswordChangeForm, ModelAdmin, UserChangeForm, UserCreationForm


class NewUserForm(UserCreationForm):  # type: ignore[misc]
    class Meta(UserCreationForm.Meta):  # type: ignore[misc]
        model = User
        fields = ("username", "publisher")


@admin.register(User)
class PortalUserAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "publisher", "what", "last_login")
    list_filter = ("is_active", "is_staff")
    list_select_related = ("publisher",)
    # Rights are given by groups: a list of every single permission is more than a person reads.
    filter_horizontal = ()
    autocomplete_fields = ("publisher", "groups")
    fieldsets = (
        (None, {"fields": ("username", "password", ("first_name", "last_name"), "email")}),
        (
            "Publisher",
            {
                "fields": ("publisher",),
                "description": "A publisher’s user signs in through the API and never here, whatever is ticked below.",
            },
        ),
        ("What they may do", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "publisher", "usable_password", "password1", "password2")}),)

    @admin.display(description="Signs in to")
    def what(self, user: User) -> SafeString:
        if not user.is_active:
            return badge("Nothing: switched off", "off")
        if user.publisher_id is not None:
            return badge("API, as publisher", "busy")
        if user.is_superuser:
            return badge("Console, everything", "good")
        return badge("Console", "good") if user.is_staff else badge("Nothing yet", "off")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str | list[str]]:
        return {"publisher": request.GET.get("publisher", "")}


admin.site.unregister(Group)


@admin.register(Group)
class PortalGroupAdmin(GroupAdmin, ModelAdmin):
    pass
