"""What the page is told: the settings that browser.js needs. None of them is a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.connectors.convertro.rules import is_on
from integrations.kit.text_map import map_kept, pairs_of


def browser(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Account, events and switches, as browser.js reads them."""
    return {
        "account": str(settings.get("account") or "").strip(),
        "events": map_kept(pairs_of(settings.get("events"))),
        "hybridAttributionModel": is_on(settings.get("hybridAttributionModel")),
        "requireOrderId": is_on(settings.get("requireOrderId"), otherwise=True),
    }
