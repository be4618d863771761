"""What a partner has to know before it sends: campaigns, their links and publishers, and what their forms take."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leads.api.problems import raised
from leads.api.resources import Rows, listing, reading
from leads.catalog import compiled_form
from leads.form_schema import form_schema
from leads.models import Campaign

TAG = "Campaigns and forms"


class CampaignFormSerializer(serializers.Serializer[Any]):
    """A form of a campaign, and where leads with it are sent."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    version = serializers.IntegerField(help_text="Grows with each change of its fields.")
    schema = serializers.CharField(help_text="The address of its JSON Schema.")
    leads = serializers.CharField(help_text="The address that takes a lead with it.")


class CampaignLinkSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    channel = serializers.CharField()


class CampaignSerializer(serializers.Serializer[Any]):
    """A campaign, as a partner sees it."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=Campaign.Status.values, help_text="Leads are taken while it is active.")
    time_zone = serializers.CharField()
    forms = serializers.SerializerMethodField()
    links = CampaignLinkSerializer(many=True)

    @extend_schema_field(CampaignFormSerializer(many=True))
    def get_forms(self, campaign: Campaign) -> list[dict[str, Any]]:
        return [_form(campaign.pk, form.pk, form.name, form.version) for form in campaign.forms.all()]


def _form(campaign_id: int, form_id: int, name: str, version: int) -> dict[str, Any]:
    at = f"/api/v1/campaigns/{campaign_id}/forms/{form_id}"
    return {"id": form_id, "name": name, "version": version, "schema": f"{at}/schema", "leads": f"{at}/leads"}


CAMPAIGNS = Rows("campaign", lambda partner: partner.campaigns().prefetch_related("forms", "links"), CampaignSerializer)
_COMMON: Any = {"scope": "forms:read", "tag": TAG}

CampaignsView = listing(
    CAMPAIGNS, **_COMMON, operation="campaigns_list", summary="Campaigns that this key sees", page="CampaignPage"
)
CampaignView = reading(CAMPAIGNS, **_COMMON, operation="campaign_read", summary="One campaign")


class FormSchemaView(APIView):
    scopes = {"GET": "forms:read"}

    @extend_schema(
        operation_id="form_schema",
        tags=[TAG],
        summary="What a form takes, as JSON Schema",
        description="JSON Schema 2020-12 of a lead’s values, with an example, as the form is now. What it refuses is refused "
        "when a lead is sent, and the other way round, but for what JSON Schema has no words for: that stands in `description`.",
        responses={(200, "application/json"): OpenApiTypes.OBJECT},
        examples=[
            OpenApiExample(
                "A form with one field",
                {"type": "object", "properties": {"email": {"type": "string"}}, "required": ["email"]},
                response_only=True,
            )
        ],
    )
    def get(self, request: Request, campaign_id: int, form_id: int) -> Response:
        form = compiled_form(CAMPAIGNS.one(request, campaign_id).pk, form_id)
        if form is None:
            raise raised("not-found", "This campaign has no such form.")
        return Response(form_schema(form, settings.MAX_VALUE_CHARS))
