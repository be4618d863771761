"""What async handlers of every layer say of themselves, put into the partner API's document."""

from __future__ import annotations

from typing import Any

from leads.api.openapi import hot_added
from leads.api.routes import HOT


def hot_routes_added(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular."""
    return hot_added(result, HOT)
