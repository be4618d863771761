"""People: staff of this portal, and publishers' users, which the admin never lets in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from leads.admin.badges import badge
from leads.history import PARTNER_API, has_history
from leads.models import User
from leads.rights import ERASE, EXPORT
from leads.skin import AdminPasswordChangeForm, ModelAdmin, Switch, UserChangeForm, UserCreationForm

# Rights that no group needs to have: each person is given them by name.
OWN_RIGHTS = {"may_export": EXPORT, "may_erase": ERASE}


class NewUserForm(UserCreationForm):  # type: ignore[misc]
    class Meta(UserCreationForm.Meta):  # type: ignore[misc]
        model = User
        fields = ("username", "publisher")


class PersonForm(UserChangeForm):  # type: ignore[misc]
    may_export = forms.BooleanField(
        required=False,
        widget=Switch,
        label="May export leads",
        help_text="As CSV and XLSX files; masked for those who may not see personal data.",
    )
    may_erase = forms.BooleanField(
        required=False,
        widget=Switch,
        label="May erase personal data",
        help_text="For good: what was erased can’t be brought back.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = set(self.instance.user_permissions.values_list("codename", flat=True))
        for name, right in OWN_RIGHTS.items():
            if name in self.fields:
                self.initial[name] = right.split(".")[1] in given


@admin.register(User)
class PortalUserAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg, misc]
    form = PersonForm
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
                "description": "A publisher’s user sees that publisher’s campaigns and never the console, whatever is ticked below.",
            },
        ),
        (
            "What they may do",
            {
                "fields": ("is_active", "is_staff", "is_superuser", "groups", ("may_export", "may_erase")),
                "description": "A viewer sees no personal data, an account manager runs campaigns, an administrator does "
                "everything.",
            },
        ),
    )
    add_fieldsets = ((None, {"fields": ("username", "publisher", "usable_password", "password1", "password2")}),)

    @admin.display(description="Signs in to")
    def what(self, user: User) -> SafeString:
        if not user.is_active:
            return badge("Nothing: switched off", "off")
        if user.publisher_id is not None:
            return badge("Its publisher’s pages, and the API", "busy")
        if user.is_superuser:
            return badge("Console, everything", "good")
        return badge("Console", "good") if user.is_staff else badge("Nothing yet", "off")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """People: not the one who stands for keys in the history."""
        return super().get_queryset(request).exclude(username=PARTNER_API)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Nobody makes anybody more than they are themselves."""
        fields = list(super().get_readonly_fields(request, obj))
        return fields if getattr(request.user, "is_superuser", False) else [*fields, "is_superuser"]

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Who has changed something stays, switched off, for the history names them."""
        if obj is None or has_history(obj):
            return False
        return bool(super().has_delete_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and obj.is_superuser and not getattr(request.user, "is_superuser", False):
            return False
        return bool(super().has_change_permission(request, obj))

    def save_related(self, request: HttpRequest, form: Any, formsets: Iterable[Any], change: bool) -> None:
        super().save_related(request, form, formsets, change)
        for name, right in OWN_RIGHTS.items():
            if name in form.cleaned_data:
                permission = Permission.objects.get(content_type__app_label="leads", codename=right.split(".")[1])
                rights = form.instance.user_permissions
                (rights.add if form.cleaned_data[name] else rights.remove)(permission)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, str | list[str]]:
        return {"publisher": request.GET.get("publisher", "")}


admin.site.unregister(Group)


@admin.register(Group)
class PortalGroupAdmin(GroupAdmin, ModelAdmin):  # type: ignore[misc]
    pass
