"""Stage 4: what clients say of delivered leads, pushed or polled, becomes status updates, and these become the lead's flag.

Both ways end in one table, and are applied in the order in which the client decided, not the one in which they came
(ledger.py). polling.py asks; here no request is made.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from integrations.gate import integrations_recount
from integrations.kit.contract import Verdict
from integrations.kit.redaction import storable
from integrations.ledger import BY_EVENT, UNDATED, InForce, Word, follow, last_word, says_the_same, word_of
from integrations.models import Delivery, DeliveryState, Integration, StatusUpdate
from integrations.poll_times import POLL_WEEKLY, first_poll_at, next_poll_at
from integrations.reasons import Translations
from integrations.webhooks.delivery_events import deliveries_changed, deliveries_told
from leads import clock
from leads.database import insert_rows, update_rows, uuid7
from leads.models import Flag, Lead, ReasonCode
from leads.models.lead import Via
from leads.status import FlagChange, leads_flag
from leads.wake import wake

APPLY_TASK = "integrations.apply_verdicts"
BATCH = 500
COMMENT_CHARS, RAW_CHARS = 2_000, 2_000
CLOCK_SKEW = dt.timedelta(minutes=5)

_UPDATE = (
    "key",
    "delivery",
    "verdict",
    "reason_code",
    "comment",
    "by",
    "decided_at",
    "via",
    "raw",
    "received_at",
    "about",
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message with a verdict on a delivery, as it came.

    `delivery_id` None: no delivery that we know of; `about` then says which one it wants (early_words.py), so that
    it is applied once that one is recorded.
    """

    delivery_id: int | None
    verdict: Verdict
    via: StatusUpdate.Via
    received_at: dt.datetime
    about: str = ""


def messages_store(messages: Sequence[Message]) -> list[str]:
    """Write messages down as status updates in the caller's transaction; one that came before is not written again.

    Returns the key of each one's row, in their order.
    """
    rows = []
    for message in messages:
        said = message.verdict
        rows.append(
            (_key(message), message.delivery_id, said.state, _kept(said.reason_code, 200))
            + (_kept(said.comment, COMMENT_CHARS), _kept(said.by, 200), _decided_at(message), message.via)
            + (_kept(said.raw, RAW_CHARS), message.received_at, "" if message.delivery_id else message.about)
        )
    insert_rows(StatusUpdate, _UPDATE, rows, on_conflict="(key) DO NOTHING")
    if rows:
        wake(APPLY_TASK)
    return [row[0] for row in rows]


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
    about = message.delivery_id or hashlib.sha256(message.about.encode("utf-8", "replace")).hexdigest()[:32]
    said = message.verdict
    if said.event_id:
        return f"{BY_EVENT}{about}:{said.event_id}"[:128]
    if message.via == StatusUpdate.Via.PUSHED:
        return f"push:{uuid7().hex}"
    text = "\0".join((said.state, said.reason_code, said.comment, str(said.decided_at)))
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
    return f"{UNDATED if said.decided_at is None else 'dated:'}{about}:{digest}:{uuid7().hex}"[:128]


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
                "delivered_at",
                "next_poll_at",
            )
            .order_by("pk")
        }
        leads = {
            lead.pk: lead
            # Locked: a newer flag that is being written elsewhere is waited for, and seen.
            for lead in Lead.objects.select_for_update()
            .filter(pk__in={d.lead_id for d in deliveries.values() if d.lead_id})
            .only("flag", "reason_code", "comment", "flagged_at", "flagged_by", "erased_at")
            .order_by("pk")
        }
        table = Translations({d.integration_id for d in deliveries.values()})
        _of_erased_cut(updates, deliveries, leads, table)
        applying = _Applying(deliveries, leads, table, _history(updates, deliveries))
        for update in sorted(updates, key=lambda u: (word_of(u).place, u.pk)):
            update.state = applying.apply(update)
        changed = {update.delivery_id for update in updates if update.delivery_id in deliveries}
        update_rows(StatusUpdate, ["id"], ["state"], [(update.pk, update.state) for update in updates])
        _polls_put_off(updates, deliveries)
        update_rows(
            Delivery,
            ["id"],
            ["verdict", "reason_code", "comment", "decided_at", "next_poll_at"],
            [
                (d.pk, d.verdict, d.reason_code, d.comment, d.decided_at, d.next_poll_at)
                for d in deliveries.values()
                if d.pk in changed
            ],
        )
        doubt_settle(applying.news)
        leads_flag(applying.flags)
    return len(updates)


def _polls_put_off(updates: Iterable[StatusUpdate], deliveries: Mapping[int, Delivery]) -> None:
    """Whoever has pushed a verdict is asked about it but seldom."""
    told = {u.delivery_id for u in updates if u.via == StatusUpdate.Via.PUSHED and u.verdict in _SAID}
    asked = [d for pk, d in deliveries.items() if pk in told and d.next_poll_at is not None]
    if not asked:
        return
    now, after_s = clock.now(), POLL_WEEKLY * float(settings.SCHEDULE_FACTOR)
    integrations = Integration.objects.filter(pk__in={d.integration_id for d in asked})
    days = dict(integrations.values_list("pk", "campaign__verdict_days"))
    for d in asked:
        d.next_poll_at = next_poll_at(d.delivered_at or now, now, days[d.integration_id], after_s=after_s)


def _of_erased_cut(
    updates: Iterable[StatusUpdate],
    deliveries: Mapping[int, Delivery],
    leads: Mapping[int, Lead],
    table: Translations,
) -> None:
    """What is said of leads whose personal data was erased may quote anything of it: the verdict is kept, and codes that we know."""
    rows = []
    codes: set[str] | None = None
    for update in updates:
        delivery = deliveries.get(update.delivery_id or 0)
        lead = leads.get(delivery.lead_id or 0) if delivery is not None else None
        if delivery is None or lead is None or lead.erased_at is None:
            continue
        codes = set(ReasonCode.objects.values_list("code", flat=True)) if codes is None else codes
        if update.reason_code not in codes and not table.knows(delivery.integration_id, update.reason_code):
            update.reason_code = ""
        update.comment = update.raw = ""
        rows.append((update.pk, update.reason_code, "", ""))
    update_rows(StatusUpdate, ["id"], ["reason_code", "comment", "raw"], rows)


def _history(updates: Iterable[StatusUpdate], deliveries: Mapping[int, Delivery]) -> dict[int, list[Word]]:
    """All that was said before of deliveries on which something comes that is not newer than what is known."""
    late = set()
    for update in updates:
        delivery = deliveries.get(update.delivery_id or 0)
        known = delivery.decided_at if delivery is not None else None
        if known is not None and update.decided_at <= known:
            late.add(update.delivery_id)
    found: dict[int, list[Word]] = {pk: [] for pk in late if pk is not None}
    said = StatusUpdate.objects.filter(delivery__in=found).exclude(state=StatusUpdate.State.RECEIVED)
    for update in said.only("key", "delivery_id", "verdict", "reason_code", "comment", "decided_at", "via"):
        found[update.delivery_id or 0].append(word_of(update))
    return found


class _Applying:
    """One batch of updates, in the order of their words: changes deliveries in memory, collects flags and what was news."""

    def __init__(
        self,
        deliveries: Mapping[int, Delivery],
        leads: Mapping[int, Lead],
        table: Translations,
        history: Mapping[int, list[Word]],
    ) -> None:
        self._deliveries, self._leads, self._table, self._history = deliveries, leads, table, history
        self._known = {pk: delivery.decided_at for pk, delivery in deliveries.items()}
        self.flags: dict[int, FlagChange] = {}
        self.news: set[int] = set()

    def apply(self, update: StatusUpdate) -> StatusUpdate.State:
        """What is to be made of one update."""
        delivery = self._deliveries.get(update.delivery_id or 0)
        if delivery is None:
            return StatusUpdate.State.UNMATCHED
        word, standing = word_of(update), _standing(delivery)
        after = self._after(delivery.pk, standing, word)
        delivery.verdict, delivery.reason_code, delivery.comment = after.words
        delivery.decided_at = after.decided_at
        if after.words == standing.words:
            same = says_the_same(standing, word)
            return StatusUpdate.State.REPEATED if same else StatusUpdate.State.STALE
        self.news.add(delivery.pk)
        return self._flag(update, delivery)

    def _after(self, delivery_id: int, standing: InForce, word: Word) -> InForce:
        known = self._known[delivery_id]
        if known is None or word.decided_at > known:
            # Sorted as they are, each is the latest by now.
            return follow(standing, word)
        before = self._history[delivery_id]
        if all(each.decided_at < known for each in before):
            # What is in force is in no ledger: it counts as it stands.
            before.append(Word(*standing.words, decided_at=known))
        before.append(word)
        return last_word(before)

    def _flag(self, update: StatusUpdate, delivery: Delivery) -> StatusUpdate.State:
        lead = self._leads.get(delivery.lead_id or 0)
        if lead is None or delivery.verdict not in _SAID or delivery.decided_at is None:
            return StatusUpdate.State.APPLIED
        if lead.flagged_at is not None and lead.flagged_at > delivery.decided_at:
            # Somebody here, or another client, spoke after this client decided. If they said otherwise, people must settle it.
            agrees = lead.flag == delivery.verdict
            return StatusUpdate.State.APPLIED if agrees else StatusUpdate.State.CONFLICTING
        code = delivery.reason_code
        self.flags[lead.pk] = FlagChange(
            flag=Flag(delivery.verdict),
            reason_code=self._table.ours(delivery.integration_id, code) if code else "",
            comment=delivery.comment,
            by=update.by,
            via=Via.CLIENT,
            decided_at=delivery.decided_at,
        )
        return StatusUpdate.State.APPLIED


def _standing(delivery: Delivery) -> InForce:
    return InForce(delivery.verdict, delivery.reason_code, delivery.comment, delivery.decided_at)


# A verdict on a delivery's own key proves that one of its tries arrived, whatever is known here of how they ended.
_SAID = tuple(flag for flag in Flag.values if flag)
_UNSURE = (DeliveryState.UNKNOWN, DeliveryState.QUEUED, DeliveryState.HELD, DeliveryState.EXHAUSTED)


def doubt_settle(delivery_ids: Collection[int]) -> int:
    """Deliveries on which the client has a verdict are delivered: none of these stays in doubt or is sent again.

    To be called when a verdict is applied, and in the transaction that records that a try ended without an answer or that its
    worker died: the verdict may have come while it was being sent. How many that were.
    """
    if not delivery_ids:
        return 0
    unsure = Delivery.objects.filter(
        pk__in=list(delivery_ids), kind=Delivery.Kind.LEAD, state__in=_UNSURE, verdict__in=_SAID
    )
    settled = _arrived(unsure, reason="The client's verdict shows that it arrived.", delivered_at=clock.now())
    if settled:
        integrations_recount(delivery_ids)
    return settled


def doubt_known(delivery_ids: Iterable[int]) -> int:
    """Deliveries in doubt that the client, asked by its own id, knows: they are delivered. How many that were."""
    now = clock.now()
    unsure = Delivery.objects.filter(pk__in=list(delivery_ids), kind=Delivery.Kind.LEAD, state=DeliveryState.UNKNOWN)
    reason = "The client was asked, and knows it."
    return _arrived(unsure, reason=reason, delivered_at=now, next_poll_at=first_poll_at(now))


def _arrived(deliveries: QuerySet[Delivery], **said: Any) -> int:
    """These are delivered; how many that were. Whoever wants to know is told."""
    with transaction.atomic():
        told: Sequence[int] = ()
        if deliveries_told(DeliveryState.DELIVERED):
            told = list(deliveries.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
        count = deliveries.update(state=DeliveryState.DELIVERED, next_try_at=None, lease_until=None, **said)
        deliveries_changed(told)
    return count
