"""Work on many rows that people ask for: started, watched, cancelled, retried; worked in the background in batches.

What people and pages call, and what a kind of work is; leads/activity_work.py is the worker. What kinds there are is passed in
from above (integrations/bulk.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from leads.database import insert_rows, uuid7
from leads.models import Activity, ActivityItem, ActivityState, ItemState
from leads.tables import csv_line
from leads.wake import wake

# Named, never imported: the task knows the kinds of all layers.
WORK_TASK = "integrations.work_activity"
PREPARE_BATCH = 2_000
AT_WORK = (ActivityState.PREPARING, ActivityState.RUNNING)

_ITEMS = ("activity", "subject", "lead", "state", "words", "data")


class ActivityError(Exception):
    """The whole of it can't be done; the words say why."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one row. `lead_id` and `clear_data` are for rows that became leads."""

    state: ItemState
    words: str = ""
    lead_id: int | None = None
    clear_data: bool = False


Preparer = Callable[[Activity], bool]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work.

    `preparer()` is called once for each turn of a worker and may keep what it has open. What it returns, called with the
    activity, writes the next rows after `activity.prepared_to` and moves it on; False when there are no more. `work(activity,
    items)` acts on rows and returns item id to Result. Both run inside a transaction that is theirs alone. With `waits` a
    person is asked between the two. ActivityError from either ends the activity.

    What has to be learnt from outside is asked by `ask(activity, items)`, of so many rows at once as `batch` says, with no
    transaction open; its value is the third argument of `work`. Rows that `work` then says nothing of wait, and are asked for
    again after a pause.
    """

    name: str
    label: str
    preparer: Callable[[], Preparer]
    work: Callable[..., Mapping[int, Result]]
    waits: bool = False
    ask: Callable[[Activity, Sequence[ActivityItem]], Any] | None = None
    batch: int = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an activity has come. `per_second` and `seconds_left` are None while nobody can know."""

    total: int
    done: int
    failed: int
    skipped: int
    left: int
    per_second: float | None
    seconds_left: float | None

    @property
    def share(self) -> float:
        """0 to 1, of what is known so far."""
        return (self.total - self.left) / self.total if self.total else 0.0


def activity_start(
    kind: str,
    params: Mapping[str, Any],
    *,
    by: str,
    token: str = "",
    campaign_id: int | None = None,
    retry_of: Activity | None = None,
) -> Activity:
    """Begin an activity in the background. The same `token` (one for each form as shown) is the same activity."""
    activity, made = Activity.objects.get_or_create(
        token=(token or uuid7().hex)[:64],
        defaults={
            "kind": kind,
            "params": dict(params),
            "by": by[:200],
            "campaign_id": campaign_id,
            "retry_of": retry_of,
        },
    )
    if made:
        wake(WORK_TASK, activity.pk)
    return activity


def activity_progress(activity: Activity) -> Progress:
    """Counts, rate and time left, from the row as it was read."""
    left = max(activity.total - activity.done - activity.failed - activity.skipped, 0)
    rate = None
    if activity.started_at is not None:
        seconds = ((activity.finished_at or timezone.now()) - activity.started_at).total_seconds()
        handled = activity.to_do - left
        rate = handled / seconds if seconds > 0 and handled > 0 else None
    running = activity.state == ActivityState.RUNNING and rate is not None
    return Progress(
        total=activity.total,
        done=activity.done,
        failed=activity.failed,
        skipped=activity.skipped,
        left=left,
        per_second=rate,
        seconds_left=left / rate if running and rate else None,
    )


def activity_cancel(activity_id: int) -> bool:
    """Stop an activity after the batch that is at work; what is done stays done. False if it had ended before."""
    with transaction.atomic():
        activity = Activity.objects.select_for_update().filter(pk=activity_id).first()
        if activity is None or activity.state not in (*AT_WORK, ActivityState.READY):
            return False
        activity.cancel_requested = True
        if activity.state == ActivityState.READY:
            activity_end(activity, ActivityState.CANCELLED)
        activity.save()
    wake(WORK_TASK, activity_id)
    return True


def activity_go_on(activity_id: int, params: Mapping[str, Any]) -> Activity:
    """Begin the work of an activity that waits for a person, with what they said added to its params.

    One that is at work already is left as it is (a second click). ActivityError when it can't begin.
    """
    with transaction.atomic():
        activity = Activity.objects.select_for_update().get(pk=activity_id)
        if activity.state == ActivityState.PREPARING:
            raise ActivityError("It is still being prepared.")
        if activity.state in (ActivityState.CANCELLED, ActivityState.FAILED):
            raise ActivityError(f"It has ended: {activity.get_state_display().lower()}.")
        if activity.state == ActivityState.READY:
            activity.params = {**activity.params, **params}
            activity_begin(activity)
            activity.save()
            wake(WORK_TASK, activity_id)
    return activity


def activity_begin(activity: Activity) -> None:
    """Its rows are all there: the work on them begins. Changes the object, as `activity_end` does; the caller saves it."""
    activity.state = ActivityState.RUNNING
    activity.started_at = timezone.now()
    activity.to_do = activity.total - activity.done - activity.failed - activity.skipped


def activity_end(activity: Activity, state: ActivityState) -> None:
    """It is over, whichever way."""
    activity.state = state
    activity.finished_at = timezone.now()
    activity.lease_until = None
    activity.params = {name: value for name, value in activity.params.items() if name != "selection"}


def activity_retry_failed(activity: Activity, *, by: str, token: str = "") -> Activity:
    """A new activity of the rows that failed."""
    return activity_start(
        activity.kind, activity.params, by=by, token=token, campaign_id=activity.campaign_id, retry_of=activity
    )


def activity_results(activity: Activity, *, offset: int = 0, limit: int = 100, state: str = "") -> list[ActivityItem]:
    """What came of the rows, those that failed first, with their leads; or those of one state alone."""
    order = [state] if state else [ItemState.FAILED, ItemState.SKIPPED, ItemState.DONE, ItemState.WAITING]
    found: list[ActivityItem] = []
    for each in order:
        items = ActivityItem.objects.filter(activity=activity, state=each).select_related("lead").order_by("subject")
        found += items[offset : offset + limit - len(found)]
        if len(found) >= limit:
            break
        offset = max(offset - items.count(), 0) if offset else 0
    return found


def activity_failures_csv(activity: Activity) -> Iterator[str]:
    """The rows that failed, as CSV in pieces. Imports have one of their own, with the rows as they were uploaded."""
    yield csv_line(["lead", "hash", "what happened"])
    items = ActivityItem.objects.filter(activity=activity, state=ItemState.FAILED).order_by("subject")
    for item in items.values_list("lead_id", "lead__hash", "words").iterator(1_000):
        yield csv_line([str(item[0] or ""), item[1].hex if item[1] else "", item[2]])


def items_add(activity: Activity, rows: Sequence[tuple[int, int | None]]) -> None:
    """Write rows (subject, lead) of an activity in the transaction of its preparation; they come in order of subject."""
    items_insert([(activity.pk, subject, lead_id, ItemState.WAITING, "", None) for subject, lead_id in rows])
    activity.total += len(rows)
    activity.prepared_to = rows[-1][0]


def items_insert(rows: Sequence[tuple[Any, ...]]) -> None:
    """Write items: activity, subject, lead, state, words, data."""
    insert_rows(ActivityItem, _ITEMS, rows, on_conflict="DO NOTHING")
