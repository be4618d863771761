"""Tracked events as a site sends them, each other than the one before, ten of each person."""

from __future__ import annotations

from typing import Any

EVENTS_OF_A_PERSON = 10
_NAMES = ("Product Viewed", "Product Added", "Order Completed")
_CONTEXT = {
    "library": {"name": "analytics.js", "version": "1.0.0"},
    "page": {
        "path": "/shoes/boots",
        "referrer": "",
        "search": "",
        "title": "Boots",
        "url": "https://shop.test/shoes/boots",
    },
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "locale": "de-DE",
}


def message(number: int) -> dict[str, Any]:
    """The event of this number: about 700 bytes of JSON."""
    person = number // EVENTS_OF_A_PERSON
    return {
        "type": "track",
        "event": _NAMES[number % len(_NAMES)],
        "messageId": f"bench-{number}",
        "anonymousId": f"visitor-{person}",
        "userId": f"user-{person}",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "context": _CONTEXT,
        "properties": {"total": number % 100, "currency": "EUR", "category": "shoes", "order_id": str(number)},
    }
