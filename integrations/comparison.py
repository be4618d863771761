"""A comparison with clients that a person asks for: an activity, so that it can be left and found again (comparing.py)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from django.db.models import Max

from integrations.comparing import (
    Finding,
    Result,
    comparable,
    deliveries_ask,
    deliveries_compare,
    deliveries_to_compare,
)
from integrations.look_ups import Asked
from integrations.models import Delivery, Integration
from leads import activity as activities
from leads.activity import PREPARE_BATCH, ActivityError, Kind, items_add
from leads.activity import Result as Came
from leads.models import Activity, ActivityItem, ItemState

NAME = "compare"
# So many look-ups between two looks at the activity: a few seconds where the client answers.
BATCH = 40


def comparison_start(
    integration_ids: Sequence[int],
    since: dt.datetime,
    *,
    by: str,
    token: str,
    campaign_id: int | None = None,
    dry_run: bool = False,
) -> Activity:
    """Begin to compare all that went to these integrations since then. ActivityError where none of them can be asked.

    `token` is made once for each form that is shown: a second click is the same activity.
    """
    chosen = [row.pk for row in comparable(Integration.objects.filter(pk__in=integration_ids, managed=False))]
    if not chosen:
        raise ActivityError("Choose at least one integration whose client can be asked for verdicts.")
    params = {
        "integrations": chosen,
        "since": since.isoformat(),
        "dry_run": dry_run,
        "up_to": Delivery.objects.aggregate(last=Max("pk"))["last"] or 0,
    }
    return activities.activity_start(NAME, params, by=by, token=token, campaign_id=campaign_id)


def _prepare(activity: Activity) -> bool:
    since = dt.datetime.fromisoformat(activity.params["since"])
    rows = deliveries_to_compare(activity.params["integrations"], since).filter(
        pk__gt=activity.prepared_to, pk__lte=activity.params["up_to"]
    )
    batch = list(rows.values_list("pk", "lead_id")[:PREPARE_BATCH])
    if batch:
        items_add(activity, batch)
    return bool(batch)


def _ask(activity: Activity, items: Sequence[ActivityItem]) -> Asked:
    deliveries = Delivery.objects.select_related("integration").filter(pk__in=[item.subject for item in items])
    by_integration: dict[int, list[Delivery]] = {}
    for delivery in deliveries:
        by_integration.setdefault(delivery.integration_id, []).append(delivery)
    asked = Asked()
    for rows in by_integration.values():
        answer = deliveries_ask(rows[0].integration, rows)
        asked.verdicts |= answer.verdicts
        asked.unknown |= answer.unknown
        asked.failed |= answer.failed
        asked.unasked |= answer.unasked
    return asked


def _work(activity: Activity, items: Sequence[ActivityItem], asked: Asked) -> Mapping[int, Came]:
    deliveries = Delivery.objects.filter(pk__in=[item.subject for item in items])
    ready = [delivery for delivery in deliveries if delivery.pk not in asked.unasked]
    found = deliveries_compare(ready, asked, dry_run=bool(activity.params.get("dry_run")))
    by_delivery = {finding.delivery_id: finding for finding in found}
    there = {delivery.pk for delivery in deliveries}
    results = {}
    for item in items:
        if item.subject in by_delivery:
            results[item.pk] = _came(by_delivery[item.subject])
        elif item.subject not in there:
            results[item.pk] = Came(ItemState.SKIPPED, "It is not there any more.")
    return results


def _came(finding: Finding) -> Came:
    settled = finding.result in (Result.EQUAL, Result.CHANGED)
    words = finding.words if finding.result != Result.UNANSWERED else f"Not answered. {finding.words}"
    return Came(ItemState.DONE if settled else ItemState.FAILED, words)


KIND = Kind(NAME, "Compare", lambda: _prepare, _work, ask=_ask, batch=BATCH)


def comparison_sentence(activity: Activity) -> str:
    """What a comparison that has ended came to."""
    items = ActivityItem.objects.filter(activity=activity)
    equal = items.filter(state=ItemState.DONE, words__startswith="Equal").count()
    silent = items.filter(state=ItemState.FAILED, words__startswith="Not answered").count()
    changed = "would be changed" if activity.params.get("dry_run") else "changed"
    return (
        f"{activity.done + activity.failed:,} compared: {equal:,} equal, {activity.done - equal:,} {changed}, "
        f"{activity.failed - silent:,} differ and are left for a person, {silent:,} not answered."
    )
