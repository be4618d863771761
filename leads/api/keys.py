"""Keys over the API: who am I, and keys that a key makes, rotates and ends. The model for other addresses to follow."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leads.api.calls import partner_of
from leads.api.paging import PARAMETERS, page_of, page_schema
from leads.api.problems import ProblemRaised, Wrong, invalid, raised
from leads.api.repeating import IDEMPOTENCY_KEY, done_once
from leads.models import PartnerKey
from leads.partner_keys import SCOPES, KeyProblem, NewKey, key_end, key_issue_by, key_rotate_by

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


class KeysView(APIView):
    scopes = {"GET": "keys:write", "POST": "keys:write"}

    @extend_schema(
        operation_id="keys_list",
        tags=[TAG],
        summary="Keys that may no more than this one",
        parameters=PARAMETERS,
        responses=page_schema("KeyPage", KeySerializer),
    )
    def get(self, request: Request) -> Response:
        page = page_of(request, partner_of(request).keys())
        return Response(page.answered(KeySerializer(page.rows, many=True).data))

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
        asked = KeyRequestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        try:
            made = key_issue_by(
                partner_of(request),
                name=given["name"],
                scopes=given["scopes"],
                publisher_id=given.get("publisher"),
                campaign_id=given.get("campaign"),
                expires_at=given.get("expires_at"),
            )
        except KeyProblem as error:
            raise ProblemRaised(invalid([Wrong(error.field, error.words, pointer=f"/{error.field}")])) from None
        return Response(
            _with_secret(made), status.HTTP_201_CREATED, headers={"Location": f"/api/v1/keys/{made.row.pk}"}
        )


class KeyView(APIView):
    scopes = {"GET": "keys:write", "DELETE": "keys:write"}

    @extend_schema(operation_id="key_read", tags=[TAG], summary="One key", responses=KeySerializer)
    def get(self, request: Request, key_id: int) -> Response:
        return Response(KeySerializer(_key(request, key_id)).data)

    @extend_schema(
        operation_id="key_end",
        tags=[TAG],
        summary="End a key",
        description="From now on it opens nothing. Ending one that has ended does no harm.",
        responses={204: None},
    )
    def delete(self, request: Request, key_id: int) -> Response:
        key_end(_key(request, key_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


class KeyRotateView(APIView):
    scopes = {"POST": "keys:write"}

    @extend_schema(
        operation_id="key_rotate",
        tags=[TAG],
        summary="Give a key a new secret",
        description="The secret before works for another 24 hours; one that was being replaced already, no more. Refused (409) "
        "to a secret that is being replaced itself, and for a key that works for longer than the one that asks.",
        parameters=[IDEMPOTENCY_KEY],
        request=None,
        responses={200: NewKeySerializer},
    )
    @done_once(without=("secret",))
    def post(self, request: Request, key_id: int) -> Response:
        try:
            return Response(_with_secret(key_rotate_by(partner_of(request), _key(request, key_id))))
        except KeyProblem as error:
            raise raised("conflict", error.words) from None


def _with_secret(made: NewKey) -> dict[str, Any]:
    return {**KeySerializer(made.row).data, "secret": made.secret}


def _key(request: Request, key_id: int) -> PartnerKey:
    found = partner_of(request).keys().filter(pk=key_id).first()
    if found is None:
        raise raised("not-found", "There is no such key.")
    return found
