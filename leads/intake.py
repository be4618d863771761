"""Stage 1: checked leads become rows. One seam, `submit`; many leads share one statement and one commit."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from leads.batcher import Batcher
from leads.database import copy_rows, ids_reserve, insert_rows, uuid7
from leads.forms import Cleaned, CompiledForm
from leads.models import Happening, Lead
from leads.models.lead import Status
from leads.outbox import About, outbox_add, outbox_wanted
from leads.wake import wake

# The stage that works what was received; named, never imported.
PROCESS_TASK = "integrations.process_leads"
MAX_KEY_CHARS = 255


class LeadRow(NamedTuple):
    """A lead to be written. Its fields are columns, in the order of COLUMNS."""

    hash: uuid.UUID
    campaign_id: int
    publisher_id: int
    form_id: int
    form_version: int
    link_id: int | None
    values: dict[str, str]
    status: str = Status.PENDING.value
    ip: str | None = None
    idempotency_key: str | None = None
    body_digest: str = ""
    sync_subdomain: str = ""
    sync_token: str = ""
    email_key: str = ""
    visitor: dict[str, str] | None = None


COLUMNS = tuple(name.removesuffix("_id") for name in LeadRow._fields)


def row_of(
    form: CompiledForm,
    cleaned: Cleaned,
    *,
    campaign_id: int,
    publisher_id: int,
    link_id: int | None,
    test: bool,
    ip: str | None,
    key: str | None,
    digest: str,
) -> LeadRow:
    """The row of a lead that was posted with this form and found good; `key` is its idempotency key, None without one."""
    return LeadRow(
        hash=uuid7(),
        campaign_id=campaign_id,
        publisher_id=publisher_id,
        form_id=form.id,
        form_version=form.version,
        link_id=link_id,
        values=cleaned.values,
        status=Status.TEST.value if test else Status.PENDING.value,
        ip=ip,
        idempotency_key=key,
        body_digest=digest,
        sync_subdomain=cleaned.sync_subdomain,
        sync_token=cleaned.sync_token,
        email_key=form.email_key(cleaned.values),
        visitor=cleaned.visitor,
    )


class Received(NamedTuple):
    """A lead that is in: its id and its hash, which is the first one's where a post was repeated."""

    lead_id: int
    hash: uuid.UUID


class KeyReused(Exception):
    """The idempotency key came before, with another lead."""


def body_digest(pairs: Sequence[tuple[str, str]], *addressed_to: object) -> str:
    """What makes two posts the same: the values in any order, and where they were posted to."""
    said = json.dumps([[str(part) for part in addressed_to], sorted(pairs)])
    return hashlib.sha256(said.encode("ascii")).hexdigest()


def leads_insert(rows: Sequence[LeadRow]) -> list[Received | Exception]:
    """Write leads in one statement; return what became of each in the same order.

    A row whose idempotency key its publisher has used before is not written: its answer is the first lead, or KeyReused
    if that lead was another one. The same goes for a row that was written by an earlier try of this batch. Where nobody wants
    to be told it is a single statement, and makes no transaction of its own.
    """
    wanted = bool(outbox_wanted(Happening.LEAD_CREATED))
    with transaction.atomic(savepoint=False) if wanted else nullcontext():
        written = insert_rows(Lead, COLUMNS, rows, on_conflict="DO NOTHING", returning=("id", "hash"))
        ids = {_uuid(lead_hash): lead_id for lead_id, lead_hash in written}
        if written and wanted:
            _tell(rows, ids)
    repeats = [row for row in rows if row.hash not in ids]
    earlier = _earlier(repeats) if repeats else {}
    if written:
        wake(PROCESS_TASK)
    return [Received(ids[row.hash], row.hash) if row.hash in ids else _first_answer(row, earlier) for row in rows]


def leads_copy(rows: Sequence[LeadRow]) -> list[Received | Exception]:
    """As leads_insert, for thousands: by COPY where the database has it, which takes a third of the time.

    Where one of the keys was used before COPY writes nothing, and they are written as leads_insert does it.
    """
    if connection.vendor == "postgresql":
        try:
            with transaction.atomic():
                ids = ids_reserve(Lead, len(rows))
                copy_rows(Lead, ("id", *COLUMNS), [(lead_id, *row) for lead_id, row in zip(ids, rows, strict=True)])
        except IntegrityError:
            return leads_insert(rows)
        wake(PROCESS_TASK)
        _tell(rows, {row.hash: lead_id for lead_id, row in zip(ids, rows, strict=True)})
        return [Received(lead_id, row.hash) for lead_id, row in zip(ids, rows, strict=True)]
    return leads_insert(rows)


def _tell(rows: Sequence[LeadRow], ids: Mapping[uuid.UUID, int]) -> None:
    """Of what was written, whoever wants to know is told."""
    outbox_add(
        Happening.LEAD_CREATED,
        [
            About(row.campaign_id, row.publisher_id, ids[row.hash], {"status": row.status}, row.status == Status.TEST)
            for row in rows
            if row.hash in ids
        ]
        if outbox_wanted(Happening.LEAD_CREATED)
        else (),
    )


def lead_of_key(publisher_id: int, idempotency_key: str, digest: str) -> Received | None:
    """The lead that was received with this key; None if there is none. Raises KeyReused."""
    found = Lead.objects.filter(publisher_id=publisher_id, idempotency_key=idempotency_key)
    for lead_id, lead_hash, first_digest in found.values_list("pk", "hash", "body_digest"):
        if first_digest != digest:
            raise KeyReused
        return Received(lead_id, lead_hash)
    return None


def _uuid(value: object) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(str(value))


def _earlier(rows: Sequence[LeadRow]) -> dict[object, tuple[Received, str]]:
    keys = {row.idempotency_key for row in rows if row.idempotency_key is not None}
    found = Lead.objects.filter(
        Q(hash__in=[row.hash for row in rows])
        | Q(publisher_id__in={row.publisher_id for row in rows}, idempotency_key__in=keys)
    ).values_list("pk", "hash", "publisher_id", "idempotency_key", "body_digest")
    earlier: dict[object, tuple[Received, str]] = {}
    for lead_id, lead_hash, publisher_id, key, digest in found:
        earlier[lead_hash] = earlier[(publisher_id, key)] = (Received(lead_id, lead_hash), digest)
    return earlier


def _first_answer(row: LeadRow, earlier: dict[object, tuple[Received, str]]) -> Received | Exception:
    found = earlier.get(row.hash) or earlier.get((row.publisher_id, row.idempotency_key))
    if found is None:
        return RuntimeError("a lead was neither written nor found")
    received, digest = found
    return received if digest == row.body_digest else KeyReused()


batcher: Batcher[LeadRow, Received] = Batcher("intake", leads_insert, own_transaction=True)
many: Batcher[LeadRow, Received] = Batcher("many", leads_copy)
"""For thousands that come in one call, written in the thread that has them."""


async def submit(row: LeadRow) -> Received:
    """Receive a lead; back once it is committed. Raises Overloaded, KeyReused, or what the row failed with."""
    return await batcher.submit(row)
