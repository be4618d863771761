"""Keys over the API: who am I, and keys that a key makes, rotates and ends. The model for other addresses to follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leads.api.calls import partner_of
from leads.api.problems import raised, wrong
from leads.api.repeating import IDEMPOTENCY_KEY, done_once
from leads.api.resources import Done, Rows, acting, given_in, listing, reading, together
from leads.history import record_by_key
from leads.models import PartnerKey
from leads.partner_keys import SCOPES, KeyProblem, NewKey, Partner, key_end_by, key_issue_by, key_rotate_by

TAG = "Keys"


class KeySerializer(serializers.Serializer[Any]):
    """A key, without its secret."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    prefix = serializers.CharField(help_text="How it begins.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=list(SCOPES)))
    publisher = serializers.IntegerField(source="publisher_id", allow_null=True)
    campaign = serializers.IntegerField(source="campaign_id", allow_null=True)
    made_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True, help_text="To the minute.")
    earlier_prefix = serializers.CharField(help_text="How the secret before this one begins, while that still works.")
    earlier_until = serializers.DateTimeField(allow_null=True)


class NewKeySerializer(KeySerializer):
    """A key that was made just now."""

    secret = serializers.CharField(
        allow_null=True, help_text="The key itself. It is shown this once; null where the call was a repeated one."
    )


class KeyRequestSerializer(serializers.Serializer[Any]):
    """A key to be made. What is left out is as with the key that makes it."""

    name = serializers.CharField(max_length=200)
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=list(SCOPES)), min_length=1)
    publisher = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    campaign = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    expires_at = serializers.DateTimeField(required=False)


_EXAMPLE = {"name": "Acme’s CRM", "scopes": ["leads:read", "verdicts:write"], "campaign": 204}


class OwnKeyView(APIView):
    scopes = {"GET": ""}

    @extend_schema(
        operation_id="key_own",
        tags=[TAG],
        summary="The key that calls",
        description="What it may do and whose rows it sees. Any key may ask.",
        responses=KeySerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(KeySerializer(PartnerKey.objects.get(pk=partner_of(request).key_id)).data)


def _with_secret(made: NewKey) -> dict[str, Any]:
    return {**KeySerializer(made.row).data, "secret": made.secret}


def _rotate(partner: Partner, key: PartnerKey, given: Mapping[str, Any]) -> Done:
    made = key_rotate_by(partner, key)
    return Done(_with_secret(made), f"Secret changed; the new one begins with {made.row.prefix}.")


def _end(partner: Partner, key: PartnerKey, given: Mapping[str, Any]) -> Done:
    key_end_by(partner, key)
    return Done(None, "Taken away.")


KEYS = Rows("key", Partner.keys, KeySerializer, refusals={KeyProblem: lambda error: raised("conflict", error.words)})
_COMMON: Any = {"scope": "keys:write", "tag": TAG}


class _Make(APIView):
    scopes = {"POST": "keys:write"}

    @extend_schema(
        operation_id="key_create",
        tags=[TAG],
        summary="Make a key",
        description="It may no more than the key that makes it, and works for no longer. Its secret is in this answer alone.",
        parameters=[IDEMPOTENCY_KEY],
        request=KeyRequestSerializer,
        responses={201: NewKeySerializer},
        examples=[OpenApiExample("A client’s system", _EXAMPLE, request_only=True)],
    )
    @done_once(without=("secret",))
    def post(self, request: Request) -> Response:
        given = given_in(KeyRequestSerializer, request.data)
        partner = partner_of(request)
        try:
            made = key_issue_by(
                partner,
                name=given["name"],
                scopes=given["scopes"],
                publisher_id=given.get("publisher"),
                campaign_id=given.get("campaign"),
                expires_at=given.get("expires_at"),
            )
        except KeyProblem as error:
            raise wrong(error.field, error.words, pointer=f"/{error.field}") from None
        record_by_key(partner, made.row, "Made.")
        return Response(
            _with_secret(made), status.HTTP_201_CREATED, headers={"Location": f"/api/v1/keys/{made.row.pk}"}
        )


KeysView = together(
    listing(KEYS, **_COMMON, operation="keys_list", summary="Keys that may no more than this one", page="KeyPage"),
    _Make,
)
KeyView = together(
    reading(KEYS, **_COMMON, operation="key_read", summary="One key"),
    acting(
        KEYS,
        _end,
        **_COMMON,
        operation="key_end",
        summary="End a key",
        description="From now on it opens nothing. Ending one that has ended does no harm. Refused (409) to a secret that is being "
        "replaced itself.",
        method="DELETE",
        status=204,
    ),
)
KeyRotateView = acting(
    KEYS,
    _rotate,
    **_COMMON,
    operation="key_rotate",
    summary="Give a key a new secret",
    description="The secret before works for another 24 hours; one that was being replaced already, no more. Refused (409) "
    "to a secret that is being replaced itself, and for a key that works for longer than the one that asks.",
    answers=NewKeySerializer,
    secret=("secret",),
)
