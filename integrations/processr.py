"""Stage 2: received leads become judged leads with their deliveries queued; changed flags become status deliveries.

A batch is one transaction: a lead is never judged without its deliveries, and never queued twice.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import QuerySet

from integrations.delivery import Wish, accepting, deliveries_add
from integrations.judging.job_sets import wide_jobs
from integrations.judging.judgements import goes_out, leads_judge_by_jobs
from integrations.kit.registry import connectors
from integrations.models import Delivery, Integration, IntegrationState
from leads import clock
from leads.models import Lead, LeadChange, Status
from leads.readings import Reading
from leads.status import Judgement, leads_judge

PROCESS_TASK = "integrations.process_leads"
BATCH = 500


def leads_due() -> bool:
    """Whether a received lead waits to be judged, and need not wait for its campaign's keys."""
    return _received(clock.now()).exists()


def changes_due() -> bool:
    """Whether a changed flag waits to be handed over."""
    return LeadChange.objects.filter(sync_due=True).exists()


def leads_process() -> int:
    """Judge all received leads and queue what goes out; how many that were."""
    total = 0
    while True:
        count = _process_batch()
        total += count
        if count < BATCH:
            # What came since wakes this stage again.
            return total


def _received(now: dt.datetime) -> QuerySet[Lead]:
    return Lead.objects.filter(processed_at__isnull=True).exclude(campaign__judging_waits_until__gt=now)


class _Received(NamedTuple):
    """A lead that waits to be judged."""

    pk: int
    campaign_id: int
    status: str
    sync_subdomain: str
    sync_token: str
    processr_version: int


def _next(now: dt.datetime) -> QuerySet[Lead, tuple[Any, ...]]:
    return (
        _received(now)
        .select_for_update(skip_locked=True, of=("self",))
        .order_by("id")
        .values_list("pk", "campaign_id", "status", "sync_subdomain", "sync_token", "campaign__processr_version")[
            :BATCH
        ]
    )


_NEXT = Reading(_next, times=[0])


def _process_batch() -> int:
    with transaction.atomic():
        leads = [_Received(*row) for row in _NEXT.rows(clock.now())]
        if not leads:
            return 0
        judgements = {lead.pk: _plain(lead) for lead in leads}
        # A campaign that nobody ever gave a job or a cap costs nothing more, unless jobs of others compare with its leads.
        wide = wide_jobs()
        if versions := {lead.campaign_id: lead.processr_version for lead in leads if lead.processr_version or wide}:
            judgements |= leads_judge_by_jobs([lead.pk for lead in leads if lead.campaign_id in versions], versions)
        leads_judge(judgements, tell={lead.pk: bool(lead.sync_subdomain and lead.sync_token) for lead in leads})
        integrations = accepting({lead.campaign_id for lead in leads}, Delivery.Kind.LEAD)
        deliveries_add(
            Wish(integration, Delivery.Kind.LEAD, lead.pk, test=judgements[lead.pk].status == Status.TEST)
            for lead in leads
            if goes_out(judgements[lead.pk])
            for integration in integrations[lead.campaign_id]
        )
    return len(leads)


def _plain(lead: _Received) -> Judgement:
    """A lead that passed its form is valid as long as its campaign has no quality jobs; a test lead stays a test."""
    return Judgement(Status.TEST if lead.status == Status.TEST else Status.VALID)


def changes_hand_over() -> int:
    """Queue a status delivery for each flag that the instance of the lead's origin is yet to be told of; how many."""
    total = 0
    while count := _hand_over_batch():
        total += count
    return total


def _hand_over_batch() -> int:
    with transaction.atomic():
        changes = list(
            LeadChange.objects.select_for_update(skip_locked=True, of=("self",))
            .filter(sync_due=True)
            .select_related("lead")
            .order_by("id")[:BATCH]
        )
        if not changes:
            return 0
        origins: dict[tuple[int, str], Integration] = {}
        wishes = []
        for change in changes:
            origin = (change.lead.campaign_id, change.lead.sync_subdomain)
            if origin not in origins:
                origins[origin] = _status_integration(*origin)
            wishes.append(Wish(origins[origin], Delivery.Kind.STATUS, change.lead_id, data=_status_data(change)))
        deliveries_add(wishes)
        LeadChange.objects.filter(pk__in=[change.pk for change in changes]).update(sync_due=False)
    return len(changes)


def _status_data(change: LeadChange) -> dict[str, str]:
    return {
        "token": change.lead.sync_token,
        "verdict": change.flag or change.status,
        "reason_code": change.reason_code,
        "comment": change.comment,
        "by": change.by,
        "event_id": change.event_id.hex,
        "decided_at": change.decided_at.isoformat(),
    }


def _status_integration(campaign_id: int, subdomain: str) -> Integration:
    """The engine's own integration of a campaign to an instance that leads came from, made when first needed."""
    slug = next(
        slug
        for slug, found in connectors().items()
        if "status" in found.manifest.accepts and not found.manifest.offered
    )
    integration, _ = Integration.objects.get_or_create(
        campaign_id=campaign_id,
        name=f"Status changes to {subdomain}",
        defaults={
            "connector": slug,
            "settings": {"subdomain": subdomain},
            "state": IntegrationState.ON,
            "managed": True,
            # A repeated status change is recognised by its event id.
            "honours_keys": True,
        },
    )
    return integration
