"""Leads to read: the list with its filters. One lead is looked up in receiving.py, which can wait for its judgement."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leads.api.calls import partner_of
from leads.api.lead_answers import LeadSerializer
from leads.api.paging import PARAMETERS, page_of, page_schema
from leads.api.problems import raised
from leads.lead_search import LeadSearch
from leads.models import Flag, Lead, Status

TAG = "Leads"
NO_FLAG = "none"
_ID: Any = {"min_value": 1, "max_value": 10**18 - 1, "required": False}


class LeadFilterSerializer(serializers.Serializer[Any]):
    """The filters of the list, the same as in the console."""

    q = serializers.CharField(
        required=False,
        max_length=200,
        help_text="An id, a hash, a whole e-mail address, the end of a telephone number, or words that values begin with.",
    )
    campaign = serializers.IntegerField(**_ID)
    publisher = serializers.IntegerField(**_ID)
    form = serializers.IntegerField(**_ID)
    status = serializers.ChoiceField(choices=Status.values, required=False)
    flag = serializers.ChoiceField(choices=[*filter(None, Flag.values), NO_FLAG], required=False)
    reason_code = serializers.CharField(required=False, max_length=200)
    since = serializers.DateTimeField(required=False, help_text="Received at this time or later.")
    until = serializers.DateTimeField(required=False, help_text="Received before this time.")


def leads_found(request: Request) -> QuerySet[Lead]:
    """The leads that a request’s filters mean, of those that its key sees. Raises what is wrong with a filter."""
    partner = partner_of(request)
    asked = LeadFilterSerializer(data=request.query_params.dict())
    asked.is_valid(raise_exception=True)
    given = asked.validated_data
    if not partner.sees(campaign_id=given.get("campaign"), publisher_id=given.get("publisher")):
        raise raised("not-found", "There is no such campaign or publisher.")
    search = LeadSearch(
        text=given.get("q", ""),
        campaign_id=given.get("campaign", partner.campaign_id),
        publisher_id=given.get("publisher", partner.publisher_id),
        form_id=given.get("form"),
        status=given.get("status", ""),
        flag=given.get("flag", ""),
        reason_code=given.get("reason_code", ""),
        since=given.get("since"),
        until=given.get("until"),
    )
    return search.leads()


class LeadsView(APIView):
    scopes = {"GET": "leads:read"}

    @extend_schema(
        operation_id="leads_list",
        tags=[TAG],
        summary="Leads, page by page",
        parameters=[LeadFilterSerializer, *PARAMETERS],
        responses=page_schema("LeadPage", LeadSerializer),
    )
    def get(self, request: Request) -> Response:
        page = page_of(request, leads_found(request), filters=list(LeadFilterSerializer().fields))
        return Response(
            page.answered(LeadSerializer(page.rows, many=True, context={"partner": partner_of(request)}).data)
        )
