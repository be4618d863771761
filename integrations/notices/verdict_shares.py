"""A sudden run of refusals: an integration whose client says invalid of far more leads than before."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable

from django.db.models import Count, QuerySet
from django.utils import timezone

from integrations.models import Delivery, Integration, Notice, NoticeKind, VerdictState
from integrations.notices.incidents import notice_end, notice_raise

LATELY, BEFORE = dt.timedelta(days=1), dt.timedelta(days=14)
ENOUGH, MOST_SHARE, TIMES = 20, 0.3, 2.0
# What was told of ends a little lower than it began, so that a share on the brink is not told of every few minutes.
_SLACK = 0.8
_BAD = (VerdictState.INVALID, VerdictState.RETURNED)
_DECIDED = (VerdictState.VALID, *_BAD)


def is_run(lately: tuple[int, int], before: tuple[int, int], *, slack: float = 1.0) -> bool:
    """Whether so many refused (of all) lately, against so many before, are a sudden run.

    At least 20 verdicts, more than 30 % refused, and more than twice the share of before; `slack` below 1 asks for less.
    """
    bad, all_ = lately
    if all_ < ENOUGH:
        return False
    usual = before[0] / before[1] if before[1] else 0.0
    return bad / all_ > MOST_SHARE * slack and bad / all_ > usual * TIMES * slack


def verdict_shares_look(now: dt.datetime | None = None) -> int:
    """Tell of integrations whose clients suddenly refuse far more leads, and of the end of that; how much was told.

    One count over the verdicts of a day; a count over the 14 days before only where that day looks bad.
    """
    now = now or timezone.now()
    lately = _shares(now - LATELY, now)
    open_now = set(
        Notice.objects.filter(kind=NoticeKind.REASONS, ended_at=None).values_list("integration_id", flat=True)
    )
    suspect = [pk for pk, share in lately.items() if is_run(share, (0, 0), slack=_SLACK if pk in open_now else 1.0)]
    before = _shares(now - LATELY - BEFORE, now - LATELY, suspect) if suspect else {}
    told = 0
    for pk in suspect:
        if is_run(lately[pk], before.get(pk, (0, 0)), slack=_SLACK if pk in open_now else 1.0):
            open_now.discard(pk)
            told += notice_raise(pk, NoticeKind.REASONS, _words(pk, lately[pk], before.get(pk, (0, 0)), now))
    for pk in open_now:
        told += notice_end(pk or 0, NoticeKind.REASONS, "The share of the last 24 hours is an ordinary one.")
    return told


def _verdicts(since: dt.datetime, until: dt.datetime) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        decided_at__gt=since, decided_at__lte=until, verdict__in=_DECIDED, test=False
    ).order_by()


def _shares(since: dt.datetime, until: dt.datetime, only: Iterable[int] | None = None) -> dict[int, tuple[int, int]]:
    """Integration to how many were refused, and how many were decided on."""
    ids = list(Integration.objects.filter(managed=False).values_list("pk", flat=True) if only is None else only)
    bad: Counter[int] = Counter()
    every: Counter[int] = Counter()
    rows = _verdicts(since, until).filter(integration__in=ids).values_list("integration_id", "verdict")
    for pk, verdict, count in rows.annotate(count=Count("*")):
        every[pk] += count
        bad[pk] += count if verdict in _BAD else 0
    return {pk: (bad[pk], every[pk]) for pk in every}


def _words(integration_id: int, lately: tuple[int, int], before: tuple[int, int], now: dt.datetime) -> str:
    bad, every = lately
    usual = f"{before[0] / before[1]:.0%}" if before[1] else "none"
    words = f"{bad / every:.0%} of the last 24 hours' verdicts ({bad:,} of {every:,}) are invalid or returned; in the 14 days before it was {usual}."
    codes = _verdicts(now - LATELY, now).filter(integration=integration_id, verdict__in=_BAD).exclude(reason_code="")
    first = codes.values_list("reason_code").annotate(count=Count("*")).order_by("-count", "reason_code").first()
    return words + (f" The most frequent reason is “{first[0]}” ({first[1]:,})." if first else "")
