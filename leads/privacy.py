"""Personal data, erased for good. Who may see it, and what others see, is in leads/rights.py."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db.models import Exists, OuterRef, Q

from leads import clock
from leads.database import update_rows
from leads.models import ActivityItem, Held, Lead, LeadChange, LeadKey, OutboxEvent
from leads.personal import MASK as MASK
from leads.personal import json_without as json_without
from leads.personal import personal_values as personal_values
from leads.personal import tells_of_person
from leads.personal import without as without
from leads.status import leads_note

_IMPORT_KEY = "import:"


def leads_erase(lead_ids: Collection[int], *, by: str) -> dict[int, tuple[str, ...]]:
    """Erase what leads say of persons, in the caller's transaction; it can't be undone.

    Values, IP address, look-up keys and digests go, and what waits for a person or a cap waits no more: there is nothing to
    send, and it is never billed. What was posted is also cut out of comments and histories. Ids, hashes,
    counts, states, reason codes and times stay. Returns lead id to what was personal, for those who keep traces of it
    (integrations/erasing.py). A lead that was erased before is erased of what came since: comments as a whole, for nobody
    knows any more what they quote.
    """
    now = clock.now()
    leads = list(Lead.objects.select_for_update().filter(pk__in=lead_ids).order_by("pk"))
    before = {lead.pk: lead.erased_at for lead in leads}
    personal = {
        lead.pk: personal_values(
            lead.values,
            lead.ip or "",
            lead.email_key,
            *(lead.visitor or {}).values(),
            *(lead.enriched or {}).values(),
        )
        for lead in leads
    }
    update_rows(
        Lead,
        ["id"],
        ["values", "enriched", "failed_jobs", "ip", "email_key", "body_digest", "idempotency_key", "visitor"]
        + ["reason_code", "comment", "held", "held_until", "billable", "erased_at"],
        [
            (lead.pk, {}, None, _failed_without(lead.failed_jobs, personal[lead.pk]), None, "", "")
            + (_kept_key(lead.idempotency_key), None)
            + (without(lead.reason_code, personal[lead.pk]),)
            + (without(lead.comment, personal[lead.pk]) if lead.erased_at is None else "",)
            + (Held.NO, None, False if lead.held else lead.billable, lead.erased_at or now)
            for lead in leads
        ],
    )
    changes = LeadChange.objects.filter(lead__in=personal).order_by("pk")
    update_rows(
        LeadChange,
        ["id"],
        ["reason_code", "comment", "data"],
        [
            (row.pk, without(row.reason_code, personal[row.lead_id]))
            + ("" if _is_late(row, before[row.lead_id]) else without(row.comment, personal[row.lead_id]),)
            + ({} if row.kind == LeadChange.Kind.APPENDED else row.data,)
            for row in changes
        ],
    )
    LeadKey.objects.filter(lead__in=personal).delete()
    _rows_erase(personal)
    waiting = OutboxEvent.objects.select_for_update().filter(lead__in=personal).order_by("pk")
    told = [(row.pk, json_without(row.data, personal[row.lead_id or 0])) for row in waiting]
    update_rows(OutboxEvent, ["id"], ["data"], told)
    leads_note(LeadChange.Kind.ERASED, dict.fromkeys(personal, ""), by=by, data={})
    return personal


def left_over() -> Q:
    """Leads that were erased and say something of a person again."""
    changes = LeadChange.objects.filter(lead=OuterRef("pk"))
    added = changes.filter(kind=LeadChange.Kind.APPENDED).exclude(data={})
    said = changes.filter(kind=LeadChange.Kind.FLAGGED, created_at__gt=OuterRef("erased_at")).exclude(comment="")
    keys = LeadKey.objects.filter(lead=OuterRef("pk"))
    its_own = ~Q(values={}) | ~Q(email_key="") | Q(ip__isnull=False) | Q(visitor__isnull=False)
    return Q(erased_at__isnull=False) & (its_own | Q(Exists(added)) | Q(Exists(said)) | Q(Exists(keys)))


def _is_late(change: LeadChange, erased_at: dt.datetime | None) -> bool:
    return change.kind == LeadChange.Kind.FLAGGED and erased_at is not None and change.created_at > erased_at


def _failed_without(failed: list[Any], personal: tuple[str, ...]) -> list[Any]:
    """Failed jobs whose reasons name nothing that was posted; the names of jobs are nobody's."""
    return [
        {**entry, "reason": without(entry["reason"], personal)} if isinstance(entry, dict) else without(entry, personal)
        for entry in failed
    ]


def _kept_key(key: str | None) -> str | None:
    """An import's key says nothing of a person and keeps the row from coming back; a publisher's may be anything."""
    return key if key and key.startswith(_IMPORT_KEY) else None


def _rows_erase(personal: Mapping[int, tuple[str, ...]]) -> None:
    """Rows of imports that failed and are kept to be mended may be of the same person: their e-mail or telephone says so."""
    telling = {value.lower() for values in personal.values() for value in values if tells_of_person(value)}
    rows = ActivityItem.objects.filter(data__isnull=False).values_list("pk", "data")
    hit = [pk for pk, data in rows.iterator(1_000) if data and _is_of(data["cells"], telling)]
    update_rows(ActivityItem, ["id"], ["data"], [(pk, None) for pk in hit])


def _is_of(cells: Iterable[str], telling: Collection[str]) -> bool:
    return any(cell.strip().lower() in telling for cell in cells)
