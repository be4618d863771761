"""A publisher's own webhooks, on its own pages: what they are told, whether it arrives, and a signed test."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from integrations.models import Delivery, DeliveryState
from integrations.webhooks.managed import SecretOverlap
from integrations.webhooks.routing import happenings_offered
from integrations.webhooks.subscriptions import (
    OVERLAP_HOURS,
    SubscriptionError,
    subscription_add,
    subscription_messages,
    subscription_problems,
    subscription_remove,
    subscription_rotate,
    subscription_rotated,
    subscription_standing,
    subscription_test,
)
from leads.admin.asking import Question
from leads.admin.badges import badge
from leads.admin.deeds import deed_do, rotating
from leads.admin.shown_once import secret_keep, secret_shown
from leads.history import record
from leads.models import Subscription
from leads.publisher_console.visitors import Visitor, for_publishers, page_context

SHOWN = 10
# Whoever has a link may press the button: so many tests of a webhook in a minute.
TESTS_A_MINUTE = 5
_WORDS = {
    DeliveryState.DELIVERED: ("Arrived", "good"),
    DeliveryState.QUEUED: ("On its way", "busy"),
    DeliveryState.SENDING: ("On its way", "busy"),
    DeliveryState.HELD: ("Waiting", "wait"),
}


@require_http_methods(["GET", "HEAD", "POST"])
@for_publishers
def webhooks(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    """The publisher's webhooks with their latest messages. POST adds one: url, events."""
    if request.method == "POST":
        return _add(request, visitor)
    return _page(request, visitor)


@require_POST
@for_publishers
def act(request: HttpRequest, visitor: Visitor, subscription_id: int) -> HttpResponse:
    """The buttons of one. POST: action test; for who has an account also rotate, rotated or remove."""
    subscription = _subscription(visitor, subscription_id)
    if request.POST.get("action") != "test" and not visitor.may_change:
        raise PermissionDenied
    deed_do(DEEDS, request, subscription)
    return HttpResponseRedirect(reverse("publisher_webhooks:list"))


@require_safe
@for_publishers
def ask_remove(request: HttpRequest, visitor: Visitor, subscription_id: int) -> HttpResponse:
    """Asks whether one is to be removed."""
    subscription = _subscription(visitor, subscription_id)
    if not visitor.may_change:
        raise PermissionDenied
    last = subscription_messages(subscription).first()
    lately = (
        f"The last message was made on {last.created_at:%-d %b %Y at %H:%M} UTC."
        if last
        else "It was told nothing yet."
    )
    question = Question(
        title=f"Remove {subscription.name}?",
        words=[lately, "It is told nothing more, and its messages, also those that wait, go with it."],
        yes="Remove",
        no="Keep it",
        back=reverse("publisher_webhooks:list"),
        to=reverse("publisher_webhooks:act", args=[subscription.pk]),
        values={"action": "remove"},
    )
    base = "console/publisher/base.html"
    context = {**page_context(request, visitor), "title": "Webhooks", "base": base, "question": question}
    return TemplateResponse(request, "console/ask_page.html", context)


def _own(visitor: Visitor) -> QuerySet[Subscription]:
    mine = Subscription.objects.filter(publisher=visitor.publisher, removed_at=None)
    return mine.select_related("integration", "campaign", "key").order_by("pk")


def _subscription(visitor: Visitor, subscription_id: int) -> Subscription:
    found = _own(visitor).filter(pk=subscription_id).first()
    if found is None:
        raise Http404
    return found


def _add(request: HttpRequest, visitor: Visitor) -> HttpResponse:
    if not visitor.may_change:
        raise PermissionDenied
    asked: dict[str, Any] = {
        "name": request.POST.get("name", ""),
        "url": request.POST.get("url", ""),
        "events": request.POST.getlist("events"),
    }
    problems = subscription_problems(**asked, publisher=visitor.publisher)
    if not problems:
        try:
            made, secret = subscription_add(**asked, publisher=visitor.publisher, made_by=request.user.get_username())
        except SubscriptionError as error:
            problems = [error]
        else:
            record(request.user, made, "Made on the publisher’s own page.")
            secret_keep(request, made, secret)
            return HttpResponseRedirect(reverse("publisher_webhooks:list"))
    return _page(request, visitor, asked=asked, problems={error.field or "url": error.message for error in problems})


def _test(request: HttpRequest, subscription: Subscription) -> None:
    lately = timezone.now() - dt.timedelta(minutes=1)
    if subscription_messages(subscription).filter(test=True, created_at__gte=lately).count() >= TESTS_A_MINUTE:
        messages.warning(request, "That were many tests. Wait a minute before the next one.")
        return
    subscription_test(subscription)
    messages.success(request, "A signed test is on its way. Look in a moment whether it has arrived.")


def _remove(request: HttpRequest, subscription: Subscription) -> None:
    record(request.user, subscription, "Removed.")
    subscription_remove(subscription)
    messages.success(request, f"“{subscription.name}” is removed: it is told nothing more.")


BEFORE = f"For another {OVERLAP_HOURS} hours, or until you say that your system has the new one, the old one signs too."
DEEDS = {
    "test": _test,
    "remove": _remove,
    **rotating(subscription_rotate, subscription_rotated, SecretOverlap, before=BEFORE),
}


def _page(
    request: HttpRequest,
    visitor: Visitor,
    *,
    asked: dict[str, Any] | None = None,
    problems: dict[str, str] | None = None,
) -> HttpResponse:
    offered = happenings_offered(publisher_bound=True)
    chosen = [each.value for each in offered] if asked is None else asked["events"]
    rows = []
    for subscription in _own(visitor):
        standing = subscription_standing(subscription)
        rows.append(
            {
                "subscription": subscription,
                "secret": secret_shown(request, subscription),
                "two_secrets": "previous_secret" in subscription.integration.secrets,
                "url": subscription.integration.settings.get("url", "").partition("?")[0],
                "badge": badge(standing.word, standing.tone),
                "reason": standing.reason,
                "latest": [_line(message) for message in subscription_messages(subscription)[:SHOWN]],
            }
        )
    context = {
        **page_context(request, visitor),
        "title": "Webhooks",
        "rows": rows,
        "overlap_hours": OVERLAP_HOURS,
        "offered": [(each.value, each.label, each.value in chosen) for each in offered],
        "asked": asked or {},
        "problems": problems or {},
        "keep_days": settings.WEBHOOK_KEEP_DAYS,
    }
    return TemplateResponse(request, "console/publisher/webhooks.html", context, status=422 if problems else 200)


def _line(message: Delivery) -> dict[str, Any]:
    word, tone = _WORDS.get(DeliveryState(message.state), ("Did not arrive", "bad"))
    if message.state == DeliveryState.QUEUED and message.tries:
        word = "Tried again"
    return {
        "what": message.data.get("type", ""),
        "id": message.key.hex,
        "at": message.created_at,
        "badge": badge(word, tone),
        "reason": message.reason,
    }


app_name = "publisher_webhooks"
urlpatterns = [
    path("", webhooks, name="list"),
    path("<int:subscription_id>/", act, name="act"),
    path("<int:subscription_id>/remove/", ask_remove, name="remove"),
]
