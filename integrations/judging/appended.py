"""What is added to a lead later changes what it is found by: its keys are made anew in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from integrations.judging.job_sets import job_set, wide_jobs
from integrations.judging.judgements import leads_to_judge
from integrations.judging.lead_keys import keys_of, keys_rewrite, may_count, questions_kept
from integrations.judging.weighing import job_lead
from leads import appending
from leads.models import Campaign, Status
from leads.models.lead import Via


def lead_append(lead_id: int, data: Mapping[str, str], *, by: str = "", via: Via = Via.WEBHOOK) -> bool:
    """As leads.appending has it; and whoever looks for earlier leads finds this one by what it says now, no more by what it said."""
    with transaction.atomic():
        found = appending.lead_append(lead_id, data, by=by, via=via)
        if found:
            _keys_renew(lead_id)
    return found


def _keys_renew(lead_id: int) -> None:
    """The keys of a lead, which is locked. One that is yet to be judged gets them then, and a test or an erased one has none."""
    lead = leads_to_judge([lead_id], "enriched", "processed_at", "erased_at").first()
    if lead is None or lead.processed_at is None or lead.erased_at is not None or lead.status == Status.TEST:
        return
    version = Campaign.objects.values_list("processr_version", flat=True).get(pk=lead.campaign_id)
    if not version and not wide_jobs():
        return
    jobs = job_set(lead.campaign_id, version, {lead.form_id: lead.form_version})
    if not jobs.writers:
        return
    seen = job_lead(lead, jobs, {**(lead.enriched or {}), **lead.values})
    good = may_count(lead.status, lead.flag)
    keys_rewrite([lead_id], keys_of(seen, questions_kept(seen, jobs), jobs.kinds, good))
