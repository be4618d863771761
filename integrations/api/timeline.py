"""A lead's way over the partner API: how it came, how it was judged, where it went, what was said of it, oldest first.

Where a lead went, and what colleagues did with it and say of it among themselves, is shown to keys that are bound to no publisher.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from integrations.models import Delivery
from leads.api.calls import partner_of
from leads.api.lead_answers import lead_named
from leads.api.problems import raised
from leads.models import Lead, LeadChange
from leads.models.lead import OUTSIDE
from leads.partner_keys import Partner

_OF_DELIVERIES = ("delivery", "attempt", "verdict")
KINDS = ["received", *LeadChange.Kind.values, *_OF_DELIVERIES]
# What a publisher reads on its own pages as well. The rest says where a lead goes, or is written for colleagues.
_OF_PUBLISHERS = (LeadChange.Kind.JUDGED, LeadChange.Kind.FLAGGED, LeadChange.Kind.APPENDED)


class TimelineEntrySerializer(serializers.Serializer[Any]):
    """One thing that happened to a lead. What does not belong to its kind is left out."""

    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(choices=KINDS)
    status = serializers.CharField(required=False, help_text="judged: what the checks made of it")
    flag = serializers.CharField(required=False, help_text="flagged: what was said of it")
    reason_code = serializers.CharField(required=False, allow_blank=True)
    comment = serializers.CharField(required=False, allow_blank=True)
    by = serializers.CharField(required=False, allow_blank=True, help_text="Who said or did it.")
    via = serializers.CharField(required=False, help_text="How it came.")
    decided_at = serializers.DateTimeField(required=False, help_text="When it was decided, which may be earlier.")
    delivery = serializers.IntegerField(required=False)
    integration = serializers.CharField(required=False, help_text="The name of the integration it went through.")
    state = serializers.CharField(required=False, help_text="delivery: where it stands; verdict: what was made of it")
    words = serializers.CharField(required=False, allow_blank=True, help_text="Why it waits or failed.")
    reference = serializers.CharField(required=False, help_text="delivery: the client’s own id of it")
    verdict = serializers.CharField(required=False)


class TimelineView(APIView):
    scopes = {"GET": "leads:read"}

    @extend_schema(
        operation_id="lead_timeline",
        tags=["Leads"],
        summary="What happened to a lead",
        description="Oldest first. A publisher’s key is shown what was received, judged, flagged and appended, and of those who "
        "said so no colleague.",
        responses=inline_serializer("Timeline", {"data": TimelineEntrySerializer(many=True)}),
    )
    def get(self, request: Request, named: str) -> Response:
        partner = partner_of(request)
        lead = lead_named(partner.leads(), named)
        if lead is None:
            raise raised("not-found", "There is no such lead.")
        entries = list(_of_lead(lead, partner))
        if partner.publisher_id is None:
            entries += _of_deliveries(lead)
        entries.sort(key=lambda entry: entry["at"])
        return Response({"data": TimelineEntrySerializer(entries, many=True).data})


def _of_lead(lead: Lead, partner: Partner) -> Iterator[dict[str, Any]]:
    yield {"at": lead.created_at, "kind": "received", "by": lead.publisher.name}
    changes = lead.changes.all()
    of_publisher = partner.publisher_id is not None
    for change in changes.filter(kind__in=_OF_PUBLISHERS) if of_publisher else changes:
        named = not of_publisher or change.via in OUTSIDE
        entry: dict[str, Any] = {
            "at": change.created_at,
            "kind": change.kind,
            "reason_code": change.reason_code,
            "comment": change.comment,
            "by": change.by if named else "",
            "via": change.via,
            "decided_at": change.decided_at,
        }
        if change.status:
            entry["status"] = change.status
        if change.flag:
            entry["flag"] = change.flag
        yield entry


def _of_deliveries(lead: Lead) -> Iterator[dict[str, Any]]:
    deliveries = Delivery.objects.filter(lead=lead, kind=Delivery.Kind.LEAD).select_related("integration")
    for delivery in deliveries.prefetch_related("attempts", "status_updates"):
        where = {"delivery": delivery.pk, "integration": delivery.integration.name}
        yield {
            **where,
            "at": delivery.created_at,
            "kind": "delivery",
            "state": delivery.state,
            "words": delivery.reason,
            **({"reference": delivery.reference} if delivery.reference else {}),
        }
        for attempt in delivery.attempts.all():
            yield {
                **where,
                "at": attempt.started_at,
                "kind": "attempt",
                "state": attempt.outcome,
                "words": attempt.message,
            }
        for update in delivery.status_updates.all():
            yield {
                **where,
                "at": update.received_at,
                "kind": "verdict",
                "verdict": update.verdict,
                "reason_code": update.reason_code,
                "comment": update.comment,
                "by": update.by,
                "via": update.via,
                "decided_at": update.decided_at,
                "state": update.state,
            }
