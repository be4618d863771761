"""The only door through which a lead's status or flag changes; each change is written down in the lead's history.

Facts, section 8: the status is the first check, the Processr's; the flag is the second, a person's or the client's.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from leads import clock
from leads.database import insert_rows, update_rows, uuid7
from leads.models import Flag, Happening, Held, Lead, LeadChange, LeadKey, ReasonCode
from leads.models.lead import Status, Via
from leads.outbox import outbox_add_leads
from leads.tracking.lead_events import NAMES, RECEIVED, Change, flag_before, leads_changed
from leads.wake import wake

# The task that tells the instances which leads came from; named, never imported: leads know no integrations.
STATUS_SYNC_TASK = "integrations.hand_over_changes"
BATCH = 500
# In the data of a change: what was said with it was not kept, for the lead's personal data was erased.
NOT_KEPT = "not_kept"

_TELLING = ("sync_subdomain", "sync_token", "erased_at")
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
    """What the Processr made of a lead. `failed_jobs` are entries as the lead keeps them; `score` None: it met no jobs."""

    status: Status
    failed_jobs: Sequence[Mapping[str, Any]] = ()
    score: int | None = None
    max_score: int | None = None
    enriched: Mapping[str, str] | None = None
    held: Held = Held.NO
    held_until: dt.datetime | None = None
    billable: bool | None = None

    @property
    def reasons(self) -> list[str]:
        """Why it failed, in words."""
        return [str(entry["reason"]) for entry in self.failed_jobs]

    @property
    def is_plain(self) -> bool:
        """Whether neither jobs nor caps had anything to say."""
        return self.score is None and self.billable is None and not self.held

    def told(self) -> dict[str, Any]:
        """As its history keeps it: what it came to, and by which jobs it failed."""
        if self.is_plain:
            return {}
        return {
            "score": self.score,
            "max_score": self.max_score,
            "failed": [dict(entry) for entry in self.failed_jobs],
            "enriched": list(self.enriched or ()),
            "held": self.held,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person (or the end of a cap's span, where `by` is empty) decides of a lead that is held.

    Accepted, it goes out; else it is invalid, for this reason.
    """

    accepted: bool
    by: str = ""
    reason_code: str = ""
    comment: str = ""


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
    now = clock.now()
    leads = (
        Lead.objects.select_for_update()
        .filter(pk__in=list(changes))
        .only("flag", "status", "reason_code", "comment", "flagged_by", "released_at", *_TELLING)
        .order_by("pk")
    )
    accepted = dict.fromkeys(_accepted([lead.pk for lead in leads if lead.released_at and not lead.flag]), Flag.VALID)
    codes: set[str] | None = None
    updates: list[tuple[object, ...]] = []
    history: list[tuple[object, ...]] = []
    tracked: list[Change] = []
    told: dict[int, dict[str, object]] = {}
    for lead in leads:
        change = changes[lead.pk]
        reason_code, comment, by = change.reason_code[:200], change.comment, change.by[:200]
        if lead.erased_at is not None:
            codes = _reason_codes() if codes is None else codes
            reason_code, comment = _kept_of_erased(lead, change, codes)
        if (lead.flag, lead.reason_code, lead.comment) == (change.flag, reason_code, comment):
            continue
        decided_at = change.decided_at or now
        cut = {NOT_KEPT: True} if (reason_code, comment) != (change.reason_code[:200], change.comment) else {}
        sync_due = bool(lead.sync_subdomain and lead.sync_token)
        updates.append((lead.pk, change.flag, reason_code, comment, by, decided_at))
        history.append(
            (lead.pk, LeadChange.Kind.FLAGGED, "", change.flag, reason_code, comment, cut, by, change.via)
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
        if change.flag in NAMES and change.flag != (flag_before(lead.flag, lead.status) or accepted.get(lead.pk, "")):
            tracked.append(Change(lead.pk, change.flag, change.event_id, decided_at, reason_code, change.via))
    update_rows(Lead, ["id"], ["flag", "reason_code", "comment", "flagged_by", "flagged_at"], updates)
    # What the Processr turned down and somebody finds valid after all counts as valid for those who look for earlier leads.
    if turned := [pk for pk, about in told.items() if (about["status"], about["flag"]) == (Status.INVALID, Flag.VALID)]:
        LeadKey.objects.filter(lead__in=turned).update(good=True)
    _write_history(history)
    leads_changed(tracked)
    outbox_add_leads(Happening.LEAD_FLAGGED, told)
    return {lead_id for lead_id, *_ in updates}  # type: ignore[misc]


def _accepted(ids: Sequence[int]) -> list[int]:
    """Which of these leads a person has let out of Caution: that was said to be valid then."""
    if not ids:
        return []
    found = LeadChange.objects.filter(lead__in=ids, kind=LeadChange.Kind.RELEASED, via=Via.ADMIN, status=Status.VALID)
    return list(found.filter(data__held=Held.CAUTION).values_list("lead_id", flat=True))


def _reason_codes() -> set[str]:
    return set(ReasonCode.objects.values_list("code", flat=True))


def _kept_of_erased(lead: Lead, change: FlagChange, codes: Collection[str]) -> tuple[str, str]:
    """Reason code and comment of a flag for a lead whose personal data was erased: what people write may quote anything of it,
    so that only codes of our own are kept."""
    code = change.reason_code[:200]
    code = code if code in codes or code == lead.reason_code else ""
    # What is there stays where nothing new is said.
    return code, lead.comment if (lead.flag, lead.reason_code) == (change.flag, code) else ""


def leads_judge(judgements: Mapping[int, Judgement], *, tell: Mapping[int, bool]) -> None:
    """Record the Processr's judgement of received leads (lead id to judgement).

    `tell` says for each lead whether its instance of origin has asked to be told; it is told of an invalid one at once, and
    reads the others as lead results. To be called inside the transaction that queues what follows from it.
    """
    now = clock.now()
    plain = [(pk, j.status, list(j.failed_jobs), now) for pk, j in judgements.items() if j.is_plain]
    update_rows(Lead, ["id"], ["status", "failed_jobs", "processed_at"], plain)
    wide = [(pk, *_judged_cells(j), 1, now) for pk, j in judgements.items() if not j.is_plain]
    update_rows(Lead, ["id"], [*_JUDGED, "judgements", "processed_at"], wide)
    event_ids = _judged_history(judgements, tell, now)
    leads_changed([Change(lead_id, RECEIVED) for lead_id in judgements] + _invalidated(judgements, event_ids, now))
    _judged_told(judgements, event_ids)


def leads_judge_again(
    judgements: Mapping[int, Judgement], before: Mapping[int, Lead], *, by: str, released: Collection[int] = ()
) -> None:
    """Record what the Processr made of leads that were judged before (lead id to judgement), because a person wants it.

    `before` has the leads as they were, locked; `released` are those that go out by this, and did not before. In the caller's
    transaction. The instance that a lead came from is told where it became invalid, or is not any more; not where a flag
    stands, which outranks the status (facts, section 8).
    """
    now = clock.now()
    rows = [
        (pk, *_judged_cells(j), min(before[pk].judgements + 1, 32_767))
        + (now if pk in released else before[pk].released_at,)
        for pk, j in judgements.items()
    ]
    update_rows(Lead, ["id"], [*_JUDGED, "judgements", "released_at"], rows)
    invalid = Status.INVALID
    turned = {pk: j for pk, j in judgements.items() if (j.status == invalid) != (before[pk].status == invalid)}
    news = {pk: j for pk, j in turned.items() if not before[pk].flag}
    decided = {pk for pk, j in news.items() if j.status in (Status.VALID, invalid)}
    tell = {pk: pk in decided and bool(lead.sync_subdomain and lead.sync_token) for pk, lead in before.items()}
    event_ids = _judged_history(judgements, tell, now, by=by, always=True)
    leads_changed(_invalidated(news, event_ids, now))
    _judged_told(judgements, event_ids)


def leads_decide(decisions: Mapping[int, Decision]) -> set[int]:
    """Let held leads out, or turn them down (lead id to decision), in the caller's transaction; return the ids of those that
    were still held.

    A lead in Caution that a person accepts is valid from then on. What goes out is queued by the caller. The instance that a
    lead came from is told of what became valid or invalid, but where a flag stands, which outranks that.
    """
    now = clock.now()
    leads = {
        lead.pk: lead
        for lead in Lead.objects.select_for_update(of=("self",))
        .filter(pk__in=decisions)
        .order_by("pk")
        .exclude(held="")
    }
    out = {pk for pk in leads if decisions[pk].accepted}
    status = {
        pk: Status.INVALID
        if pk not in out
        else Status.VALID
        if decisions[pk].by and lead.status == Status.CAUTION
        else Status(lead.status)
        for pk, lead in leads.items()
    }
    update_rows(
        Lead,
        ["id"],
        ["status", "held", "held_until", "released_at"],
        [(pk, status[pk], Held.NO, None, now if pk in out else lead.released_at) for pk, lead in leads.items()],
    )
    event_ids = {pk: uuid7() for pk in leads}
    history = []
    for pk, lead in leads.items():
        decision = decisions[pk]
        kind = LeadChange.Kind.RELEASED if pk in out else LeadChange.Kind.JUDGED
        via = Via.ADMIN if decision.by else Via.PROCESSR
        # It may have been told of one that was invalid before.
        tell = status[pk] != lead.status and not lead.flag and bool(lead.sync_subdomain and lead.sync_token)
        history.append(
            (pk, kind, status[pk], "", decision.reason_code[:200], decision.comment, {"held": lead.held})
            + (decision.by[:200], via, event_ids[pk], now, tell)
        )
    _write_history(history)
    # A colleague who lets it out of Caution says that it is valid; where a flag stands, that is what holds.
    valid = [pk for pk, lead in leads.items() if status[pk] != lead.status and pk in out and not lead.flag]
    leads_changed(
        [Change(pk, Flag.VALID, event_ids[pk], now, decisions[pk].reason_code[:200], Via.ADMIN) for pk in valid]
        + [
            Change(pk, Flag.INVALID, event_ids[pk], now, decisions[pk].reason_code[:200], Via.ADMIN)
            for pk in leads
            if pk not in out
        ]
    )
    reasons = {pk: decisions[pk].reason_code or decisions[pk].comment for pk in leads if pk not in out}
    outbox_add_leads(
        Happening.LEAD_JUDGED,
        {
            pk: {
                "status": status[pk],
                "failed_jobs": [reasons[pk]] if reasons.get(pk) else [],
                "change": event_ids[pk].hex,
            }
            for pk, lead in leads.items()
            if status[pk] != lead.status
        },
    )
    return set(leads)


_JUDGED = ("status", "failed_jobs", "score", "max_score", "enriched", "held", "held_until", "billable")


def _judged_cells(j: Judgement) -> tuple[object, ...]:
    enriched = dict(j.enriched) if j.enriched is not None else None
    return (j.status, list(j.failed_jobs), j.score, j.max_score, enriched, j.held, j.held_until, j.billable)


def _judged_history(
    judgements: Mapping[int, Judgement],
    tell: Mapping[int, bool],
    now: dt.datetime,
    *,
    by: str = "",
    always: bool = False,
) -> dict[int, uuid.UUID]:
    """Write judgements into the histories of leads; lead id to the change's event id. Only an invalid one is told of unless
    `always`."""
    event_ids = {lead_id: uuid7() for lead_id in judgements}
    _write_history(
        [
            (lead_id, LeadChange.Kind.JUDGED, j.status, "", "; ".join(j.reasons)[:200], "", j.told(), by[:200])
            + (Via.PROCESSR, event_ids[lead_id], now, (always or j.status == Status.INVALID) and tell[lead_id])
            for lead_id, j in judgements.items()
        ]
    )
    return event_ids


def _invalidated(
    judgements: Mapping[int, Judgement], event_ids: Mapping[int, uuid.UUID], now: dt.datetime
) -> list[Change]:
    return [
        Change(lead_id, Flag.INVALID, event_ids[lead_id], now, "; ".join(j.reasons)[:200], Via.PROCESSR)
        for lead_id, j in judgements.items()
        if j.status == Status.INVALID
    ]


def _judged_told(judgements: Mapping[int, Judgement], event_ids: Mapping[int, uuid.UUID]) -> None:
    outbox_add_leads(
        Happening.LEAD_JUDGED,
        {
            lead_id: {"status": j.status, "failed_jobs": j.reasons, "change": event_ids[lead_id].hex}
            for lead_id, j in judgements.items()
        },
    )


def leads_note(
    kind: LeadChange.Kind,
    notes: Mapping[int, str],
    *,
    by: str,
    data: Mapping[int, dict[str, str]],
    via: Via = Via.ADMIN,
) -> None:
    """Write down in the histories of leads what happened that is neither status nor flag (lead id to words)."""
    now = clock.now()
    rows = [
        (lead_id, kind, "", "", "", words, data.get(lead_id, {}), by[:200], via, uuid7(), now, False)
        for lead_id, words in notes.items()
    ]
    for start in range(0, len(rows), BATCH):
        _write_history(rows[start : start + BATCH])


def _write_history(rows: Sequence[Sequence[object]]) -> None:
    insert_rows(LeadChange, _HISTORY, rows)
    if any(row[-1] for row in rows):
        wake(STATUS_SYNC_TASK)
