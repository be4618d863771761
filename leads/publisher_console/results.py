"""What a publisher is told of its leads: what became of the latest, why, and how many came today. In partners' words.

As the publisher API says it (facts, section 4): a flag wins over the status, and what waits for a person is not decided.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db.models import Count, Q
from django.utils import timezone
from django.utils.safestring import SafeString

from leads.admin.badges import badge
from leads.came_to import came_to
from leads.models import Campaign, Flag, Lead, Publisher, Status
from leads.rights import without_personal

SHOWN = 50
REASON_CHARS = 300
# What a lead came to, in the order in which it is counted: word and tone.
WORDS = {
    "valid": ("Accepted", "good"),
    "invalid": ("Rejected", "bad"),
    "returned": ("Returned", "back"),
    "pending": ("Being checked", "busy"),
    "test": ("Test", "test"),
}


@dataclass(frozen=True, slots=True)
class Result:
    """One lead as its publisher sees it."""

    lead: Lead
    came_to: str
    reason: str

    @property
    def badge(self) -> SafeString:
        return badge(*WORDS[self.came_to])


def latest_results(publisher: Publisher, campaign: Campaign | None = None, *, clear: bool) -> list[Result]:
    """The last leads of a publisher, newest first, with the reasons; `clear` for who may see what was posted."""
    leads = Lead.objects.filter(publisher=publisher)
    if campaign is not None:
        leads = leads.filter(campaign=campaign)
    found = []
    for lead in leads.select_related("campaign", "link").order_by("-pk")[:SHOWN]:
        reason = _reason(lead)
        found.append(
            Result(
                lead,
                came_to(lead.status, lead.flag, lead.held),
                reason if clear else without_personal(reason, lead.values),
            )
        )
    return found


def _reason(lead: Lead) -> str:
    if lead.flag in (Flag.INVALID, Flag.RETURNED):
        return ": ".join(part for part in (lead.reason_code, lead.comment) if part)[:REASON_CHARS]
    if not lead.flag and lead.status == Status.INVALID:
        return "; ".join(lead.failed_words)[:REASON_CHARS]
    return ""


def counts_of_today(publisher: Publisher, campaigns: Iterable[Campaign]) -> dict[int, Counter[str]]:
    """Campaign id to how many leads of its day came to what; the day is that of the campaign's time zone. One query."""
    days: dict[str, list[int]] = {}
    for campaign in campaigns:
        days.setdefault(campaign.time_zone, []).append(campaign.pk)
    since = Q(pk__in=())
    for zone, ids in days.items():
        begins = timezone.localtime(timezone.now(), zoneinfo.ZoneInfo(zone))
        midnight = begins.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(dt.UTC)
        since |= Q(campaign__in=ids, created_at__gte=midnight)
    return _counts(publisher, since, [pk for ids in days.values() for pk in ids])


def counts_of_days(publisher: Publisher, campaign_ids: Collection[int], days: int) -> dict[int, Counter[str]]:
    """The same of so many days up to now."""
    since = Q(campaign__in=campaign_ids, created_at__gte=timezone.now() - dt.timedelta(days=days))
    return _counts(publisher, since, campaign_ids)


def without_tests(counts: Counter[str]) -> int:
    """How many leads these are; tests are none."""
    return counts.total() - counts["test"]


def _counts(publisher: Publisher, which: Q, campaign_ids: Iterable[int]) -> dict[int, Counter[str]]:
    found: dict[int, Counter[str]] = {pk: Counter() for pk in campaign_ids}
    rows = (
        Lead.objects.filter(which, publisher=publisher)
        .order_by()
        .values_list("campaign_id", "status", "flag", "held")
        .annotate(count=Count("*"))
    )
    for campaign_id, status, flag, held, count in rows:
        # A test that somebody flagged is a test still.
        found[campaign_id]["test" if status == Status.TEST else came_to(status, flag, held)] += count
    return found
