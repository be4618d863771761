"""Integrations over the partner API, for the account manager's own automation: how they do, pause, resume, check, refresh.

A publisher's key sees none: where leads go is the account manager's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from integrations.delivery import integration_switch
from integrations.discovery import integration_check, integration_discover
from integrations.health import integration_health
from integrations.kit.contract import ConnectorError
from integrations.kit.registry import connectors
from integrations.models import Integration, IntegrationState
from integrations.releasing import release_words
from leads.api.problems import raised
from leads.api.resources import Done, Filter, Rows, acting, listing, reading, state_filter
from leads.partner_keys import Partner

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


def _campaign(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text)):
        raise ValueError("Write the number of a campaign.")
    return int(text)


def _own(partner: Partner) -> QuerySet[Integration]:
    return partner.bound(Integration.objects.filter(managed=False).select_related("campaign"), publisher=None)


def _pause(partner: Partner, integration: Integration, given: Mapping[str, Any]) -> Done:
    if integration.state == IntegrationState.NEEDS_SETUP:
        raise raised("conflict", "It was never switched on: there is nothing to pause.")
    was = integration.get_state_display()
    if integration.state != IntegrationState.PAUSED:
        integration_switch(integration, on=False)
    return _switched(integration, was, "Leads wait for it until it is resumed.")


def _resume(partner: Partner, integration: Integration, given: Mapping[str, Any]) -> Done:
    was = integration.get_state_display()
    try:
        released = integration_switch(integration, on=True) if integration.state != IntegrationState.ON else 0
    except ConnectorError as error:
        raise raised("conflict", f"It can’t be switched on yet. {error.message[:WORDS_CHARS]}") from None
    words = f"New leads go out, and so does what waited. {release_words(released, integration)}"
    return _switched(integration, was, words)


def _switched(integration: Integration, was: str, words: str) -> Done:
    integration.refresh_from_db()
    now = integration.get_state_display()
    said = {**IntegrationSerializer(integration).data, "said": words.strip()}
    return Done(said, f"State changed from {was} to {now}." if was != now else "")


def _check(partner: Partner, integration: Integration, given: Mapping[str, Any]) -> Done:
    try:
        integration_check(integration)
    except ConnectorError as error:
        return Done({"works": False, "said": error.message[:WORDS_CHARS], "setting": error.field or ""})
    return Done({"works": True, "said": "", "setting": ""})


def _refresh(partner: Partner, integration: Integration, given: Mapping[str, Any]) -> Done:
    try:
        report = integration_discover(integration, by=f"The key {partner.name}")
    except ConnectorError as error:
        raise raised("conflict", f"The client’s form can’t be had. {error.message[:WORDS_CHARS]}") from None
    integration.refresh_from_db(fields=["mapping_version"])
    words = f"The client’s form pulled: {len(report.added)} added, {len(report.vanished)} gone."
    return Done({**asdict(report), "mapping_version": integration.mapping_version}, words)


def _health(integration: Integration) -> dict[str, Any]:
    state = {"state": integration.state, "state_words": integration.get_state_display()}
    return {**state, **asdict(integration_health(integration))}


_FILTERS = [
    Filter(
        OpenApiParameter("campaign", {"type": "integer", "minimum": 1}, description="Those of this campaign."),
        _campaign,
    ),
    state_filter(STATES, "Those in this state."),
]
INTEGRATIONS = Rows("integration", _own, IntegrationSerializer, _FILTERS)
_READS: Any = {"scope": READ, "tag": TAG}
_WRITES: Any = {"scope": WRITE, "tag": TAG}

IntegrationsView = listing(
    INTEGRATIONS, **_READS, operation="integrations_list", summary="Integrations", page="IntegrationPage"
)
IntegrationView = reading(INTEGRATIONS, **_READS, operation="integration_read", summary="One integration")
IntegrationPauseView = acting(
    INTEGRATIONS,
    _pause,
    **_WRITES,
    operation="integration_pause",
    summary="Pause an integration",
    description="Leads wait for it until it is resumed; none is lost. Pausing a paused one changes nothing.",
    answers=SwitchedSerializer,
)
IntegrationResumeView = acting(
    INTEGRATIONS,
    _resume,
    **_WRITES,
    operation="integration_resume",
    summary="Switch an integration on",
    description="What waited goes out at its release rate. 409 says what has to be mended first.",
    answers=SwitchedSerializer,
)
IntegrationCheckView = acting(
    INTEGRATIONS,
    _check,
    **_WRITES,
    operation="integration_check",
    summary="Ask the client whether the settings work",
    description="Nobody’s data is sent. It takes some seconds where the client is slow.",
    answers=CheckSerializer,
    alone=False,
)
IntegrationRefreshView = acting(
    INTEGRATIONS,
    _refresh,
    **_WRITES,
    operation="integration_refresh",
    summary="Pull the client’s form into the mapping",
    description="What was mapped stays; what is new is added. 409 where the client’s form can’t be had.",
    answers=RefreshSerializer,
    alone=False,
)
IntegrationHealthView = reading(
    INTEGRATIONS,
    **_READS,
    operation="integration_health",
    summary="How an integration does",
    read=_health,
    answers=HealthSerializer,
)
