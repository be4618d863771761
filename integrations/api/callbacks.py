"""Where clients' instances say what became of a lead (facts, section 8, write-back webhooks).

The last part of the path is a delivery's key, which the client got with the lead's sync tags, or the callback hash of a lead of
ours, which a receiver further down was told (leads/callback_hash.py). Both are secrets that nobody can guess; nothing else authorises the call.
A token that is neither, but made as ours are, may be that of a delivery which is not recorded here yet: its call is kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from integrations.early_words import about_key, deliveries_by_key, early_full, may_be_early
from integrations.judging.appended import lead_append
from integrations.kit.contract import ConnectorError
from integrations.kit.registry import connector as find_connector
from integrations.kit.registry import connectors
from integrations.models import StatusUpdate
from integrations.reconciliation import Message, messages_store
from leads import clock, pool
from leads.batcher import Batcher, Overloaded
from leads.callback_hash import hash_parsed
from leads.models import Lead
from leads.publisher_api.callbacks import append_by_hash, flag_by_hash, read_callback
from leads.web import Request, Response, Route, overloaded


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback whose form was read, and the key that it came with. `early`: nobody knows the key, and it is to be kept.

    It counts as received when it is stored, by the clock that all go by.
    """

    key: uuid.UUID
    action: str
    form: Mapping[str, str]
    early: bool = False


def callbacks_store(received: Sequence[Callback]) -> list[bool]:
    """Store a batch of callbacks as status updates; False for each whose key is no delivery's.

    Of early ones so many are kept; False for each beyond that.
    """
    known = deliveries_by_key(callback.key for callback in received)
    full = any(callback.early and callback.key not in known for callback in received) and early_full()
    messages, stored = [], []
    for callback in received:
        keep = callback.early and not full
        if callback.key in known:
            delivery_id, slug = known[callback.key]
            messages.append(_message(callback, delivery_id, slug))
        elif keep:
            messages.append(_early_message(callback))
        stored.append(callback.key in known or keep)
    messages_store([message for message in messages if message is not None])
    return stored


def _message(callback: Callback, delivery_id: int | None, slug: str) -> Message | None:
    """What its connector reads in it; None where the client's system is one that pushes no verdicts."""
    receive = find_connector(slug).receive
    try:
        verdict = receive(callback.action, callback.form) if receive else None
    except ConnectorError:
        return None
    return None if verdict is None else Message(delivery_id, verdict, StatusUpdate.Via.PUSHED, clock.now())


def _early_message(callback: Callback) -> Message | None:
    """Whose system called is not known yet: it is read as the connectors read pushes, the first that can."""
    for slug, found in connectors().items():
        if found.receive and (message := _message(callback, None, slug)):
            return replace(message, about=about_key(callback.key))
    return None


batcher: Batcher[Callback, bool] = Batcher("callbacks", callbacks_store)


async def receive(request: Request) -> Response:
    """POST /api/webhook/{validate|invalidate}/{token}: 201 and an empty body once it is safely stored.

    404 where the token is certainly nobody's. What may have come too early is stored, 201, or refused with 503 where too much
    of it waits already.
    """
    action, token = request.params["action"], request.params["token"]
    form = await read_callback(request)
    if isinstance(form, Response):
        return form
    key = hash_parsed(token)
    if key is None:
        return await flag_by_hash(action, token, form)
    callback = Callback(key, action, form)
    try:
        if await batcher.submit(callback):
            return Response(201)
        answer = await flag_by_hash(action, token, form)
        if answer.status != 404 or not may_be_early(key) or await pool.quick(_names_a_lead, key):
            return answer
        return Response(201) if await batcher.submit(replace(callback, early=True)) else overloaded()
    except Overloaded:
        return overloaded()


def _names_a_lead(key: uuid.UUID) -> bool:
    """Whether it is what a lead is called by everybody: made as keys are, and never one."""
    return Lead.objects.filter(hash=key).exists()


async def append(request: Request) -> Response:
    """POST /ajax/lead-append/{lead_hash}: see leads.publisher_api.callbacks.append_by_hash."""
    return await append_by_hash(request, lead_append)


ROUTES = [
    Route(["POST"], "/api/webhook/{action:validate|invalidate}/{token}", receive),
    Route(["POST"], "/ajax/lead-append/{lead_hash}", append),
]
