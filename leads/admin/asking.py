"""Questions before something that can’t be taken back. Shown by console/ask.html."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils import timezone


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, what comes of it, the two answers, and where the one that does it is posted to, with which values."""

    title: str
    words: Sequence[str]
    yes: str
    no: str
    back: str
    to: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


def last_used(at: dt.datetime | None) -> str:
    """When a key was last used, as a sentence."""
    if at is None:
        return "No use of it is known."
    return f"It was last used on {timezone.localtime(at):%-d %b %Y at %H:%M}: {naturaltime(at)}."
