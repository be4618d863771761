"""What goes out when: caps, and hours and days, in the campaign's time zone. A closed integration's deliveries stay queued.

The gate is two columns of the integration, closed_until and closed_reason: docs/adr/0008. While it is open, two more say how many
may go out without counting again, and until when. Nothing is sent here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from integrations.models import Delivery, Integration, IntegrationState

UTC = ZoneInfo("UTC")
MIDNIGHT = dt.time()
# A count is believed for so long; each claim takes what it claimed off it meanwhile.
BELIEVED = dt.timedelta(seconds=60)
# Where hours bound what goes out, and no cap.
NO_CAP = 1_000_000_000
# failing_told of an integration that was switched off because it had failed for too long: it is still probed.
SWITCHED_OFF = 100


def sendable(integration: Integration) -> bool:
    """Whether anything may go out by the integration's state: it is on, or failed for so long that it is only probed."""
    probed = integration.state == IntegrationState.NEEDS_A_LOOK and integration.failing_told == SWITCHED_OFF
    return integration.state == IntegrationState.ON or probed


def gate_zone(integration: Integration) -> ZoneInfo:
    """The time zone that days and hours are meant in: the campaign's; UTC for one that serves the whole instance."""
    return ZoneInfo(integration.campaign.time_zone) if integration.campaign_id else UTC


def gated(integration: Integration) -> bool:
    """Whether anything but the integration's state bounds what goes out when."""
    caps = (integration.cap_day, integration.cap_week, integration.cap_total)
    hours = (integration.hours_from, integration.hours_to)
    return any(bound is not None for bound in (*caps, *hours)) or bool(integration.weekdays)


def gate_closed(integration: Integration, now: dt.datetime) -> bool:
    """Whether it was closed, and still is: until a time, or (a reason and no time) until a person raises a cap."""
    if integration.closed_until is not None:
        return integration.closed_until > now
    return bool(integration.closed_reason)


def next_opening(integration: Integration, now: dt.datetime) -> dt.datetime | None:
    """When deliveries may go out again by hours and days; None where they may now.

    A day's hours begin when its clock first shows `hours_from` and end when it first shows `hours_to`, which may be on the
    day after; a day that is left out has no beginning. No days chosen: every day.
    """
    if not _has_hours(integration):
        return None
    spans = list(_spans(integration, now))
    if any(opens <= now < closes for opens, closes in spans):
        return None
    return min(opens for opens, _ in spans if opens > now)


def _has_hours(integration: Integration) -> bool:
    return bool(integration.weekdays) or integration.hours_from is not None or integration.hours_to is not None


def _spans(integration: Integration, now: dt.datetime) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """When it opens and closes, from yesterday to a good week ahead."""
    begins, ends = integration.hours_from or MIDNIGHT, integration.hours_to or MIDNIGHT
    zone = gate_zone(integration)
    today = now.astimezone(zone).date()
    over_midnight = dt.timedelta(days=1 if ends <= begins else 0)
    for day in (today + dt.timedelta(days=n) for n in range(-1, 9)):
        if not integration.weekdays or day.weekday() in integration.weekdays:
            yield clock_shows(day, begins, zone), clock_shows(day + over_midnight, ends, zone)


def integration_allowance(integration: Integration, wanted: int, now: dt.datetime) -> int:
    """How many deliveries may be claimed now, of those wanted; test leads are not meant: they always may.

    Call it in the transaction of the claim, before it, and integration_took() after it: it locks the integration's row, so that
    two workers never take the same room. What counts against a cap is what the client has or may have: delivered or in doubt in
    the day, the week or ever, and what is being sent. Where nothing is left the integration is closed, with the reason in words.
    What comes free again meanwhile (a refusal) is seen at the next count. Without caps and hours it asks the database nothing.
    """
    if not gated(integration):
        return wanted
    if room := _known_room(integration.pk, now):
        return min(room, wanted)
    row = Integration.objects.select_for_update(no_key=True, of=("self",)).select_related("campaign")
    fresh = row.get(pk=integration.pk)
    if gate_closed(fresh, now):
        return 0
    opening = next_opening(fresh, now)
    if opening is not None:
        _close(fresh, "It is out of hours.", opening)
        return 0
    left, caps = NO_CAP, _caps(fresh, now)
    counted = _counted(fresh, [since for _, since, _, _ in caps]) if caps else {}
    for place, (cap, _, until, words) in enumerate(caps):
        sure, doubt, sending = counted[f"sure_{place}"], counted[f"doubt_{place}"], counted["sending"]
        if sure + doubt >= cap:
            in_doubt = f", {doubt:,} of them in doubt" if doubt else ""
            # It goes on when the day or week is over, and it is in hours then.
            _close(fresh, f"{words}{in_doubt}.", until and (next_opening(fresh, until) or until))
            return 0
        left = min(left, cap - sure - doubt - sending)
    left = max(left, 0)
    ends = [until for _, _, until, _ in caps if until is not None]
    if _has_hours(fresh):
        ends += [closes for opens, closes in _spans(fresh, now) if opens <= now < closes]
    Integration.objects.filter(pk=fresh.pk).update(
        closed_reason="", closed_until=None, room=left, room_until=min([now + BELIEVED, *ends])
    )
    return min(left, wanted)


def integration_took(integration: Integration, count: int) -> None:
    """So many were claimed: less room is left. In the transaction of integration_allowance()."""
    if count and gated(integration):
        with connection.cursor() as cursor:
            # Where less was there than tests beside the others took, it is counted anew.
            cursor.execute(
                "UPDATE integrations_integration SET room = CASE WHEN room >= %s THEN room - %s END WHERE id = %s",
                [count, count, integration.pk],
            )


def _known_room(integration_id: int, now: dt.datetime) -> int:
    """What is left of the last count that is still believed; 0 where it has to be counted. Locks the row."""
    lock = "FOR NO KEY UPDATE" if connection.features.has_select_for_no_key_update else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT room FROM integrations_integration WHERE id = %s AND room > 0 AND room_until > %s {lock}",  # noqa: S608
            [integration_id, connection.ops.adapt_datetimefield_value(now)],
        )
        found = cursor.fetchone()
    return int(found[0]) if found else 0


def integration_reopen(integration_id: int) -> None:
    """Lift a closure at once: what bounds the integration has changed. The next claim counts anew."""
    Integration.objects.filter(pk=integration_id).update(closed_until=None, closed_reason="", room=None)


def integrations_recount(delivery_ids: Collection[int]) -> None:
    """These became delivered without a claim (by hand, by a verdict): the next claim of their integrations counts anew."""
    theirs = Delivery.objects.filter(pk__in=list(delivery_ids)).values("integration_id")
    Integration.objects.filter(pk__in=theirs, room__isnull=False).update(room=None)


def _caps(integration: Integration, now: dt.datetime) -> list[tuple[int, dt.datetime | None, dt.datetime | None, str]]:
    """Each cap with when its span began, when it ends (None: never), and what is said when it is used up."""
    zone = gate_zone(integration)
    today = now.astimezone(zone).date()
    monday = today - dt.timedelta(days=today.weekday())
    found: list[tuple[int, dt.datetime | None, dt.datetime | None, str]] = []
    # The longest first: what is said is when it really goes on.
    if integration.cap_total is not None:
        found.append((integration.cap_total, None, None, f"All {integration.cap_total:,} are out"))
    if integration.cap_week is not None:
        week = clock_shows(monday, MIDNIGHT, zone), clock_shows(monday + dt.timedelta(days=7), MIDNIGHT, zone)
        found.append((integration.cap_week, *week, f"This week's {integration.cap_week:,} are out"))
    if integration.cap_day is not None:
        day = clock_shows(today, MIDNIGHT, zone), clock_shows(today + dt.timedelta(days=1), MIDNIGHT, zone)
        found.append((integration.cap_day, *day, f"Today's {integration.cap_day:,} are out"))
    return found


def _counted(integration: Integration, spans: Sequence[dt.datetime | None]) -> dict[str, int]:
    """How many the client has for sure, how many it may have, for each span, and how many are being sent.

    One statement, so that what goes from one to the other meanwhile is counted once, and not missed. The states stand in it
    as they do in the conditions of the indexes: SQLite takes a partial index for no parameter. The plus keeps it from
    walking all deliveries of the integration for the few that are being sent.
    """
    mine = "SELECT count(*) FROM integrations_delivery AS d WHERE d.integration_id = %s AND NOT d.test"
    doubt = f"{mine} AND d.state IN ('held', 'unknown', 'exhausted') AND d.state = 'unknown'"
    # The last try says when a doubt came up; of one whose worker died there is none, but the end of its lease.
    tried = "SELECT 1 FROM integrations_attempt AS a WHERE a.delivery_id = d.id AND a.started_at >= %s"
    counts = {"sending": mine.replace("d.integration_id", "+d.integration_id") + " AND d.state = 'sending'"}
    params: list[Any] = [integration.pk]
    for place, since in enumerate(spans):
        if since is None:
            counts[f"sure_{place}"], counts[f"doubt_{place}"] = f"{mine} AND d.delivered_at IS NOT NULL", doubt
            params += [integration.pk, integration.pk]
            continue
        moment = connection.ops.adapt_datetimefield_value(since)
        counts[f"sure_{place}"] = f"{mine} AND d.delivered_at >= %s"
        counts[f"doubt_{place}"] = f"{doubt} AND (d.lease_until >= %s OR EXISTS ({tried}))"
        params += [integration.pk, moment, integration.pk, moment, moment]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'({count})' for count in counts.values())}", params)
        return dict(zip(counts, cursor.fetchone(), strict=True))


def _close(integration: Integration, reason: str, until: dt.datetime | None) -> None:
    Integration.objects.filter(pk=integration.pk).update(closed_reason=reason, closed_until=until, room=None)


def clock_shows(day: dt.date, time: dt.time, zone: ZoneInfo) -> dt.datetime:
    """The moment at which the clock there first shows this time or a later one: none is left out when clocks change."""
    wall = dt.datetime.combine(day, time)
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    minute = dt.timedelta(minutes=1)
    if moment.astimezone(zone).replace(tzinfo=None) != wall:
        # Clocks leap over it: the moment of the leap.
        while (moment - minute).astimezone(zone).replace(tzinfo=None) >= wall:
            moment -= minute
    return moment
