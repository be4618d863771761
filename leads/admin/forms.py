"""Forms with their fields."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest

from leads.admin.pairs import ChoicesField
from leads.models import Field, Form
from leads.skin import ModelAdmin, TabularInline


class FieldForm(forms.ModelForm):  # type: ignore[type-arg]
    choices = ChoicesField(required=False, help_text="One value = label to a line.")

    class Meta:
        model = Field
        fields = (
            "name", "label", "type", "required", "enabled", "choices", "multiple", "min_length", "max_length", "position",
        )  # fmt: skip


class FieldInline(TabularInline):  # type: ignore[misc]
    model = Field
    form = FieldForm
    extra = 0
    hide_title = True
    ordering_field = "position"
    hide_ordering_field = True
    verbose_name_plural = "fields: drag to reorder"


@admin.register(Form)
class FormAdmin(ModelAdmin):
    nothing_yet = "A form says which fields a lead has, and which of them it must have."
    list_display = ("name", "identifier", "field_count", "campaign_names", "version")
    search_fields = ("name",)
    inlines = (FieldInline,)
    readonly_fields = ("identifier", "version")
    fieldsets = ((None, {"fields": ("name", ("identifier", "version"))}),)
    list_fullwidth = False
    warn_unsaved_form = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Form]:
        queryset: QuerySet[Form] = super().get_queryset(request)
        return queryset.prefetch_related("fields", "campaigns")

    @admin.display(description="Form ID", ordering="id")
    def identifier(self, form: Form) -> str:
        return str(form.pk or "given when it is saved")

    @admin.display(description="Fields")
    def field_count(self, form: Form) -> int:
        return len(form.fields.all())

    @admin.display(description="Campaigns")
    def campaign_names(self, form: Form) -> str:
        return ", ".join(campaign.name for campaign in form.campaigns.all()) or "–"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Saves the fields; a change to them is a new version of the form, and a rename is pointed out."""
        super().save_related(request, form, formsets, change)
        if not change or not any(formset.has_changed() for formset in formsets):
            return
        Form.objects.filter(pk=form.instance.pk).update(version=F("version") + 1)
        if not form.instance.campaigns.exists():
            return
        for formset in formsets:
            for row in formset.forms:
                if row in formset.deleted_forms and row.instance.name:
                    _warn(
                        request,
                        f"“{row.initial['name']}” is gone: posts of form[{row.initial['name']}] are refused now.",
                    )
                elif "name" in row.changed_data and row.initial.get("name"):
                    old, new = row.initial["name"], row.instance.name
                    _warn(request, f"“{old}” is called “{new}” now: publishers must post form[{new}].")


def _warn(request: HttpRequest, words: str) -> None:
    messages.warning(request, f"{words} Mappings that take their value from it need a look.")
