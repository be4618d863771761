"""The only door through which a lead's status or flag changes; each change is written down in the lead's history.

Facts, section 8: the status is the first check, the Processr's; the flag is the second, a person's or the client's.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from leads.database import insert_rows, update_rows, uuid7
from leads.forms import email_key, email_names
from leads.models import Field, Flag, Happening, Lead, LeadChange
from leads.models.lead import Status, Via
from leads.outbox import outbox_add_leads
from leads.tracking.lead_events import NAMES, RECEIVED, Change, flag_before, leads_changed
from leads.wake import wake

# The task that tells the instances which leads came from; named, never imported: leads know no integrations.
STATUS_SYNC_TASK = "integrations.hand_over_changes"
BATCH = 500

_HISTORY = (
    "lead", "kind", "status", "flag", "reason_code", "comment", "data", "by", "via", "event_id", "decided_at", "sync_due",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FlagChange:
    """What a person or a client's system says of a lead. `decided_at` is theirs; now, if they gave none."""

    flag: Flag
    reason_code: str = ""
    comment: str = ""
    by: str = ""
    via: Via = Via.ADMIN
    decided_at: dt.datetime | None = None
    event_id: uuid.UUID = field(default_factory=uuid7)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the Processr made of a lead."""

    status: Status
    failed_jobs: Sequence[str] = ()


def leads_flag(changes: Mapping[int, FlagChange]) -> set[int]:
    """Flag leads (lead id to change); return the ids of those that this changed.

    A flag that says what the lead already says changes nothing. All of it happens, or none.
    """
    ids, changed = list(changes), set()
    with transaction.atomic():
        for start in range(0, len(ids), BATCH):
            changed |= _flag_batch({lead_id: changes[lead_id] for lead_id in ids[start : start + BATCH]})
    return changed


def _flag_batch(changes: Mapping[int, FlagChange]) -> set[int]:
    now = timezone.now()
    leads = (
        Lead.objects.select_for_update()
        .filter(pk__in=list(changes))
        .only("flag", "status", "reason_code", "comment", "flagged_by", "sync_subdomain", "sync_token")
        .order_by("pk")
    )
    updates: list[tuple[object, ...]] = []
    history: list[tuple[object, ...]] = []
    tracked: list[Change] = []
    told: dict[int, dict[str, object]] = {}
    for lead in leads:
        change = changes[lead.pk]
        reason_code, comment, by = change.reason_code[:200], change.comment, change.by[:200]
        if (lead.flag, lead.reason_code, lead.comment) == (change.flag, reason_code, comment):
            continue
        decided_at = change.decided_at or now
        sync_due = bool(lead.sync_subdomain and lead.sync_token)
        updates.append((lead.pk, change.flag, reason_code, comment, by, decided_at))
        history.append(
            (lead.pk, LeadChange.Kind.FLAGGED, "", change.flag, reason_code, comment, {}, by, change.via)
            + (change.event_id, decided_at, sync_due)
        )
        told[lead.pk] = {
            "status": lead.status,
            "flag": change.flag,
            "reason_code": reason_code,
            "comment": comment,
            "via": change.via,
            "change": change.event_id.hex,
            "decided_at": decided_at.isoformat(),
        }
        if change.flag in NAMES and change.flag != flag_before(lead.flag, lead.status):
            tracked.append(Change(lead.pk, change.flag, change.event_id, decided_at, reason_code, change.via))
    update_rows(Lead, ["id"], ["flag", "reason_code", "comment", "flagged_by", "flagged_at"], updates)
    _write_history(history)
    leads_changed(tracked)
    outbox_add_leads(Happening.LEAD_FLAGGED, told)
    return {lead_id for lead_id, *_ in updates}  # type: ignore[misc]


def leads_judge(judgements: Mapping[int, Judgement], *, tell: Mapping[int, bool]) -> None:
    """Record the Processr's judgement of received leads (lead id to judgement).

    `tell` says for each lead whether its instance of origin has asked to be told; it is told of an invalid one at once, and
    reads the others as lead results. To be called inside the transaction that queues what follows from it.
    """
    now = timezone.now()
    event_ids = {lead_id: uuid7() for lead_id in judgements}
    update_rows(
        Lead,
        ["id"],
        ["status", "failed_jobs", "processed_at"],
        [(lead_id, j.status, list(j.failed_jobs), now) for lead_id, j in judgements.items()],
    )
    _write_history(
        [
            (
                lead_id,
                LeadChange.Kind.JUDGED,
                j.status,
                "",
                "; ".join(j.failed_jobs)[:200],
                "",
                {},
                "",
                Via.PROCESSR,
            )
            + (event_ids[lead_id], now, j.status == Status.INVALID and tell[lead_id])
            for lead_id, j in judgements.items()
        ]
    )
    tracked = [Change(lead_id, RECEIVED) for lead_id in judgements]
    tracked += [
        Change(lead_id, Flag.INVALID, event_ids[lead_id], now, "; ".join(j.failed_jobs)[:200], Via.PROCESSR)
        for lead_id, j in judgements.items()
        if j.status == Status.INVALID
    ]
    leads_changed(tracked)
    outbox_add_leads(
        Happening.LEAD_JUDGED,
        {
            lead_id: {"status": j.status, "failed_jobs": list(j.failed_jobs), "change": event_ids[lead_id].hex}
            for lead_id, j in judgements.items()
        },
    )


def lead_append(lead_id: int, data: Mapping[str, str], *, by: str = "", via: Via = Via.WEBHOOK) -> bool:
    """Add to or overwrite a lead's values (facts, section 8, lead-append); False where there is no such lead."""
    with transaction.atomic():
        lead = Lead.objects.select_for_update().only("values", "form_id").filter(pk=lead_id).first()
        if lead is None:
            return False
        lead.values = {**lead.values, **data}
        fields = Field.objects.filter(form=lead.form_id).values_list("name", "type")
        lead.email_key = email_key(email_names(fields), lead.values)
        lead.save(update_fields=["values", "email_key"])
        _write_history(
            [
                (lead_id, LeadChange.Kind.APPENDED, "", "", "", "", dict(data), by[:200], via)
                + (uuid7(), timezone.now(), False)
            ]
        )
    return True


def leads_note(kind: LeadChange.Kind, notes: Mapping[int, str], *, by: str, data: Mapping[int, dict[str, str]]) -> None:
    """Write down in the histories of leads what a person did that is neither status nor flag (lead id to words)."""
    now = timezone.now()
    rows = [
        (lead_id, kind, "", "", "", words, data.get(lead_id, {}), by[:200], Via.ADMIN, uuid7(), now, False)
        for lead_id, words in notes.items()
    ]
    for start in range(0, len(rows), BATCH):
        _write_history(rows[start : start + BATCH])


def _write_history(rows: Sequence[Sequence[object]]) -> None:
    insert_rows(LeadChange, _HISTORY, rows)
    if any(row[-1] for row in rows):
        wake(STATUS_SYNC_TASK)
