"""The `integrations` object of a message: which destinations it wants to go to (facts on the Convertro destination)."""

from __future__ import annotations

from typing import Any


def switched_on(integrations: Any, name: str) -> bool:
    """Whether a message with this `integrations` object goes to the destination of this name.

    The name counts in exactly this case, `All` in any. What is no boolean counts as on; so does what is not named.
    """
    if not isinstance(integrations, dict):
        return True
    if name in integrations:
        return integrations[name] is not False
    return not any(value is False for key, value in integrations.items() if key.lower() == "all")
