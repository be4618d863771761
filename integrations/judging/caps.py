"""How many leads of a publisher a campaign wants in a day, a week, a month and in all (facts, section 10).

What went out is counted by day of the campaign's time zone, under a lock on the contract, so that two workers never take the same
room. Counts are kept only for contracts that have a cap; the first lead that meets a new one counts what was before.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce, TruncDate

from integrations.gate import MIDNIGHT, clock_shows
from leads import clock
from leads.database import insert_rows
from leads.models import CampaignPublisher, CapCount, Held, Lead, Status

_OVER = CampaignPublisher.OverCap
_ADD = "(contract_id, day) DO UPDATE SET leads = leads_capcount.leads + EXCLUDED.leads"


@dataclass(frozen=True, slots=True)
class CapUsed:
    """One cap of a contract: how many it allows, how many are used, and when it begins anew (None: never)."""

    held: Held
    cap: int
    used: int
    until: dt.datetime | None


@dataclass(slots=True)
class _Room:
    """What is left of one contract's caps in a batch."""

    contract: CampaignPublisher
    zone: ZoneInfo
    releases_held: bool
    caps: list[tuple[Held, int, dt.datetime | None]] = field(default_factory=list)
    """The longest span first, each with what is left and when it begins anew."""
    taken: int = 0


class Rooms:
    """The room that the contracts of a batch of leads have left. Locks the contracts until the transaction ends.

    `wanted` are (campaign, publisher) to the campaign's time zone and whether it releases what was held.
    """

    def __init__(self, wanted: Mapping[tuple[int, int], tuple[ZoneInfo, bool]], now: dt.datetime) -> None:
        self._now = now
        self._rooms: dict[tuple[int, int], _Room] = {}
        if not wanted:
            return
        found = CampaignPublisher.objects.select_for_update(no_key=True, of=("self",)).filter(
            campaign__in={campaign_id for campaign_id, _ in wanted},
            publisher__in={publisher_id for _, publisher_id in wanted},
        )
        for contract in found.order_by("pk"):
            key = (contract.campaign_id, contract.publisher_id)
            if key in wanted and contract_caps(contract):
                room = _Room(contract, *wanted[key])
                room.caps = [(cap.held, cap.cap - cap.used, cap.until) for cap in caps_used(contract, room.zone, now)]
                self._rooms[key] = room

    def take(self, lead: Lead) -> tuple[Held, dt.datetime | None, bool | None]:
        """Whether a lead that may go out does so: why it is held, until when, and False for one that is not billed."""
        room = self._rooms.get((lead.campaign_id, lead.publisher_id))
        if room is None:
            return Held.NO, None, None
        for held, left, until in room.caps:
            if left <= room.taken:
                if room.contract.over_cap == _OVER.UNBILLED:
                    return Held.NO, None, False
                return held, until if room.releases_held else None, None
        room.taken += 1
        return Held.NO, None, None

    def take_anyway(self, lead: Lead) -> None:
        """A person lets a lead out, whatever the caps say: it counts."""
        if room := self._rooms.get((lead.campaign_id, lead.publisher_id)):
            room.taken += 1

    def keep(self) -> None:
        """Write down what was taken, in the same transaction."""
        rows = [
            (room.contract.pk, self._now.astimezone(room.zone).date(), room.taken)
            for room in self._rooms.values()
            if room.taken
        ]
        insert_rows(CapCount, ("contract", "day", "leads"), sorted(rows), on_conflict=_ADD)


def contract_caps(contract: CampaignPublisher) -> list[tuple[Held, int]]:
    """The caps that a contract has, the longest span first: what is said is when it really goes on."""
    caps = (
        (Held.CAP_TOTAL, contract.cap_total),
        (Held.CAP_MONTH, contract.cap_month),
        (Held.CAP_WEEK, contract.cap_week),
        (Held.CAP_DAY, contract.cap_day),
    )
    return [(held, cap) for held, cap in caps if cap is not None]


def caps_used(contract: CampaignPublisher, zone: ZoneInfo, now: dt.datetime) -> list[CapUsed]:
    """Each cap of a contract with what is used of it. Counts what was before, where nobody has yet."""
    if not contract.caps_counted:
        _count_anew(contract, zone)
    today = now.astimezone(zone).date()
    monday, first = today - dt.timedelta(days=today.weekday()), today.replace(day=1)
    spans: dict[Held, tuple[dt.date | None, dt.date | None]] = {
        Held.CAP_TOTAL: (None, None),
        Held.CAP_MONTH: (first, (first + dt.timedelta(days=32)).replace(day=1)),
        Held.CAP_WEEK: (monday, monday + dt.timedelta(days=7)),
        Held.CAP_DAY: (today, today + dt.timedelta(days=1)),
    }
    caps = contract_caps(contract)
    sums = {
        str(held): Coalesce(Sum("leads", filter=Q(day__gte=spans[held][0]) if spans[held][0] else None), 0)
        for held, _ in caps
    }
    counts = CapCount.objects.filter(contract=contract.pk)
    if not any(held == Held.CAP_TOTAL for held, _ in caps):
        counts = counts.filter(day__gte=min(first, monday))
    used = counts.aggregate(**sums)
    return [CapUsed(held, cap, used[str(held)], _begins(spans[held][1], zone)) for held, cap in caps]


def _begins(day: dt.date | None, zone: ZoneInfo) -> dt.datetime | None:
    return clock_shows(day, MIDNIGHT, zone) if day is not None else None


def _count_anew(contract: CampaignPublisher, zone: ZoneInfo) -> None:
    """Count what of this contract went out billed, by the days on which it did."""
    out = Lead.objects.filter(
        campaign=contract.campaign_id,
        publisher=contract.publisher_id,
        status__in=[Status.VALID, Status.CAUTION],
        held=Held.NO,
        processed_at__isnull=False,
    ).exclude(billable=False)
    by_day = (
        out.annotate(day=TruncDate(Coalesce("released_at", "processed_at"), tzinfo=zone))
        .values("day")
        .annotate(count=Count("pk"))
        .order_by("day")
    )
    CapCount.objects.filter(contract=contract.pk).delete()
    insert_rows(CapCount, ("contract", "day", "leads"), [(contract.pk, row["day"], row["count"]) for row in by_day])
    CampaignPublisher.objects.filter(pk=contract.pk).update(caps_counted=True)
    contract.caps_counted = True


def caps_changed(contract_ids: Iterable[int]) -> None:
    """What caps count may be another number now (a cap, the campaign's time zone): count anew, and let out what there is
    room for. In the transaction of the change."""
    contracts = list(
        CampaignPublisher.objects.select_for_update(no_key=True).filter(pk__in=contract_ids).order_by("pk")
    )
    CampaignPublisher.objects.filter(pk__in=[contract.pk for contract in contracts]).update(caps_counted=False)
    for contract in contracts:
        Lead.objects.filter(
            campaign=contract.campaign_id,
            campaign__releases_held=True,
            publisher=contract.publisher_id,
            held__startswith="cap_",
        ).update(held_until=clock.now())
