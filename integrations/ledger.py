"""Which of a client's words on one delivery is in force: the rules alone, without database or clock.

Words count in the order in which the client decided, whatever order they came in. Two that were decided at the same moment:
the greater event id is the later one (those of our instances are ordered by time); without ids the graver word stands, so
that nothing counts as valid that the client also called invalid. A look-up that gives no time says how things stood when we
asked: it never takes away the reasons of the same verdict.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from integrations.models.verdict import StatusUpdate, VerdictState

_GRAVITY = (VerdictState.PENDING, VerdictState.TEST, VerdictState.VALID, VerdictState.INVALID, VerdictState.RETURNED)

# How the keys of status updates begin (reconciliation.py): with an event id of the client's; an answer without a time.
BY_EVENT, UNDATED = "event:", "poll:"


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that a client said of a delivery. `undated`: asked for, and they did not say when they decided."""

    verdict: str
    reason_code: str
    comment: str
    decided_at: dt.datetime
    event_id: str = ""
    undated: bool = False

    @property
    def place(self) -> tuple[dt.datetime, str, int, str, str]:
        """Where it stands among the words on its delivery; the last one counts."""
        return (
            self.decided_at,
            self.event_id,
            _GRAVITY.index(VerdictState(self.verdict)),
            self.reason_code,
            self.comment,
        )


@dataclass(frozen=True, slots=True)
class InForce:
    """What a client's words come to, and when they last said so. `decided_at` None: they have said nothing."""

    verdict: str = ""
    reason_code: str = ""
    comment: str = ""
    decided_at: dt.datetime | None = None

    @property
    def words(self) -> tuple[str, str, str]:
        return self.verdict, self.reason_code, self.comment


def says_the_same(standing: InForce, word: Word) -> bool:
    """Whether a word has nothing in it that is not known."""
    if (word.verdict, word.reason_code, word.comment) == standing.words:
        return True
    wordless = not (word.reason_code or word.comment)
    known = bool(standing.reason_code or standing.comment)
    return word.undated and word.verdict == standing.verdict and (wordless or known)


def follow(standing: InForce, word: Word) -> InForce:
    """What is in force after a word that was decided later than all before it."""
    if says_the_same(standing, word):
        return InForce(*standing.words, word.decided_at)
    return InForce(word.verdict, word.reason_code, word.comment, word.decided_at)


def last_word(words: Iterable[Word]) -> InForce:
    """What is in force after all these words, in whatever order they are given."""
    standing = InForce()
    for word in sorted(words, key=lambda word: word.place):
        standing = follow(standing, word)
    return standing


def word_of(update: StatusUpdate) -> Word:
    """A status update as a word."""
    event_id = update.key.rpartition(":")[2] if update.key.startswith(BY_EVENT) else ""
    undated = update.via == StatusUpdate.Via.POLLED and update.key.startswith(UNDATED)
    return Word(update.verdict, update.reason_code, update.comment, update.decided_at, event_id, undated)
