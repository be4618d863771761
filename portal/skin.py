"""The one seam to the admin's skin, django-unfold: nothing else in the project imports it."""

from __future__ import annotations

from typing import Any

UNFOLD: dict[str, Any] = {}
