"""Partners' webhooks: who is told of what, whether it arrives, and what can be sent again."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from integrations.admin.notices import Arrival, delivery_arrival
from integrations.admin.told import host_of, plain_choosers, removed_with_messages
from integrations.kit.contract import ConnectorError
from integrations.models import Delivery, IntegrationState
from integrations.releasing import release_words
from integrations.webhooks.managed import SecretOverlap
from integrations.webhooks.subscriptions import (
    ENDED,
    OVERLAP_HOURS,
    SubscriptionError,
    subscription_add,
    subscription_change,
    subscription_messages,
    subscription_problems,
    subscription_remove,
    subscription_replay,
    subscription_rotate,
    subscription_rotated,
    subscription_standing,
    subscription_switch,
    subscription_test,
)
from leads.admin.badges import badge, short, two_lines
from leads.admin.deeds import deeds_url, rotating
from leads.admin.shown_once import secret_keep, secret_shown
from leads.history import Change, changed, record
from leads.models import Campaign, Happening, Publisher, Subscription
from leads.rights import may_see_personal_data
from leads.skin import ModelAdmin, Switch, TextInput

SHOWN = 25
BEFORE = (
    "Messages are signed with the old secret too, until you say that the receiver has the new one, and for "
    f"{OVERLAP_HOURS} hours at the most."
)
SINCE = (("1", "the last 24 hours"), ("7", "the last 7 days"), ("30", "the last 30 days"))


class SubscriptionForm(forms.ModelForm):  # type: ignore[type-arg]
    """A webhook and its address. Whose leads it is told of is chosen once: others are another webhook."""

    name = forms.CharField(
        required=False,
        max_length=150,
        widget=TextInput,
        help_text="For you and your colleagues. Empty: the host of its address.",
    )
    url = forms.CharField(
        label="URL",
        required=False,
        max_length=2_000,
        widget=TextInput,
        help_text="The whole https address that the partner gave you. A signing secret is made for you, and shown once.",
    )
    events = forms.MultipleChoiceField(
        label="Of what",
        required=False,
        choices=[(each.value, f"{each.label} ({each.value})") for each in Happening],
        widget=forms.CheckboxSelectMultiple,
        help_text="A publisher’s webhook is told of what happens to its leads, and not where they go.",
    )

    class Meta:
        model = Subscription
        fields = ("name", "events", "publisher", "campaign", "personal_data")
        widgets = {"personal_data": Switch}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and "url" in self.fields:
            self.initial["url"] = self.instance.integration.settings.get("url", "")
        if "publisher" in self.fields:
            self.fields["publisher"].queryset = Publisher.objects.order_by("name")  # type: ignore[attr-defined]
            self.fields["campaign"].queryset = Campaign.objects.order_by("name")  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """What the services will say of it: each word at its box."""
        found: dict[str, Any] = super().clean() or {}
        for error in subscription_problems(
            name=found.get("name") or "",
            url=found.get("url") or "",
            events=found.get("events") or (),
            publisher=found.get("publisher") or self.instance.publisher,
            campaign=found.get("campaign") or self.instance.campaign,
            new=self.instance.pk is None,
        ):
            self.add_error(error.field or None, error.message)
        return found


@admin.register(Subscription)
class SubscriptionAdmin(ModelAdmin):
    nothing_yet = "A webhook tells a partner’s system what happens to leads, as it happens."
    form = SubscriptionForm
    list_display = ("name_column", "whose", "of_what", "state")
    list_display_links = ("name_column",)
    search_fields = ("name", "publisher__name", "campaign__name")
    sortable_by = ()
    change_form_outer_before_template = "console/webhook.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        queryset: QuerySet[Subscription] = super().get_queryset(request)
        return queryset.filter(removed_at=None).select_related("integration", "publisher", "campaign", "key")

    def get_fieldsets(self, request: HttpRequest, obj: Subscription | None = None) -> Any:
        personal = ("personal_data",) if may_see_personal_data(request.user) else ()
        return [
            (None, {"fields": ("name", "url")}),
            ("What is told", {"fields": ("events", "publisher", "campaign", *personal)}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Subscription | None = None) -> tuple[str, ...]:
        return ("publisher", "campaign") if obj is not None else ()

    def get_form(
        self, request: HttpRequest, obj: Subscription | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return plain_choosers(form, "publisher", "campaign")

    @admin.display(description="Name")
    def name_column(self, subscription: Subscription) -> SafeString:
        return two_lines(subscription.name, host_of(subscription.integration), strong=True)

    @admin.display(description="Whose leads")
    def whose(self, subscription: Subscription) -> SafeString:
        publisher = f"of {subscription.publisher.name}" if subscription.publisher else "of all publishers"
        return two_lines(publisher, subscription.campaign.name if subscription.campaign else "all campaigns")

    @admin.display(description="Of what")
    def of_what(self, subscription: Subscription) -> SafeString:
        told = [Happening(each).label for each in subscription.events]
        values = "with values" if subscription.personal_data else "ids and reasons only"
        return two_lines("Everything" if len(told) == len(Happening) else short(", ".join(told), 80), values)

    @admin.display(description="State")
    def state(self, subscription: Subscription) -> SafeString:
        standing = subscription_standing(subscription)
        return badge(standing.word, standing.tone, standing.reason)

    # --- saved ------------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Subscription, form: Any, change: bool) -> None:
        given = form.cleaned_data
        personal = bool(given.get("personal_data", obj.personal_data)) and may_see_personal_data(request.user)
        if change:
            kept = obj.personal_data if "personal_data" not in given else personal
            subscription_change(obj, name=given["name"], url=given["url"], events=given["events"], personal_data=kept)
            return
        made, secret = subscription_add(
            name=given["name"],
            url=given["url"],
            events=given["events"],
            publisher=given.get("publisher"),
            campaign=given.get("campaign"),
            personal_data=personal,
            made_by=request.user.get_username(),
        )
        obj.pk, obj.name = made.pk, made.name
        secret_keep(request, obj, secret)

    def response_add(
        self, request: HttpRequest, obj: Subscription, post_url_continue: str | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:leads_subscription_change", args=[obj.pk]))

    def delete_model(self, request: HttpRequest, obj: Subscription) -> None:
        subscription_remove(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> None:
        for subscription in queryset:
            subscription_remove(subscription)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        return removed_with_messages(objs)

    # --- its page ---------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        return [deeds_url(self, DEEDS), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        subscription = self.get_object(request, object_id)
        context: dict[str, Any] = dict(extra_context or {})
        if subscription is not None:
            before = request.GET.get("before", "")
            rows = subscription_messages(subscription)
            if before.isascii() and before.isdigit() and len(before) < 19:
                rows = rows.filter(pk__lt=int(before))
            found = list(rows[: SHOWN + 1])
            context |= {
                "subscription": subscription,
                "secret": secret_shown(request, subscription),
                "standing": subscription_standing(subscription),
                "standing_badge": self.state(subscription),
                "may_act": self.has_change_permission(request, subscription),
                "latest": [_Line(message) for message in found[:SHOWN]],
                "older": found[SHOWN - 1].pk if len(found) > SHOWN else 0,
                "two_secrets": "previous_secret" in subscription.integration.secrets,
                "since": SINCE,
                "keep_days": settings.WEBHOOK_KEEP_DAYS,
            }
        return super().change_view(request, object_id, form_url, context)  # type: ignore[no-any-return]


class _Line:
    """One message on the page: what it told, whether it arrived, and whether it can be sent again."""

    def __init__(self, message: Delivery) -> None:
        self.message = message
        self.what = message.data.get("type", "")
        self.arrival: Arrival = delivery_arrival(message, self.what)
        self.lead_id = message.lead_id
        self.again = message.state in ENDED


def _test(request: HttpRequest, subscription: Subscription) -> None:
    if subscription.integration.state != IntegrationState.ON:
        messages.warning(request, "It is not on: the test goes out once it is switched on.")
    else:
        messages.success(request, "A test is on its way. Look below in a moment whether it has arrived.")
    subscription_test(subscription)


def _pause(request: HttpRequest, subscription: Subscription) -> None:
    _switch(request, subscription, False)


def _resume(request: HttpRequest, subscription: Subscription) -> None:
    _switch(request, subscription, True)


def _switch(request: HttpRequest, subscription: Subscription, on: bool) -> None:
    before = subscription_standing(subscription).word
    try:
        released = subscription_switch(subscription, on)
    except ConnectorError as error:
        messages.error(request, error.message)
        return
    subscription.integration.refresh_from_db()
    record(request.user, subscription, changed(Change("State", before, subscription_standing(subscription).word)))
    words = f"It is on: what waited goes out. {release_words(released, subscription.integration)}".strip()
    messages.success(request, words if on else "Paused: what happens waits until it is switched on.")


def _replay(request: HttpRequest, subscription: Subscription) -> None:
    """One message: its id is posted as `message`."""
    message = request.POST.get("message", "")
    ids = [int(message)] if message.isascii() and message.isdigit() and len(message) < 19 else []
    _sent_again(request, subscription, ids=ids)


def _replay_failed(request: HttpRequest, subscription: Subscription) -> None:
    """All that did not arrive in the last `days`."""
    days = request.POST.get("days", "")
    since = dt.timedelta(days=int(days) if days in dict(SINCE) else 1)
    _sent_again(request, subscription, failed_since=timezone.now() - since)


def _sent_again(request: HttpRequest, subscription: Subscription, **which: Any) -> None:
    try:
        count = subscription_replay(subscription, **which)
    except SubscriptionError as error:
        messages.error(request, error.message)
        return
    if not count:
        messages.info(request, "There was nothing to send again.")
        return
    record(request.user, subscription, f"{count:,} message{'' if count == 1 else 's'} sent again.")
    messages.success(request, f"{count:,} sent again. {release_words(count, subscription.integration)}".strip())


DEEDS = {
    "test": _test,
    "pause": _pause,
    "resume": _resume,
    "replay": _replay,
    "replay_failed": _replay_failed,
    **rotating(subscription_rotate, subscription_rotated, SecretOverlap, before=BEFORE),
}
