"""What a process that lives long and answers quickly wants of Python: no looks for garbage among what it has loaded."""

from __future__ import annotations

import gc


def process_settle() -> None:
    """What was loaded until now stays for good and is not looked through for garbage any more.

    To be called when a process is ready. A look through all that a portal has loaded stops it for a tenth of a second, and came by
    itself every few thousand leads. To look less often among what is new costs more than it saves: it leaves the processor's cache.
    """
    gc.collect()
    gc.freeze()
