"""Compares how integrations stand with what people were told, and raises and ends notices until both agree.

Nothing that happened has to be caught in the act: whatever a killed worker left untold is found at the next look. Any number
of workers may look at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from integrations.breaker import SWITCHED_OFF
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState, Notice, NoticeKind
from integrations.notices.incidents import SENDING, notice_end, notice_raise, plain
from leads.models import Campaign
from leads.rights import without_personal

_WATCHED = (*SENDING, NoticeKind.DOUBT)
_COUNTED = 10_000
_NO_ANSWER = "The client's system does not answer as it should. Tries go on, one at a time."


def notices_look() -> int:
    """Tell of every integration that stands otherwise than people know; how much was told."""
    now = timezone.now()
    open_now = {
        (notice.integration_id, NoticeKind(notice.kind)): notice
        for notice in Notice.objects.filter(ended_at=None, integration__isnull=False, kind__in=_WATCHED)
    }
    found: dict[tuple[int | None, NoticeKind], tuple[str, int]] = {}
    for row in _troubled(now):
        if (trouble := _trouble(row, now)) is not None:
            kind, words, percent = trouble
            found[row.pk, kind] = words, percent
    for row in _watched().filter(Exists(_in_doubt(OuterRef("pk")))):
        found[row.pk, NoticeKind.DOUBT] = _doubt_words(row), 0
    changed = [
        key
        for key, (words, percent) in found.items()
        if key not in open_now or open_now[key].words != plain(words) or open_now[key].percent < percent
    ]
    return sum(_settle(pk or 0, kind) for pk, kind in {*changed, *_ended(open_now, found)})


def _ended(
    open_now: Iterable[tuple[int | None, NoticeKind]], found: Iterable[tuple[int | None, NoticeKind]]
) -> set[tuple[int | None, NoticeKind]]:
    return set(open_now) - set(found)


def _watched() -> QuerySet[Integration]:
    return Integration.objects.exclude(campaign__status=Campaign.Status.ENDED)


def _troubled(now: dt.datetime) -> QuerySet[Integration]:
    failing = Q(failing_since__lte=_told_before(now))
    return _watched().filter(Q(state=IntegrationState.NEEDS_A_LOOK) | failing | Q(pending_form__isnull=False))


def _told_before(now: dt.datetime) -> dt.datetime:
    """Who fails since then is told of: what is over within minutes is nobody's concern."""
    return now - dt.timedelta(seconds=settings.NOTICE_AFTER_SECONDS * settings.SCHEDULE_FACTOR)


def _settle(integration_id: int, kind: NoticeKind) -> bool:
    """Look once more, now that nobody can change it meanwhile, and raise or end; True when something is told."""
    now = timezone.now()
    with transaction.atomic():
        row = _watched().select_for_update(of=("self",)).filter(pk=integration_id).first()
        if row is None:
            return notice_end(integration_id, kind, "Its campaign has ended.")
        if kind == NoticeKind.DOUBT:
            if _in_doubt(row.pk).exists():
                return notice_raise(row.pk, kind, _doubt_words(row))
            return notice_end(row.pk, kind, "All of it was settled.")
        trouble = _trouble(row, now)
        if trouble is not None:
            # Another of these than before takes its place.
            return notice_raise(row.pk, trouble[0], trouble[1], percent=trouble[2])
        return notice_end(row.pk, kind, _end_words(row, kind))


def _trouble(row: Integration, now: dt.datetime) -> tuple[NoticeKind, str, int] | None:
    """Why nothing goes out to this integration now, with the cause in words, and how far it is to being switched off."""
    stopped = row.state == IntegrationState.NEEDS_A_LOOK
    if stopped and row.failing_told == SWITCHED_OFF:
        return NoticeKind.SWITCHED_OFF, row.state_reason or _NO_ANSWER, 0
    if row.pending_form is not None and (stopped or row.state == IntegrationState.ON):
        return NoticeKind.CHANGED, row.state_reason or str(row.pending_form["reason"]), 0
    if stopped:
        return NoticeKind.STOPPED, row.state_reason or "Its set-up needs a look.", 0
    if row.state == IntegrationState.ON and row.failing_since and row.failing_since <= _told_before(now):
        return NoticeKind.FAILING, _last_answer(row), row.failing_told
    return None


def _last_answer(row: Integration) -> str:
    """What came of the latest try: of those that are tried again, the one whose next try is the farthest away."""
    last = (
        Delivery.objects.filter(integration=row.pk, state=DeliveryState.QUEUED)
        .order_by("-next_try_at")
        .values_list("reason", "lead__values")
        .first()
    )
    if last is not None and last[0]:
        return without_personal(last[0], last[1] or {})
    return row.state_reason or _NO_ANSWER


def _in_doubt(integration: int | OuterRef) -> QuerySet[Delivery]:
    return Delivery.objects.filter(integration=integration, state=DeliveryState.UNKNOWN).order_by()


def _doubt_words(row: Integration) -> str:
    count = _in_doubt(row.pk).values("pk")[:_COUNTED].count()
    many = "More than " if count == _COUNTED else ""
    were = "lead was" if count == 1 else "leads were"
    return f"{many}{count:,} {were} sent to {row.name} and no answer came. Nobody here can tell whether they arrived."


def _end_words(row: Integration, kind: NoticeKind) -> str:
    if row.state == IntegrationState.PAUSED:
        return "Somebody paused it: what waits goes out when it is switched on again."
    if row.state == IntegrationState.NEEDS_SETUP:
        return "Somebody is setting it up anew."
    return "They answer again." if kind == NoticeKind.FAILING else "It is on: leads go out again."
