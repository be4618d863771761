"""The one clock that leases, schedules and due times go by: the database's.

Workers on many machines compare times that others wrote. One whose own clock is wrong would take its colleagues' work away, or
keep its own from them. So each reads the database's clock now and then, and goes on from there by its monotonic clock, which
nobody sets. SQLite has no clock but its process's.
"""

from __future__ import annotations

import datetime as dt
import threading
import time

from django.db import Error as DatabaseFault
from django.db import connection
from django.utils import timezone

from leads.database import connection_drop

READ_AGAIN_SECONDS = 60.0
# Where it could not be read again, it goes on from the last reading for so long before it asks once more.
READ_FAILED_SECONDS = 5.0

# Where the system can tell (Linux), the time that the machine slept counts: leases end in it.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_lock = threading.Lock()
_read: tuple[dt.datetime, float] | None = None
_read_again_at = 0.0


def steady() -> float:
    """Seconds that nobody sets, to measure by how much time has passed in this process."""
    return time.clock_gettime(_STEADY)


def now() -> dt.datetime:
    """The time now (UTC), as all workers see it. Asks the database at most once a minute.

    While the database does not answer it goes on from what it knows; DatabaseError only where it never answered.
    """
    global _read, _read_again_at
    if connection.vendor != "postgresql":
        return timezone.now()
    known = _read
    if known is None or steady() > _read_again_at:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT clock_timestamp()")
                at = steady()
                known, again_at = (cursor.fetchone()[0], at), at + READ_AGAIN_SECONDS
        except DatabaseFault:
            if known is None:
                raise
            again_at = steady() + READ_FAILED_SECONDS
            connection_drop()
        with _lock:
            _read, _read_again_at = known, again_at
    return known[0] + dt.timedelta(seconds=steady() - known[1])
