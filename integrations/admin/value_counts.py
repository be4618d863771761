"""How many leads of the last 30 days carry each value of a field."""

from __future__ import annotations

import datetime as dt

from django.db.models import Count, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast
from django.utils import timezone

from integrations.models import Integration
from leads.models import Lead

DAYS = 30
# The newest leads that are looked at, and the values that are told apart: one bounded query however many leads there are.
MAX_LEADS = 20_000
MAX_VALUES = 500


def value_counts(integration: Integration, name: str) -> dict[str, int]:
    """Value to number of leads, the most frequent first."""
    since = timezone.now() - dt.timedelta(days=DAYS)
    newest = (
        Lead.objects.filter(campaign=integration.campaign_id, created_at__gte=since)
        .order_by("-id")
        .values("pk")[:MAX_LEADS]
    )
    found = (
        Lead.objects.filter(pk__in=newest)
        .order_by()
        .annotate(own_value=Cast(KeyTextTransform(name, "values"), TextField()))
        .filter(own_value__gt="")
        .values_list("own_value")
        .annotate(leads=Count("pk"))
        .order_by("-leads", "own_value")[:MAX_VALUES]
    )
    return {str(value): count for value, count in found}
