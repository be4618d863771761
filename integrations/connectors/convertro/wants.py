"""Why a message is not sent from the server (README.md, "From servers and apps")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.connectors.convertro.manifest import MANIFEST
from integrations.connectors.convertro.rules import found, is_on, is_order, order_id
from integrations.kit.contract import Call, Payload


def wants(call: Call, event: Payload) -> str:
    """Why this message is not sent, in words; "" where it is."""
    message = event.data
    kind = message.get("type")
    if kind not in ("identify", "track"):
        return f"Convertro takes identify and track calls only, not {kind if isinstance(kind, str) else 'this one'}."
    if browser_served(message):
        return "Left to the page, which runs Convertro’s script itself."
    if not device_id(message):
        return "No device id: Convertro wants the context.device.id of every call."
    if kind == "identify":
        return "" if user_id(message) else "An anonymous identify: Convertro takes users that have a user id."
    if not event_name(message):
        return "The track call has no event name."
    if (
        is_order(event_name(message))
        and order_id(message.get("properties")) is None
        and is_on(call.settings.get("requireOrderId"), otherwise=True)
    ):
        return "An order without an order id, and “Require order id” is on."
    return ""


def browser_served(message: Mapping[str, Any]) -> bool:
    """Whether the page that sent it ran browser.js with it: it comes from a browser, and names us as run there."""
    context, metadata = message.get("context"), message.get("_metadata")
    if not isinstance(context, Mapping) or context.get("channel") != "browser" or not isinstance(metadata, Mapping):
        return False
    ran = metadata.get("bundled")
    return isinstance(ran, list) and MANIFEST.integrations_name in ran


def device_id(message: Mapping[str, Any]) -> str:
    """context.device.id, its names in any case; "" where there is none."""
    for device in found(message.get("context"), "device"):
        for value in found(device, "id"):
            return _id(value)
    return ""


def user_id(message: Mapping[str, Any]) -> str:
    return _id(message.get("userId"))


def event_name(message: Mapping[str, Any]) -> str:
    name = message.get("event")
    return name if isinstance(name, str) else ""


def _id(value: Any) -> str:
    """An id as text: no id are null, zero, the empty text, and what is no text and no number."""
    if isinstance(value, str):
        return value if value.strip() else ""
    return str(value) if value and isinstance(value, int | float) and not isinstance(value, bool) else ""
