"""Filters of the lists."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date

from leads.skin import RangeDateFilter


class DaysFilter(RangeDateFilter):  # type: ignore[misc]
    """From one day to another, both of them whole days of the console's time zone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = "day"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = self.parameter_name
        if start := self._day(f"{name}_from"):
            queryset = queryset.filter(**{f"{name}__gte": start})
        if end := self._day(f"{name}_to"):
            queryset = queryset.filter(**{f"{name}__lt": end + dt.timedelta(days=1)})
        return queryset

    def _day(self, name: str) -> dt.datetime | None:
        text = self.used_parameters.get(name)
        try:
            day = parse_date(text) if isinstance(text, str) else None
        except ValueError:
            return None
        return timezone.make_aware(dt.datetime.combine(day, dt.time.min)) if day else None
