"""Calls with an Idempotency-Key, answered once and said again for a day. Reads and writes the database.

A single lead needs none of this: its own row has the key (leads/intake.py). Here are calls that are more than one row. Whoever
works one claims it first, says again and again that it is alive, and leaves the answer behind. A claim that nobody has said so of
for a while is taken over: what is written under it must bear repetition.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction

from leads import clock
from leads.database import insert_rows
from leads.intake import KeyReused
from leads.models import AnsweredCall

KEPT = dt.timedelta(hours=24)
# A worker says that it is alive after each batch of rows; one that has not for so long is gone.
STALE = dt.timedelta(seconds=60)
MOST_KEY_CHARS = 200


class StillRunning(Exception):
    """The first call with this key is being worked just now."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A call that is ours to work."""

    pk: int


@dataclass(frozen=True, slots=True)
class Answered:
    """How a call was answered."""

    status: int
    content_type: str
    body: bytes
    location: str = ""


def call_digest(*parts: bytes) -> str:
    """What makes two calls the same: method, address and body."""
    said = hashlib.sha256()
    for part in parts:
        said.update(b"%d:" % len(part))
        said.update(part)
    return said.hexdigest()


def call_claim(key_id: int, idempotency_key: str, digest: str) -> Claim | Answered:
    """Claim a call, or its first answer. Raises StillRunning, and KeyReused where the first was another one."""
    now = clock.now()
    AnsweredCall.objects.filter(created_at__lt=now - KEPT).delete()
    row = (key_id, idempotency_key, digest, now, now)
    made = insert_rows(
        AnsweredCall,
        ("key", "idempotency_key", "digest", "alive_at", "created_at"),
        [row],
        on_conflict="(key_id, idempotency_key) DO NOTHING",
        returning=("id",),
    )
    if made:
        return Claim(made[0][0])
    with transaction.atomic():
        found = (
            AnsweredCall.objects.select_for_update().filter(key=key_id, idempotency_key=idempotency_key).first()
        )  # fmt: skip
        if found is None:
            raise StillRunning  # it failed this very moment: the next call is the first one
        if found.digest != digest:
            raise KeyReused
        if found.status is not None:
            body = zlib.decompress(bytes(found.body or b""))
            return Answered(found.status, found.content_type, body, found.location)
        if found.alive_at > now - STALE:
            raise StillRunning
        found.alive_at = now
        found.save(update_fields=["alive_at"])
    return Claim(found.pk)


def call_alive(claim: Claim) -> None:
    """Say that the call is being worked still."""
    AnsweredCall.objects.filter(pk=claim.pk).update(alive_at=clock.now())


def call_answer(claim: Claim, status: int, content_type: str, pieces: Iterable[bytes], location: str = "") -> None:
    """Keep the answer, in the caller's transaction if there is one."""
    packer = zlib.compressobj(level=1)
    packed = b"".join([*(packer.compress(piece) for piece in pieces), packer.flush()])
    AnsweredCall.objects.filter(pk=claim.pk).update(
        status=status, content_type=content_type, body=packed, location=location
    )


def call_drop(claim: Claim) -> None:
    """Nothing came of the call: the same key may be used again, also for a mended one."""
    AnsweredCall.objects.filter(pk=claim.pk, status=None).delete()
