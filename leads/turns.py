"""How long a thread of this process computes before another one has its turn."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SHORT_SECONDS = 0.001

_lock = threading.Lock()
_usual = sys.getswitchinterval()
_asked = 0


@contextmanager
def short_turns() -> Iterator[None]:
    """While this lasts a thread that has its answer from the database waits a millisecond at most for one that computes.

    By itself Python lets it wait five, again and again: rows that are written while the next ones are read took twice as long.
    For leads that come one by one the many changes cost more than they bring.
    """
    global _asked
    with _lock:
        _asked += 1
        sys.setswitchinterval(SHORT_SECONDS)
    try:
        yield
    finally:
        with _lock:
            _asked -= 1
            if not _asked:
                sys.setswitchinterval(_usual)
