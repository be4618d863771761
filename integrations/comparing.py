"""Compares what clients say of delivered leads with what is known here, lead by lead, and mends what differs.

A client's word takes the way of every verdict: it becomes a status update, which the ledger's rules apply or not. A dry run
goes the same way and is taken back. What those rules do not settle is left for a person.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from integrations.kit.contract import ConnectorError, NoAnswer, Verdict
from integrations.kit.registry import connectors
from integrations.ledger import InForce, Word, says_the_same
from integrations.look_ups import Asked, Asking
from integrations.models import Delivery, DeliveryState, Integration, VerdictState
from integrations.polling import polled_messages
from integrations.reconciliation import doubt_known, messages_store, verdicts_apply
from leads.models import Flag, Lead

_SPAN = re.compile(r"(\d{1,4})\s*([hdw])\Z")
_UNITS = {"h": dt.timedelta(hours=1), "d": dt.timedelta(days=1), "w": dt.timedelta(weeks=1)}


class Result(StrEnum):
    """What a comparison came to."""

    EQUAL = "equal"
    CHANGED = "changed"
    LEFT = "left"  # differs, and a person has to look
    UNANSWERED = "not answered"


@dataclass(frozen=True, slots=True)
class Finding:
    """One delivery, compared; `words` is a sentence for account managers."""

    delivery_id: int
    lead_id: int | None
    integration: str
    result: Result
    words: str

    def as_dict(self) -> dict[str, object]:
        return {
            "delivery": self.delivery_id,
            "lead": self.lead_id,
            "integration": self.integration,
            "result": str(self.result),
            "words": self.words,
        }


def since_parsed(text: str) -> dt.datetime:
    """A date (2026-03-04, its midnight in UTC), a time, or a span back from now: 7d, 12h, 2w. ValueError for anything else."""
    if found := _SPAN.match(text.strip().lower()):
        return timezone.now() - int(found[1]) * _UNITS[found[2]]
    given = dt.datetime.fromisoformat(text.strip())
    return given if given.tzinfo else given.replace(tzinfo=dt.UTC)


def comparable(integrations: QuerySet[Integration]) -> list[Integration]:
    """Those whose client can be asked for verdicts, and that were set up."""
    known = connectors()
    return [
        integration
        for integration in integrations.exclude(state="needs_setup").order_by("campaign", "position", "id")
        if integration.connector in known and known[integration.connector].poll is not None
    ]


def deliveries_to_compare(integration_ids: Sequence[int], since: dt.datetime) -> QuerySet[Delivery]:
    """Leads that went out, or may have, since then."""
    gone = Q(state__in=[DeliveryState.DELIVERED, DeliveryState.UNKNOWN]) | Q(reference__gt="")
    return Delivery.objects.filter(
        gone, integration__in=integration_ids, kind=Delivery.Kind.LEAD, created_at__gte=since
    ).order_by("pk")


def deliveries_ask(integration: Integration, deliveries: Sequence[Delivery], asking: Asking | None = None) -> Asked:
    """The client's word on those that it can be asked about; never raises. To be called outside of any transaction."""
    named = [delivery for delivery in deliveries if delivery.reference]
    try:
        return (asking or Asking(integration)).ask(named) if named else Asked()
    except (ConnectorError, NoAnswer) as error:
        return Asked(failed={delivery.pk: str(error) for delivery in named})


def integration_compare(
    integration: Integration,
    since: dt.datetime,
    *,
    dry_run: bool = False,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[list[Finding]]:
    """Compare all that went out since then, a few at a time.

    Keeps to the client's budget: where it is spent, `wait` is called with the seconds until it is not.
    """
    try:
        asking = Asking(integration)
        size = asking.at_once * 2
    except (ConnectorError, NoAnswer):
        asking, size = None, 200
    last = 0
    while rows := list(deliveries_to_compare([integration.pk], since).filter(pk__gt=last)[:size]):
        last = rows[-1].pk
        while rows:
            asked = deliveries_ask(integration, rows, asking)
            yield deliveries_compare([row for row in rows if row.pk not in asked.unasked], asked, dry_run=dry_run)
            rows = [row for row in rows if row.pk in asked.unasked]
            if rows:
                wait(asked.wait_s)


@dataclass(frozen=True, slots=True)
class _Ours:
    """What is known here of one delivery and its lead."""

    state: DeliveryState
    standing: InForce
    flag: str
    flagged_by: str
    flagged_at: dt.datetime | None


def deliveries_compare(deliveries: Sequence[Delivery], asked: Asked, *, dry_run: bool = False) -> list[Finding]:
    """Compare with what the client answered, and apply what is news; with `dry_run` nothing of it stays."""
    with transaction.atomic():
        before = _ours(deliveries)
        news = {
            pk
            for pk, (verdict, at) in asked.verdicts.items()
            if pk in before and not says_the_same(before[pk].standing, _word(verdict, at))
        }
        messages_store(polled_messages(asked, only=news))
        verdicts_apply()
        doubt_known(asked.verdicts)
        after = _ours(deliveries)
        if dry_run:
            transaction.set_rollback(True)
    names = dict(
        Integration.objects.filter(pk__in={delivery.integration_id for delivery in deliveries}).values_list(
            "pk", "name"
        )
    )
    found = []
    for delivery in deliveries:
        if delivery.pk in before and delivery.pk in after:
            result, words = _came_to(delivery, before[delivery.pk], after[delivery.pk], asked, dry_run=dry_run)
            name = names.get(delivery.integration_id, "")
            found.append(Finding(delivery.pk, delivery.lead_id, name, result, words))
    return found


def _ours(deliveries: Sequence[Delivery]) -> Mapping[int, _Ours]:
    rows = Delivery.objects.filter(pk__in=[delivery.pk for delivery in deliveries])
    leads = Lead.objects.only("flag", "flagged_by", "flagged_at").in_bulk([row.lead_id for row in rows if row.lead_id])
    found = {}
    for row in rows:
        lead = leads.get(row.lead_id or 0)
        found[row.pk] = _Ours(
            DeliveryState(row.state),
            InForce(row.verdict, row.reason_code, row.comment, row.decided_at),
            lead.flag if lead else row.verdict,
            lead.flagged_by if lead else "",
            lead.flagged_at if lead else None,
        )
    return found


def _word(verdict: Verdict, asked_at: dt.datetime) -> Word:
    undated = verdict.decided_at is None and not verdict.event_id
    at = verdict.decided_at or asked_at
    return Word(verdict.state, verdict.reason_code, verdict.comment, at, verdict.event_id, undated)


def _came_to(delivery: Delivery, before: _Ours, after: _Ours, asked: Asked, *, dry_run: bool) -> tuple[Result, str]:
    pk = delivery.pk
    if not delivery.reference:
        if before.state == DeliveryState.UNKNOWN:
            return (
                Result.LEFT,
                "In doubt, and no id of the client’s: it can’t be asked about. Look at the client’s side.",
            )
        return Result.UNANSWERED, "Delivered, but the client gave no id: it can’t be asked about."
    if pk in asked.unknown:
        if before.state == DeliveryState.UNKNOWN:
            return Result.LEFT, f"In doubt here, not known there ({delivery.reference}): nothing done. Send it again?"
        return Result.LEFT, f"They don’t know their lead {delivery.reference} (any more): nothing done. Send it again?"
    if pk not in asked.verdicts:
        return Result.UNANSWERED, asked.failed.get(pk, "Not asked: the client’s budget of look-ups is spent.")
    said = asked.verdicts[pk][0]
    sides = f"theirs: {_said(said.state, said.reason_code, said.comment)}; ours: {_said(*before.standing.words)}"
    if after.state not in (DeliveryState.DELIVERED, DeliveryState.QUEUED, DeliveryState.SENDING):
        return Result.LEFT, f"{after.state.label} here, known there ({sides}): left for a person."
    if said.state == "pending":
        agreed = after.standing.verdict in ("", VerdictState.PENDING)
    else:
        agreed = after.standing.verdict == said.state and after.flag == said.state
    if not agreed:
        return Result.LEFT, _why_left(said, after, sides)
    done = []
    if before.state == DeliveryState.UNKNOWN:
        done.append("in doubt here, known there → " + ("would be settled" if dry_run else "settled") + " as delivered")
    if after.standing.words != before.standing.words or after.flag != before.flag:
        done.append(f"{sides} → " + ("would be applied" if dry_run else "applied"))
    if done:
        return Result.CHANGED, _sentence("; ".join(done))
    return Result.EQUAL, f"Equal: {_said(said.state, said.reason_code, said.comment)}."


def _why_left(said: Verdict, after: _Ours, sides: str) -> str:
    if said.state == "pending":
        return _sentence(f"{sides} → they call it undecided again: left for a person")
    decided = after.standing.decided_at
    if after.flag and after.flagged_at is not None and (decided is None or after.flagged_at > decided):
        by = f" by {after.flagged_by}" if after.flagged_by else ""
        flag = f"{Flag(after.flag).label.lower()}{by}, {after.flagged_at:%d %b %H:%M} UTC"
        return _sentence(f"{sides} → conflicts with a flag set here later ({flag}): left for a person")
    if after.standing.verdict != said.state:
        return _sentence(f"{sides} → they told us something newer than that: left for a person")
    flag = Flag(after.flag).label.lower() if after.flag else "nothing"
    return _sentence(f"{sides}, but the lead is flagged {flag} → left for a person")


def _said(state: str, reason_code: str, comment: str) -> str:
    reasons = ", ".join(part for part in (reason_code, comment) if part)
    reasons = reasons if len(reasons) <= 120 else reasons[:119] + "…"
    return ", ".join(part for part in (state or "nothing yet", reasons) if part)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."
