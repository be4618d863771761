"""Destinations are told who came into audiences and who left, and which values computed traits have now (facts, "Engage").

A sync reads the audience's members from where it last stopped (AudienceSync.turn, .person), compares each with what the
destination was last told of that user on each device (AudienceTold), and hands what differs to the engine as deliveries. A
batch of that is one transaction: a worker that dies leaves nothing half told, and nothing is told twice.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Count, F, Q

from integrations.delivery import DELIVER_TASK, accepting
from integrations.erasing import ENDED
from integrations.models import (
    Attempt,
    AudienceSync,
    AudienceTold,
    Delivery,
    DeliveryState,
    Integration,
    IntegrationState,
)
from integrations.tracked_events.routing import Target
from leads import clock
from leads.database import insert_rows, uuid7
from leads.models import Audience, Device, Membership
from leads.tracking.persons import identity_key
from leads.wake import wake

SYNC_TASK = "integrations.sync_audiences"
BATCH = 500
SLICE_SECONDS = 5.0
# Of one user's devices, those last seen are told.
DEVICES = 5
SUPERSEDED = "Not sent any more: a later value took its place."
_DELIVERY = ("key", "integration", "kind", "data", "state", "reason", "next_try_at")
_NOT_OUT = (DeliveryState.QUEUED, DeliveryState.HELD)


def sync_add(audience: Audience, integration: Integration) -> AudienceSync:
    """Tell an integration of an audience from now on; one that was switched off goes on from what it was last told."""
    made, _ = AudienceSync.objects.update_or_create(
        audience=audience, integration=integration, defaults={"enabled": True, "next_at": None}
    )
    wake(SYNC_TASK)
    return made


def sync_stop(sync: AudienceSync) -> None:
    """Tell an integration nothing more of an audience. What is queued already goes out."""
    AudienceSync.objects.filter(pk=sync.pk).update(enabled=False, began_at=None)


def sync_now(sync: AudienceSync) -> None:
    """Let a sync begin at once."""
    AudienceSync.objects.filter(pk=sync.pk).update(next_at=None)
    wake(SYNC_TASK)


def integrations_to_tell(audience: Audience) -> list[Integration]:
    """The campaign's integrations that take events."""
    return accepting({audience.campaign_id}, Delivery.Kind.EVENT)[audience.campaign_id]


def syncs_due(now: dt.datetime | None = None) -> list[int]:
    """Syncs whose time has come."""
    come = Q(next_at__isnull=True) | Q(next_at__lte=now or clock.now())
    rows = AudienceSync.objects.filter(come, enabled=True, audience__enabled=True, audience__generation__gt=0)
    return list(rows.exclude(integration__state=IntegrationState.NEEDS_SETUP).values_list("pk", flat=True))


def audience_syncs_work(now: dt.datetime | None = None) -> int:
    """Work all syncs that are due, a batch of each in turn; how many deliveries were written. `now` is for tests.

    After a few seconds others have their turn.
    """
    total, until = 0, time.monotonic() + SLICE_SECONDS
    due = syncs_due(now)
    while due:
        for sync_id in list(due):
            count = audience_sync_batch(sync_id, now or clock.now())
            total += count or 0
            if count is None:
                due.remove(sync_id)
        if due and time.monotonic() > until:
            wake(SYNC_TASK)
            break
    return total


def audience_sync_batch(sync_id: int, now: dt.datetime) -> int | None:
    """One batch of a sync, in one transaction; how many deliveries were written, None when the sync is over for now."""
    with transaction.atomic():
        rows = AudienceSync.objects.filter(pk=sync_id, enabled=True)
        if connection.vendor == "postgresql":
            rows = rows.select_for_update(skip_locked=True, of=("self",))
        sync = rows.select_related("audience", "integration").first()
        if sync is None or (sync.next_at is not None and sync.next_at > now):
            return None
        _begin(sync, now)
        members = _next_members(sync)
        if not members:
            _end(sync, now)
            return None
        told = _tell(sync, members, now)
        sync.turn, sync.person = members[-1].turn, members[-1].person_id
        sync.last_told += told
        sync.save()
        return told


class _Member(NamedTuple):
    person_id: int
    turn: int
    user_id: str
    member: bool
    value: Any


def _begin(sync: AudienceSync, now: dt.datetime) -> None:
    audience = sync.audience
    if sync.generation != audience.generation:
        # Other rows than those that were read: all of them are compared with what was told.
        sync.generation, sync.turn, sync.person = audience.generation, 0, 0
    if sync.began_at is None:
        sync.began_at, sync.last_told = now, 0
        if sync.first_done_at is None:
            members = Membership.objects.filter(audience=audience, generation=audience.generation, member=True)
            sync.first_total, sync.first_done = members.exclude(user_id="").count(), 0


def _end(sync: AudienceSync, now: dt.datetime) -> None:
    sync.began_at = None
    sync.last_at = now
    sync.first_done_at = sync.first_done_at or now
    sync.next_at = now + dt.timedelta(minutes=sync.audience.sync_minutes)
    if sync.next_at <= now:
        sync.next_at = now + dt.timedelta(seconds=1)
    sync.save()


def _next_members(sync: AudienceSync) -> list[_Member]:
    rows = Membership.objects.filter(audience=sync.audience_id, generation=sync.generation, turn__gte=sync.turn)
    rows = rows.exclude(turn=sync.turn, person_id__lte=sync.person).order_by("turn", "person_id")
    return [_Member(*row) for row in rows.values_list("person_id", "turn", "user_id", "member", "value")[:BATCH]]


# --- what is told -------------------------------------------------------------------------------------------

_Known = Mapping[uuid.UUID, Mapping[str, tuple[Any, int | None]]]


def _tell(sync: AudienceSync, members: Sequence[_Member], now: dt.datetime) -> int:
    """Queue what these users are to be told and were not; how many deliveries that makes."""
    named = [member for member in members if member.user_id]
    keys = {member.person_id: _user_key(sync, member.user_id) for member in named}
    known = _known(sync, keys.values())
    devices = _devices(keys)
    target = Target(sync.integration)
    deliveries: list[tuple[Any, ...]] = []
    told: list[tuple[Any, ...]] = []
    superseded: list[int] = []
    for member in named:
        before = known.get(keys[member.person_id], {})
        if not member.member and not before:
            continue
        value = told_value(sync.audience, member.value)
        due = _due(sync, now)
        if sync.first_done_at is None and member.member:
            sync.first_done += 1
        for device in _places(sync, target, member, devices.get(member.person_id, ()), before, now):
            if device in before and before[device][0] == value and type(before[device][0]) is type(value):
                continue
            if device not in before and not member.member:
                continue
            key = uuid7()
            message = identify(sync.audience, member.user_id, value, device, str(key), now)
            state, reason = target.standing(message)
            deliveries.append(
                (key, sync.integration_id, Delivery.Kind.EVENT, message, state, reason)
                + (due if state == DeliveryState.QUEUED else None,)
            )
            told.append((sync.pk, keys[member.person_id], device, value, key))
            if (former := before.get(device, (None, None))[1]) is not None:
                superseded.append(former)
    _write(sync, deliveries, told, superseded)
    return len(deliveries)


def _places(
    sync: AudienceSync,
    target: Target,
    member: _Member,
    devices: Sequence[str],
    before: Collection[str],
    now: dt.datetime,
) -> list[str]:
    """The devices to tell; "" alone where the destination wants none, or there is none to be had."""
    bare = identify(sync.audience, member.user_id, True, "", "", now)
    if not devices or target.standing(bare)[0] != DeliveryState.NOT_SENT:
        return [""]
    return [device for place, device in enumerate(devices) if place < DEVICES or device in before]


def told_value(audience: Audience, value: Any) -> Any:
    """What a destination is told: true or false; of a trait its value, and what says that it has none any more."""
    if not audience.is_trait:
        return value is True
    if value is None:
        return {"count": 0, "sum": 0, "unique_list": []}.get(audience.rule_in_force.get("compute", ""))
    return value


def identify(
    audience: Audience, user_id: str, value: Any, device: str, message_id: str, now: dt.datetime
) -> dict[str, Any]:
    """The identify call that tells of one user (facts on Segment, section 2, Engage)."""
    space = f"spa_{audience.campaign_id}"
    context: dict[str, Any] = {
        "personas": {
            "computation_class": audience.kind,
            "computation_id": audience.computation_id,
            "computation_key": audience.key,
            "namespace": space,
            "space_id": space,
        }
    }
    if device:
        context["device"] = {"id": device}
    return {
        "type": "identify",
        "messageId": message_id,
        "userId": user_id,
        "traits": {audience.key: value},
        "context": context,
        "timestamp": now.isoformat(),
    }


def _due(sync: AudienceSync, now: dt.datetime) -> dt.datetime:
    """When a user's turn is: the first sync is spread evenly over the time that was set for it."""
    if sync.first_done_at is not None or not sync.first_total or sync.began_at is None:
        return now
    share = min(sync.first_done / sync.first_total, 1.0)
    return max(now, sync.began_at + dt.timedelta(minutes=sync.audience.first_sync_minutes) * share)


def _user_key(sync: AudienceSync, user_id: str) -> uuid.UUID:
    return identity_key(sync.audience.campaign_id, "user", user_id)


def _known(sync: AudienceSync, keys: Collection[uuid.UUID]) -> _Known:
    found: dict[uuid.UUID, dict[str, tuple[Any, int | None]]] = {}
    rows = AudienceTold.objects.filter(sync=sync, user_key__in=list(keys))
    for user_key, device, value, delivery in rows.values_list("user_key", "device_id", "value", "delivery_id"):
        found.setdefault(user_key, {})[device] = (value, delivery)
    return found


def _devices(person_ids: Collection[int]) -> dict[int, list[str]]:
    """Each person's devices, the one last seen first."""
    found: dict[int, list[str]] = {}
    rows = Device.objects.filter(person__in=list(person_ids)).order_by("-seen_at", "device_id")
    for person_id, device in rows.values_list("person_id", "device_id"):
        found.setdefault(person_id, []).append(device)
    return found


def _write(
    sync: AudienceSync,
    deliveries: Sequence[tuple[Any, ...]],
    told: Sequence[tuple[Any, ...]],
    superseded: Collection[int],
) -> None:
    if not deliveries:
        return
    # What has not gone out yet would arrive after what is told now.
    Delivery.objects.filter(pk__in=superseded, state__in=_NOT_OUT).update(
        state=DeliveryState.NOT_SENT, reason=SUPERSEDED, next_try_at=None
    )
    ids: dict[uuid.UUID, int] = {}
    for start in range(0, len(deliveries), BATCH):
        written = insert_rows(Delivery, _DELIVERY, deliveries[start : start + BATCH], returning=("key", "id"))
        ids |= {uuid.UUID(str(key)): pk for key, pk in written}
    for start in range(0, len(told), BATCH):
        insert_rows(
            AudienceTold,
            ("sync", "user_key", "device_id", "value", "delivery"),
            [(*row[:4], ids[row[4]]) for row in told[start : start + BATCH]],
            on_conflict="(sync_id, user_key, device_id) DO UPDATE SET "
            "value = excluded.value, delivery_id = excluded.delivery_id",
        )
    wake(DELIVER_TASK, sync.integration_id)


# --- what came of it ----------------------------------------------------------------------------------------


def sync_figures(sync: AudienceSync) -> dict[str, int]:
    """Of what each user was last told, how many deliveries stand how: delivery state to count."""
    rows = AudienceTold.objects.filter(sync=sync).order_by().values_list("delivery__state")
    return {state or "": count for state, count in rows.annotate(count=Count("pk"))}


def told_erase(campaign_id: int, user_ids: Collection[str]) -> None:
    """Forget what destinations were told of users whose data is erased, in the caller's transaction.

    The deliveries that told of them stay as rows with state and times, without what they said; what has not gone out ends.
    """
    # No batch of a sync is under way that has read these users and will tell of them.
    syncs = list(
        AudienceSync.objects.select_for_update(of=("self",)).filter(audience__campaign=campaign_id).order_by("pk")
    )
    if not syncs:
        return
    keys = [identity_key(campaign_id, "user", user_id) for user_id in user_ids]
    AudienceTold.objects.filter(user_key__in=keys, sync__in=syncs).delete()
    telling = Delivery.objects.filter(
        integration__in={sync.integration_id for sync in syncs}, kind=Delivery.Kind.EVENT, event=None, lead=None
    )
    ids = list(telling.filter(data__userId__in=list(user_ids)).values_list("pk", flat=True))
    Attempt.objects.filter(delivery__in=ids).update(exchanges=[], message="")
    rows = Delivery.objects.filter(pk__in=ids)
    rows.update(data={}, problems=[], reason="")
    ended = (*_NOT_OUT, DeliveryState.SENDING, DeliveryState.UNKNOWN, DeliveryState.EXHAUSTED)
    # What is on the wire ends too: its worker has lost it, and what it comes back with is not kept.
    rows.filter(state__in=ended).update(
        state=DeliveryState.EXHAUSTED,
        reason=ENDED,
        next_try_at=None,
        next_poll_at=None,
        lease_until=None,
        fence=F("fence") + 1,
    )
