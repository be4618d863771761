"""The addresses of the tracking API (facts on Segment, section 1).

200 for whatever can be read, 400 for what can't (too large, no JSON), 429 with the seconds to wait. What was wrong with single
messages stands in the live view of the source.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone

from leads import limits
from leads.batcher import Overloaded
from leads.models import Source
from leads.tracking import messages, storing
from leads.tracking.messages import MAX_BATCH_BYTES, MAX_MESSAGE_BYTES, BadCall, Common, EventRow
from leads.tracking.sources import source_by_key
from leads.web import Refusal, Request, Response, json_response, overloaded

LONG_NAMES = {"i": "identify", "t": "track", "p": "page", "s": "screen", "g": "group", "a": "alias", "b": "batch"}
WINDOW_SECONDS = 2.0
# After so many messages others get their turn on the loop.
_BREATH = 250
_SUCCESS = json_response({"success": True})


async def call(request: Request) -> Response:
    """POST /v1/{identify|track|page|screen|group|alias|batch} or its first letter."""
    kind = LONG_NAMES.get(request.params["kind"], request.params["kind"])
    limit = MAX_BATCH_BYTES if kind == "batch" else MAX_MESSAGE_BYTES
    try:
        body = await _body(request, limit)
        said = messages.read(messages.unpacked(body, request.header("content-encoding").lower(), limit))
        source = await source_by_key(_write_key(request, said))
        if source is None:
            # As Segment: a wrong key is no error that a client could mend by sending again.
            return json_response({"success": False, "message": "No source takes events with this write key."})
        await _count(source)
        common = Common(source.pk, timezone.now(), request.client_ip)
        events = (
            messages.batch_messages(said, common) if kind == "batch" else iter([messages.event(said, common, kind)])
        )
        rows = await _taken_in_turns(events)
    except BadCall as bad:
        return json_response({"code": bad.code, "message": bad.message}, 400)
    try:
        await storing.submit(rows)
    except Overloaded:
        return overloaded()
    return _SUCCESS


async def _body(request: Request, limit: int) -> bytes:
    try:
        return await request.body(limit)
    except Refusal as refused:
        if refused.response.status == 413:
            raise messages.too_large(limit) from None
        raise


async def _taken_in_turns(events: Iterator[EventRow]) -> list[EventRow]:
    rows: list[EventRow] = []
    for row in events:
        rows.append(row)
        if len(rows) % _BREATH == 0:
            await asyncio.sleep(0)
    return rows


def _write_key(request: Request, said: Mapping[str, Any]) -> str:
    """The user of Basic credentials, with or without a colon behind it; else what the body says."""
    scheme, _, given = request.header("authorization").partition(" ")
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(given.strip(), validate=False).decode("ascii").partition(":")[0]
        except (binascii.Error, ValueError):
            key = ""
        if key:
            return key
    in_body = said.get("writeKey")
    return in_body if isinstance(in_body, str) else ""


async def _count(source: Source) -> None:
    limit = int(settings.RATE_LIMIT_TRACKING * WINDOW_SECONDS)
    if limit <= 0:
        return
    wait = await limits.take(f"source:{source.pk}", limit, WINDOW_SECONDS)
    if wait > 0:
        seconds = str(max(1, math.ceil(wait)))
        headers = {"Retry-After": seconds, "X-RateLimit-Reset": seconds}
        raise Refusal(json_response({"code": "too_many_requests", "message": "Too Many Requests"}, 429, headers))


async def project_settings(request: Request) -> Response:
    """GET /v1/projects/{write_key}/settings: what Segment's browser library asks for before its first call."""
    key = request.params["write_key"]
    if await source_by_key(key) is None:
        return json_response({"code": "not_found", "message": "No source has this write key."}, 404)
    protocol, _, host = settings.INSTANCE_URL.partition("://")
    own = {"apiKey": key, "apiHost": f"{host}/v1", "protocol": protocol}
    return json_response({"integrations": {"Segment.io": own}})
