"""Events become rows: whatever arrived while the last commit ran, in one statement, with one row that says they wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from leads.batcher import Batcher, Overloaded
from leads.database import JSONText, insert_rows, uuid7
from leads.models import Arrival, Event
from leads.tracking.messages import COLUMNS, EventRow
from leads.wake import wake

# The stage that works what was received; named, never imported.
ROUTE_TASK = "integrations.route_events"
# Events in one commit, and in what one call hands over at a time.
COMMIT_EVENTS = 2_000
PIECE_EVENTS = 250
NOT_KEPT = "It could not be kept."


def events_insert(pieces: Sequence[Sequence[EventRow]]) -> list[int]:
    """Write the events of calls in one statement; how many of each piece were handed over.

    Events whose messageId their source has used before are left out, also within what is written now.
    """
    rows = [row for piece in pieces for row in piece]
    written = insert_rows(Event, COLUMNS, rows, on_conflict="DO NOTHING", returning=("id", "problem"))
    ids = sorted(event_id for event_id, problem in written if not problem)
    if ids:
        insert_rows(Arrival, ("event_ids",), [(ids,)])
        wake(ROUTE_TASK)
    return [len(piece) for piece in pieces]


batcher: Batcher[Sequence[EventRow], int] = Batcher("events", events_insert, max_rows=COMMIT_EVENTS, size=len)


async def submit(rows: Sequence[EventRow]) -> None:
    """Receive the events of a call; back once all are committed. Raises Overloaded: some of them may have been.

    What the database can't keep of a message never fails the others: in its place stands that it was not taken.
    """
    pieces = [rows[start : start + PIECE_EVENTS] for start in range(0, len(rows), PIECE_EVENTS)]
    answers = await asyncio.gather(*map(batcher.submit, pieces), return_exceptions=True)
    for piece, answer in zip(pieces, answers, strict=True):
        if isinstance(answer, Overloaded | asyncio.CancelledError):
            raise answer
        if isinstance(answer, BaseException):
            if len(piece) == 1:
                await _submit_blank(piece[0])
            else:
                await submit(piece[: len(piece) // 2])
                await submit(piece[len(piece) // 2 :])


async def _submit_blank(row: EventRow) -> None:
    await batcher.submit([row._replace(key=uuid7(), name="", data=JSONText(b"{}"), problem=NOT_KEPT)])
