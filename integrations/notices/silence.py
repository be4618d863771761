"""Silence: a campaign that gets no leads though at this hour of the week it usually does.

The rule. Time is cut into slots of ten minutes; a slot is busy when a lead came in it, however many. From the 14 days up to the
last lead each hour of the week (in the campaign's time zone) has a share of busy slots. The shares of the slots since the
last lead, added up, are how many busy slots were missed: one for each usual gap at these hours, so that nights and
weekends count for as little as usually comes in them. At `silence_times` of them people are told, once. Fewer than 20 busy slots
say nothing of what is usual.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeAlias

from django.db import connection, models
from django.utils import timezone

from integrations.models import Notice, NoticeKind
from integrations.notices.incidents import notice_close, notice_open
from leads.models import Campaign, Lead, Status

SLOT = dt.timedelta(minutes=10)
KNOWN = dt.timedelta(days=14)
ENOUGH_SLOTS = 20
# What is silent for longer is no news any more: everybody knows, or nobody expects anything.
LONGEST = dt.timedelta(days=28)

Week: TypeAlias = Mapping[tuple[int, int], float]
"""Weekday (0 is Monday) and hour to the share of its slots that are usually busy."""


def usual_week(busy: Iterable[dt.datetime], since: dt.datetime, until: dt.datetime, zone: dt.tzinfo) -> Week:
    """The share of busy slots in each hour of the week. `busy` are the beginnings of busy slots in since..until.

    Empty where there are too few to know.
    """
    found = Counter(_hour(at, zone) for at in busy)
    if found.total() < ENOUGH_SLOTS:
        return {}
    slots = Counter(_hour(at, zone) for at in slots_between(since, until))
    return {hour: min(1.0, count / slots[hour]) for hour, count in found.items() if slots[hour]}


def gaps_missed(week: Week, last: dt.datetime, now: dt.datetime, zone: dt.tzinfo) -> float:
    """How many usual gaps long it has been silent since the last lead."""
    return sum(week.get(_hour(at, zone), 0.0) for at in slots_between(last, now)) if week else 0.0


def slots_between(since: dt.datetime, until: dt.datetime) -> Iterable[dt.datetime]:
    """The beginnings of whole slots from one moment to another."""
    for number in range(max(0, (until - since) // SLOT)):
        yield since + number * SLOT


def _hour(at: dt.datetime, zone: dt.tzinfo) -> tuple[int, int]:
    local = at.astimezone(zone)
    return local.weekday(), local.hour


def silence_look(now: dt.datetime | None = None) -> int:
    """Tell of active campaigns that have fallen silent, and of those that have leads again; how much was told."""
    now = now or timezone.now()
    open_now = {notice.about: notice for notice in Notice.objects.filter(kind=NoticeKind.SILENCE, ended_at=None)}
    told = 0
    campaigns = Campaign.objects.filter(status=Campaign.Status.ACTIVE, silence_times__gt=0)
    for campaign in campaigns.only("name", "time_zone", "silence_times"):
        notice = open_now.pop(_about(campaign.pk), None)
        last = _last_lead(campaign.pk)
        if last is None:
            continue
        if notice is not None:
            if last > notice.started_at:
                told += notice_close(notice.about, NoticeKind.SILENCE, "The first lead since then has come.")
        elif _is_silent(campaign, last, now):
            told += notice_open(
                _about(campaign.pk),
                NoticeKind.SILENCE,
                _words(campaign, last, now),
                campaign_id=campaign.pk,
                since=last,
            )
    for about in open_now:
        # It takes no leads any more, or nobody wants to hear of it.
        notice_close(about, NoticeKind.SILENCE, told=False)
    return told


def _about(campaign_id: int) -> str:
    return f"campaign:{campaign_id}"


def _last_lead(campaign_id: int) -> dt.datetime | None:
    rows = Lead.objects.filter(campaign=campaign_id).exclude(status=Status.TEST)
    return rows.order_by("-created_at").values_list("created_at", flat=True).first()


def _is_silent(campaign: Campaign, last: dt.datetime, now: dt.datetime) -> bool:
    # Each slot counts for one at the most: before so many have passed nothing needs to be looked up.
    if now - last < campaign.silence_times * SLOT or now - last > LONGEST:
        return False
    week = week_before(campaign.pk, last, campaign.time_zone)
    return gaps_missed(week, last, now, zoneinfo.ZoneInfo(campaign.time_zone)) >= campaign.silence_times


@lru_cache(maxsize=500)
def week_before(campaign_id: int, last: dt.datetime, time_zone: str) -> Week:
    """What is usual, going by the time up to a campaign's last lead; it stays the same until the next one comes."""
    since = last - KNOWN
    return usual_week(busy_slots(campaign_id, since, last), since, last, zoneinfo.ZoneInfo(time_zone))


def busy_slots(campaign_id: int, since: dt.datetime, until: dt.datetime) -> list[dt.datetime]:
    """The slots in which a lead came: one look into the index for each slot, however many leads there are."""
    slots = list(slots_between(since, until))
    if not slots:
        return []
    field = Lead._meta.get_field("created_at")
    assert isinstance(field, models.DateTimeField)
    bounds = [(field.get_db_prep_value(at, connection), field.get_db_prep_value(at + SLOT, connection)) for at in slots]
    rows = ", ".join(f"({number}, %s, %s)" for number in range(len(slots)))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH slot (number, since, until) AS (VALUES {rows})
            SELECT number FROM slot WHERE EXISTS (
                SELECT 1 FROM leads_lead
                WHERE campaign_id = %s AND created_at >= slot.since AND created_at < slot.until AND status <> %s
            )
            """,  # noqa: S608
            [*(bound for pair in bounds for bound in pair), campaign_id, Status.TEST],
        )
        return [slots[number] for (number,) in cursor.fetchall()]


def _words(campaign: Campaign, last: dt.datetime, now: dt.datetime) -> str:
    hours = (now - last) / dt.timedelta(hours=1)
    long = f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"
    return (
        f"No lead has come for {long}. That is at least {campaign.silence_times} times the usual gap at these hours, going by "
        "the 14 days before."
    )
