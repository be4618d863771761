"""How Python is to go about it while thousands of rows are read in one thread and written in another."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TURN_SECONDS = 0.001
# So many more new objects than released ones before it looks for garbage.
GARBAGE_AFTER = 50_000

_lock = threading.Lock()
_usual_turn, _usual_garbage = sys.getswitchinterval(), gc.get_threshold()
_asked = 0


@contextmanager
def bulk_pace() -> Iterator[None]:
    """While this lasts threads take short turns, and Python seldom looks for garbage among rows that are all still wanted.

    By itself a thread that has its answer from the database waits five milliseconds for one that computes, again and again. For
    leads that come one by one neither pays: many changes of threads, and new objects that fill the processor's cache.
    """
    global _asked
    with _lock:
        _asked += 1
        sys.setswitchinterval(TURN_SECONDS)
        gc.set_threshold(GARBAGE_AFTER, *_usual_garbage[1:])
    try:
        yield
    finally:
        with _lock:
            _asked -= 1
            if not _asked:
                sys.setswitchinterval(_usual_turn)
                gc.set_threshold(*_usual_garbage)
