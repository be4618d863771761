"""The names that events of a campaign have had, for people to choose from."""

from __future__ import annotations

from collections.abc import Iterable

from leads.database import insert_rows
from leads.models import EventName

# Whoever makes names up by the thousand fills no table with them.
MAX_NAMES = 1_000

# What this process knows to be written: campaign to its types and names.
_known: dict[int, set[tuple[str, str]]] = {}


def names_note(names: Iterable[tuple[int, str, str]]) -> None:
    """Note names (campaign, type, name), in the caller's transaction."""
    by_campaign: dict[int, set[tuple[str, str]]] = {}
    for campaign_id, kind, name in names:
        if name:
            by_campaign.setdefault(campaign_id, set()).add((kind, name))
    for campaign_id, seen in by_campaign.items():
        known = _known.get(campaign_id, set())
        if seen <= known or len(known) >= MAX_NAMES:
            continue
        known = set(EventName.objects.filter(campaign=campaign_id).values_list("type", "name"))
        new = sorted(seen - known)[: max(0, MAX_NAMES - len(known))]
        insert_rows(
            EventName,
            ("campaign", "type", "name"),
            [(campaign_id, kind, name) for kind, name in new],
            on_conflict="DO NOTHING",
        )
        # Only what was read is kept as known: what is written now may yet be rolled back.
        _known[campaign_id] = known


def forget() -> None:
    """Read everything anew at the next name."""
    _known.clear()
