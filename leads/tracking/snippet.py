"""What is pasted into a site's pages, so that they bring the browser library of a source."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def snippet(origin: str, write_key: str) -> str:
    """The snippet for a source of the portal at `origin` ("https://portal.example"), to stand in a page's head."""
    address = f"{origin.rstrip('/')}/t/{write_key}.js"
    script = _template().replace("{{write_key}}", write_key).replace("{{address}}", address)
    return f"<script>\n{script}</script>"


@cache
def _template() -> str:
    return Path(__file__).with_name("snippet.js").read_text("utf-8")
