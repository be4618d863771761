"""Python's collector of cyclic garbage, set for processes that live long and answer quickly."""

from __future__ import annotations

import gc

# So many more new objects than released ones before it looks through the youngest; Python's own are 700, 10, 10.
THRESHOLDS = (20_000, 20, 20)


def garbage_settle() -> None:
    """What was loaded until now stays for good and is not looked through any more; new objects are, but less often.

    To be called when a process is ready. A look through all that a portal has loaded stops it for a tenth of a second, and came by
    itself every few thousand leads.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
