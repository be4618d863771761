"""What a process that lives long and answers quickly wants of Python: few looks for garbage, and short turns of its threads."""

from __future__ import annotations

import gc
import sys

# So many more new objects than released ones before it looks through the youngest; Python's own are 700, 10, 10.
THRESHOLDS = (20_000, 20, 20)
# A thread that has its answer from the database waits at most this long for one that computes; Python's own is 5 ms, many times
# what a statement takes.
TURN_SECONDS = 0.001


def process_settle() -> None:
    """What was loaded until now stays for good and is not looked through for garbage any more; new objects are, but less often.

    To be called when a process is ready. A look through all that a portal has loaded stops it for a tenth of a second, and came by
    itself every few thousand leads.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    sys.setswitchinterval(TURN_SECONDS)
