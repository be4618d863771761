"""The server's one entry: hot addresses go to async functions, everything else to Django as WSGI in threads."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import MutableMapping
from typing import Any

from a2wsgi import WSGIMiddleware
from django.conf import settings

# First of all: it sets Django up, and what follows reads models.
from portal.wsgi import application as django_application

# isort: split
from integrations.api import browser_library, publisher_rules
from integrations.api import callbacks as verdicts
from leads import intake
from leads.api.middleware import UNDER
from leads.api.problems import as_problem
from leads.api.routes import HOT as PARTNER_ROUTES
from leads.api.serving import partner_application, partner_pattern
from leads.publisher_api import callbacks
from leads.publisher_api.routes import ROUTES as PUBLISHER_ROUTES
from leads.tracking import storing as events
from leads.tracking.routes import ROUTES as TRACKING_ROUTES
from leads.web import Disconnected, Receive, Refusal, Request, Scope, Send, dispatch, respond
from portal.long_lived import process_settle

# What stands under one of these and is unknown is a plain 404 of the API's, never a page.
HOT = re.compile(
    r"/api/v[\d.]+/publisher/|/api/v4/leads(?![^/.])|/api/login\Z|/api/webhook/|/ajax/lead-append/|/oauth/|/webhook/|/v1/|/t/"
)

_partner = partner_application(PARTNER_ROUTES)
_PARTNER = partner_pattern(PARTNER_ROUTES)
_hot = dispatch(
    [*PUBLISHER_ROUTES, *TRACKING_ROUTES, *browser_library.ROUTES, *publisher_rules.ROUTES, *verdicts.ROUTES]
)
_everything_else: Any = WSGIMiddleware(django_application)  # type: ignore[arg-type]
PIECE = 64 * 1024
_BATCHERS = (intake.batcher, callbacks.batcher, events.batcher, verdicts.batcher)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application. When the server stops, what waits for a commit is written first."""
    if scope["type"] == "http":
        if HOT.match(scope["path"]):
            await _hot(scope, receive, send)
        elif _PARTNER.fullmatch(scope["path"]):
            await _partner(scope, receive, send)
        else:
            await _django(scope, receive, send)
    elif scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await _everything_else(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            process_settle()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await asyncio.gather(*(asyncio.to_thread(batcher.close) for batcher in _BATCHERS))
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _django(scope: Scope, receive: Receive, send: Send) -> None:
    """Django, told what WSGI can't say: a query that is not ASCII, and a body that came in chunks, whose length nobody gave.

    Without a length Django reads such a body as empty, and what was posted would vanish without an error. So it is written to
    a temporary file first, large files among it; beyond what is taken of such a body the answer is 413.
    """
    if not scope["query_string"].isascii():
        quoted = b"".join(b"%c" % byte if byte < 128 else b"%%%02X" % byte for byte in scope["query_string"])
        scope = {**scope, "query_string": quoted}
    names = {name for name, _ in scope["headers"]}
    if b"transfer-encoding" not in names or b"content-length" in names:
        await _everything_else(scope, receive, send)
        return
    with tempfile.SpooledTemporaryFile(max_size=settings.DATA_UPLOAD_MAX_MEMORY_SIZE) as file:
        request = Request(scope, receive)
        try:
            await request.spool(file, _most_bytes(request), lambda _piece: None)
        except Disconnected:
            return
        except Refusal as refused:
            answer = refused.response
            await respond(scope, send, as_problem(answer) if scope["path"].startswith(UNDER) else answer)
            return
        size = file.tell()
        file.seek(0)

        async def spooled() -> MutableMapping[str, Any]:
            piece = file.read(PIECE)
            return {"type": "http.request", "body": piece, "more_body": file.tell() < size}

        headers = [*scope["headers"], (b"content-length", b"%d" % size)]
        await _everything_else({**scope, "headers": headers}, spooled, send)


def _most_bytes(request: Request) -> int:
    """Files have a limit of their own, and a form around them."""
    most: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if request.header("content-type").lower().startswith("multipart/form-data"):
        most = max(most, settings.IMPORT_MAX_BYTES + settings.MAX_BODY_BYTES)
    elif request.path.startswith(UNDER):
        most = settings.API_MAX_BYTES
    return most
