"""Letting out what waited, at the integration's rate: so many a minute, oldest first, after what is on its way like that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.db import connection
from django.db.models import QuerySet

from integrations.models import Delivery, DeliveryState, Integration, IntegrationState
from leads import clock

# What people let out by the single one they wait for.
AT_ONCE = 1


class Pace:
    """Hands out times at which deliveries go out, for each of some integrations at its rate."""

    def __init__(self, integrations: Iterable[Integration], now: dt.datetime) -> None:
        wanted: dict[int, int] = {}
        known = {}
        for integration in integrations:
            known[integration.pk] = integration
            wanted[integration.pk] = wanted.get(integration.pk, 0) + 1
        self._next: dict[int, dt.datetime] = {}
        for pk, count in wanted.items():
            single = count <= AT_ONCE or not known[pk].release_per_minute
            self._next[pk] = now if single else _begins(known[pk], now)

    def next(self, integration: Integration) -> dt.datetime:
        """When the next delivery of this one goes out."""
        when = self._next[integration.pk]
        if integration.release_per_minute:
            self._next[integration.pk] = when + _gap(integration)
        return when


def deliveries_let_out(deliveries: QuerySet[Delivery], integration: Integration) -> int:
    """Queue an integration's deliveries again, for the first try of the schedule; how many that were.

    One statement, however many there are. Test leads go out at once. What was in doubt is marked as a possible repeat where
    the client can't tell one.
    """
    now = clock.now()
    rate = integration.release_per_minute
    spread = bool(rate) and deliveries.count() > AT_ONCE
    first, gap = (_begins(integration, now), _gap(integration).total_seconds()) if spread else (now, 0.0)
    chosen, params = deliveries.order_by().values("id", "test").query.sql_with_params()
    adapt = connection.ops.adapt_datetimefield_value
    if connection.vendor == "postgresql":
        as_moment = "::timestamptz"
        when = "%s::timestamptz + place * %s::double precision * interval '1 second'"
    else:
        # To the millisecond, and in the form in which the database layer writes moments here.
        as_moment = ""
        when = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', %s, '+' || (place * %s) || ' seconds')"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE integrations_delivery
            SET state = %s, reason = '', tries = 0, lease_until = NULL,
                next_try_at = CASE WHEN is_test THEN %s{as_moment} ELSE {when} END,
                maybe_repeat = (maybe_repeat OR (state = %s AND %s))
            FROM (
                SELECT chosen.id AS chosen_id, chosen.test AS is_test,
                    row_number() OVER (PARTITION BY chosen.test ORDER BY chosen.id) - 1 AS place
                FROM ({chosen}) AS chosen
            ) AS places
            WHERE id = chosen_id
            """,  # noqa: S608  the model layer's own statement, with its parameters
            [DeliveryState.QUEUED, adapt(now), adapt(first), gap]
            + [DeliveryState.UNKNOWN, not integration.honours_keys, *params],
        )
        return int(cursor.rowcount)


def release_words(count: int, integration: Integration) -> str:
    """What comes of letting out so many, in words; "" where nothing waited or all of it goes at once."""
    rate = integration.release_per_minute
    if count <= AT_ONCE or not rate or integration.state != IntegrationState.ON:
        return ""
    seconds = count * 60 / rate
    if seconds < 60:
        return f"{count:,} go out over the next {max(round(seconds), 1)} seconds."
    if seconds < 5_400:
        minutes = round(seconds / 60)
        return f"{count:,} go out over the next {'minute' if minutes == 1 else f'{minutes:,} minutes'}."
    return f"{count:,} go out over the next {round(seconds / 3_600):,} hours."


def _gap(integration: Integration) -> dt.timedelta:
    return dt.timedelta(seconds=60 / integration.release_per_minute)


def _begins(integration: Integration, now: dt.datetime) -> dt.datetime:
    """After what was let out before and is still to go, so that two releases at once are no faster than one."""
    ahead = Delivery.objects.filter(
        integration=integration.pk, state=DeliveryState.QUEUED, next_try_at__gt=now, tries=0
    ).count()
    return now + ahead * _gap(integration)
