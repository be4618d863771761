"""Leads that wait: those in Caution for a person, those beyond a cap for a person or for the next day, week or month."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.db import transaction
from django.db.models import Count, QuerySet

from integrations.delivery import Wish, accepting, deliveries_add, deliveries_queue
from integrations.judging.caps import Rooms
from integrations.judging.job_sets import job_set
from integrations.models import Delivery
from leads import clock
from leads.database import update_rows
from leads.models import Campaign, Held, Lead
from leads.status import Decision, leads_decide

RELEASE_TASK = "integrations.release_held"
BATCH = 500


def leads_push_on(lead_ids: Collection[int], *, by: str, comment: str = "") -> set[int]:
    """Let held leads go out because a person wants it; return the ids of those that were held.

    One in Caution is valid from then on. Caps do not keep it back, and it counts for them. All of it happens, or none.
    """
    with transaction.atomic():
        leads = _locked(lead_ids)
        rooms = _rooms(leads)
        for lead in leads:
            rooms.take_anyway(lead)
        rooms.keep()
        done = leads_decide({lead.pk: Decision(True, by, comment=comment) for lead in leads})
        deliveries_queue(done)
    return done


def leads_turn_down(lead_ids: Collection[int], *, by: str, reason_code: str = "", comment: str = "") -> set[int]:
    """Make held leads invalid because a person wants it; return the ids of those that were held."""
    with transaction.atomic():
        decision = Decision(False, by, reason_code, comment)
        return leads_decide({lead.pk: decision for lead in _locked(lead_ids)})


def leads_held_due() -> bool:
    """Whether a lead that a cap held may go out now."""
    return _due().exists()


def leads_held_release() -> int:
    """Let out what caps held and what there is room for now; how many that were. The others wait for the next span."""
    total = 0
    while True:
        seen, released = _release_batch()
        total += released
        if seen < BATCH:
            return total


def leads_waiting(campaign_ids: Collection[int] | None = None) -> dict[tuple[int, Held], int]:
    """How many leads wait, by campaign and why."""
    found = Lead.objects.filter(held__gt="")
    if campaign_ids is not None:
        found = found.filter(campaign__in=campaign_ids)
    counts = found.order_by().values_list("campaign", "held").annotate(count=Count("pk"))
    return {(campaign_id, Held(held)): count for campaign_id, held, count in counts}


def held_words(lead: Lead) -> str:
    """Why a lead waits, and until when, in words; empty where it does not."""
    if not lead.held:
        return ""
    words = Held(lead.held).label
    if lead.held == Held.CAUTION:
        return f"{words}."
    if lead.held_until is None:
        return f"{words}. It waits for a person."
    return f"{words}. It goes out by itself when the next one begins."


def _due() -> QuerySet[Lead]:
    return Lead.objects.filter(held_until__isnull=False, held_until__lte=clock.now(), erased_at=None)


def _release_batch() -> tuple[int, int]:
    """How many were looked at, and how many of them went out."""
    with transaction.atomic():
        leads = list(_due().select_for_update(skip_locked=True).order_by("id")[:BATCH])
        if not leads:
            return 0, 0
        rooms = _rooms(leads)
        kept, out = [], []
        for lead in leads:
            held, until, billable = rooms.take(lead)
            if held:
                kept.append((lead.pk, held, until))
            else:
                out.append((lead.pk, billable))
        rooms.keep()
        update_rows(Lead, ["id"], ["held", "held_until"], kept)
        update_rows(Lead, ["id"], ["billable"], out)
        released = leads_decide({pk: Decision(True) for pk, _ in out})
        _queue([lead for lead in leads if lead.pk in released])
    return len(leads), len(released)


def _queue(leads: Iterable[Lead]) -> None:
    leads = list(leads)
    integrations = accepting({lead.campaign_id for lead in leads}, Delivery.Kind.LEAD)
    deliveries_add(
        (
            Wish(integration, Delivery.Kind.LEAD, lead.pk, test=lead.is_test)
            for lead in leads
            for integration in integrations[lead.campaign_id]
        ),
        at_rate=True,
    )


def _locked(lead_ids: Collection[int]) -> list[Lead]:
    held = Lead.objects.select_for_update(of=("self",)).filter(pk__in=lead_ids, held__gt="", erased_at=None)
    return list(held.order_by("pk"))


def _rooms(leads: Iterable[Lead]) -> Rooms:
    """The room of these leads' contracts."""
    leads = list(leads)
    versions = dict(
        Campaign.objects.filter(pk__in={lead.campaign_id for lead in leads}).values_list("pk", "processr_version")
    )
    sets = {pk: job_set(pk, version, {}) for pk, version in versions.items()}
    wanted = {
        (lead.campaign_id, lead.publisher_id): (jobs.zone, jobs.releases_held)
        for lead in leads
        if lead.publisher_id in (jobs := sets[lead.campaign_id]).capped
    }
    return Rooms(wanted, clock.now())
