"""What a bulk action survives: workers that die, rows that fail, people who change their mind."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

import pytest
from django.utils import timezone

from integrations.bulk import KINDS
from leads import activity_work as working
from leads import clock
from leads.activity import (
    Kind,
    Preparer,
    Result,
    activity_cancel,
    activity_failures_csv,
    activity_progress,
    activity_results,
    activity_retry_failed,
    activity_start,
    items_add,
)
from leads.activity_work import activities_due, activity_work
from leads.answered_calls import Claim, StillRunning, call_alive, call_claim
from leads.models import Activity, ActivityItem, AnsweredCall, ItemState, Lead, LeadChange, PartnerKey
from leads.models.lead import Via
from leads.status import leads_note
from tests.activity.conftest import MakeLead

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """What a worker knows of its end."""


Work = Callable[[Activity, Sequence[ActivityItem]], Mapping[int, Result]]


def remember(activity: Activity, items: Sequence[ActivityItem]) -> dict[int, Result]:
    """Something that shows when it is done twice: a line in the lead's history."""
    leads_note(LeadChange.Kind.MARKED, {item.subject: "seen" for item in items}, by=activity.by, data={})
    return {item.pk: Result(ItemState.DONE, "Seen.") for item in items}


def kinds(work: Work) -> dict[str, Kind]:
    def preparer() -> Preparer:
        def prepare(activity: Activity) -> bool:
            ids = list(Lead.objects.filter(pk__gt=activity.prepared_to).order_by("pk").values_list("pk", flat=True)[:4])
            if ids:
                items_add(activity, [(pk, pk) for pk in ids])
            return bool(ids)

        return prepare

    return {"look": Kind("look", "Look", preparer, work)}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "BATCH", 3)


@pytest.fixture
def activity(lead: MakeLead) -> Activity:
    for _ in range(10):
        lead()
    return activity_start("look", {}, by="grace")


def die(activity: Activity) -> None:
    """What is left of a worker that was killed: its lease, until that ends."""
    Activity.objects.filter(pk=activity.pk).update(lease_until=timezone.now() - dt.timedelta(seconds=1))


def seen() -> list[int]:
    return sorted(LeadChange.objects.filter(kind="marked", via=Via.ADMIN).values_list("lead_id", flat=True))


def test_a_worker_that_dies_between_batches_loses_nothing_and_its_successor_repeats_nothing(activity: Activity) -> None:
    calls = []

    def dies_in_the_third(row: Activity, items: Sequence[ActivityItem]) -> Mapping[int, Result]:
        calls.append(len(items))
        results = remember(row, items)
        if len(calls) == 3:
            raise Killed
        return results

    with pytest.raises(Killed):
        activity_work(activity.pk, kinds(dies_in_the_third))
    activity.refresh_from_db()
    assert (activity.state, activity.done) == ("running", 6)
    assert activities_due() == [activity.pk]
    activity_work(activity.pk, kinds(remember))
    activity.refresh_from_db()
    assert (activity.state, activity.done) == ("done", 10)
    assert seen() == sorted(Lead.objects.values_list("pk", flat=True))


def test_a_worker_that_dies_while_preparing_leaves_no_row_out_and_none_twice(
    activity: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = kinds(remember)["look"]
    calls = []

    def preparer() -> Preparer:
        prepare = found.preparer()

        def dies_in_the_second(row: Activity) -> bool:
            calls.append(1)
            more = prepare(row)
            if len(calls) == 2:
                raise Killed
            return more

        return dies_in_the_second

    with pytest.raises(Killed):
        activity_work(activity.pk, {"look": Kind("look", "Look", preparer, remember)})
    assert ActivityItem.objects.count() == 4
    activity_work(activity.pk, {"look": found})
    assert len(seen()) == 10


def test_while_a_worker_lives_no_other_touches_its_activity_and_a_late_one_writes_nothing(activity: Activity) -> None:
    def meets_another(row: Activity, items: Sequence[ActivityItem]) -> Mapping[int, Result]:
        activity_work(activity.pk, kinds(remember))
        return remember(row, items)

    activity_work(activity.pk, kinds(meets_another))
    assert len(seen()) == 10

    Activity.objects.filter(pk=activity.pk).update(state="running", fence=7)
    assert working._held(activity.pk, fence=6) is None


def test_one_bad_row_fails_alone_with_words_and_retry_takes_up_that_one_only(activity: Activity) -> None:
    bad = Lead.objects.order_by("pk")[4].pk

    def stumbles(row: Activity, items: Sequence[ActivityItem]) -> Mapping[int, Result]:
        if bad in [item.subject for item in items]:
            raise ValueError("what no one thought of")
        return remember(row, items)

    activity_work(activity.pk, kinds(stumbles))
    activity.refresh_from_db()
    assert (activity.state, activity.done, activity.failed) == ("done", 9, 1)
    first = activity_results(activity, limit=3)[0]
    assert (first.subject, first.state, first.words) == (bad, "failed", working.OUR_FAULT)
    assert len(list(activity_failures_csv(activity))) == 2

    retry = activity_retry_failed(activity, by="grace", token="retry-1")
    assert activity_retry_failed(activity, by="grace", token="retry-1").pk == retry.pk
    activity_work(retry.pk, kinds(remember))
    retry.refresh_from_db()
    assert (retry.state, retry.total, retry.done, retry.retry_of_id) == ("done", 1, 1, activity.pk)
    assert seen() == sorted(Lead.objects.values_list("pk", flat=True))


def test_cancelling_stops_after_the_batch_at_work_and_keeps_what_is_done(activity: Activity) -> None:
    def cancelled_meanwhile(row: Activity, items: Sequence[ActivityItem]) -> Mapping[int, Result]:
        row.cancel_requested = True
        return remember(row, items)

    activity_work(activity.pk, kinds(cancelled_meanwhile))
    activity.refresh_from_db()
    progress = activity_progress(activity)
    assert (activity.state, progress.done, progress.left) == ("cancelled", 3, 7)
    assert len(seen()) == 3
    assert not activity_cancel(activity.pk)
    assert activities_due() == []


def test_cancelling_before_it_begins_does_nothing_to_any_lead(activity: Activity) -> None:
    assert activity_cancel(activity.pk)
    activity_work(activity.pk, kinds(remember))
    activity.refresh_from_db()
    assert (activity.state, seen()) == ("cancelled", [])


def test_a_long_activity_lets_others_have_their_turn(activity: Activity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "SLICE_SECONDS", 0.0)
    for done in (3, 6, 9):
        activity_work(activity.pk, kinds(remember))
        activity.refresh_from_db()
        assert activity.done == done
    assert activities_due() == [activity.pk]


def test_progress_tells_rate_and_time_left(activity: Activity) -> None:
    assert activity_progress(activity).per_second is None
    now = timezone.now()
    Activity.objects.filter(pk=activity.pk).update(
        state="running", total=100, failed=10, done=30, to_do=90, started_at=now - dt.timedelta(seconds=10)
    )
    activity.refresh_from_db()
    progress = activity_progress(activity)
    assert progress.left == 60
    assert progress.per_second == pytest.approx(3, rel=0.05)
    assert progress.seconds_left == pytest.approx(20, rel=0.05)


def test_an_activity_of_a_kind_that_is_gone_ends_with_words(activity: Activity) -> None:
    activity_work(activity.pk, KINDS)
    activity.refresh_from_db()
    assert (activity.state, activity.reason) == ("failed", "This portal knows no “look”.")


@pytest.fixture
def wrong_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of this machine is an hour ahead of the one that all workers go by."""
    right = timezone.now
    monkeypatch.setattr("leads.clock.now", right)
    monkeypatch.setattr("django.utils.timezone.now", lambda: right() + dt.timedelta(hours=1))


@pytest.mark.usefixtures("wrong_clock")
def test_a_worker_whose_clock_is_wrong_takes_no_activity_away_from_its_colleague() -> None:
    activity = activity_start("flag", {}, by="grace")
    Activity.objects.update(lease_until=clock.now() + dt.timedelta(seconds=20), fence=3)
    assert activities_due() == []
    activity_work(activity.pk, KINDS)
    activity.refresh_from_db()
    assert activity.fence == 3


@pytest.mark.usefixtures("wrong_clock")
def test_a_call_that_is_being_worked_is_not_worked_twice_by_one_whose_clock_is_wrong() -> None:
    key = PartnerKey.objects.create(name="CRM", prefix="abc", digest="d" * 64, scopes=[])
    claim = call_claim(key.pk, "once", "digest")
    AnsweredCall.objects.update(alive_at=clock.now() - dt.timedelta(seconds=20))
    with pytest.raises(StillRunning):
        call_claim(key.pk, "once", "digest")
    assert isinstance(claim, Claim)
    call_alive(claim)
    assert AnsweredCall.objects.get().alive_at < clock.now() + dt.timedelta(seconds=20)
