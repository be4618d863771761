"""Leads that were judged are judged once more, by the jobs of now and the same code."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction

from integrations.delivery import deliveries_queue, deliveries_withdraw
from integrations.judging.judgements import goes_out, is_out, leads_judge_by_jobs_again, leads_to_judge
from integrations.models import Delivery, DeliveryState
from leads.models import Campaign, Lead, Status
from leads.status import Judgement, leads_judge_again

_ON_THEIR_WAY = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.HELD)


def leads_reprocess(lead_ids: Collection[int], *, by: str, deliver_again: bool = False) -> dict[int, str]:
    """Judge leads once more because a person wants it; lead id to what came of it, in words.

    Those that are still pending or were erased are left out. A lead that may go out is handed to the integrations that never
    had it; with `deliver_again` also to those that did, unless it is still on its way there. What had not gone out of a lead
    that is turned down now is taken back. All of it happens, or none.
    """
    with transaction.atomic():
        locked = Lead.objects.select_for_update(of=("self",)).filter(
            pk__in=lead_ids, processed_at__isnull=False, erased_at__isnull=True
        )
        leads = list(leads_to_judge(list(locked.order_by("pk").values_list("pk", flat=True))))
        before = {lead.pk: lead for lead in leads}
        campaigns = Campaign.objects.filter(pk__in={lead.campaign_id for lead in leads})
        judgements = leads_judge_by_jobs_again(leads, dict(campaigns.values_list("pk", "processr_version")))
        out = {pk for pk, judgement in judgements.items() if goes_out(judgement)}
        leads_judge_again(judgements, before, by=by, released=[pk for pk in out if not _was_out(before[pk])])
        deliveries_withdraw([pk for pk in judgements if pk not in out])
        _deliver(out, deliver_again)
    return {pk: _words(before[pk], judgement) for pk, judgement in judgements.items()}


def _was_out(lead: Lead) -> bool:
    return lead.status == Status.TEST or is_out(lead)


def _deliver(lead_ids: Collection[int], again: bool) -> None:
    waiting = Delivery.objects.filter(lead__in=lead_ids, kind=Delivery.Kind.LEAD, state__in=_ON_THEIR_WAY)
    busy = set(waiting.values_list("lead_id", flat=True)) if again else set(lead_ids)
    deliveries_queue([pk for pk in lead_ids if pk in busy])
    deliveries_queue([pk for pk in lead_ids if pk not in busy], resend=True)


def _words(lead: Lead, judgement: Judgement) -> str:
    status, was = judgement.status.label, Status(lead.status).label
    said = f"{status}, as before" if status == was else f"{status}, was {was.lower()}"
    return f"{said}: {' '.join(judgement.reasons)}" if judgement.failed_jobs else f"{said}."
