"""Silence: people are told once when leads stay away for longer than usual at these hours, and once when they come again."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable, Iterable

import pytest
from django.utils import timezone

from integrations.models import Delivery, Integration, Notice, NoticeKind, NoticeStep, VerdictState
from integrations.notices.silence import busy_slots, gaps_missed, silence_look, usual_week, week_before
from integrations.notices.verdict_shares import is_run, verdict_shares_look
from leads.database import insert_rows, uuid7
from leads.models import Campaign, Lead, Status

LONDON = zoneinfo.ZoneInfo("Europe/London")
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
# A Monday.
MONDAY = dt.datetime(2026, 11, 16, tzinfo=LONDON)


def every(step: dt.timedelta, hours: Iterable[int], days: Iterable[int], until: dt.datetime) -> list[dt.datetime]:
    """Leads of the 14 days before `until`: one in each step of these hours on these weekdays."""
    at, found = until - 14 * DAY, []
    while at < until:
        local = at.astimezone(LONDON)
        if local.hour in set(hours) and local.weekday() in set(days):
            found.append(at)
        at += step
    return found


WORK = range(9, 17)
CASES = [
    # what usually comes, the last lead, now, and how many usual gaps were missed, at least and at most
    ("all round the clock, an hour and a half", (10 * MINUTE, range(24), range(7)), 12 * HOUR, 13.5 * HOUR, 8, 10),
    ("all round the clock, ten minutes", (10 * MINUTE, range(24), range(7)), 12 * HOUR, 12 * HOUR + 10 * MINUTE, 0, 1),
    ("the hours of a working day, over night", (10 * MINUTE, WORK, range(5)), 16.9 * HOUR, 33 * HOUR, 0, 1),
    (
        "the hours of a working day, an hour into the next",
        (10 * MINUTE, WORK, range(5)),
        16.9 * HOUR,
        34.2 * HOUR,
        5,
        8,
    ),
    ("working days, over the weekend", (10 * MINUTE, WORK, range(5)), 112.9 * HOUR, 176.5 * HOUR, 0, 1),
    ("one an hour, five hours", (HOUR, range(24), range(7)), 10 * HOUR, 15 * HOUR, 4, 6),
    ("one an hour, seven hours", (HOUR, range(24), range(7)), 10 * HOUR, 17.5 * HOUR, 6, 8),
]


@pytest.mark.parametrize(
    ("usual", "last", "now", "least", "most"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_what_is_missed_is_counted_in_usual_gaps_at_these_hours(
    usual: tuple[dt.timedelta, Iterable[int], Iterable[int]],
    last: dt.timedelta,
    now: dt.timedelta,
    least: float,
    most: float,
) -> None:
    since, until = MONDAY + last * 1 - 14 * DAY, MONDAY + last
    week = usual_week(every(*usual, until), since, until, LONDON)
    missed = gaps_missed(week, until, MONDAY + now, LONDON)
    assert least <= missed <= most, missed


def test_too_few_leads_say_nothing_of_what_is_usual() -> None:
    week = usual_week(every(DAY, range(24), range(7), MONDAY), MONDAY - 14 * DAY, MONDAY, LONDON)
    assert gaps_missed(week, MONDAY, MONDAY + 10 * DAY, LONDON) == 0


def test_the_clock_that_is_set_back_shifts_no_hour() -> None:
    changed = dt.datetime(2026, 10, 25, 12, tzinfo=LONDON)
    week = usual_week(every(10 * MINUTE, WORK, range(7), changed), changed - 14 * DAY, changed, LONDON)
    night = dt.datetime(2026, 10, 25, 18, tzinfo=LONDON)
    assert gaps_missed(week, night, night + 14 * HOUR, LONDON) == 0
    assert gaps_missed(week, night, night + 16 * HOUR, LONDON) >= 5


# --- on rows ------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_week_of_another_test() -> None:
    """Rolled back tests use the same ids again; a portal never does."""
    week_before.cache_clear()


@pytest.fixture
def now() -> dt.datetime:
    return timezone.now().replace(minute=30, second=0, microsecond=0)


def receive(campaign: Campaign, moments: Iterable[dt.datetime], status: str = Status.VALID) -> None:
    form, publisher = campaign.forms.get(), campaign.publishers.get()
    columns = (
        "hash",
        "campaign",
        "publisher",
        "form",
        "form_version",
        "values",
        "status",
        "created_at",
        "processed_at",
    )
    rows: list[tuple[object, ...]] = [
        (uuid7(), campaign.pk, publisher.pk, form.pk, 1, {}, status, at, at) for at in moments
    ]
    insert_rows(Lead, columns, rows)


def told() -> list[tuple[str, str]]:
    return list(NoticeStep.objects.order_by("pk").values_list("notice__kind", "what"))


@pytest.mark.django_db
def test_silence_is_told_once_when_it_starts_and_once_when_it_ends(campaign: Campaign, now: dt.datetime) -> None:
    last = now - 3 * HOUR
    receive(campaign, [last - n * 20 * MINUTE for n in range(14 * 72)])
    assert silence_look(last + 30 * MINUTE) == 0
    assert [silence_look(now + n * 5 * MINUTE) for n in range(3)] == [1, 0, 0]
    notice = Notice.objects.get()
    assert (notice.campaign, notice.started_at) == (campaign, last)
    assert "No lead has come for 3 hours." in notice.words
    receive(campaign, [now], status=Status.TEST)
    assert silence_look(now + HOUR) == 0
    receive(campaign, [now])
    assert [silence_look(now + HOUR) for _ in range(2)] == [1, 0]
    assert told() == [("silence", "start"), ("silence", "end")]


@pytest.mark.django_db
def test_a_file_of_thousands_once_a_day_does_not_make_every_other_hour_a_silence(
    campaign: Campaign, now: dt.datetime
) -> None:
    for day in range(1, 15):
        start = now - day * DAY
        receive(campaign, [start + n * dt.timedelta(milliseconds=10) for n in range(300)])
    assert silence_look(now - 3 * HOUR) == 0


@pytest.mark.django_db
@pytest.mark.parametrize("columns", [{"silence_times": 0}, {"status": Campaign.Status.PAUSED}])
def test_a_campaign_that_nobody_watches_is_silent_without_a_word(
    campaign: Campaign, now: dt.datetime, columns: dict[str, object]
) -> None:
    receive(campaign, [now - n * 20 * MINUTE for n in range(14 * 72)])
    assert silence_look(now + 3 * HOUR) == 1
    Campaign.objects.filter(pk=campaign.pk).update(**columns)
    assert silence_look(now + 4 * HOUR) == 0
    assert told() == [("silence", "start")]
    assert not Notice.objects.filter(ended_at=None).exists()


@pytest.mark.django_db
def test_the_slots_that_had_leads_are_found_by_one_query(
    campaign: Campaign, now: dt.datetime, django_assert_num_queries: Callable[..., object]
) -> None:
    since = now - DAY
    receive(campaign, [since, since + MINUTE, since + 25 * MINUTE, now - 5 * MINUTE])
    with django_assert_num_queries(1):  # type: ignore[attr-defined]
        found = busy_slots(campaign.pk, since, now)
    assert found == [since, since + 20 * MINUTE, now - 10 * MINUTE]


# --- a run of one reason ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lately", "before", "expected"),
    [
        ((19, 19), (0, 100), False),  # too few to say
        ((10, 20), (10, 100), True),
        ((7, 20), (10, 100), True),
        ((6, 20), (0, 100), False),  # 30 % and no more
        ((10, 20), (30, 100), False),  # bad, but not even twice as bad as ever
        ((10, 20), (0, 0), True),  # nothing is known of before
    ],
)
def test_what_a_sudden_run_is(lately: tuple[int, int], before: tuple[int, int], expected: bool) -> None:
    assert is_run(lately, before) is expected


@pytest.mark.django_db
def test_a_sudden_run_of_refusals_is_told_with_its_most_frequent_reason_and_its_end(
    campaign: Campaign, now: dt.datetime
) -> None:
    integration = Integration.objects.create(campaign=campaign, name="Acme EU", connector="webhook", state="on")

    def decide(count: int, at: dt.datetime, verdict: str, code: str = "") -> None:
        Delivery.objects.bulk_create(
            Delivery(
                key=uuid7(), integration=integration, kind="lead", state="delivered", verdict=verdict, reason_code=code,
                decided_at=at, created_at=at,
            )
            for _ in range(count)
        )  # fmt: skip

    decide(90, now - 5 * DAY, VerdictState.VALID)
    decide(10, now - 5 * DAY, VerdictState.INVALID, "Duplicate")
    decide(20, now - HOUR, VerdictState.VALID)
    assert verdict_shares_look(now) == 0
    decide(14, now - HOUR, VerdictState.INVALID, "Wrong country")
    decide(6, now - HOUR, VerdictState.RETURNED, "Duplicate")
    assert [verdict_shares_look(now) for _ in range(2)] == [1, 0]
    words = Notice.objects.get().words
    assert "50% of the last 24 hours' verdicts (20 of 40)" in words
    assert "in the 14 days before it was 10%" in words
    assert "“Wrong country” (14)" in words
    assert [verdict_shares_look(now + DAY) for _ in range(2)] == [1, 0]
    assert told() == [(NoticeKind.REASONS, "start"), (NoticeKind.REASONS, "end")]
