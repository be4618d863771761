"""Judgements of a batch of leads, written down but for the leads' own rows: keys, caps and tallies, in the caller's transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from zoneinfo import ZoneInfo

from django.db.models import F, QuerySet

from integrations.judging.caps import Rooms
from integrations.judging.job_sets import JobSet, job_set
from integrations.judging.lead_keys import keys_rewrite, keys_write
from integrations.judging.tallies import tallies_add
from integrations.judging.weighing import Judged, leads_weigh
from leads import clock
from leads.models import Held, Lead, Status
from leads.status import Judgement

_WANTED = (
    "campaign_id", "publisher_id", "form_id", "form_version", "values", "status", "flag", "created_at", "ip", "held",
    "billable", "judgements", "released_at", "sync_subdomain", "sync_token",
)  # fmt: skip


def goes_out(judgement: Judgement) -> bool:
    """Whether a lead that was judged so is handed to the integrations of its campaign."""
    return judgement.status in (Status.VALID, Status.TEST, Status.CAUTION) and not judgement.held


def leads_to_judge(ids: Collection[int], *more: str) -> QuerySet[Lead]:
    """Leads with all that judging wants of them (and `more` columns), in the order of their ids."""
    return Lead.objects.filter(pk__in=ids).annotate(channel=F("link__channel")).only(*_WANTED, *more).order_by("pk")


def job_sets(leads: Collection[Lead], versions: Mapping[int, int]) -> dict[int, JobSet]:
    """The jobs of the campaigns of these leads; `versions` are the campaigns' (Campaign.processr_version)."""
    forms: dict[int, dict[int, int]] = {}
    for lead in leads:
        known = forms.setdefault(lead.campaign_id, {})
        known[lead.form_id] = max(lead.form_version, known.get(lead.form_id, 0))
    return {campaign_id: job_set(campaign_id, versions[campaign_id], found) for campaign_id, found in forms.items()}


def leads_judge_by_jobs(ids: Collection[int], versions: Mapping[int, int]) -> dict[int, Judgement]:
    """Judge received leads, which are locked, for the first time; lead id to judgement."""
    leads = list(leads_to_judge(ids))
    sets = job_sets(leads, versions)
    now = clock.now()
    rooms = Rooms(_capped(leads, sets), now)
    judged = leads_weigh(leads, sets, rooms.take)
    rooms.keep()
    keys_write(key for found in judged.values() for key in found.keys)
    tallies_add(judged, leads, sets, now)
    return {lead.pk: judgement_of(judged[lead.pk], sets[lead.campaign_id]) for lead in leads}


def leads_judge_by_jobs_again(leads: Sequence[Lead], versions: Mapping[int, int]) -> dict[int, Judgement]:
    """Judge leads (of leads_to_judge, locked) once more; lead id to judgement.

    A lead that went out keeps its place in its publisher's caps; one that did not may take one.
    """
    sets = job_sets(leads, versions)
    now = clock.now()
    was_out = {lead.pk for lead in leads if is_out(lead)}
    rooms = Rooms(_capped([lead for lead in leads if lead.pk not in was_out], sets), now)

    def gate(lead: Lead) -> tuple[Held, dt.datetime | None, bool | None]:
        return (Held.NO, None, lead.billable) if lead.pk in was_out else rooms.take(lead)

    judged = leads_weigh(leads, sets, gate, again=True)
    rooms.keep()
    keys_rewrite([lead.pk for lead in leads], [key for found in judged.values() for key in found.keys])
    tallies_add(judged, leads, sets, now)
    return {lead.pk: judgement_of(judged[lead.pk], sets[lead.campaign_id]) for lead in leads}


def is_out(lead: Lead) -> bool:
    """Whether a judged lead went out when it was judged or let out."""
    return lead.status in (Status.VALID, Status.CAUTION) and not lead.held


def judgement_of(judged: Judged, jobs: JobSet) -> Judgement:
    """What is written down of it. Where a campaign has caps alone there is no score."""
    return Judgement(
        judged.status,
        judged.failed,
        judged.score if jobs.has_jobs else None,
        judged.max_score if jobs.has_jobs else None,
        judged.enriched,
        judged.held,
        judged.held_until,
        judged.billable,
    )


def _capped(leads: Collection[Lead], sets: Mapping[int, JobSet]) -> dict[tuple[int, int], tuple[ZoneInfo, bool]]:
    return {
        (lead.campaign_id, lead.publisher_id): (jobs.zone, jobs.releases_held)
        for lead in leads
        if lead.status != Status.TEST and lead.publisher_id in (jobs := sets[lead.campaign_id]).capped
    }
