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

from integrations.kit.contract import ConnectorError
from integrations.kit.registry import connector as find_connector
from integrations.models import StatusUpdate
from integrations.reconciliation import Message, deliveries_by_key, messages_store
from leads.batcher import Batcher, Overloaded
from leads.publisher_api.callbacks import flag_by_hash, lead_hash_parsed, read_callback
from leads.web import Request, Response, Route, overloaded


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback whose form was read, and the key that it came with."""

    key: uuid.UUID
    action: str
    form: Mapping[str, str]
    received_at: dt.datetime


def callbacks_store(received: Sequence[Callback]) -> list[bool]:
    """Store a batch of callbacks as status updates; False for each whose key is no delivery's."""
    known = deliveries_by_key(callback.key for callback in received)
    messages = []
    for callback in received:
        if callback.key in known:
            delivery_id, slug = known[callback.key]
            messages.append(_message(callback, delivery_id, slug))
    messages_store([message for message in messages if message is not None])
    return [callback.key in known for callback in received]


def _message(callback: Callback, delivery_id: int, slug: str) -> Message | None:
    """What its connector reads in it; None where the client's system is one that pushes no verdicts."""
    receive = find_connector(slug).receive
    try:
        verdict = receive(callback.action, callback.form) if receive else None
    except ConnectorError:
        return None
    return None if verdict is None else Message(delivery_id, verdict, StatusUpdate.Via.PUSHED, callback.received_at)


batcher: Batcher[Callback, bool] = Batcher("callbacks", callbacks_store)


async def receive(request: Request) -> Response:
    """POST /api/webhook/{validate|invalidate}/{token}: 201 and an empty body once it is safely stored."""
    action, token = request.params["action"], request.params["token"]
    form = await read_callback(request)
    if isinstance(form, Response):
        return form
    if key := lead_hash_parsed(token):
        try:
            if await batcher.submit(Callback(key, action, form, timezone.now())):
                return Response(201)
        except Overloaded:
            return overloaded()
    return await flag_by_hash(action, token, form)


ROUTES = [Route(["POST"], "/api/webhook/{action:validate|invalidate}/{token}", receive)]
