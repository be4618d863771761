"""The one clock that leases, schedules and due times go by: the database's.

Workers on many machines compare times that others wrote. One whose own clock is wrong would take its colleagues' work away, or
keep its own from them. So each reads the database's clock now and then, and goes on from there by its monotonic clock, which
nobody sets. SQLite has no clock but its process's.
"""

from __future__ import annotations

import datetime as dt
import threading
import time

from django.db import connection
from django.utils import timezone

READ_AGAIN_SECONDS = 60.0

_lock = threading.Lock()
_read: tuple[dt.datetime, float] | None = None


def now() -> dt.datetime:
    """The time now (UTC), as all workers see it. Asks the database at most once a minute."""
    global _read
    if connection.vendor != "postgresql":
        return timezone.now()
    known = _read
    if known is None or time.monotonic() - known[1] > READ_AGAIN_SECONDS:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            at = time.monotonic()
            known = (cursor.fetchone()[0], at)
        with _lock:
            _read = known
    return known[0] + dt.timedelta(seconds=time.monotonic() - known[1])
