"""What the partner API says of webhooks, and what it takes: their shapes in bodies and in the document."""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from integrations.models import Attempt, Delivery, DeliveryState
from integrations.webhooks.subscriptions import MOST_OVERLAP_HOURS, OVERLAP_HOURS, subscription_standing
from leads.models import Happening, Subscription

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


def _answer(row: Attempt) -> dict[str, Any]:
    last = row.exchanges[-1] if row.exchanges else {}
    return last.get("response") or {}
