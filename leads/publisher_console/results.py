"""What a publisher is told of its leads: what became of the latest, why, and how many came today. In partners' words.

As the publisher API says it (facts, section 4): a flag wins over the status, and what waits for a person is not decided.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count
from django.utils import timezone
from django.utils.safestring import SafeString

from leads.admin.badges import badge
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


def came_to(status: str, flag: str) -> str:
    """A key of WORDS."""
    found = flag or status
    return found if found in WORDS else "pending"


def latest_results(publisher: Publisher, campaign: Campaign | None = None, *, clear: bool) -> list[Result]:
    """The last leads of a publisher, newest first, with the reasons; `clear` for who may see what was posted."""
    leads = Lead.objects.filter(publisher=publisher)
    if campaign is not None:
        leads = leads.filter(campaign=campaign)
    found = []
    for lead in leads.select_related("campaign", "link").order_by("-pk")[:SHOWN]:
        reason = _reason(lead)
        found.append(
            Result(lead, came_to(lead.status, lead.flag), reason if clear else without_personal(reason, lead.values))
        )
    return found


def _reason(lead: Lead) -> str:
    if lead.flag in (Flag.INVALID, Flag.RETURNED):
        return ": ".join(part for part in (lead.reason_code, lead.comment) if part)[:REASON_CHARS]
    if not lead.flag and lead.status == Status.INVALID:
        return "; ".join(lead.failed_words)[:REASON_CHARS]
    return ""


def counts_of_today(publisher: Publisher, campaigns: Iterable[Campaign]) -> dict[int, Counter[str]]:
    """Campaign id to how many leads of its day came to what; the day is that of the campaign's time zone."""
    found: dict[int, Counter[str]] = {}
    for campaign in campaigns:
        begins = timezone.localtime(timezone.now(), zoneinfo.ZoneInfo(campaign.time_zone))
        midnight = begins.replace(hour=0, minute=0, second=0, microsecond=0)
        rows = (
            Lead.objects.filter(campaign=campaign, publisher=publisher, created_at__gte=midnight.astimezone(dt.UTC))
            .order_by()
            .values_list("status", "flag")
            .annotate(count=Count("*"))
        )
        counts: Counter[str] = Counter()
        for status, flag, count in rows:
            counts[came_to(status, flag)] += count
        found[campaign.pk] = counts
    return found
