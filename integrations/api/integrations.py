"""Integrations over the partner API, for the account manager's own automation: how they do, pause, resume, check, refresh.

A publisher's key sees none: where leads go is the account manager's.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from integrations.delivery import integration_switch
from integrations.discovery import integration_check, integration_discover
from integrations.health import integration_health
from integrations.kit.contract import ConnectorError
from integrations.kit.registry import connectors
from integrations.models import Integration, IntegrationState
from integrations.releasing import release_words
from leads.api.calls import partner_of
from leads.api.paging import PARAMETERS, page_of, page_schema
from leads.api.problems import ProblemRaised, Wrong, invalid, raised

TAG = "Integrations"
READ, WRITE = "integrations:read", "integrations:write"
WORDS_CHARS = 600
# Named in the document, by portal/partner_api.py.
STATES = IntegrationState.values


class IntegrationSerializer(serializers.Serializer[Any]):
    """One connection of a campaign. What it is set up with stays in the console."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    campaign = serializers.IntegerField(source="campaign_id")
    connector = serializers.CharField()
    connector_name = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=STATES)
    state_words = serializers.CharField(source="get_state_display", help_text="The state as the console calls it.")
    reason = serializers.CharField(source="state_reason", help_text="Why it stopped, in words.")
    their_form = serializers.CharField(source="remote_form", help_text="The client’s form that it was mapped to.")
    mapping_version = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()

    def get_connector_name(self, row: Integration) -> str:
        known = connectors().get(row.connector)
        return known.manifest.name if known is not None else row.connector


class SwitchedSerializer(IntegrationSerializer):
    """An integration that was switched just now."""

    said = serializers.CharField(help_text="What comes of it, in words.")


class CheckSerializer(serializers.Serializer[Any]):
    works = serializers.BooleanField(help_text="Whether the client’s system answered and takes these settings.")
    said = serializers.CharField(help_text="What is wrong, in words.")
    setting = serializers.CharField(help_text="The setting that it is about; empty for all of them.")


class RefreshSerializer(serializers.Serializer[Any]):
    """What a pull of the client’s form changed, as keys of its fields."""

    added = serializers.ListField(child=serializers.CharField())
    vanished = serializers.ListField(child=serializers.CharField())
    kept = serializers.IntegerField()
    matched = serializers.IntegerField(help_text="How many of those added were matched to a field of ours by name.")
    mapping_version = serializers.IntegerField()


class HealthSerializer(serializers.Serializer[Any]):
    """How an integration does now. Counts are of deliveries, up to 100,000."""

    state = serializers.ChoiceField(choices=STATES)
    state_words = serializers.CharField()
    works = serializers.BooleanField(help_text="It is on, the client answers, and nothing keeps leads from going out.")
    words = serializers.CharField(help_text="Why nothing goes out now; empty where nothing keeps it from that.")
    waits_until = serializers.DateTimeField(allow_null=True, help_text="Null: until a person acts, or nothing waits.")
    answers = serializers.BooleanField(help_text="false while every call fails.")
    failing_since = serializers.DateTimeField(allow_null=True)
    next_call_at = serializers.DateTimeField(allow_null=True, help_text="While calls fail: when the next one is made.")
    form_changed = serializers.BooleanField(help_text="The client’s form has changed, and somebody has to look at it.")
    queued = serializers.IntegerField()
    sending = serializers.IntegerField()
    waiting = serializers.IntegerField()
    in_doubt = serializers.IntegerField()
    given_up = serializers.IntegerField()
    delivered_today = serializers.IntegerField(help_text="In the campaign’s time zone; without tests.")
    last_delivered_at = serializers.DateTimeField(allow_null=True)


_PAGE = page_schema("IntegrationPage", IntegrationSerializer)
_FILTERS = [
    OpenApiParameter("campaign", {"type": "integer", "minimum": 1}, description="Those of this campaign."),
    OpenApiParameter("state", OpenApiTypes.STR, enum=STATES, description="Those in this state."),
]  # fmt: skip


class IntegrationsView(APIView):
    scopes = {"GET": READ}

    @extend_schema(
        operation_id="integrations_list",
        tags=[TAG],
        summary="Integrations",
        parameters=[*PARAMETERS, *_FILTERS],
        responses=_PAGE,
    )
    def get(self, request: Request) -> Response:
        rows = _own(request)
        if (campaign := request.query_params.get("campaign")) is not None:
            if not (campaign.isascii() and campaign.isdecimal() and len(campaign) < 19 and int(campaign)):
                raise _wrong("campaign", "Write the number of a campaign.")
            rows = rows.filter(campaign=int(campaign))
        if (state := request.query_params.get("state")) is not None:
            if state not in STATES:
                raise _wrong("state", f"Write one of: {', '.join(STATES)}.")
            rows = rows.filter(state=state)
        page = page_of(request, rows, filters=["campaign", "state"])
        return Response(page.answered(IntegrationSerializer(page.rows, many=True).data))


class IntegrationView(APIView):
    scopes = {"GET": READ}

    @extend_schema(
        operation_id="integration_read", tags=[TAG], summary="One integration", responses=IntegrationSerializer
    )
    def get(self, request: Request, integration_id: int) -> Response:
        return Response(IntegrationSerializer(_integration(request, integration_id)).data)


class IntegrationPauseView(APIView):
    scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="integration_pause",
        tags=[TAG],
        summary="Pause an integration",
        description="Leads wait for it until it is resumed; none is lost. Pausing a paused one changes nothing.",
        request=None,
        responses=SwitchedSerializer,
    )
    def post(self, request: Request, integration_id: int) -> Response:
        integration = _integration(request, integration_id)
        if integration.state == IntegrationState.NEEDS_SETUP:
            raise raised("conflict", "It was never switched on: there is nothing to pause.")
        if integration.state != IntegrationState.PAUSED:
            integration_switch(integration, on=False)
        return _switched(integration, "Leads wait for it until it is resumed.")


class IntegrationResumeView(APIView):
    scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="integration_resume",
        tags=[TAG],
        summary="Switch an integration on",
        description="What waited goes out at its release rate. 409 says what has to be mended first.",
        request=None,
        responses=SwitchedSerializer,
    )
    def post(self, request: Request, integration_id: int) -> Response:
        integration = _integration(request, integration_id)
        try:
            released = integration_switch(integration, on=True) if integration.state != IntegrationState.ON else 0
        except ConnectorError as error:
            raise raised("conflict", f"It can’t be switched on yet. {error.message[:WORDS_CHARS]}") from None
        return _switched(
            integration, f"New leads go out, and so does what waited. {release_words(released, integration)}"
        )


class IntegrationCheckView(APIView):
    scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="integration_check",
        tags=[TAG],
        summary="Ask the client whether the settings work",
        description="Nobody’s data is sent. It takes some seconds where the client is slow.",
        request=None,
        responses=CheckSerializer,
    )
    def post(self, request: Request, integration_id: int) -> Response:
        try:
            integration_check(_integration(request, integration_id))
        except ConnectorError as error:
            return Response({"works": False, "said": error.message[:WORDS_CHARS], "setting": error.field or ""})
        return Response({"works": True, "said": "", "setting": ""})


class IntegrationRefreshView(APIView):
    scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="integration_refresh",
        tags=[TAG],
        summary="Pull the client’s form into the mapping",
        description="What was mapped stays; what is new is added. 409 where the client’s form can’t be had.",
        request=None,
        responses=RefreshSerializer,
    )
    def post(self, request: Request, integration_id: int) -> Response:
        integration = _integration(request, integration_id)
        try:
            report = integration_discover(integration, by=f"The key {partner_of(request).name}")
        except ConnectorError as error:
            raise raised("conflict", f"The client’s form can’t be had. {error.message[:WORDS_CHARS]}") from None
        integration.refresh_from_db(fields=["mapping_version"])
        return Response({**asdict(report), "mapping_version": integration.mapping_version})


class IntegrationHealthView(APIView):
    scopes = {"GET": READ}

    @extend_schema(
        operation_id="integration_health",
        tags=[TAG],
        summary="How an integration does",
        responses=HealthSerializer,
    )
    def get(self, request: Request, integration_id: int) -> Response:
        integration = _integration(request, integration_id)
        state = {"state": integration.state, "state_words": integration.get_state_display()}
        return Response(HealthSerializer({**state, **asdict(integration_health(integration))}).data)


def _own(request: Request) -> QuerySet[Integration]:
    partner = partner_of(request)
    if partner.publisher_id is not None:
        return Integration.objects.none()
    rows = Integration.objects.filter(managed=False).select_related("campaign")
    return rows if partner.campaign_id is None else rows.filter(campaign=partner.campaign_id)


def _integration(request: Request, integration_id: int) -> Integration:
    found = _own(request).filter(pk=integration_id).first()
    if found is None:
        raise raised("not-found", "There is no such integration.")
    return found


def _switched(integration: Integration, words: str) -> Response:
    integration.refresh_from_db()
    return Response({**IntegrationSerializer(integration).data, "said": words.strip()})


def _wrong(field: str, words: str) -> ProblemRaised:
    return ProblemRaised(invalid([Wrong(field, words)]))
