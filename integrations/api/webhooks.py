"""Webhooks over the partner API: subscriptions, what they were told, tries, a test, replays, and a change of secrets."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from integrations.kit.contract import ConnectorError
from integrations.models import Attempt, Delivery, DeliveryState
from integrations.webhooks.managed import SecretOverlap
from integrations.webhooks.routing import READS_LEADS
from integrations.webhooks.subscriptions import (
    MOST_OVERLAP_HOURS,
    OVERLAP_HOURS,
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
from leads.api.paging import PARAMETERS, page_of, page_schema
from leads.api.problems import ProblemRaised, Wrong, invalid, raised
from leads.api.repeating import IDEMPOTENCY_KEY, done_once
from leads.models import Happening, PartnerKey, Publisher, Subscription

TAG = "Webhooks"
SCOPE = "webhooks:write"
MOST_REPLAYED = 500
# The address is looked at more closely by the service, which says what is wrong with it.
_ADDRESS = r"^[!-~]{9,}$"
_ADDRESS_WORDS: Any = {"invalid": "Write the whole address, as in https://example.com/hooks/leads."}
# Named in the document, by portal/partner_api.py.
STANDINGS = ["on", "failing", "paused", "switched_off", "key_ended"]
MESSAGE_STATES = DeliveryState.values
EVENTS = Happening.values


class WebhookSerializer(serializers.Serializer[Any]):
    """Who is told of what, where, and whether that works."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    url = serializers.SerializerMethodField(help_text="Where messages are posted to.")
    events = serializers.ListField(child=serializers.ChoiceField(choices=EVENTS))
    publisher = serializers.IntegerField(source="publisher_id", allow_null=True)
    campaign = serializers.IntegerField(source="campaign_id", allow_null=True)
    personal_data = serializers.BooleanField(help_text="Whether messages have leads’ values and comments.")
    state = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField(help_text="Why it is not on, in words.")
    made_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    rotated_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then messages are signed with the secret before as well."
    )

    def get_url(self, row: Subscription) -> str:
        return str(row.integration.settings.get("url", ""))

    @extend_schema(responses=serializers.ChoiceField(choices=STANDINGS))
    def get_state(self, row: Subscription) -> str:
        return subscription_standing(row).name

    def get_reason(self, row: Subscription) -> str:
        return subscription_standing(row).reason


class NewWebhookSerializer(WebhookSerializer):
    """A webhook whose secret was made just now."""

    secret = serializers.CharField(
        allow_null=True,
        help_text="What signatures are checked with. It is shown this once; null where the call was a repeated one.",
    )


class _AskedSerializer(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=150, required=False, help_text="For people; else the host of the address.")
    url = serializers.RegexField(
        _ADDRESS, max_length=2_000, error_messages=_ADDRESS_WORDS, help_text="A whole https address."
    )
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=EVENTS), min_length=1, max_length=len(Happening)
    )
    personal_data = serializers.BooleanField(
        required=False, help_text="Messages have leads’ values and comments; for keys with leads:read."
    )


class WebhookRequestSerializer(_AskedSerializer):
    """A webhook to be made. It is bound as the key is; a key of the whole instance may bind it."""

    publisher = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    campaign = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)


class WebhookChangeSerializer(_AskedSerializer):
    """What is to be changed; what is left out stays."""

    url = serializers.RegexField(_ADDRESS, max_length=2_000, error_messages=_ADDRESS_WORDS, required=False)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=EVENTS), min_length=1, max_length=len(Happening), required=False
    )
    enabled = serializers.BooleanField(
        required=False, help_text="false: messages wait. true: they go out, also after it was switched off."
    )


class RotateSerializer(serializers.Serializer[Any]):
    overlap_hours = serializers.IntegerField(
        default=OVERLAP_HOURS,
        min_value=0,
        max_value=MOST_OVERLAP_HOURS,
        help_text="For so long messages are signed with the secret before as well.",
    )


class ReplaySerializer(serializers.Serializer[Any]):
    """Either messages by their ids, or all since a time that did not arrive."""

    messages = serializers.ListField(
        child=serializers.RegexField(r"^[0-9a-f]{32}$"), required=False, min_length=1, max_length=MOST_REPLAYED
    )
    failed_since = serializers.DateTimeField(required=False)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if ("messages" in given) == ("failed_since" in given):
            raise serializers.ValidationError("Give either messages or failed_since.")
        return given


class ReplayedSerializer(serializers.Serializer[Any]):
    replayed = serializers.IntegerField(help_text="How many messages go out once more.")


class MessageSerializer(serializers.Serializer[Any]):
    """One message: what it tells, and how it stands."""

    id = serializers.CharField(source="key.hex", help_text="Its webhook-id: the same in every try and replay.")
    type = serializers.SerializerMethodField()
    lead = serializers.IntegerField(source="lead_id", allow_null=True)
    test = serializers.BooleanField()
    state = serializers.ChoiceField(choices=MESSAGE_STATES)
    reason = serializers.CharField(help_text="Why it waits or failed, in words.")
    tries = serializers.IntegerField()
    next_try_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    delivered_at = serializers.DateTimeField(allow_null=True)

    def get_type(self, row: Delivery) -> str:
        return str(row.data.get("type", ""))


class AttemptSerializer(serializers.Serializer[Any]):
    """One try of a message."""

    number = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    took_ms = serializers.IntegerField()
    outcome = serializers.CharField(help_text="delivered, retry, misconfigured or unknown.")
    message = serializers.CharField(help_text="What came of it, in words.")
    status = serializers.SerializerMethodField(help_text="The receiver’s HTTP status; null where no answer came.")
    answer = serializers.SerializerMethodField(help_text="The start of what it answered.")

    def get_status(self, row: Attempt) -> int | None:
        return cast("int | None", _answer(row).get("status"))

    def get_answer(self, row: Attempt) -> str:
        return str(_answer(row).get("body", ""))


_PAGE = page_schema("WebhookPage", WebhookSerializer)
_MESSAGES = page_schema("WebhookMessagePage", MessageSerializer)
_EXAMPLE = {"url": "https://crm.example.com/hooks/leads", "events": ["lead.judged", "lead.flagged"]}


class WebhooksView(APIView):
    scopes = {"GET": SCOPE, "POST": SCOPE}

    @extend_schema(operation_id="webhooks_list", tags=[TAG], summary="Webhooks", parameters=PARAMETERS, responses=_PAGE)
    def get(self, request: Request) -> Response:
        page = page_of(request, _own(request))
        return Response(page.answered(WebhookSerializer(page.rows, many=True).data))

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
        given = _valid(WebhookRequestSerializer(data=request.data))
        partner = partner_of(request)
        publisher_id = given.get("publisher", partner.publisher_id)
        campaign_id = given.get("campaign", partner.campaign_id)
        publisher = Publisher.objects.filter(pk=publisher_id).first() if publisher_id is not None else None
        if publisher_id is not None and (publisher is None or not partner.sees(publisher_id=publisher_id)):
            raise _wrong("publisher", "There is no such publisher.")
        campaign = partner.campaigns().filter(pk=campaign_id).first() if campaign_id is not None else None
        if campaign_id is not None and campaign is None:
            raise _wrong("campaign", "There is no such campaign.")
        _refuse_personal(request, given)
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
        return Response(
            _with_secret(made, secret), status.HTTP_201_CREATED, headers={"Location": f"/api/v1/webhooks/{made.pk}"}
        )


class WebhookView(APIView):
    scopes = {"GET": SCOPE, "PATCH": SCOPE, "DELETE": SCOPE}

    @extend_schema(operation_id="webhook_read", tags=[TAG], summary="One webhook", responses=WebhookSerializer)
    def get(self, request: Request, webhook_id: int) -> Response:
        return Response(WebhookSerializer(_webhook(request, webhook_id)).data)

    @extend_schema(
        operation_id="webhook_change",
        tags=[TAG],
        summary="Change, pause or switch on a webhook",
        request=WebhookChangeSerializer,
        responses=WebhookSerializer,
        examples=[OpenApiExample("Pause it", {"enabled": False}, request_only=True)],
    )
    def patch(self, request: Request, webhook_id: int) -> Response:
        webhook = _webhook(request, webhook_id)
        given = _valid(WebhookChangeSerializer(data=request.data))
        _refuse_personal(request, given, webhook)
        enabled = given.pop("enabled", None)
        try:
            if given:
                subscription_change(webhook, **given)
            if enabled is not None:
                subscription_switch(webhook, enabled)
        except SubscriptionError as error:
            raise _of(error) from None
        except ConnectorError as error:
            raise raised("conflict", error.message) from None
        return Response(WebhookSerializer(_webhook(request, webhook_id)).data)

    @extend_schema(
        operation_id="webhook_delete",
        tags=[TAG],
        summary="Be told no more",
        description="What was told, and what waits, is removed with it.",
        responses={204: None},
    )
    def delete(self, request: Request, webhook_id: int) -> Response:
        subscription_remove(_webhook(request, webhook_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class WebhookTestView(APIView):
    scopes = {"POST": SCOPE}

    @extend_schema(
        operation_id="webhook_test",
        tags=[TAG],
        summary="Send a signed test",
        description="A message of type webhook.test, which tells of nothing. Its state says what came of it.",
        parameters=[IDEMPOTENCY_KEY],
        request=None,
        responses={202: MessageSerializer},
    )
    @done_once()
    def post(self, request: Request, webhook_id: int) -> Response:
        message = subscription_test(_webhook(request, webhook_id))
        return Response(MessageSerializer(message).data, status.HTTP_202_ACCEPTED)


class WebhookRotateView(APIView):
    scopes = {"POST": SCOPE}

    @extend_schema(
        operation_id="webhook_rotate",
        tags=[TAG],
        summary="Give a webhook a new secret",
        description="For the hours of the overlap messages have two signatures: either secret verifies them. Until they are over "
        "another overlap is refused (409); overlap_hours 0 gives a new secret and ends all others at once.",
        parameters=[IDEMPOTENCY_KEY],
        request=RotateSerializer,
        responses=NewWebhookSerializer,
    )
    @done_once(without=("secret",))
    def post(self, request: Request, webhook_id: int) -> Response:
        webhook = _webhook(request, webhook_id)
        given = _valid(RotateSerializer(data=request.data or {}))
        _refuse_personal(request, {}, webhook)
        try:
            secret = subscription_rotate(webhook, given["overlap_hours"])
        except SecretOverlap:
            words = "Its secret is being changed until rotated_until: wait, or end the others with overlap_hours 0."
            raise raised("conflict", words) from None
        return Response(_with_secret(webhook, secret))


class WebhookReplayView(APIView):
    scopes = {"POST": SCOPE}

    @extend_schema(
        operation_id="webhook_replay",
        tags=[TAG],
        summary="Send messages once more",
        description="Under the ids that they had: a receiver that took one before knows it again. What is on its way, or "
        "waits, is left as it is.",
        parameters=[IDEMPOTENCY_KEY],
        request=ReplaySerializer,
        responses={202: ReplayedSerializer},
        examples=[OpenApiExample("All that failed", {"failed_since": "2026-11-30T00:00:00Z"}, request_only=True)],
    )
    @done_once()
    def post(self, request: Request, webhook_id: int) -> Response:
        webhook = _webhook(request, webhook_id)
        given = _valid(ReplaySerializer(data=request.data))
        since: dt.datetime | None = given.get("failed_since")
        try:
            if since is not None:
                count = subscription_replay(webhook, failed_since=since)
            else:
                count = subscription_replay(webhook, ids=_message_ids(webhook, given["messages"]))
        except SubscriptionError as error:
            raise raised("conflict", error.message) from None
        return Response({"replayed": count}, status.HTTP_202_ACCEPTED)


class WebhookMessagesView(APIView):
    scopes = {"GET": SCOPE}

    @extend_schema(
        operation_id="webhook_messages",
        tags=[TAG],
        summary="What it was told",
        parameters=[
            *PARAMETERS,
            OpenApiParameter("state", OpenApiTypes.STR, enum=MESSAGE_STATES, description="Those that stand so."),
        ],
        responses=_MESSAGES,
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        rows = subscription_messages(_webhook(request, webhook_id))
        if (state := request.query_params.get("state")) is not None:
            if state not in DeliveryState.values:
                raise _wrong("state", f"Write one of: {', '.join(DeliveryState.values)}.")
            rows = rows.filter(state=state)
        page = page_of(request, rows, filters=["state"])
        return Response(page.answered(MessageSerializer(page.rows, many=True).data))


class WebhookAttemptsView(APIView):
    scopes = {"GET": SCOPE}

    @extend_schema(
        operation_id="webhook_attempts",
        tags=[TAG],
        summary="The tries of one message",
        responses=inline_serializer("WebhookAttempts", {"data": AttemptSerializer(many=True)}),
    )
    def get(self, request: Request, webhook_id: int, message_id: str) -> Response:
        message = subscription_messages(_webhook(request, webhook_id)).filter(key=UUID(hex=message_id)).first()
        if message is None:
            raise raised("not-found", "This webhook has no such message.")
        return Response({"data": AttemptSerializer(message.attempts.order_by("pk"), many=True).data})


def _own(request: Request) -> QuerySet[Subscription]:
    """The webhooks that a key sees: those that are bound as closely as it is."""
    partner = partner_of(request)
    rows = Subscription.objects.filter(removed_at=None).select_related("integration", "key")
    if partner.publisher_id is not None:
        rows = rows.filter(publisher=partner.publisher_id)
    if partner.campaign_id is not None:
        rows = rows.filter(campaign=partner.campaign_id)
    return rows


def _webhook(request: Request, webhook_id: int) -> Subscription:
    found = _own(request).filter(pk=webhook_id).first()
    if found is None:
        raise raised("not-found", "There is no such webhook.")
    return found


def _valid(asked: serializers.Serializer[Any]) -> dict[str, Any]:
    asked.is_valid(raise_exception=True)
    return cast(dict[str, Any], asked.validated_data)


def _refuse_personal(request: Request, given: dict[str, Any], webhook: Subscription | None = None) -> None:
    """Who may not read leads has none of their values sent anywhere: no such webhook is made, redirected or opened."""
    if READS_LEADS in partner_of(request).scopes:
        return
    if given.get("personal_data"):
        raise _wrong("personal_data", f"This needs a key with the scope {READS_LEADS}.")
    if webhook is not None and webhook.personal_data:
        raise raised(
            "scope-missing", f"Its messages have leads’ values: this needs a key with the scope {READS_LEADS}."
        )


def _message_ids(webhook: Subscription, keys: Sequence[str]) -> list[int]:
    found = subscription_messages(webhook).filter(key__in=[UUID(hex=key) for key in keys])
    known = dict(found.values_list("key", "pk"))
    for place, key in enumerate(keys):
        if UUID(hex=key) not in known:
            words = "This webhook has no such message (any more)."
            raise ProblemRaised(invalid([Wrong("messages", words, pointer=f"/messages/{place}")]))
    return list(known.values())


def _answer(row: Attempt) -> dict[str, Any]:
    last = row.exchanges[-1] if row.exchanges else {}
    return last.get("response") or {}


def _with_secret(webhook: Subscription, secret: str) -> dict[str, Any]:
    return {**WebhookSerializer(webhook).data, "secret": secret}


def _wrong(field: str, words: str) -> ProblemRaised:
    return ProblemRaised(invalid([Wrong(field, words, pointer=f"/{field}")]))


def _of(error: SubscriptionError) -> ProblemRaised:
    return _wrong(error.field, error.message) if error.field else raised("conflict", error.message)
