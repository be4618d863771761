"""What a page was opened with, so that two people who edit at the same time do not undo each other.

A page keeps, signed, what stood in its boxes when it was opened. When it is posted, what stands there by then is known beside
it: where the two differ, somebody else saved meanwhile. Nothing is written then until the person has seen what that was, and
said which of the two is to hold, box by box or altogether.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.db.models import Model
from django.utils import timezone
from django.utils.crypto import salted_hmac

from leads.history import NOTHING, person_name

_SALT = "leads.opened-page"
SHOWN_CHARS = 120
ADDED, REMOVED = "added", "removed"


@dataclass(frozen=True, slots=True)
class Box:
    """One box of a page: its label, what it would send, and that as people read it."""

    label: str
    values: tuple[str, ...]
    words: str


Boxes = Mapping[str, Box]
"""Key to box. The rows of a table have keys "table:row", and the boxes in a row "table:row:name"."""


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One thing that somebody else changed: what it is, from what to what, and what stands on this page where it was changed
    here too."""

    label: str
    before: str
    after: str
    mine: str = ""


@dataclass(slots=True)
class Conflict:
    """What somebody else changed since this page was opened."""

    who: str
    when: str
    changes: list[ItemChange]
    seen: str
    """Which state of theirs this is about: a decision holds for it alone."""
    merged: dict[str, Any] = field(default_factory=dict)
    """What the page would send if it had theirs wherever nothing was changed on it."""

    @property
    def both(self) -> bool:
        return any(change.mine for change in self.changes)

    def decided(self, post: Mapping[str, Any]) -> str:
        """What the person who was told of this wants: "merge", "over", or "" where nothing was said yet."""
        do = post.get("do")
        return str(do) if do in ("merge", "over") and post.get("seen") == self.seen else ""


def boxes_seal(boxes: Boxes) -> str:
    """What a page keeps of the boxes that it is opened with."""
    kept = {key: [box.label, box.values, box.words] for key, box in boxes.items()}
    return signing.dumps([timezone.now().timestamp(), kept], salt=_SALT, compress=True)


def boxes_conflict(post: Mapping[str, Any], about: Model, now: Boxes, mine: Boxes) -> Conflict | None:
    """What somebody else changed since the page was opened; None if nothing, or if the page does not say what it was opened with.

    `now` are the boxes as they are kept, `mine` as they were sent. `merged` of the answer has the keys of theirs that are to
    be taken over where both changes are wanted.
    """
    try:
        opened, kept = signing.loads(post.get("opened_with", ""), salt=_SALT)
    except signing.BadSignature:
        return None
    base = {key: Box(label, tuple(values), words) for key, (label, values, words) in kept.items()}
    found = Conflict("", "", [], digest({key: box.values for key, box in now.items()}))
    for key in {**base, **now}:
        table, _, rest = key.partition(":")
        row = f"{table}:{rest.partition(':')[0]}"
        if key != row and ":" in key and not (row in base and row in now):
            continue  # the row itself is told of
        was, theirs = base.get(key), now.get(key)
        if was is not None and theirs is not None and was.values == theirs.values:
            continue
        here = mine.get(key) or was
        if theirs is not None and here is not None and was is not None and here.values == was.values:
            found.merged[key] = theirs.values
        if theirs is None and here is not None and here is not was:
            # Its boxes are gone from the page too: what was typed there is told here.
            typed = [
                f"{box.label}: {box.words}"
                for name, box in mine.items()
                if name.startswith(f"{key}:") and name in base and base[name].values != box.values
            ]
            here = Box(here.label, tuple(typed), "; ".join(typed)) if typed else was
        same = (was and was.values, theirs and theirs.values)
        added = was is None and key == row
        found.changes.append(
            ItemChange(
                theirs.label if theirs else was.label if was else "",
                _cut(was.words) or NOTHING if was else NOTHING,
                ADDED if added else _cut(theirs.words) or NOTHING if theirs else REMOVED,
                _cut(here.words) or "empty" if here is not None and here.values not in same else "",
            )
        )
    if not found.changes:
        return None
    found.who, found.when = _last_change(about, dt.datetime.fromtimestamp(opened, dt.UTC))
    return found


def _last_change(about: Model, since: dt.datetime) -> tuple[str, str]:
    kind = ContentType.objects.get_for_model(about)
    entries = LogEntry.objects.filter(content_type=kind, object_id=str(about.pk), action_time__gte=since)
    last = entries.select_related("user").order_by("-action_time", "-pk").first()
    if last is None:
        return "Somebody", ""
    return person_name(last.user), f"{timezone.localtime(last.action_time):%-d %b %Y %H:%M}"


def digest(snapshot: Mapping[str, Any]) -> str:
    """Which state this is, in a word."""
    return salted_hmac(_SALT, repr(sorted(snapshot.items()))).hexdigest()[:16]


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"
