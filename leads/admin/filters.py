"""Filters of the lists, and what they find together: the list of leads and work on all that match mean the same search."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date

from leads.lead_search import NO_TESTS, LeadSearch
from leads.models import Campaign, Flag, Held, Publisher, ReasonCode, Status
from leads.skin import DropdownFilter, RangeDateFilter

REASON_CODES_OFFERED = 500


class DaysFilter(RangeDateFilter):  # type: ignore[misc]
    """From one day to another, both of them whole days of the console's time zone; `words` say which moment is meant."""

    words = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = f"day {self.words}".strip()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = days_between(self.used_parameters, self.parameter_name)
        if since:
            queryset = queryset.filter(**{f"{self.parameter_name}__gte": since})
        if until:
            queryset = queryset.filter(**{f"{self.parameter_name}__lt": until})
        return queryset


def days_between(asked: Mapping[str, Any], name: str) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The first moment of the day name_from, and the first one after the day name_to; None where none is given."""
    first, last = _day(asked.get(f"{name}_from")), _day(asked.get(f"{name}_to"))
    try:
        return first, last + dt.timedelta(days=1) if last else None
    except OverflowError:
        return first, None  # nothing is after the last day that there is


def _day(text: Any) -> dt.datetime | None:
    try:
        day = parse_date(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min)) if day else None


def number(text: Any) -> int | None:
    """A row's id as it stands in an address; None for anything else."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19 else None


def lead_search(asked: Mapping[str, Any]) -> LeadSearch:
    """What the list of leads is asked for in its address."""
    since, until = days_between(asked, "created_at")
    return LeadSearch(
        text=str(asked.get("q", "")).strip(),
        campaign_id=number(asked.get("campaign__id__exact")),
        publisher_id=number(asked.get("publisher__id__exact")),
        status=str(asked.get("status__exact", "")),
        flag=str(asked.get("flag__exact", "")),
        reason_code=str(asked.get("reason_code", "")),
        held=str(asked.get("held", "")),
        failed_job=number(asked.get("failed_job")),
        since=since,
        until=until,
    )


class Asked(DropdownFilter):  # type: ignore[misc]
    """A filter that only shows what can be asked for: finding is done in one place, by a search."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset

    def chip(self) -> str:
        """What it leaves in the list, in words; empty where it leaves all."""
        value = self.value()
        chosen = dict(self.lookup_choices).get(value, value) if value else ""
        return f"{self.title.capitalize()}: {chosen}" if chosen else ""

    def names(self) -> list[str]:
        return [self.parameter_name]


class AskedDays(DaysFilter):
    def chip(self) -> str:
        since, until = days_between(self.used_parameters, self.parameter_name)
        parts = [f"from {since:%-d %b %Y}"] if since else []
        parts += [f"to {until - dt.timedelta(days=1):%-d %b %Y}"] if until else []
        words = " ".join([*([self.words] if parts and self.words else []), *parts])
        return words[:1].upper() + words[1:]

    def names(self) -> list[str]:
        return [f"{self.parameter_name}_from", f"{self.parameter_name}_to"]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset


def chips(request: HttpRequest, filters: Iterable[Any]) -> list[tuple[str, str]]:
    """The filters of a list that are set: in words, and the address without each."""
    found = []
    for each in filters:
        if not isinstance(each, Asked | AskedDays) or not (words := each.chip()):
            continue
        query = request.GET.copy()
        for name in ("p", *each.names()):
            query.pop(name, None)
        found.append((words, query.urlencode()))
    return found


class CampaignFilter(Asked):
    title = "campaign"
    parameter_name = "campaign__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Campaign.objects.order_by("name").values_list("pk", "name")]


class PublisherFilter(Asked):
    title = "publisher"
    parameter_name = "publisher__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Publisher.objects.order_by("name").values_list("pk", "name")]


class StatusFilter(Asked):
    title = "status"
    parameter_name = "status__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [*Status.choices, (NO_TESTS, "All but tests")]


class HeldFilter(Asked):
    """What a lead waits for that was judged and has not gone out."""

    title = "waits"
    parameter_name = "held"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(value, label.split(":")[0]) for value, label in Held.choices if value]


class FlagFilter(Asked):
    title = "flag"
    parameter_name = "flag__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [*(choice for choice in Flag.choices if choice[0]), ("none", Flag.NONE.label)]


class ReasonCodeFilter(Asked):
    """The codes that the instance keeps, and the one that is looked for, whoever gave it."""

    title = "reason code"
    parameter_name = "reason_code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        codes = list(dict.fromkeys(ReasonCode.objects.values_list("code", flat=True)[:REASON_CODES_OFFERED]))
        if (asked := request.GET.get(self.parameter_name, "")) and asked not in codes:
            codes.append(asked)
        return [(code, code) for code in codes]
