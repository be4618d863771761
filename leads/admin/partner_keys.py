"""Keys of the partner API: made, changed, rotated and taken away. A secret is shown once, by the page after, and never again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from leads.admin.asking import Question, last_used
from leads.admin.badges import badge, two_lines
from leads.admin.deeds import deeds_url, row_to_change
from leads.admin.shown_once import secret_keep, secret_shown
from leads.history import record
from leads.models import Campaign, PartnerKey, Publisher
from leads.partner_keys import OVERLAP, SCOPES, key_end, key_issue, key_rotate
from leads.rights import may_export, may_see_personal_data
from leads.skin import ModelAdmin

OVERLAP_HOURS = int(OVERLAP.total_seconds() // 3600)
# What a person may not do is nothing that a key of theirs may.
_WANTED = {"leads:read": may_see_personal_data, "exports:read": may_export}


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        label="What it may do",
        choices=[(scope, f"{words} ({scope})") for scope, words in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple,
    )

    class Meta:
        model = PartnerKey
        fields = ("name", "scopes", "publisher", "campaign", "expires_at")

    person: Any = None

    def clean_scopes(self) -> list[str]:
        scopes: list[str] = self.cleaned_data["scopes"]
        had = self.instance.scopes if self.instance.pk else []
        if refused := _refused(self.person, [scope for scope in scopes if scope not in had]):
            raise forms.ValidationError(f"You may not do this yourself, so you can’t let a key: {SCOPES[refused]}.")
        return scopes

    def clean_expires_at(self) -> dt.datetime | None:
        ends: dt.datetime | None = self.cleaned_data["expires_at"]
        was: dt.datetime | None = self.instance.expires_at if self.instance.pk else None
        if was is not None and was <= timezone.now() and "expires_at" in self.changed_data:
            raise forms.ValidationError("This key has ended. Who has it may have been told so: make a new one instead.")
        # A key that has ended keeps its end when another box is changed.
        if ends is not None and ends <= timezone.now() and "expires_at" in self.changed_data:
            raise forms.ValidationError(
                "This time has passed already." + (" To end the key now, take it away." if self.instance.pk else "")
            )
        return ends


def _refused(person: Any, scopes: Iterable[str]) -> str:
    """The first of these scopes that a person may not hand out, nor hold the secret of; empty where there is none."""
    return next((scope for scope in scopes if scope in _WANTED and not _WANTED[scope](person)), "")


@admin.register(PartnerKey)
class PartnerKeyAdmin(ModelAdmin):
    nothing_yet = "With a key, a partner’s system sends and reads leads over the partner API."
    form = KeyForm
    list_display = ("named", "of", "may", "used", "state")
    search_fields = ("name", "prefix")
    sortable_by = ()
    autocomplete_fields = ("publisher", "campaign")
    change_form_outer_before_template = "console/partner_key_actions.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PartnerKey]:
        queryset: QuerySet[PartnerKey] = super().get_queryset(request)
        return queryset.select_related("publisher", "campaign")

    def has_delete_permission(self, request: HttpRequest, obj: PartnerKey | None = None) -> bool:
        return False  # taken away, it stays to be seen

    def get_fieldsets(self, request: HttpRequest, obj: PartnerKey | None = None) -> Any:
        bound = ("Whose leads it sees", {"fields": ("publisher", "campaign")})
        return [(None, {"fields": ("name", "scopes", "expires_at")}), bound]

    def get_readonly_fields(self, request: HttpRequest, obj: PartnerKey | None = None) -> Any:
        # What is sent under a key belongs to whom it is bound: another owner gets another key.
        return ("publisher", "campaign") if obj is not None else ()

    def get_form(self, request: HttpRequest, obj: PartnerKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        form.person = request.user
        return form

    @admin.display(description="Name")
    def named(self, key: PartnerKey) -> SafeString:
        return two_lines(key.name, f"{key.prefix}…")

    @admin.display(description="Whose leads")
    def of(self, key: PartnerKey) -> str:
        return " in ".join(str(each) for each in (key.publisher, key.campaign) if each is not None) or "All"

    @admin.display(description="May")
    def may(self, key: PartnerKey) -> str:
        return ", ".join(key.scopes)

    @admin.display(description="Last used")
    def used(self, key: PartnerKey) -> str:
        return f"{key.last_used_at:%d %b %Y %H:%M}" if key.last_used_at else "Never"

    @admin.display(description="State")
    def state(self, key: PartnerKey) -> SafeString:
        return key_badge(key)

    def get_urls(self) -> list[URLPattern]:
        end = path("<int:key_id>/end/", self.admin_site.admin_view(self.end_view), name="leads_partnerkey_end")
        return [deeds_url(self, DEEDS), end, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: PartnerKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        publisher: Publisher | None = obj.publisher
        campaign: Campaign | None = obj.campaign
        made = key_issue(
            name=obj.name,
            scopes=form.cleaned_data["scopes"],
            made_by=str(request.user.get_username()),
            publisher=publisher,
            campaign=campaign,
            expires_at=obj.expires_at,
        )
        obj.__dict__.update(made.row.__dict__)
        secret_keep(request, obj, made.secret)

    def response_add(self, request: HttpRequest, obj: PartnerKey, post_url_continue: str | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:leads_partnerkey_change", args=[obj.pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        key = self.get_object(request, object_id)
        context: dict[str, Any] = dict(extra_context or {})
        if key is not None:
            context |= {
                "secret": secret_shown(request, key),
                "key_badge": key_badge(key),
                "ended": (ended := key_ended(key)),
                "may_act": not ended and self.has_change_permission(request, key),
                "refused": SCOPES.get(_refused(request.user, key.scopes), ""),
                "overlap_hours": OVERLAP_HOURS,
                "now": timezone.now(),
            }
        return super().change_view(request, object_id, form_url, context)  # type: ignore[no-any-return]

    def end_view(self, request: HttpRequest, key_id: int) -> HttpResponse:
        """Asks whether a key is to be taken away."""
        key: PartnerKey = row_to_change(self, request, key_id)
        webhooks = key.subscriptions.filter(removed_at=None).count()
        told = (
            f"{webhooks} webhook{' that was' if webhooks == 1 else 's that were'} made with it end too."
            if webhooks
            else ""
        )
        instead = (
            f"To replace it without a gap, rotate: then it works for another {OVERLAP_HOURS} hours beside the new one."
        )
        what = "It opens nothing from that moment on: whoever still calls with it is refused."
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": key,
            "title": key.name,
            "base": "admin/base_site.html",
            "question": Question(
                title=f"Take away the key {key.name}?",
                words=[last_used(key.last_used_at), " ".join(filter(None, (what, told))), instead],
                yes="Take away",
                no="Keep it",
                back=reverse("admin:leads_partnerkey_change", args=[key.pk]),
                to=reverse("admin:leads_partnerkey_act", args=[key.pk]),
                values={"action": "end"},
            ),
        }
        return TemplateResponse(request, "console/ask_page.html", context)


def _rotate(request: HttpRequest, key: PartnerKey) -> None:
    if refused := _refused(request.user, key.scopes):
        messages.error(request, f"You may not do this yourself, so its secret isn’t yours to have: {SCOPES[refused]}.")
        return
    made = key_rotate(key)
    record(request.user, key, f"Secret changed; the new one begins with {key.prefix}.")
    secret_keep(request, key, made.secret, before=f"The one before works for another {OVERLAP_HOURS} hours.")


def _end(request: HttpRequest, key: PartnerKey) -> None:
    key_end(key)
    record(request.user, key, "Taken away.")
    messages.success(request, f"The key {key.name} opens nothing any more.")


DEEDS = {"rotate": _rotate, "end": _end}


def key_ended(key: PartnerKey) -> bool:
    """Whether a key was taken away, or its time is over."""
    return key.expires_at is not None and key.expires_at <= timezone.now()


def key_badge(key: PartnerKey) -> SafeString:
    """Whether a key opens something, in a word."""
    if key_ended(key):
        return badge("Ended", "off")
    if key.publisher is not None and not key.publisher.active:
        return badge("Publisher switched off", "off")
    return badge("Works", "good")
