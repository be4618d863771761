"""What an activity is and how far it has come, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.safestring import SafeString

from integrations.admin.bulk_forms import CHANGE_DELIVERY, CHANGE_LEAD, DELIVERY_ASKINGS, LEAD_ASKINGS
from integrations.bulk import activity_label
from integrations.comparison import NAME as COMPARE
from integrations.comparison import comparison_sentence
from integrations.models import Integration
from integrations.value_lists.filling import NAME as FILL_LIST
from leads.activity import Progress
from leads.admin.badges import badge, short
from leads.admin.flagging import counted
from leads.admin.imports import IMPORT
from leads.models import Activity, ActivityState, Flag, ItemState

CHANGE_LIST = "integrations.change_valuelist"
STATE_TONES = {
    ActivityState.PREPARING: "busy",
    ActivityState.READY: "wait",
    ActivityState.RUNNING: "busy",
    ActivityState.DONE: "good",
    ActivityState.CANCELLED: "off",
    ActivityState.FAILED: "bad",
}
ITEM_TONES = {ItemState.WAITING: "busy", ItemState.DONE: "good", ItemState.FAILED: "bad", ItemState.SKIPPED: "off"}


def activity_badge(activity: Activity) -> SafeString:
    """Its state; one that is done with rows that failed says so."""
    if activity.state == ActivityState.DONE and activity.failed and activity.kind == COMPARE:
        return badge(f"Done, {activity.failed:,} to look at", "wait")
    if activity.state == ActivityState.DONE and activity.failed:
        return badge(f"Done, {activity.failed:,} failed", "wait")
    return badge(activity.get_state_display(), STATE_TONES[ActivityState(activity.state)], activity.reason)


def item_label(activity: Activity, state: str) -> str:
    """A row's state. What a comparison left for a person did not fail."""
    looked = activity.kind == COMPARE and state == ItemState.FAILED
    return "To look at" if looked else str(ItemState(state).label)


def item_badge(activity: Activity, state: str) -> SafeString:
    tone = "wait" if activity.kind == COMPARE and state == ItemState.FAILED else ITEM_TONES[ItemState(state)]
    return badge(item_label(activity, state), tone)


def integration_names(activities: Iterable[Activity]) -> Mapping[int, str]:
    """Names of the integrations that activities are about: one query for all of them."""
    ids = {pk for activity in activities for pk in activity.params.get("integrations", ())}
    return dict(Integration.objects.filter(pk__in=ids).values_list("pk", "name")) if ids else {}


def activity_title(activity: Activity, names: Mapping[int, str]) -> str:
    """What it does: "Flag invalid (wrong-country)", "Deliver to Acme EU", "Import june.csv"."""
    params, label = activity.params, activity_label(activity)
    if activity.kind == "flag" and params.get("flag") in Flag.values:
        reason = params.get("reason_code", "")
        return f"{label} {Flag(params['flag']).label.lower()}" + (f" ({short(reason, 60)})" if reason else "")
    if activity.kind == "import":
        return f"{label} {short(str(params.get('name', '')), 80)}" + (", as a test" if params.get("test") else "")
    if activity.kind == FILL_LIST:
        return f"{'Replace' if params.get('replace') else 'Add to'} a list: {short(str(params.get('name', '')), 80)}"
    if activity.kind == "replay" and params.get("mapping") == "then":
        return f"{label} with the mapping of then"
    if activity.kind == "export":
        return f"{label} as {str(params.get('format', 'csv')).upper()}"
    if activity.kind == COMPARE:
        clients = ", ".join(names[pk] for pk in params.get("integrations", ()) if pk in names)
        return f"{label} with {short(clients, 100)}" + (", changing nothing" if params.get("dry_run") else "")
    there = [names[pk] for pk in params.get("integrations", ()) if pk in names]
    if there:
        return (
            f"{label}: {short(', '.join(there), 100)}"
            if "mark" in activity.kind
            else f"{label} to {short(', '.join(there), 100)}"
        )
    return label


def activity_noun(activity: Activity) -> str:
    if activity.kind in ("import", FILL_LIST):
        return "row"
    return "delivery" if activity.kind in DELIVERY_ASKINGS or activity.kind == COMPARE else "lead"


def right_for(activity: Activity) -> str:
    """The right that the same work needs when it is asked for anew."""
    if activity.kind == "import":
        return IMPORT
    if activity.kind == FILL_LIST:
        return CHANGE_LIST
    asking = LEAD_ASKINGS.get(activity.kind) or DELIVERY_ASKINGS.get(activity.kind)
    if asking is not None:
        return asking.right
    return CHANGE_DELIVERY if activity.kind in DELIVERY_ASKINGS or activity.kind == COMPARE else CHANGE_LEAD


def sentence(activity: Activity, progress: Progress) -> str:
    """Where it stands, as one sentence."""
    noun, state = activity_noun(activity), activity.state
    total = counted(progress.total, noun)
    if state == ActivityState.PREPARING:
        verb = {"import": "checked", FILL_LIST: "taken in"}.get(activity.kind, "found")
        return f"{total} {verb} so far. You can leave this page; it goes on."
    if state == ActivityState.READY:
        good = counted(progress.left, noun)
        return f"{good} can be taken in, {progress.failed:,} can’t. Nothing is taken in yet."
    if state == ActivityState.RUNNING:
        return f"{total} are being worked on. You can leave this page; it goes on."
    if state == ActivityState.FAILED:
        return activity.reason
    if activity.kind == COMPARE and state == ActivityState.DONE:
        return comparison_sentence(activity)
    if activity.kind == FILL_LIST and state == ActivityState.DONE:
        return _filled(activity, progress)
    parts = [f"{progress.done:,} done"]
    parts += [f"{progress.failed:,} failed"] if progress.failed else []
    parts += [f"{progress.skipped:,} left out"] if progress.skipped else []
    parts += [f"{progress.left:,} not begun"] if progress.left else []
    said = ", ".join(parts)
    return (
        f"Cancelled: {said}. What is done stays done." if state == ActivityState.CANCELLED else f"Of {total}: {said}."
    )


def _filled(activity: Activity, progress: Progress) -> str:
    """What a file came to that a list was filled from."""
    added, known = activity.params.get("added", 0), activity.params.get("known", 0)
    parts = [f"{added:,} new", f"{known:,} there already or there twice"]
    parts += [f"{progress.failed:,} left out, because they can’t be read"] if progress.failed else []
    return f"Of {counted(progress.total, 'row')}: {', '.join(parts)}."


def time_left(seconds: float | None) -> str:
    """A length of time as people say it."""
    if seconds is None:
        return "–"
    if seconds < 5:
        return "a moment"
    if seconds < 90:
        return f"{round(seconds / 5) * 5} seconds"
    if seconds < 5_400:
        return f"{round(seconds / 60)} minutes"
    return f"{round(seconds / 3_600)} hours"


def rate(per_second: float | None) -> str:
    if per_second is None:
        return "–"
    return f"{per_second:,.0f} a second" if per_second >= 1 else f"{per_second * 60:,.0f} a minute"


def params_shown(activity: Activity) -> list[tuple[str, Any]]:
    """What was asked for, beyond the title."""
    params = activity.params
    said = [("Comment", params.get("comment"))]
    if basis := params.get("lawful_basis"):
        said.append(("Lawful basis", f"confirmed by {basis.get('by', '')}"))
    return [(label, value) for label, value in said if value]
