"""One thing that needs a person, as a sentence with a button."""

from __future__ import annotations

from dataclasses import dataclass

from leads.admin.badges import SHAPES


@dataclass(frozen=True, slots=True)
class Need:
    """One sentence with a button. `rank`: the smaller, the sooner."""

    rank: int
    tone: str
    subject: str
    words: str
    button: str
    link: str

    @property
    def shape(self) -> str:
        return SHAPES[self.tone]


def leads_counted(count: int) -> str:
    """1 lead, 1,204 leads."""
    return f"{count:,} lead{'' if count == 1 else 's'}"
