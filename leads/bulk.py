"""What people do with many leads at once: one decision for each row, and the same one when it is only asked what would happen.

An action reads facts of a row, decides from them alone whether it can be done, and acts on those that can. A dry run counts
rows by their facts in one statement and puts each kind of row to the same decision: so it tells what will happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Case, Count, QuerySet, Value, When

from leads.activity import PREPARE_BATCH, Kind, Result, items_add
from leads.models import Activity, ActivityItem, Flag, ItemState
from leads.status import FlagChange, leads_flag

Params = Mapping[str, Any]
Row = Mapping[str, Any]
Found = tuple["QuerySet[Any]", tuple[str, ...]]
GONE = "it is not there any more"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do with many rows.

    `facts(rows, params)` annotates a queryset and names what `why_not` and `act` want to know; `why_not(params, row)` is
    empty where it can be done; `act(activity, rows)` does it and returns row id to words. `check(params)` raises
    ActivityError where it can't be asked for at all. `lead` is the column of a row that names its lead.
    """

    name: str
    label: str
    would: str
    facts: Callable[[QuerySet[Any], Params], Found]
    why_not: Callable[[Params, Row], str]
    act: Callable[[Activity, Sequence[Row]], Mapping[int, str]]
    check: Callable[[Params], None] = lambda params: None
    lead: str = "pk"
    noun: str = "lead"


@dataclass(slots=True)
class DryRun:
    """What would happen: how many rows it can be done with, and why not with others (words to count)."""

    would: str
    noun: str = "lead"
    will: int = 0
    cant: dict[str, int] = field(default_factory=dict)

    def words(self) -> str:
        """1,204 leads would be sent; 17 can't: already handed to Acme EU 12, still pending 5."""
        said = f"{self.will:,} {_plural(self.noun, self.will)} would be {self.would}"
        if not self.cant:
            return f"{said}."
        reasons = sorted(self.cant.items(), key=lambda reason: -reason[1])
        return f"{said}; {sum(self.cant.values()):,} can’t: " + ", ".join(f"{w} {n:,}" for w, n in reasons) + "."


def _plural(noun: str, count: int) -> str:
    if count == 1:
        return noun
    return noun[:-1] + "ies" if noun.endswith("y") else noun + "s"


def action_dry_run(action: Action, rows: QuerySet[Any], params: Params) -> DryRun:
    """What would happen to these rows, counted in one statement. Raises ActivityError where it can't be asked for."""
    action.check(params)
    report = DryRun(action.would, action.noun)
    found, names = action.facts(rows, params)
    for row in found.order_by().values(*names).annotate(rows_alike=Count("pk")):
        if why_not := action.why_not(params, row):
            report.cant[why_not] = report.cant.get(why_not, 0) + row["rows_alike"]
        else:
            report.will += row["rows_alike"]
    return report


def action_kind(action: Action, chosen: Callable[[Params], QuerySet[Any]]) -> Kind:
    """The action as a kind of activity; `chosen` finds its rows anew from the params of the activity."""

    def prepare(activity: Activity) -> bool:
        action.check(activity.params)
        rows = chosen(activity.params).filter(pk__gt=activity.prepared_to, pk__lte=activity.params["up_to"])
        batch = list(rows.order_by("pk").values_list("pk", action.lead)[:PREPARE_BATCH])
        if batch:
            items_add(activity, batch)
        return bool(batch)

    def work(activity: Activity, items: Sequence[ActivityItem]) -> Mapping[int, Result]:
        # In one order, for batches that touch the same rows at the same time.
        model = chosen({}).model
        ids = [item.subject for item in items]
        locked = model._default_manager.select_for_update().filter(pk__in=ids).order_by("pk")
        found, names = action.facts(
            model._default_manager.filter(pk__in=list(locked.values_list("pk", flat=True))), activity.params
        )
        rows = {row["pk"]: row for row in found.values("pk", *names)}
        why_not = {pk: action.why_not(activity.params, row) for pk, row in rows.items()}
        able = [row for pk, row in rows.items() if not why_not[pk]]
        done = action.act(activity, able) if able else {}
        return {
            item.pk: Result(ItemState.DONE, done[item.subject])
            if item.subject in done
            else Result(ItemState.SKIPPED, _sentence(why_not.get(item.subject) or GONE))
            for item in items
        }

    return Kind(action.name, action.label, prepare, work)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def _flag_facts(leads: QuerySet[Any], params: Params) -> Found:
    same = When(
        flag=params["flag"], reason_code=params["reason_code"][:200], comment=params["comment"], then=Value(True)
    )
    return leads.annotate(said=Case(same, default=Value(False))), ("said",)


def _flag_why_not(params: Params, row: Row) -> str:
    return f"flagged {Flag(params['flag']).label.lower()} in the same words already" if row["said"] else ""


def _flag(activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
    flag = Flag(activity.params["flag"])
    changed = leads_flag(
        {
            row["pk"]: FlagChange(
                flag, reason_code=activity.params["reason_code"], comment=activity.params["comment"], by=activity.by
            )
            for row in rows
        }
    )
    return dict.fromkeys(changed, f"Flagged {flag.label.lower()}.")


FLAG = Action("flag", "Flag", "flagged", _flag_facts, _flag_why_not, _flag)
"""Params: flag (valid, invalid, returned, test), reason_code, comment."""
