"""For how long tracked events are kept, and how a person's are erased for good: with what became of them, and their traces."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Cast
from django.utils import timezone

from integrations.erasing import ENDED
from integrations.models import Attempt, Delivery, DeliveryState
from integrations.tracked_events.audience_sync import told_erase
from integrations.tracked_events.routing import events_route, routing_locked
from leads.membership import membership_locked, persons_touch
from leads.models import Device, Event, Identity, Lead, Person, PersonEvent
from leads.models.event import said_id
from leads.privacy import without
from leads.tracking.lead_events import event_keys

# Repeats of a message are known for as long as it is kept: two days at the least (facts on Segment, section 1).
LEAST_DAYS = 2
PURGED_AT_ONCE = 2_000
_CHUNK = 1_000
_NOT_OUT = (DeliveryState.QUEUED, DeliveryState.HELD, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED)
_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was erased."""

    persons: int = 0
    events: int = 0
    deliveries: int = 0


def person_erase(text: str) -> Erased:
    """Erase all that is known of whoever has this user id, anonymous id or e-mail address, in every campaign, for good.

    Their events stay as rows with type, name and times, so that counts stay true: the messages go, also those of others that
    have the text in them, and so do persons, ids, devices, what deliveries and their attempts kept, and the ids that leads were
    posted with. Leads themselves are erased in the console. ValueError for a text too short to be anybody's.
    """
    text = text.strip()
    if len(text) < _SHORTEST:
        raise ValueError(f"Give {_SHORTEST} characters at the least.")
    events_route()
    with transaction.atomic():
        # Nobody's event is routed meanwhile, to a person who is about to go.
        routing_locked(wait=True)
        persons = list(
            Person.objects.filter(Q(identities__value=text) | Q(traits__email__iexact=text))
            .distinct()
            .values_list("pk", flat=True)
        )
        events = set(PersonEvent.objects.filter(person__in=persons).values_list("event_id", flat=True))
        events |= set(_saying(text))
        values = _values(text, persons)
        erased = 0
        _told_erase(persons)
        ids = sorted(events)
        for start in range(0, len(ids), _CHUNK):
            erased += _events_erase(ids[start : start + _CHUNK], values)
        PersonEvent.objects.filter(person__in=persons).delete()
        Device.objects.filter(person__in=persons).delete()
        Identity.objects.filter(person__in=persons).delete()
        Person.objects.filter(pk__in=persons).delete()
        Lead.objects.filter(Q(visitor__userId__in=values) | Q(visitor__anonymousId__in=values)).update(visitor=None)
    return Erased(len(persons), len(ids), erased)


def _told_erase(persons: Sequence[int]) -> None:
    """What destinations were told of these persons by audiences; their memberships go with them."""
    membership_locked(wait=True)
    users: dict[int, set[str]] = {}
    for campaign_id, user_id in Identity.objects.filter(person__in=persons, kind=Identity.Kind.USER).values_list(
        "person__campaign", "value"
    ):
        users.setdefault(campaign_id, set()).add(user_id)
    for campaign_id, user_ids in sorted(users.items()):
        told_erase(campaign_id, user_ids)


def _saying(text: str) -> list[int]:
    """Events with the text anywhere in their messages; all of them are looked at."""
    said = Event.objects.annotate(said=Cast("data", models.TextField())).filter(said__icontains=text)
    return list(said.values_list("pk", flat=True))


def _values(text: str, persons: Sequence[int]) -> tuple[str, ...]:
    ids = Identity.objects.filter(person__in=persons).values_list("value", flat=True)
    emails = [
        said_id(traits, "email") for traits in Person.objects.filter(pk__in=persons).values_list("traits", flat=True)
    ]
    return tuple(sorted({value for value in (text, *ids, *emails) if len(value) >= _SHORTEST}, key=len, reverse=True))


def _events_erase(ids: Sequence[int], values: Sequence[str]) -> int:
    Event.objects.filter(pk__in=ids).update(data={})
    deliveries = Delivery.objects.select_for_update().filter(event__in=ids)
    rows = list(deliveries.values_list("pk", "state", "reason", "comment"))
    Attempt.objects.filter(delivery__in=[row[0] for row in rows]).update(exchanges=[], message="")
    # What is on the wire ends too: its worker has lost it, and what it comes back with is not kept.
    ended = [row[0] for row in rows if row[1] in (*_NOT_OUT, DeliveryState.SENDING)]
    deliveries.update(problems=[], data={})
    Delivery.objects.filter(pk__in=ended).update(
        state=DeliveryState.EXHAUSTED,
        reason=ENDED,
        next_try_at=None,
        next_poll_at=None,
        lease_until=None,
        fence=F("fence") + 1,
    )
    for pk, _, reason, comment in rows:
        kept = {"reason": without(reason, values), "comment": without(comment, values)}
        if pk not in ended and kept != {"reason": reason, "comment": comment}:
            Delivery.objects.filter(pk=pk).update(**kept)
    return len(rows)


def lead_events_erase(personal: Mapping[int, Sequence[str]]) -> int:
    """Erase the events that tell of these leads (lead id to what was personal), in the caller's transaction; how many.

    They stay as rows with name and times, but are nobody's any more; their persons stay, who are erased by themselves.
    """
    keys = list(event_keys(Lead.objects.filter(pk__in=personal).only("hash", "campaign")))
    ids: list[int] = []
    for start in range(0, len(keys), _CHUNK):
        ids += Event.objects.filter(key__in=keys[start : start + _CHUNK]).values_list("pk", flat=True)
    if not ids:
        return 0
    # One that waits to be routed would be handed on empty.
    routing_locked(wait=True)
    events_route()
    for start in range(0, len(ids), _CHUNK):
        part = ids[start : start + _CHUNK]
        said = Event.objects.filter(pk__in=part).values_list("data", flat=True)
        ids_said = {said_id(data, name) for data in said for name in ("userId", "anonymousId")}
        values = {value for of_lead in personal.values() for value in of_lead} | ids_said
        _events_erase(part, sorted((value for value in values if len(value) >= _SHORTEST), key=len, reverse=True))
        owned = PersonEvent.objects.filter(event__in=part)
        touched: dict[int, set[int]] = {}
        for campaign_id, person_id in owned.values_list("person__campaign", "person"):
            touched.setdefault(campaign_id, set()).add(person_id)
        owned.delete()
        for campaign_id, person_ids in touched.items():
            persons_touch(campaign_id, person_ids)
    return len(ids)


def events_purge() -> int:
    """Remove events older than EVENT_KEEP_DAYS with what became of them, and persons not seen since; how many events.

    Some thousands at a time: what is left goes in the sweeper's next rounds.
    """
    if settings.EVENT_KEEP_DAYS <= 0:
        return 0
    until = timezone.now() - dt.timedelta(days=max(settings.EVENT_KEEP_DAYS, LEAST_DAYS))
    # In the order of their ids, which is that of their arrival: no index by time is needed.
    oldest = Event.objects.order_by("pk").values_list("pk", "received_at")
    first = oldest.first()
    if first is None or first[1] >= until:
        return 0
    ids = [pk for pk, received_at in oldest[:PURGED_AT_ONCE] if received_at < until]
    with transaction.atomic():
        routing_locked(wait=True)
        persons = set(PersonEvent.objects.filter(event__in=ids).values_list("person_id", flat=True))
        theirs = Delivery.objects.select_for_update(of=("self",)).filter(event__in=ids).order_by("pk")
        deliveries = list(theirs.values_list("pk", flat=True))
        for start in range(0, len(deliveries), _CHUNK):
            part = deliveries[start : start + _CHUNK]
            Attempt.objects.filter(delivery__in=part).delete()
            Delivery.objects.filter(pk__in=part).delete()
        PersonEvent.objects.filter(event__in=ids).delete()
        Event.objects.filter(pk__in=ids).delete()
        gone = Person.objects.filter(pk__in=persons, seen_at__lt=until).exclude(events__isnull=False)
        gone.delete()
        # What is not kept does not count: audiences look at these people anew.
        left: dict[int, set[int]] = {}
        for campaign_id, person_id in Person.objects.filter(pk__in=persons).values_list("campaign", "pk"):
            left.setdefault(campaign_id, set()).add(person_id)
        for campaign_id, person_ids in left.items():
            persons_touch(campaign_id, person_ids)
    connection.queries_log.clear()
    return len(ids)
