"""Who is told: e-mail addresses and webhooks, of what, and whether the latest messages arrived."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString

from integrations.admin.notices import arrival
from integrations.admin.told import host_of, plain_choosers, removed_with_messages
from integrations.kit.contract import ConnectorError
from integrations.models import Integration, IntegrationState, NoticeKind, NoticeTarget
from integrations.notices.targets import (
    secret_rotate,
    secret_rotated,
    webhook_add,
    webhook_change,
    webhook_problem,
    webhook_resume,
)
from integrations.notices.telling import target_test
from integrations.webhooks.managed import SecretOverlap
from leads.admin.badges import badge, two_lines
from leads.admin.deeds import Deed, deeds_url, rotating
from leads.admin.shown_once import secret_keep, secret_shown
from leads.history import record
from leads.models import Campaign
from leads.skin import ModelAdmin, Select, Switch, TextInput

SHOWN = 10
BEFORE = "Messages are signed with the old secret too, until you say that the receiver has the new one."
EMAIL, WEBHOOK = "email", "webhook"


class TargetForm(forms.ModelForm):  # type: ignore[type-arg]
    """A target and, for a webhook, its address. The way it is told is chosen once: another way is another target."""

    way = forms.ChoiceField(
        label="How",
        choices=[(EMAIL, "By e-mail"), (WEBHOOK, "By signed webhook")],
        initial=EMAIL,
        widget=Select,
        help_text="A webhook’s signing secret is made for you, and shown once when it is saved.",
    )
    url = forms.CharField(
        label="URL",
        required=False,
        max_length=2_000,
        widget=TextInput,
        help_text="The whole https address that takes notices; for a webhook only.",
    )
    kinds = forms.MultipleChoiceField(
        label="Kinds",
        required=False,
        choices=NoticeKind.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: of everything.",
    )

    class Meta:
        model = NoticeTarget
        fields = ("name", "email", "only_campaign", "only_integration", "kinds", "active")
        widgets = {"active": Switch}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None:
            self.fields.pop("way", None)
        if self.instance.integration is not None and "url" in self.fields:
            self.initial["url"] = self.instance.integration.settings.get("url", "")
        if "only_integration" in self.fields:
            # Status changes and webhooks of the portal's own are nobody's choice.
            self.fields["only_integration"].queryset = (  # type: ignore[attr-defined]
                Integration.objects.filter(managed=False).select_related("campaign").order_by("campaign__name", "name")
            )
            self.fields["only_integration"].label_from_instance = (  # type: ignore[attr-defined]
                lambda row: f"{row.name} ({row.campaign.name})"
            )
            self.fields["only_integration"].required = False
        if "only_campaign" in self.fields:
            self.fields["only_campaign"].queryset = Campaign.objects.order_by("name")  # type: ignore[attr-defined]
            self.fields["only_campaign"].required = False

    @property
    def by_webhook(self) -> bool:
        if self.instance.pk is not None:
            return self.instance.integration_id is not None
        return self.data.get("way") == WEBHOOK

    def clean(self) -> dict[str, Any]:
        found: dict[str, Any] = super().clean() or {}
        url, email = str(found.get("url") or "").strip(), str(found.get("email") or "")
        if self.by_webhook:
            found["email"] = ""
            problem = webhook_problem(url)
            if problem:
                self.add_error("url", problem)
        elif not email and "email" not in self.errors:
            self.add_error("email", "E-mail address is missing.")
        found["url"] = url
        return found


@admin.register(NoticeTarget)
class NoticeTargetAdmin(ModelAdmin):
    form = TargetForm
    list_display = ("name", "where", "of_what", "state")
    search_fields = ("name", "email")
    sortable_by = ()
    change_form_outer_before_template = "console/notice_target.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[NoticeTarget]:
        queryset: QuerySet[NoticeTarget] = super().get_queryset(request)
        return queryset.select_related("integration", "only_campaign", "only_integration__campaign")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: NoticeTarget | None = None) -> Any:
        scope = ("What is told", {"fields": ("only_campaign", "only_integration", "kinds")})
        if obj is None:
            return [(None, {"fields": ("name", "way", "email", "url", "active")}), scope]
        return [(None, {"fields": ("name", "url" if obj.integration_id else "email", "active")}), scope]

    def get_form(
        self, request: HttpRequest, obj: NoticeTarget | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return plain_choosers(form, "only_campaign", "only_integration")

    @admin.display(description="Name")
    def name(self, target: NoticeTarget) -> str:
        return target.name

    @admin.display(description="Where")
    def where(self, target: NoticeTarget) -> str:
        if target.integration is None:
            return target.email
        return f"Webhook at {host_of(target.integration)}"

    @admin.display(description="Of what")
    def of_what(self, target: NoticeTarget) -> SafeString:
        kinds = ", ".join(NoticeKind(kind).label for kind in target.kinds) or "Everything"
        if target.only_integration is not None:
            return two_lines(kinds, f"only {target.only_integration.name} ({target.only_integration.campaign.name})")
        return two_lines(kinds, f"only {target.only_campaign.name}" if target.only_campaign else "all campaigns")

    @admin.display(description="State")
    def state(self, target: NoticeTarget) -> SafeString:
        if not target.active:
            return badge("Switched off", "off")
        if target.integration is not None and target.integration.state != IntegrationState.ON:
            return badge("Stopped", "bad", target.integration.state_reason)
        last = target.messages.select_related("delivery", "target").first()
        if last is None:
            return badge("Nothing sent yet", "off")
        found = arrival(last)
        return badge(f"Latest: {found.word.lower()}", found.tone, found.words)

    # --- saved ------------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: NoticeTarget, form: Any, change: bool) -> None:
        if not form.by_webhook:
            super().save_model(request, obj, form, change)
        elif change:
            super().save_model(request, obj, form, change)
            webhook_change(obj, form.cleaned_data["url"])
        else:
            secret_keep(request, obj, webhook_add(obj, form.cleaned_data["url"]))

    def response_add(
        self, request: HttpRequest, obj: NoticeTarget, post_url_continue: str | None = None
    ) -> HttpResponse:
        messages.success(request, f"“{obj.name}” is told from now on. Send a test to see whether it arrives.")
        return HttpResponseRedirect(reverse("admin:integrations_noticetarget_change", args=[obj.pk]))

    def delete_model(self, request: HttpRequest, obj: NoticeTarget) -> None:
        if obj.integration is not None:
            obj.integration.delete()
        else:
            super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[NoticeTarget]) -> None:
        for target in queryset.select_related("integration"):
            self.delete_model(request, target)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        return removed_with_messages(objs)

    # --- its page ---------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        return [deeds_url(self, DEEDS), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        target = self.get_object(request, object_id)
        context: dict[str, Any] = dict(extra_context or {})
        if target is not None:
            integration = target.integration
            latest = target.messages.select_related("delivery", "target", "step__notice")[:SHOWN]
            context |= {
                "target": target,
                "secret": secret_shown(request, target),
                "may_act": self.has_change_permission(request, target),
                "latest": [(message, arrival(message)) for message in latest],
                "stopped": integration.state_reason
                if integration is not None and integration.state != IntegrationState.ON
                else "",
                "two_secrets": integration is not None and "previous_secret" in integration.secrets,
            }
        return super().change_view(request, object_id, form_url, context)  # type: ignore[no-any-return]


def _test(request: HttpRequest, target: NoticeTarget) -> None:
    target_test(target)
    messages.success(request, "A test is on its way. Look below in a moment whether it has arrived.")


def _resume(request: HttpRequest, target: NoticeTarget) -> None:
    try:
        webhook_resume(target)
    except ConnectorError as error:
        messages.error(request, error.message)
    else:
        record(request.user, target, "Switched on again.")
        messages.success(request, "It is on again: what waited goes out.")


def _of_webhooks(deeds: Mapping[str, Deed]) -> dict[str, Deed]:
    """These deeds, which a target that is told by e-mail does not have."""

    def of_webhook(deed: Deed) -> Deed:
        def done(request: HttpRequest, target: NoticeTarget) -> None:
            if target.integration_id is None:
                raise Http404
            deed(request, target)

        return done

    return {name: of_webhook(deed) for name, deed in deeds.items()}


DEEDS = {
    "test": _test,
    **_of_webhooks({"resume": _resume, **rotating(secret_rotate, secret_rotated, SecretOverlap, before=BEFORE)}),
}
