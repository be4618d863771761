"""The browser library of a source, at /t/{writeKey}.js: what pages run, with the scripts of connectors that run on pages.

Composed here of leads/tracking/library.js and each connector's browser.js, and told the settings that are for everybody to read.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from integrations import connectors as connectors_package
from integrations.kit.registry import connectors
from integrations.models import Integration, IntegrationState
from leads import tracking
from leads.catalog import Kept
from leads.tracking.sources import source_by_key
from leads.web import Request, Response, Route

LIBRARY = Path(tracking.__path__[0]) / "library.js"
SCRIPT = "text/javascript; charset=utf-8"
# A page that is opened again asks after so many seconds whether anything is new.
MAX_AGE_S = 300
# What stopped an integration is on the side of servers: a page goes on, and nobody's sales are lost.
_ON_PAGES = (IntegrationState.ON, IntegrationState.NEEDS_A_LOOK)
_NOT_SENT = re.compile(r"^\s*//.*\n|^[ \t]+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Composed:
    """One library, ready to be sent."""

    body: bytes
    packed: bytes
    tag: str


def compose(write_key: str, campaign_id: int) -> Composed:
    """The library for a write key, as the campaign's integrations are now."""
    told: list[dict[str, Any]] = []
    scripts = []
    rows = Integration.objects.filter(campaign=campaign_id, state__in=_ON_PAGES).order_by("position", "id")
    for row in rows:
        found = connectors().get(row.connector)
        # One of each connector: a page has one queue of theirs.
        if found is None or found.browser is None or row.connector in {each["slug"] for each in told}:
            continue
        # Not row.all_settings: secrets never come near a page.
        settings = dict(found.browser(row.settings))
        told.append({"slug": row.connector, "name": found.manifest.integrations_name, "settings": settings})
        scripts.append(_script(connector_script(row.connector)))
    head = f"window.portalTracking={in_script({'writeKey': write_key, 'connectors': told})};\n"
    return _packed("".join([head, *scripts, _script(LIBRARY)]))


@lru_cache(maxsize=256)
def _packed(text: str) -> Composed:
    body = text.encode()
    return Composed(body, gzip.compress(body, 9, mtime=0), hashlib.sha256(body).hexdigest()[:20])


def in_script(value: Any) -> str:
    """JSON that can stand in a script, and in a page: no letter of it ends a script, a comment or a line."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def connector_script(slug: str) -> Path:
    """Where a connector keeps the script that pages run."""
    return Path(importlib.import_module(f"{connectors_package.__name__}.{slug}").__path__[0]) / "browser.js"


@cache
def _script(file: Path) -> str:
    """A script without its comment lines and without the spaces before its lines."""
    return _NOT_SENT.sub("", file.read_text("utf-8"))


_composed: Kept[tuple[str, int], Composed] = Kept(lambda key: compose(*key))


async def library(request: Request) -> Response:
    """GET /t/{writeKey}.js; 304 where the page has it already, 404 with a comment where no source takes events by this key."""
    write_key = request.params["write_key"]
    source = await source_by_key(write_key)
    headers = {"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff", "Vary": "Accept-Encoding"}
    if source is None:
        words = b"/* No source takes events by this write key. */\n"
        return Response(404, words, SCRIPT, {**headers, "Cache-Control": "public, max-age=60"})
    found = await _composed.get((write_key, source.campaign_id))
    packed = "gzip" in request.header("accept-encoding").lower()
    tag = f'"{found.tag}{"-gz" if packed else ""}"'
    headers |= {"Cache-Control": f"public, max-age={MAX_AGE_S}", "ETag": tag}
    if _has(request.header("if-none-match"), tag):
        return Response(304, b"", "", headers)
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(200, found.packed if packed else found.body, SCRIPT, headers)


def _has(tags: str, tag: str) -> bool:
    """Whether a list of tags names this one, or any."""
    return tags == "*" or tag in {each.strip().removeprefix("W/") for each in tags.split(",")}


ROUTES = [Route(["GET"], r"/t/{write_key:[A-Za-z0-9]+}\.js", library)]
