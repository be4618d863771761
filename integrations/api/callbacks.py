"""Where clients' instances say what became of a lead (facts, section 8, write-back webhooks).

The last part of the path is a delivery's key, which the client got with the lead's sync tags, or the hash of a lead of ours,
which a receiver further down was told. Both are secrets that nobody can guess; nothing else authorises the call.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from integrations.kit.contract import Verdict, VerdictState
from integrations.models import StatusUpdate
from integrations.reconciliation import Message, deliveries_by_key, messages_store
from leads.batcher import Batcher, Overloaded
from leads.publisher_api.callbacks import flag_by_hash, read_callback
from leads.web import Request, Response, Route, overloaded

_FLAG_OF_ACTION: dict[str, VerdictState] = {"validate": "valid", "invalidate": "invalid"}
# An instance of ours says more precisely what it means by an invalidation.
_FINER: dict[str, VerdictState] = {"returned": "returned", "test": "test"}
CLOCK_SKEW = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback whose form was read, and the key that it came with."""

    key: uuid.UUID
    verdict: Verdict
    received_at: dt.datetime


def _store(callbacks: Sequence[Callback]) -> list[bool]:
    """Store a batch; False for each whose key is no delivery's."""
    known = deliveries_by_key(callback.key for callback in callbacks)
    messages_store(
        [
            Message(known[callback.key], callback.verdict, StatusUpdate.Via.PUSHED, callback.received_at)
            for callback in callbacks
            if callback.key in known
        ]
    )
    return [callback.key in known for callback in callbacks]


callbacks: Batcher[Callback, bool] = Batcher("callbacks", _store)


async def receive(request: Request) -> Response:
    """POST /api/webhook/{validate|invalidate}/{token}: 201 and an empty body once it is safely stored."""
    action, token = request.params["action"], request.params["token"]
    form = await read_callback(request)
    if isinstance(form, Response):
        return form
    try:
        key = uuid.UUID(hex=token)
    except ValueError:
        return await flag_by_hash(action, token, form)
    try:
        known = await callbacks.submit(Callback(key, _verdict(action, form), timezone.now()))
    except Overloaded:
        return overloaded()
    return Response(201) if known else await flag_by_hash(action, token, form)


def _verdict(action: str, form: Mapping[str, str]) -> Verdict:
    finer = form.get("verdict", "")
    return Verdict(
        state=_FINER.get(finer, _FLAG_OF_ACTION[action]) if action == "invalidate" else _FLAG_OF_ACTION[action],
        reason_code=form.get("reasonCode") or form.get("reason", ""),
        comment=form.get("comment", ""),
        by=form.get("user", ""),
        decided_at=_decided_at(form.get("decidedAt", "")),
        event_id=form.get("eventId", "")[:64],
        raw="&".join(f"{name}={value}" for name, value in form.items()),
    )


def _decided_at(text: str) -> dt.datetime | None:
    """The time that they gave; None where it is none, has no zone, or lies in the future beyond what clocks differ by."""
    try:
        decided_at = parse_datetime(text)
    except ValueError:
        return None
    if decided_at is None or decided_at.tzinfo is None or decided_at > timezone.now() + CLOCK_SKEW:
        return None
    return decided_at.astimezone(dt.UTC)


ROUTES = [Route({"POST"}, "/api/webhook/{action:validate|invalidate}/{token}", receive)]
