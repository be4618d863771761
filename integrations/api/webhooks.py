"""Webhooks over the partner API: subscriptions, what they were told, tries, a test, replays, and a change of secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from integrations.api.webhook_shapes import (
    MESSAGE_STATES,
    AttemptSerializer,
    MessageSerializer,
    NewWebhookSerializer,
    ReplayedSerializer,
    ReplaySerializer,
    RotateSerializer,
    WebhookChangeSerializer,
    WebhookRequestSerializer,
    WebhookSerializer,
)
from integrations.kit.contract import ConnectorError
from integrations.webhooks.managed import SecretOverlap
from integrations.webhooks.subscriptions import (
    SubscriptionError,
    subscription_add,
    subscription_change,
    subscription_messages,
    subscription_remove,
    subscription_replay,
    subscription_rotate,
    subscription_standing,
    subscription_switch,
    subscription_test,
)
from leads.api.calls import partner_of
from leads.api.problems import ProblemRaised, raised, wrong
from leads.api.repeating import IDEMPOTENCY_KEY, done_once
from leads.api.resources import Done, Rows, acting, given_in, listing, reading, state_filter, together
from leads.history import record_by_key
from leads.models import PartnerKey, Publisher, Subscription
from leads.partner_keys import READS_LEADS, Partner

TAG = "Webhooks"
SCOPE = "webhooks:write"
_COMMON: Any = {"scope": SCOPE, "tag": TAG}
_EXAMPLE = {"url": "https://crm.example.com/hooks/leads", "events": ["lead.judged", "lead.flagged"]}


def _own(partner: Partner) -> QuerySet[Subscription]:
    """The webhooks that a key sees: those that are bound as closely as it is."""
    return partner.bound(Subscription.objects.filter(removed_at=None).select_related("integration", "key"))


def _change(partner: Partner, webhook: Subscription, given: Mapping[str, Any]) -> Done:
    _refuse_personal(partner, given, webhook)
    was = subscription_standing(webhook).word
    change = {name: value for name, value in given.items() if name != "enabled"}
    if change:
        subscription_change(webhook, **change)
    if "enabled" in given:
        subscription_switch(webhook, given["enabled"])
    webhook = Subscription.objects.select_related("integration", "key").get(pk=webhook.pk)
    now = subscription_standing(webhook).word
    words = [f"Changed: {', '.join(sorted(change))}."] if change else []
    words += [f"State changed from {was} to {now}."] if was != now else []
    return Done(WebhookSerializer(webhook).data, " ".join(words))


def _remove(partner: Partner, webhook: Subscription, given: Mapping[str, Any]) -> Done:
    subscription_remove(webhook)
    return Done(None, "Removed.")


def _test(partner: Partner, webhook: Subscription, given: Mapping[str, Any]) -> Done:
    return Done(MessageSerializer(subscription_test(webhook)).data)


def _rotate(partner: Partner, webhook: Subscription, given: Mapping[str, Any]) -> Done:
    _refuse_personal(partner, {}, webhook)
    secret = subscription_rotate(webhook, given["overlap_hours"])
    return Done(_with_secret(webhook, secret), f"New signing secret; it ends in {secret[-4:]}.")


def _replay(partner: Partner, webhook: Subscription, given: Mapping[str, Any]) -> Done:
    if "failed_since" in given:
        count = subscription_replay(webhook, failed_since=given["failed_since"])
    else:
        count = subscription_replay(webhook, ids=_message_ids(webhook, given["messages"]))
    words = f"{count:,} message{'' if count == 1 else 's'} sent again." if count else ""
    return Done({"replayed": count}, words)


def _message_ids(webhook: Subscription, keys: Sequence[str]) -> list[int]:
    found = subscription_messages(webhook).filter(key__in=[UUID(hex=key) for key in keys])
    known = dict(found.values_list("key", "pk"))
    for place, key in enumerate(keys):
        if UUID(hex=key) not in known:
            words = "This webhook has no such message (any more)."
            raise wrong("messages", words, pointer=f"/messages/{place}")
    return list(known.values())


def _with_secret(webhook: Subscription, secret: str) -> dict[str, Any]:
    return {**WebhookSerializer(webhook).data, "secret": secret}


def _refuse_personal(partner: Partner, given: Mapping[str, Any], webhook: Subscription | None = None) -> None:
    """Who may not read leads has none of their values sent anywhere: no such webhook is made, redirected or opened."""
    if READS_LEADS in partner.scopes:
        return
    if given.get("personal_data"):
        raise wrong("personal_data", f"This needs a key with the scope {READS_LEADS}.", pointer="/personal_data")
    if webhook is not None and webhook.personal_data:
        raise raised(
            "scope-missing", f"Its messages have leads’ values: this needs a key with the scope {READS_LEADS}."
        )


def _of(error: SubscriptionError) -> ProblemRaised:
    return (
        wrong(error.field, error.message, pointer=f"/{error.field}")
        if error.field
        else raised("conflict", error.message)
    )


_OVERLAPS = "Its secret is being changed until rotated_until: wait, or end the others with overlap_hours 0."
WEBHOOKS = Rows(
    "webhook",
    _own,
    WebhookSerializer,
    refusals={
        SubscriptionError: _of,
        ConnectorError: lambda error: raised("conflict", error.message),
        SecretOverlap: lambda error: raised("conflict", _OVERLAPS),
    },
)
_MESSAGES = Rows("message", subscription_messages, MessageSerializer, [state_filter(MESSAGE_STATES)], within=WEBHOOKS)


class _Make(APIView):
    scopes = {"POST": SCOPE}

    @extend_schema(
        operation_id="webhook_create",
        tags=[TAG],
        summary="Be told of what happens",
        description="Messages are signed as Standard Webhooks v1 describe it, with the secret that is in this answer alone. "
        "A publisher’s webhook is told of its leads, and not of where they go.",
        parameters=[IDEMPOTENCY_KEY],
        request=WebhookRequestSerializer,
        responses={201: NewWebhookSerializer},
        examples=[OpenApiExample("What became of leads", _EXAMPLE, request_only=True)],
    )
    @done_once(without=("secret",))
    def post(self, request: Request) -> Response:
        given = given_in(WebhookRequestSerializer, request.data)
        partner = partner_of(request)
        publisher_id = given.get("publisher", partner.publisher_id)
        campaign_id = given.get("campaign", partner.campaign_id)
        publisher = Publisher.objects.filter(pk=publisher_id).first() if publisher_id is not None else None
        if publisher_id is not None and (publisher is None or not partner.sees(publisher_id=publisher_id)):
            raise wrong("publisher", "There is no such publisher.", pointer="/publisher")
        campaign = partner.campaigns().filter(pk=campaign_id).first() if campaign_id is not None else None
        if campaign_id is not None and campaign is None:
            raise wrong("campaign", "There is no such campaign.", pointer="/campaign")
        _refuse_personal(partner, given)
        try:
            made, secret = subscription_add(
                name=given.get("name", ""),
                url=given["url"],
                events=given["events"],
                publisher=publisher,
                campaign=campaign,
                personal_data=given.get("personal_data", False),
                key=PartnerKey.objects.get(pk=partner.key_id),
                made_by=f"The key {partner.name}",
            )
        except SubscriptionError as error:
            raise _of(error) from None
        record_by_key(partner, made, "Made.")
        return Response(
            _with_secret(made, secret), status.HTTP_201_CREATED, headers={"Location": f"/api/v1/webhooks/{made.pk}"}
        )


WebhooksView = together(
    listing(WEBHOOKS, **_COMMON, operation="webhooks_list", summary="Webhooks", page="WebhookPage"), _Make
)
WebhookView = together(
    reading(WEBHOOKS, **_COMMON, operation="webhook_read", summary="One webhook"),
    acting(
        WEBHOOKS,
        _change,
        **_COMMON,
        operation="webhook_change",
        summary="Change, pause or switch on a webhook",
        takes=WebhookChangeSerializer,
        answers=WebhookSerializer,
        examples=[OpenApiExample("Pause it", {"enabled": False}, request_only=True)],
        method="PATCH",
    ),
    acting(
        WEBHOOKS,
        _remove,
        **_COMMON,
        operation="webhook_delete",
        summary="Be told no more",
        description="What was told, and what waits, is removed with it.",
        method="DELETE",
        status=204,
    ),
)
WebhookTestView = acting(
    WEBHOOKS,
    _test,
    **_COMMON,
    operation="webhook_test",
    summary="Send a signed test",
    description="A message of type webhook.test, which tells of nothing. Its state says what came of it.",
    answers=MessageSerializer,
    status=202,
)
WebhookRotateView = acting(
    WEBHOOKS,
    _rotate,
    **_COMMON,
    operation="webhook_rotate",
    summary="Give a webhook a new secret",
    description="For the hours of the overlap messages have two signatures: either secret verifies them. Until they are over "
    "another overlap is refused (409); overlap_hours 0 gives a new secret and ends all others at once.",
    takes=RotateSerializer,
    answers=NewWebhookSerializer,
    secret=("secret",),
)
WebhookReplayView = acting(
    WEBHOOKS,
    _replay,
    **_COMMON,
    operation="webhook_replay",
    summary="Send messages once more",
    description="Under the ids that they had: a receiver that took one before knows it again. What is on its way, or "
    "waits, is left as it is.",
    takes=ReplaySerializer,
    answers=ReplayedSerializer,
    status=202,
    examples=[OpenApiExample("All that failed", {"failed_since": "2026-11-30T00:00:00Z"}, request_only=True)],
)
WebhookMessagesView = listing(
    _MESSAGES, **_COMMON, operation="webhook_messages", summary="What it was told", page="WebhookMessagePage"
)


class WebhookAttemptsView(APIView):
    scopes = {"GET": SCOPE}

    @extend_schema(
        operation_id="webhook_attempts",
        tags=[TAG],
        summary="The tries of one message",
        responses=inline_serializer("WebhookAttempts", {"data": AttemptSerializer(many=True)}),
    )
    def get(self, request: Request, webhook_id: int, message_id: str) -> Response:
        message = subscription_messages(WEBHOOKS.one(request, webhook_id)).filter(key=UUID(hex=message_id)).first()
        if message is None:
            raise raised("not-found", "This webhook has no such message.")
        return Response({"data": AttemptSerializer(message.attempts.order_by("pk"), many=True).data})
