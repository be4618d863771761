"""Exports over the partner API: leads as CSV or XLSX, streamed while they are read, so that a million cost no memory.

A key without leads:read gets values masked; a publisher's key no word of where leads went, nor of what they scored.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from integrations.exports import DELIVERY_COLUMNS
from leads.api.calls import partner_of
from leads.exports import (
    COLUMNS,
    CONTENT_TYPES,
    NO_MORE,
    PUBLISHER_COLUMNS,
    XLSX_FULL,
    leads_csv,
    leads_xlsx,
    xlsx_holds,
)
from leads.history import record_by_key
from leads.lead_search import LeadSearch
from leads.models import Flag, PartnerKey, Status
from leads.partner_keys import READS_LEADS

TAG = "Exports"
SCOPE = "exports:read"
_ID: Any = {"min_value": 1, "max_value": 2**63 - 1, "required": False}


class ExportQuerySerializer(serializers.Serializer[Any]):
    """Which leads, and as what."""

    format = serializers.ChoiceField(choices=list(CONTENT_TYPES), default="csv")
    campaign = serializers.IntegerField(**_ID)
    publisher = serializers.IntegerField(**_ID)
    form = serializers.IntegerField(**_ID)
    status = serializers.ChoiceField(choices=Status.values, required=False)
    flag = serializers.ChoiceField(
        choices=["none", *filter(None, Flag.values)], required=False, help_text="none: those that were not flagged."
    )
    reason_code = serializers.CharField(required=False, max_length=200)
    since = serializers.DateTimeField(required=False, help_text="Received at this time or later.")
    until = serializers.DateTimeField(required=False, help_text="Received before this time.")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        """A filter that is written wrongly would give more away than was asked for."""
        if unknown := [name for name in self.initial_data if name not in self.fields]:
            raise serializers.ValidationError(
                {unknown[0][:60]: f"There is no such filter. There are: {', '.join(self.fields)}."}
            )
        return given


class ExportView(APIView):
    scopes = {"GET": SCOPE}

    @extend_schema(
        operation_id="leads_export",
        tags=[TAG],
        summary="Leads as a file",
        description="Streamed, the oldest first, however many there are (a workbook holds about a million). Values beyond the fields of now stand in the last column. Without leads:read what people typed is masked.",
        parameters=[ExportQuerySerializer],
        responses={
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR),
            (200, CONTENT_TYPES["xlsx"]): OpenApiResponse(OpenApiTypes.BINARY),
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        asked = ExportQuerySerializer(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        partner = partner_of(request)
        search = LeadSearch(
            campaign_id=given.get("campaign"),
            publisher_id=given.get("publisher"),
            form_id=given.get("form"),
            status=given.get("status", ""),
            flag=given.get("flag", ""),
            reason_code=given.get("reason_code", ""),
            since=given.get("since"),
            until=given.get("until"),
        )
        leads = search.leads() & partner.leads()
        kind = given["format"]
        if kind == "xlsx" and not xlsx_holds(leads):
            raise serializers.ValidationError({"format": XLSX_FULL})
        masked = READS_LEADS not in partner.scopes
        how = ", personal data masked" if masked else ""
        record_by_key(partner, PartnerKey.objects.get(pk=partner.key_id), f"Leads exported as {kind.upper()}{how}.")
        of_publisher = partner.publisher_id is not None
        pieces = (leads_xlsx if kind == "xlsx" else leads_csv)(
            leads,
            columns=PUBLISHER_COLUMNS if of_publisher else COLUMNS,
            more=NO_MORE if of_publisher else DELIVERY_COLUMNS,
            masked=masked,
        )
        name = f"leads-{timezone.localtime(timezone.now(), dt.UTC):%Y-%m-%d-%H%M}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return StreamingHttpResponse(pieces, content_type=CONTENT_TYPES[kind], headers=headers)
