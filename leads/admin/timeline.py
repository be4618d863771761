"""A lead's way, as entries of one timeline. Deliveries and verdicts are added above, in integrations/admin."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.urls import reverse

from leads.admin.badges import FLAG_TONES, SHAPES, STATUS_TONES
from leads.models import Flag, Held, Lead, LeadChange, Status
from leads.models.lead import Via
from leads.status import NOT_KEPT

PLAIN_KINDS = {
    LeadChange.Kind.IMPORTED: ("Imported", "good"),
    LeadChange.Kind.MARKED: ("Marked", "busy"),
    LeadChange.Kind.ERASED: ("Personal data erased", "off"),
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of an attempt and its answer, redacted when they were written down; as text to read."""

    request: str
    response: str


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt of a delivery."""

    title: str
    tone: str
    at: dt.datetime
    lines: Sequence[str] = ()
    exchanges: Sequence[Exchange] = ()

    @property
    def shape(self) -> str:
        return SHAPES[self.tone]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a lead. All of it is text: the template escapes it."""

    at: dt.datetime
    title: str
    tone: str
    lines: Sequence[str] = ()
    link: str = ""
    # Of what happened in the same moment, the cause comes first.
    order: int = 0
    tries: Sequence[Try] = field(default_factory=tuple)

    @property
    def shape(self) -> str:
        return SHAPES[self.tone]


def lead_entries(lead: Lead) -> list[Entry]:
    """How a lead came, how it was judged, and what was said of it since."""
    came = [f"Through the form {lead.form.name}, version {lead.form_version}"]
    if lead.link is not None:
        came.append(f"Link: {lead.link.name}" + (f" ({lead.link.channel})" if lead.link.channel else ""))
    if lead.ip:
        came.append(f"From {lead.ip}")
    if lead.sync_subdomain:
        came.append(f"The instance {lead.sync_subdomain} asked to be told what becomes of it")
    received = Entry(lead.created_at, f"Received from {lead.publisher.name}", "good", came)
    return [received, *(_change_entry(change) for change in lead.changes.all())]


def _change_entry(change: LeadChange) -> Entry:
    if change.kind in (LeadChange.Kind.JUDGED, LeadChange.Kind.RELEASED):
        return _judged(change) if change.via == Via.PROCESSR else _decided(change)
    who = change.by or Via(change.via).label
    if change.kind == LeadChange.Kind.APPENDED:
        added = [f"{name}: {value}" for name, value in change.data.items()]
        return Entry(
            change.created_at,
            f"Data {'added' if added else 'sent'} by {who}",
            "busy" if added else "off",
            added or [change.comment],
        )
    if change.kind in PLAIN_KINDS:
        title, tone = PLAIN_KINDS[LeadChange.Kind(change.kind)]
        return Entry(
            change.created_at, f"{title} by {who}", tone, [change.comment] if change.comment else [], _activity(change)
        )
    flag = Flag(change.flag)
    if change.via == Via.CLIENT:
        title = f"Flagged {flag.label} by the client’s verdict" + (f" ({change.by})" if change.by else "")
    else:
        title = f"Flagged {flag.label} by {who}" + (
            f", through the {Via(change.via).label}" if change.via != Via.ADMIN else ""
        )
    lines = [f"Reason: {change.reason_code}"] if change.reason_code else []
    if change.comment:
        lines.append(f"Comment: {change.comment}")
    if change.data.get(NOT_KEPT):
        lines.append("What was written with it was not kept: the personal data of this lead was erased before.")
    if abs((change.created_at - change.decided_at).total_seconds()) > 60:
        lines.append(f"Decided {change.decided_at:%d %b %Y %H:%M} UTC")
    if change.sync_due:
        lines.append("The instance it came from has not been told yet")
    return Entry(change.created_at, title, FLAG_TONES.get(flag, "off"), lines, order=2)


def _judged(change: LeadChange) -> Entry:
    """What the Processr made of it: the score, each job that it did not pass with its words, and what was added."""
    status, data = Status(change.status), change.data
    if change.kind == LeadChange.Kind.RELEASED:
        return Entry(change.created_at, "Released: its publisher has room again", "good", order=1)
    again = f"Judged again by {change.by}" if change.by else "Judged"
    title = f"{again}{':' if change.by else ''} {status.label}"
    if data.get("max_score"):
        title += f", {data.get('score', 0):,} of {data['max_score']:,}"
    lines = [_failed(entry) for entry in data.get("failed", ()) if isinstance(entry, dict)]
    if not lines and change.reason_code:
        lines = [change.reason_code]
    if names := data.get("enriched"):
        lines.append(f"Added by enrichment: {', '.join(map(str, names))}")
    if (held := data.get("held")) in Held.values and held:
        lines.append(f"{Held(held).label}.")
    return Entry(change.created_at, title, STATUS_TONES[status], lines)


def _failed(entry: Mapping[str, Any]) -> str:
    """One job that a lead did not pass: its name, its words, and what that means."""
    note = " (could not be judged)" if entry.get("unjudged") else " (hard fail)" if entry.get("hard") else ""
    name = entry.get("name", "")
    return f"{name}{': ' if name else ''}{entry.get('reason', '')}{note}"


def _decided(change: LeadChange) -> Entry:
    """What a person decided of a lead that waited."""
    status = Status(change.status)
    accepted = change.kind == LeadChange.Kind.RELEASED
    who = change.by or Via(change.via).label
    lines = [f"Reason: {change.reason_code}"] if change.reason_code else []
    if change.comment:
        lines.append(f"Comment: {change.comment}")
    title = f"{'Accepted' if accepted else 'Rejected'} by {who}"
    return Entry(change.created_at, title, STATUS_TONES.get(status, "off"), lines, order=1)


def _activity(change: LeadChange) -> str:
    """The page of the import that a lead came with."""
    pk = str(change.data.get("activity", ""))
    return reverse("admin:leads_activity_change", args=[pk]) if pk.isascii() and pk.isdigit() else ""


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Oldest first."""
    return sorted(entries, key=lambda entry: (entry.at, entry.order))


def rewritten(entries: Iterable[Entry], write: Callable[[str], str]) -> list[Entry]:
    """The same entries with every text put through `write`: how they are masked."""
    return [
        replace(
            entry,
            title=write(entry.title),
            lines=[write(line) for line in entry.lines],
            tries=tuple(
                replace(
                    each,
                    lines=[write(line) for line in each.lines],
                    exchanges=[Exchange(write(one.request), write(one.response)) for one in each.exchanges],
                )
                for each in entry.tries
            ),
        )
        for entry in entries
    ]
