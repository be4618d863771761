"""Sources by their write keys, as the hot path needs them; and the change of a key."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from leads.catalog import Kept
from leads.models import Source
from leads.models.event import WRITE_KEY_CHARS, new_write_key

# For how long a key works on after its change: as long as pages and apps with the old one are about.
OVERLAP_HOURS = 24
LONGEST_KEY = WRITE_KEY_CHARS * 2


def _load(write_key: str) -> Source | None:
    found = Source.objects.filter(write_key=write_key, enabled=True).first()
    if found is None:
        found = Source.objects.filter(previous_key=write_key, previous_until__gt=timezone.now(), enabled=True).first()
    return found


_sources = Kept(_load)


async def source_by_key(write_key: str) -> Source | None:
    """The source with this key (or with it as its previous one, for a day); None where there is none that takes events.

    Kept for a moment, like leads/catalog.py: only to be read.
    """
    if not (0 < len(write_key) <= LONGEST_KEY and write_key.isascii() and write_key.isalnum()):
        return None
    return await _sources.get(write_key)


def key_rotate(source: Source) -> str:
    """Give a source a new write key; the one of now works for another day."""
    source.previous_key = source.write_key
    source.previous_until = timezone.now() + dt.timedelta(hours=OVERLAP_HOURS)
    source.write_key = new_write_key()
    source.save(update_fields=["write_key", "previous_key", "previous_until"])
    return source.write_key


def forget() -> None:
    """Read everything anew at the next question."""
    _sources.clear()
