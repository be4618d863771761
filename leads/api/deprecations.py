"""What will go from the partner API, and when: said on every answer by Deprecation (RFC 9745) and Sunset (RFC 8594).

Nothing is taken away less than a year after its date here; docs/api.md has the promise.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import format_datetime

NOTICE = dt.timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Deprecated:
    """One address that will go: its methods and path (as the document writes it), since when this is said, and what to use."""

    methods: frozenset[str]
    path: str
    since: dt.date
    instead: str

    @property
    def gone_from(self) -> dt.date:
        """The first day on which it may be gone."""
        return self.since + NOTICE

    def covers(self, method: str, path: str) -> bool:
        """Whether a call is to this address."""
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(self.path))
        return method in self.methods and re.fullmatch(pattern, path) is not None


DEPRECATED: tuple[Deprecated, ...] = ()
"""Nothing yet."""


def deprecation_headers(method: str, path: str, table: tuple[Deprecated, ...] | None = None) -> Mapping[str, str]:
    """The headers that tell of an address which will go; none for all others."""
    for each in DEPRECATED if table is None else table:
        if each.covers(method, path):
            since, gone = (dt.datetime.combine(day, dt.time(), dt.UTC) for day in (each.since, each.gone_from))
            return {
                "Deprecation": f"@{int(since.timestamp())}",
                "Sunset": format_datetime(gone, usegmt=True),
                "Link": '</api/v1/docs>; rel="deprecation"',
            }
    return {}
