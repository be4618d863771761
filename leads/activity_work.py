"""A worker's turn at an activity (leads/activity.py).

A batch is one transaction that acts and marks its rows, so a killed worker loses nothing and nothing is done twice. A worker
holds an activity by a lease with a fencing number; the sweeper finds those whose worker died.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q

from leads import clock
from leads.activity import (
    AT_WORK,
    PREPARE_BATCH,
    WORK_TASK,
    ActivityError,
    Kind,
    Preparer,
    Result,
    activity_begin,
    activity_end,
    items_insert,
)
from leads.database import update_rows
from leads.models import Activity, ActivityItem, ActivityState, ItemState
from leads.wake import wake

logger = logging.getLogger(__name__)

BATCH = 200
LEASE_SECONDS = 30
# What must be asked outside may take so long; where nothing can be learnt for now, it is asked again after a pause.
ASKING_SECONDS = 60
PAUSE_SECONDS = 15
# A worker lets others have their turn after this.
SLICE_SECONDS = 5.0
OUR_FAULT = "Our own software failed on this one. It can be tried again."


def activities_due() -> list[int]:
    """Activities at work that no living worker holds."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=clock.now())
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
            if not more or turn.paused:
                return
            if time.monotonic() > turn_ends and not turn.preparing:
                wake(WORK_TASK, activity_id)
                return
    finally:
        _let_go(activity_id, fence, PAUSE_SECONDS if turn.paused else 0)


def _claim(activity_id: int) -> int | None:
    now = clock.now()
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


def _let_go(activity_id: int, fence: int, pause_s: float) -> None:
    until = clock.now() + dt.timedelta(seconds=pause_s) if pause_s else None
    Activity.objects.filter(pk=activity_id, fence=fence).update(lease_until=until)


class _Turn:
    """One worker's turn at one activity."""

    def __init__(self, activity_id: int, fence: int, kinds: Mapping[str, Kind]) -> None:
        self.activity_id, self.fence, self.kinds = activity_id, fence, kinds
        self.preparing = False
        self.paused = False
        self._kind = kinds.get(Activity.objects.only("kind").get(pk=activity_id).kind)
        self._prepare: Preparer | None = None

    def step(self, limit: int) -> bool:
        """One batch in one transaction; False when there is nothing left for this worker."""
        asked = self._ask(limit) if self._kind is not None and self._kind.ask is not None else ()
        with transaction.atomic():
            activity = _held(self.activity_id, self.fence)
            if activity is None:
                return False
            self.preparing = activity.state == ActivityState.PREPARING
            if activity.cancel_requested:
                activity_end(activity, ActivityState.CANCELLED)
            elif (kind := self.kinds.get(activity.kind)) is None:
                _fail(activity, f"This portal knows no “{activity.kind}”.")
            elif self.preparing:
                self._prepare = self._prepare or kind.preparer()
                _prepare(activity, self._prepare, waits=kind.waits)
            else:
                self.paused = not _work_batch(activity, kind, limit, asked)
            activity.save()
            return activity.state in AT_WORK

    def _ask(self, limit: int) -> tuple[Any, ...]:
        """What the kind learns of the next rows, with no transaction open."""
        activity = Activity.objects.filter(pk=self.activity_id, fence=self.fence, state=ActivityState.RUNNING).first()
        if activity is None or activity.cancel_requested or self._kind is None or self._kind.ask is None:
            return ()
        until = clock.now() + dt.timedelta(seconds=ASKING_SECONDS)
        Activity.objects.filter(pk=self.activity_id, fence=self.fence).update(lease_until=until)
        items = _next(activity, self._kind, limit)
        return (self._kind.ask(activity, items),) if items else ()


def _held(activity_id: int, fence: int) -> Activity | None:
    activity = Activity.objects.select_for_update().filter(pk=activity_id, fence=fence, state__in=AT_WORK).first()
    if activity is not None:
        activity.lease_until = clock.now() + dt.timedelta(seconds=LEASE_SECONDS)
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
        activity_begin(activity)


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


def _next(activity: Activity, kind: Kind, limit: int) -> list[ActivityItem]:
    waiting = ActivityItem.objects.filter(activity=activity, state=ItemState.WAITING).order_by("subject")
    return list(waiting[: min(limit, kind.batch)])


def _work_batch(activity: Activity, kind: Kind, limit: int, asked: tuple[Any, ...]) -> bool:
    """False where nothing could be done for now."""
    items = _next(activity, kind, limit)
    if not items:
        activity_end(activity, ActivityState.DONE)
        return True
    if kind.ask is not None and not asked:
        # It began to run in this very step: it is asked first in the next one.
        return True
    try:
        with transaction.atomic():
            results = kind.work(activity, items, *asked)
    except ActivityError as error:
        _fail(activity, str(error))
        return True
    items = [item for item in items if item.pk in results]
    _record(activity, items, results)
    return bool(items)


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
    activity_end(activity, ActivityState.FAILED)
