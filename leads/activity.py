"""Work on many rows that people ask for: started, watched, cancelled, retried; worked in the background in batches.

A batch is one transaction that acts and marks its rows, so a killed worker loses nothing and nothing is done twice. A worker
holds an activity by a lease with a fencing number; the sweeper finds those whose worker died. What the kinds of work
are is passed in from above (integrations/bulk.py).
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from leads.database import insert_rows, update_rows, uuid7
from leads.models import Activity, ActivityItem, ActivityState, ItemState
from leads.tables import csv_line
from leads.wake import wake

logger = logging.getLogger(__name__)

# Named, never imported: the task knows the kinds of all layers.
WORK_TASK = "integrations.work_activity"
BATCH = 200
PREPARE_BATCH = 2_000
LEASE_SECONDS = 30
# A worker lets others have their turn after this.
SLICE_SECONDS = 5.0
AT_WORK = (ActivityState.PREPARING, ActivityState.RUNNING)
OUR_FAULT = "Our own software failed on this one. It can be tried again."

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
    """

    name: str
    label: str
    preparer: Callable[[], Preparer]
    work: Callable[[Activity, Sequence[ActivityItem]], Mapping[int, Result]]
    waits: bool = False


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
            _finish(activity, ActivityState.CANCELLED)
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
            _begin(activity)
            activity.save()
            wake(WORK_TASK, activity_id)
    return activity


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


def activities_due() -> list[int]:
    """Activities at work that no living worker holds."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=timezone.now())
    return list(Activity.objects.filter(free, state__in=["preparing", "running"]).values_list("pk", flat=True))


def activity_work(activity_id: int, kinds: Mapping[str, Kind]) -> None:
    """Work an activity until it ends or another one should have its turn; at once back where another worker holds it."""
    fence = _claim(activity_id)
    if fence is None:
        return
    turn = _Turn(activity_id, fence, kinds)
    turn_ends = time.monotonic() + SLICE_SECONDS
    alone = 0
    try:
        while True:
            try:
                more = turn.step(1 if alone else BATCH)
                alone = max(alone - 1, 0)
            except (OperationalError, InterfaceError):
                raise
            except Exception:  # whatever a kind raises: one bad row never fails its neighbours
                logger.exception("activity %s failed%s", activity_id, " on one row" if alone else "")
                more = True
                if alone:
                    more = _fail_one(activity_id, fence)
                    alone -= 1
                else:
                    alone = BATCH
            if not more:
                return
            if time.monotonic() > turn_ends and not turn.preparing:
                wake(WORK_TASK, activity_id)
                return
    finally:
        _let_go(activity_id, fence)


def _claim(activity_id: int) -> int | None:
    now = timezone.now()
    with transaction.atomic():
        activity = (
            Activity.objects.select_for_update(skip_locked=True).filter(pk=activity_id, state__in=AT_WORK).first()
        )
        if activity is None or (activity.lease_until is not None and activity.lease_until > now):
            return None
        activity.fence += 1
        activity.lease_until = now + dt.timedelta(seconds=LEASE_SECONDS)
        activity.save(update_fields=["fence", "lease_until"])
        return activity.fence


def _let_go(activity_id: int, fence: int) -> None:
    Activity.objects.filter(pk=activity_id, fence=fence).update(lease_until=None)


class _Turn:
    """One worker's turn at one activity."""

    def __init__(self, activity_id: int, fence: int, kinds: Mapping[str, Kind]) -> None:
        self.activity_id, self.fence, self.kinds = activity_id, fence, kinds
        self.preparing = False
        self._prepare: Preparer | None = None

    def step(self, limit: int) -> bool:
        """One batch in one transaction; False when there is nothing left for this worker."""
        with transaction.atomic():
            activity = _held(self.activity_id, self.fence)
            if activity is None:
                return False
            self.preparing = activity.state == ActivityState.PREPARING
            if activity.cancel_requested:
                _finish(activity, ActivityState.CANCELLED)
            elif (kind := self.kinds.get(activity.kind)) is None:
                _fail(activity, f"This portal knows no “{activity.kind}”.")
            elif self.preparing:
                self._prepare = self._prepare or kind.preparer()
                _prepare(activity, self._prepare, waits=kind.waits)
            else:
                _work_batch(activity, kind, limit)
            activity.save()
            return activity.state in AT_WORK


def _held(activity_id: int, fence: int) -> Activity | None:
    activity = Activity.objects.select_for_update().filter(pk=activity_id, fence=fence, state__in=AT_WORK).first()
    if activity is not None:
        activity.lease_until = timezone.now() + dt.timedelta(seconds=LEASE_SECONDS)
    return activity


def _prepare(activity: Activity, prepare: Preparer, *, waits: bool) -> None:
    try:
        # In a savepoint: what it has written when it gives up is not left behind.
        with transaction.atomic():
            more = _copy_failed(activity) if activity.retry_of_id else prepare(activity)
    except ActivityError as error:
        _fail(activity, str(error))
        return
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        logger.exception("activity %s could not be prepared", activity.pk)
        _fail(activity, "Our own software failed while it was being prepared. Nothing was done.")
        return
    if more:
        return
    # Who was searched for is known as rows now: the search, which may name a person, is not kept.
    activity.params = {name: value for name, value in activity.params.items() if name != "selection"}
    if waits and not activity.retry_of_id:
        activity.state = ActivityState.READY
    else:
        _begin(activity)


def _copy_failed(activity: Activity) -> bool:
    failed = ActivityItem.objects.filter(
        activity=activity.retry_of_id, state=ItemState.FAILED, subject__gt=activity.prepared_to
    ).order_by("subject")[:PREPARE_BATCH]
    rows = list(failed.values_list("subject", "lead_id", "data"))
    if rows:
        items_insert([(activity.pk, subject, lead, ItemState.WAITING, "", data) for subject, lead, data in rows])
        activity.total += len(rows)
        activity.prepared_to = rows[-1][0]
    return bool(rows)


def _begin(activity: Activity) -> None:
    activity.state = ActivityState.RUNNING
    activity.started_at = timezone.now()
    activity.to_do = activity.total - activity.done - activity.failed - activity.skipped


def _work_batch(activity: Activity, kind: Kind, limit: int) -> None:
    items = list(ActivityItem.objects.filter(activity=activity, state=ItemState.WAITING).order_by("subject")[:limit])
    if not items:
        _finish(activity, ActivityState.DONE)
        return
    try:
        with transaction.atomic():
            results = kind.work(activity, items)
    except ActivityError as error:
        _fail(activity, str(error))
        return
    _record(activity, items, results)


def _record(activity: Activity, items: Sequence[ActivityItem], results: Mapping[int, Result]) -> None:
    rows = []
    for item in items:
        result = results[item.pk]
        data = None if result.clear_data else item.data
        rows.append((item.pk, result.state, result.words, result.lead_id or item.lead_id, data))
        counter = str(result.state)
        setattr(activity, counter, getattr(activity, counter) + 1)
    update_rows(ActivityItem, ["id"], ["state", "words", "lead", "data"], rows)


def _fail_one(activity_id: int, fence: int) -> bool:
    """The row that was worked alone and raised is marked; the next one is tried."""
    with transaction.atomic():
        activity = _held(activity_id, fence)
        if activity is None:
            return False
        items = list(ActivityItem.objects.filter(activity=activity, state=ItemState.WAITING).order_by("subject")[:1])
        _record(activity, items, {item.pk: Result(ItemState.FAILED, OUR_FAULT) for item in items})
        activity.save()
    return True


def _fail(activity: Activity, words: str) -> None:
    activity.reason = words
    _finish(activity, ActivityState.FAILED)


def _finish(activity: Activity, state: ActivityState) -> None:
    activity.state = state
    activity.finished_at = timezone.now()
    activity.lease_until = None
    activity.params = {name: value for name, value in activity.params.items() if name != "selection"}
