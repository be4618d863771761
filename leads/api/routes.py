"""Addresses of the partner API that async handlers answer: what comes by the thousand, and what waits."""

from __future__ import annotations

from leads.api import many, receiving
from leads.api.openapi import Hot

HOT: tuple[Hot, ...] = (*receiving.HOT, *many.HOT)
