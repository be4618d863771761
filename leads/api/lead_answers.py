"""A lead as the partner API shows it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from leads.models import Flag, Lead, Status


class LeadLinksSerializer(serializers.Serializer[Any]):
    self = serializers.CharField()
    timeline = serializers.CharField()


class LeadSerializer(serializers.Serializer[Any]):
    """A lead, with what was typed. Its context is the `partner` who reads it."""

    id = serializers.IntegerField()
    hash = serializers.CharField(source="hash.hex", help_text="32 hexadecimal digits that nobody can guess.")
    campaign = serializers.IntegerField(source="campaign_id")
    publisher = serializers.IntegerField(source="publisher_id")
    form = serializers.IntegerField(source="form_id")
    form_version = serializers.IntegerField()
    link = serializers.IntegerField(source="link_id", allow_null=True)
    values = serializers.DictField(
        child=serializers.CharField(allow_blank=True),
        help_text="What was posted, by field; an opt-in as name.terms and name.contactTypes.",
    )
    status = serializers.ChoiceField(choices=Status.values, help_text="What the checks made of it.")
    failed_jobs = serializers.ListField(
        source="failed_words", child=serializers.CharField(), help_text="Which checks it failed, in words."
    )
    flag = serializers.ChoiceField(choices=Flag.values, help_text="What was said of it since; empty: nothing.")
    reason_code = serializers.CharField()
    comment = serializers.CharField()
    flagged_by = serializers.SerializerMethodField(
        help_text="Who said so. Empty for a publisher’s key, whose timeline names those that are no colleagues."
    )
    flagged_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()
    processed_at = serializers.DateTimeField(allow_null=True, help_text="When it was judged; null: not yet.")
    erased_at = serializers.DateTimeField(allow_null=True, help_text="When its personal data was erased.")
    links = serializers.SerializerMethodField()

    def get_flagged_by(self, lead: Lead) -> str:
        return "" if self.context["partner"].publisher_id is not None else lead.flagged_by

    def get_links(self, lead: Lead) -> dict[str, str]:
        return lead_links(lead.hash.hex)


def lead_links(lead_hash: str) -> dict[str, str]:
    """Where to go on from a lead."""
    return {"self": f"/api/v1/leads/{lead_hash}", "timeline": f"/api/v1/leads/{lead_hash}/timeline"}


def lead_named(leads: QuerySet[Lead], named: str) -> Lead | None:
    """The lead of these that an address names by its id or its hash."""
    if len(named) == 32:
        return leads.filter(hash=named).first()
    return leads.filter(pk=int(named)).first()
