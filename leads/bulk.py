"""What people do with many leads at once: one decision for each row, and the same one when it is only asked what would happen.

An action reads facts of a row, decides from them alone whether it can be done, and acts on those that can. A dry run counts
rows by their facts in one statement and puts each kind of row to the same decision: so it tells what will happen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.db.models import Case, Count, Q, QuerySet, Value, When

from leads.activity import PREPARE_BATCH, ActivityError, Kind, Result, items_add
from leads.exports import XLSX_FULL, xlsx_holds
from leads.models import Activity, ActivityItem, Flag, ItemState, Lead
from leads.status import FlagChange, leads_flag

Params = Mapping[str, Any]
Row = Mapping[str, Any]
Found = tuple["QuerySet[Any]", tuple[str, ...]]
GONE = "it is not there any more"


class NotDone(str):
    """Why a row was left as it is after all, as `why_not` says it: it became another one before it was locked."""

    __slots__ = ()


class Deed(Protocol):
    """What is to be done, from the params of one activity: read once, then put to many rows."""

    def facts(self, rows: QuerySet[Any]) -> Found:
        """The rows annotated, and the names of what `why_not` and `act` want to know of each."""
        ...

    def why_not(self, row: Row) -> str:
        """Why it can't be done with this row; empty where it can."""
        ...

    def act(self, activity: Activity, rows: Sequence[Row]) -> Mapping[int, str]:
        """Do it; row id to what came of it, in a sentence, or to NotDone."""
        ...


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do with many rows. `lead` is the column of a row that names its lead.

    `deed(params)` raises ActivityError where it can't be asked for at all.
    """

    name: str
    label: str
    would: str
    deed: Callable[[Params], Deed]
    lead: str = "pk"
    noun: str = "lead"
    room: Callable[[Params, QuerySet[Any]], None] = lambda params, rows: None
    """Raises ActivityError, in words, where these rows are more than it can be done with."""


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
    deed = action.deed(params)
    action.room(params, rows)
    report = DryRun(action.would, action.noun)
    found, names = deed.facts(rows)
    for row in found.order_by().values(*names).annotate(rows_alike=Count("pk")):
        if why_not := deed.why_not(row):
            report.cant[why_not] = report.cant.get(why_not, 0) + row["rows_alike"]
        else:
            report.will += row["rows_alike"]
    return report


def action_kind(action: Action, chosen: Callable[[Params], QuerySet[Any]]) -> Kind:
    """The action as a kind of activity; `chosen` finds its rows anew from the params of the activity."""

    def prepare(activity: Activity) -> bool:
        action.deed(activity.params)
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
        deed = action.deed(activity.params)
        found, names = deed.facts(model._default_manager.filter(pk__in=list(locked.values_list("pk", flat=True))))
        rows = {row["pk"]: row for row in found.values("pk", *names)}
        why_not = {pk: deed.why_not(row) for pk, row in rows.items()}
        able = [row for pk, row in rows.items() if not why_not[pk]]
        done = deed.act(activity, able) if able else {}
        return {
            item.pk: _result(done.get(item.subject) or NotDone(why_not.get(item.subject) or GONE)) for item in items
        }

    return Kind(action.name, action.label, lambda: prepare, work)


def _result(words: str) -> Result:
    return Result(ItemState.SKIPPED, _sentence(words)) if isinstance(words, NotDone) else Result(ItemState.DONE, words)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


class _Exporting:
    """Settles which leads an export is of. Its file is made from them when it is downloaded, so that no copy of personal data
    is kept, what was erased meanwhile is not in it, and whoever takes it along sees what they may see."""

    def __init__(self, params: Params) -> None:
        if params.get("format", "csv") not in EXPORT_FORMATS:
            raise ActivityError("Choose CSV or XLSX.")

    def facts(self, rows: QuerySet[Any]) -> Found:
        return rows, ("campaign_id",)

    def why_not(self, row: Row) -> str:
        return ""

    def act(self, activity: Activity, rows: Sequence[Row]) -> Mapping[int, str]:
        return {row["pk"]: "In the file." for row in rows}


def _file_room(params: Params, rows: QuerySet[Any]) -> None:
    if params.get("format") == "xlsx" and not xlsx_holds(rows):
        raise ActivityError(XLSX_FULL)


class _Flagging:
    def __init__(self, params: Params) -> None:
        if params.get("flag") not in Flag.values or not params["flag"]:
            raise ActivityError("Choose a flag: valid, invalid, returned or test.")
        self.flag = Flag(params["flag"])
        self.reason_code, self.comment = params.get("reason_code", "")[:200], params.get("comment", "")

    def facts(self, rows: QuerySet[Any]) -> Found:
        # Of a lead that was erased no comment is kept.
        words = Q(comment=self.comment) | Q(erased_at__isnull=False)
        same = When(words, flag=self.flag, reason_code=self.reason_code, then=Value(True))
        return rows.annotate(said=Case(same, default=Value(False))), ("said",)

    def why_not(self, row: Row) -> str:
        return f"flagged {self.flag.label.lower()} in the same words already" if row["said"] else ""

    def act(self, activity: Activity, rows: Sequence[Row]) -> dict[int, str]:
        change = {"reason_code": self.reason_code, "comment": self.comment, "by": activity.by}
        changed = leads_flag({row["pk"]: FlagChange(self.flag, **change) for row in rows})
        return dict.fromkeys(changed, f"Flagged {self.flag.label.lower()}.")


EXPORT_FORMATS = ("csv", "xlsx")
EXPORT = Action("export", "Export", "exported", _Exporting, room=_file_room)
"""Params: format (csv or xlsx). leads_exported() are what its file holds."""
FLAG = Action("flag", "Flag", "flagged", _Flagging)
"""Params: flag (valid, invalid, returned, test), reason_code, comment."""


def leads_exported(activity: Activity) -> QuerySet[Lead]:
    """The leads of an export that has been worked."""
    done = ActivityItem.objects.filter(activity=activity, state=ItemState.DONE)
    return Lead.objects.filter(pk__in=done.values("subject"))
