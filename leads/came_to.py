"""What a lead came to, as its publisher is told: by the API, and on the pages of publishers."""

from __future__ import annotations

from leads.models import Status


def came_to(status: str, flag: str, held: str) -> str:
    """valid, invalid, returned, test, or pending while it is not decided (facts, section 4).

    A flag wins over the status. What is held waits for a person or a time, so it is not decided; one in Caution that was let
    out is good.
    """
    if flag:
        return flag
    if held or status == Status.PENDING:
        return "pending"
    return "valid" if status == Status.CAUTION else status
