"""Stage 4: what clients say of delivered leads, pushed or polled, becomes status updates, and these become the lead's flag.

Both ways end in one table, and are applied in the order in which the client decided, not the one in which they came.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from integrations.flows import connector_call, token_get, token_renew
from integrations.kit.contract import ConnectorError, NoAnswer, Verdict
from integrations.kit.redaction import storable
from integrations.kit.registry import connector as find_connector
from integrations.models import Delivery, DeliveryState, Integration, IntegrationState, StatusUpdate, VerdictState
from integrations.reasons import Translations
from integrations.runner import Finished, Runner
from leads.database import insert_rows, update_rows, uuid7
from leads.models import Flag, Lead
from leads.models.lead import Via
from leads.status import FlagChange, leads_flag
from leads.wake import wake

logger = logging.getLogger(__name__)

APPLY_TASK = "integrations.apply_verdicts"
POLL_TASK = "integrations.poll_verdicts"
BATCH = 500
COMMENT_CHARS, RAW_CHARS = 2_000, 2_000
CLOCK_SKEW = dt.timedelta(minutes=5)

# Seconds after delivery at which a verdict is asked for; then once a day, as long as the campaign wants to know.
POLL_SECONDS = (60, 300, 900, 3_600, 14_400)
POLL_DAILY = 86_400
# So many look-ups in one round: far below the client's limit of 1,400 in five minutes (facts, section 7).
POLL_BATCH = 200
# A look-up that failed, or a worker that died in it, is made up for after this.
POLL_AGAIN_SECONDS = 120

_UPDATE = ("key", "delivery", "verdict", "reason_code", "comment", "by", "decided_at", "via", "raw", "received_at")


@dataclass(frozen=True, slots=True)
class Message:
    """One message with a verdict on a delivery, as it came. `delivery_id` None: nobody knows what it is about."""

    delivery_id: int | None
    verdict: Verdict
    via: StatusUpdate.Via
    received_at: dt.datetime


def messages_store(messages: Sequence[Message]) -> None:
    """Write messages down as status updates in the caller's transaction; one that came before is not written again."""
    rows = []
    for message in messages:
        said = message.verdict
        rows.append(
            (_key(message), message.delivery_id, said.state, _kept(said.reason_code, 200))
            + (_kept(said.comment, COMMENT_CHARS), _kept(said.by, 200), _decided_at(message), message.via)
            + (_kept(said.raw, RAW_CHARS), message.received_at)
        )
    insert_rows(StatusUpdate, _UPDATE, rows, on_conflict="(key) DO NOTHING")
    if rows:
        wake(APPLY_TASK)


def _kept(text: str, most: int) -> str:
    """A client's words as they are stored: as text that any database takes, and no longer than we keep."""
    text = storable(text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _decided_at(message: Message) -> dt.datetime:
    """When the client decided; a time that has not come yet, beyond what clocks differ by, would outrank all that follows."""
    given = message.verdict.decided_at
    return message.received_at if given is None or given > message.received_at + CLOCK_SKEW else given


def _key(message: Message) -> str:
    """What makes a repeat harmless: the client's event id, else for a push nothing, and for a poll what it said."""
    about, said = message.delivery_id or "-", message.verdict
    if said.event_id:
        return f"event:{about}:{said.event_id}"[:128]
    if message.via == StatusUpdate.Via.PUSHED:
        return f"push:{uuid7().hex}"
    text = "\0".join((said.state, said.reason_code, said.comment, str(said.decided_at)))
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
    return f"poll:{about}:{digest}:{uuid7().hex}"


def updates_due() -> bool:
    """Whether a status update waits to be applied."""
    return StatusUpdate.objects.filter(state=StatusUpdate.State.RECEIVED).exists()


def verdicts_apply() -> int:
    """Apply all status updates that are waiting; how many that were."""
    total = 0
    while count := _apply_batch():
        total += count
    return total


def _apply_batch() -> int:
    with transaction.atomic():
        updates = list(
            StatusUpdate.objects.select_for_update(skip_locked=True)
            .filter(state=StatusUpdate.State.RECEIVED)
            .order_by("id")[:BATCH]
        )
        if not updates:
            return 0
        deliveries = {
            delivery.pk: delivery
            for delivery in Delivery.objects.select_for_update()
            .filter(pk__in={u.delivery_id for u in updates if u.delivery_id})
            .only(
                "lead_id",
                "integration_id",
                "test",
                "verdict",
                "reason_code",
                "comment",
                "decided_at",
                "state",
                "reference",
            )
            .order_by("pk")
        }
        leads = {
            lead.pk: lead
            for lead in Lead.objects.filter(pk__in={d.lead_id for d in deliveries.values() if d.lead_id}).only(
                "flag", "reason_code", "comment", "flagged_at", "flagged_by"
            )
        }
        table = Translations({d.integration_id for d in deliveries.values()})
        changed: dict[int, Delivery] = {}
        flags: dict[int, FlagChange] = {}
        for update in sorted(updates, key=lambda u: (u.decided_at, u.pk)):
            delivery = deliveries.get(update.delivery_id or 0)
            update.state = _apply(update, delivery, leads, flags, table)
            if delivery is not None:
                changed[delivery.pk] = delivery
        update_rows(StatusUpdate, ["id"], ["state"], [(update.pk, update.state) for update in updates])
        update_rows(
            Delivery,
            ["id"],
            ["verdict", "reason_code", "comment", "decided_at"],
            [(d.pk, d.verdict, d.reason_code, d.comment, d.decided_at) for d in changed.values()],
        )
        _settle_doubt(changed)
        leads_flag(flags)
    return len(updates)


def _apply(
    update: StatusUpdate,
    delivery: Delivery | None,
    leads: dict[int, Lead],
    flags: dict[int, FlagChange],
    table: Translations,
) -> StatusUpdate.State:
    """What is to be made of one update; changes the delivery and the flags to come in memory."""
    if delivery is None:
        return StatusUpdate.State.UNMATCHED
    said = (update.verdict, update.reason_code, update.comment)
    known = (delivery.verdict, delivery.reason_code, delivery.comment)
    if delivery.decided_at is not None and update.decided_at < delivery.decided_at:
        return StatusUpdate.State.REPEATED if said == known else StatusUpdate.State.STALE
    # Also when it is repeated: what was decided before that, but comes later, is stale.
    delivery.decided_at = update.decided_at
    if said == known:
        return StatusUpdate.State.REPEATED
    delivery.verdict, delivery.reason_code, delivery.comment = said
    lead = leads.get(delivery.lead_id or 0)
    if lead is None or update.verdict not in Flag.values:
        return StatusUpdate.State.APPLIED
    if lead.flagged_at is not None and lead.flagged_at > update.decided_at and lead.flag != update.verdict:
        # Somebody here, or another client, said otherwise after this client decided: people must settle it.
        return StatusUpdate.State.CONFLICTING
    flags[lead.pk] = FlagChange(
        flag=Flag(update.verdict),
        reason_code=table.ours(delivery.integration_id, update.reason_code) if update.reason_code else "",
        comment=update.comment,
        by=update.by,
        via=Via.CLIENT,
        decided_at=update.decided_at,
    )
    return StatusUpdate.State.APPLIED


def _settle_doubt(changed: dict[int, Delivery]) -> None:
    """A verdict on a delivery that was in doubt proves that it arrived."""
    Delivery.objects.filter(pk__in=list(changed), state=DeliveryState.UNKNOWN).update(
        state=DeliveryState.DELIVERED, delivered_at=timezone.now(), reason="The client's verdict shows that it arrived."
    )


def first_poll_at(delivered_at: dt.datetime) -> dt.datetime | None:
    """When to ask for the verdict on a delivery for the first time; None where polling is switched off."""
    if not settings.VERDICT_POLLING:
        return None
    return delivered_at + dt.timedelta(seconds=POLL_SECONDS[0] * settings.SCHEDULE_FACTOR)


def next_poll_at(delivered_at: dt.datetime, now: dt.datetime, verdict_days: int) -> dt.datetime | None:
    """When to ask again: 1, 5, 15 minutes, 1 and 4 hours after delivery, then daily; None when the window has ended."""
    if not settings.VERDICT_POLLING:
        return None
    factor = settings.SCHEDULE_FACTOR
    age = (now - delivered_at).total_seconds()
    wait = next((s * factor - age for s in POLL_SECONDS if s * factor > age), POLL_DAILY * factor)
    when = now + dt.timedelta(seconds=wait)
    return when if when <= delivered_at + dt.timedelta(days=verdict_days) else None


def integrations_to_poll() -> list[int]:
    """Integrations with look-ups that are due, those whose client pushes nothing first."""
    due = Delivery.objects.filter(next_poll_at__lte=timezone.now()).values("integration_id").distinct()
    found = Integration.objects.filter(pk__in=due, state=IntegrationState.ON).only("sync_keys")
    return [entry.pk for entry in sorted(found, key=lambda i: (bool(i.sync_keys and settings.SYNC_TAGS), i.pk))]


def integration_poll(integration_id: int) -> int:
    """Ask the client for the verdicts on deliveries that are due for it, one batch; how many answered.

    Each look-up fails for itself; what failed is asked again later (facts, section 11).
    """
    integration = Integration.objects.get(pk=integration_id)
    connector = find_connector(integration.connector)
    poll = connector.poll
    due = _claim_polls(integration_id)
    if not due or poll is None:
        return 0
    values = integration.all_settings
    try:
        token = token_get(connector, values)
        runner: Runner[Delivery] = Runner(connector, connector.host(connector_call(connector, values)))
        runner.start((d, poll(connector_call(connector, values, token=token), d.reference)) for d in due)
        answered, refused = _collect(runner)
        if refused:
            token = token_renew(connector, values, token)
            runner.start((d, poll(connector_call(connector, values, token=token), d.reference)) for d in refused)
            more, _ = _collect(runner)
            answered += more
        return answered
    except (ConnectorError, NoAnswer) as error:
        logger.info("integration %s: no verdicts read: %s", integration_id, error)
        return 0


def _claim_polls(integration_id: int) -> list[Delivery]:
    now = timezone.now()
    with transaction.atomic():
        due = list(
            Delivery.objects.select_for_update(skip_locked=True)
            .filter(integration=integration_id, next_poll_at__lte=now)
            .order_by("next_poll_at")
            .only("reference", "delivered_at", "lead_id", "integration_id", "polls", "next_poll_at")[:POLL_BATCH]
        )
        again = now + dt.timedelta(seconds=max(POLL_AGAIN_SECONDS * settings.SCHEDULE_FACTOR, 2))
        Delivery.objects.filter(pk__in=[d.pk for d in due]).update(next_poll_at=again)
    return due


def _collect(runner: Runner[Delivery]) -> tuple[int, list[Delivery]]:
    """Store the verdicts of a round; how many answered, and which were refused for their token."""
    answered, refused = 0, []
    while runner.running:
        ended = runner.finished(60)
        refused += [end.job for end in ended if isinstance(end.error, ConnectorError) and end.error.renew_token]
        good = [end for end in ended if end.error is None]
        lost = [end for end in ended if isinstance(end.error, ConnectorError) and not end.error.passing]
        answered += len(good)
        _store_polled(good, [end.job for end in lost if not end.error.renew_token])  # type: ignore[union-attr]
    return answered, refused


def _store_polled(good: Sequence[Finished[Delivery]], lost: Sequence[Delivery]) -> None:
    now = timezone.now()
    windows = dict(
        Integration.objects.filter(pk__in={end.job.integration_id for end in good}).values_list(
            "pk", "campaign__verdict_days"
        )
    )
    rows: list[tuple[object, ...]] = [(delivery.pk, None, delivery.polls + 1) for delivery in lost]
    messages = []
    for end in good:
        delivery, verdict = end.job, end.value
        when = next_poll_at(delivery.delivered_at or now, now, windows[delivery.integration_id])
        rows.append((delivery.pk, when, delivery.polls + 1))
        if verdict.state != VerdictState.PENDING:
            # What was read is at least as old as the question: a push that came after it knows better.
            messages.append(Message(delivery.pk, verdict, StatusUpdate.Via.POLLED, end.started_at))
    with transaction.atomic():
        update_rows(Delivery, ["id"], ["next_poll_at", "polls"], rows)
        messages_store(messages)


def deliveries_by_key(keys: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[int, str]]:
    """Id and connector of the deliveries that have these keys, which clients call back with."""
    found = Delivery.objects.filter(key__in=set(keys)).values_list("key", "pk", "integration__connector")
    return {key: (pk, slug) for key, pk, slug in found}
