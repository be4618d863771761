"""Whose events they are: ids of calls become persons, in the transaction of the stage that routes the events.

Rules: a user id is one person in its campaign. An anonymous id belongs to the first user whom a call names beside it, with all
that was tracked before; who uses the same browser later is another person. An alias call makes two persons one.
One routing transaction runs at a time (integrations/tracked_events/routing.py), so nothing here is done twice at once.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from leads.database import insert_rows, update_rows
from leads.membership import persons_touch
from leads.models import Device, EventType, Identity, Person, PersonEvent
from leads.models.event import ID_CHARS, said_id

MAX_TRAITS_BYTES = 64 * 1024
# From so many events on, persons count as equally large when two become one.
_MANY = 10_000
_CHUNK = 2_000
_EARLIEST, _LATEST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)


class TrackedEvent(NamedTuple):
    """An event as the routing stage reads it."""

    id: int
    campaign_id: int
    type: str
    name: str
    timestamp: dt.datetime
    data: dict[str, Any]


def identity_key(campaign_id: int, kind: str, value: str) -> uuid.UUID:
    """What an id of a campaign is looked up by."""
    said = f"{campaign_id}:{kind}:{value}".encode("utf-8", "surrogatepass")
    return uuid.UUID(bytes=hashlib.blake2b(said, digest_size=16).digest())


def person_of_user(campaign_id: int, user_id: str) -> Person | None:
    """The person of a campaign with this user id."""
    key = identity_key(campaign_id, Identity.Kind.USER, user_id)
    return Person.objects.filter(identities=key).first()


def device_id(message: Mapping[str, Any]) -> str:
    """context.device.id, its names in any letter case; "" where there is none, or one that is no id."""
    context = message.get("context")
    device = _in_any_case(context, "device") if isinstance(context, dict) else None
    value = _in_any_case(device, "id") if isinstance(device, dict) else None
    text = said_id({"id": value}, "id")
    return text if text.strip() and len(text) <= ID_CHARS else ""


def said_email(message: Mapping[str, Any]) -> str:
    """The e-mail address among the traits of an identify call, in small letters; "" where there is none."""
    traits = message.get("traits")
    email = said_id(traits, "email").strip().lower() if isinstance(traits, dict) else ""
    return email if "@" in email and len(email) <= ID_CHARS else ""


def _in_any_case(value: Mapping[str, Any], name: str) -> Any:
    if name in value:
        return value[name]
    return next((each for key, each in value.items() if key.lower() == name), None)


def events_to_persons(events: Sequence[TrackedEvent]) -> dict[int, int]:
    """Find or make the person of each event, and write down what the events say of them; event id to person id.

    Events in the order in which they came. In the caller's transaction.
    """
    people = _People(events)
    found = [(event, people.meet(event)) for event in events]
    people.write()
    insert_rows(
        PersonEvent,
        ("event", "person", "type", "name", "timestamp"),
        [(event.id, who.now().pk, event.type, event.name, event.timestamp) for event, who in found],
        on_conflict="DO NOTHING",
    )
    for campaign_id, person_ids in people.touched().items():
        persons_touch(campaign_id, person_ids)
    return {event.id: who.now().pk or 0 for event, who in found}


@dataclass(slots=True, eq=False)
class _Someone:
    """A person while events are gone through. One who became another is asked `now()` who that is."""

    campaign_id: int
    pk: int | None = None
    user_id: str = ""
    traits: dict[str, Any] = field(default_factory=dict)
    traits_at: dt.datetime | None = None
    first_seen_at: dt.datetime = _LATEST
    seen_at: dt.datetime = _EARLIEST
    changed: bool = False
    """Whether more is new than when they were seen."""
    devices: dict[str, dt.datetime] = field(default_factory=dict)
    became: _Someone | None = None

    def now(self) -> _Someone:
        found = self
        while found.became is not None:
            found = found.became
        return found


class _People:
    """The persons that events are about: read at once, changed in memory, written at once."""

    def __init__(self, events: Sequence[TrackedEvent]) -> None:
        self._known: dict[uuid.UUID, _Someone] = {}
        self._moved: dict[uuid.UUID, tuple[_Someone, str, str]] = {}
        self._everybody: dict[int, _Someone] = {}
        self._met: dict[_Someone, None] = {}
        self._merged: list[tuple[int, int]] = []
        self._gone: list[_Someone] = []
        keys = {key for event in events for key, _, _ in _identities(event)}
        for event in events:
            if event.type == EventType.ALIAS:
                previous = said_id(event.data, "previousId")
                keys |= {identity_key(event.campaign_id, kind, previous) for kind in Identity.Kind}
        self._read(keys)

    def _read(self, keys: Iterable[uuid.UUID]) -> None:
        wanted = list(keys)
        for start in range(0, len(wanted), _CHUNK):
            rows = Identity.objects.filter(key__in=wanted[start : start + _CHUNK]).values_list(
                "key",
                "person_id",
                *(f"person__{name}" for name in ("campaign_id", "user_id", "traits", "traits_at")),
                *(f"person__{name}" for name in ("first_seen_at", "seen_at")),
            )
            for key, pk, campaign_id, user_id, traits, traits_at, first, seen in rows:
                if pk not in self._everybody:
                    self._everybody[pk] = _Someone(campaign_id, pk, user_id, traits, traits_at, first, seen)
                self._known[key] = self._everybody[pk]

    def meet(self, event: TrackedEvent) -> _Someone:
        """Whose event it is; what it says of them is noted."""
        ids = {kind: (key, value) for key, kind, value in _identities(event)}
        user, visitor = ids.get(Identity.Kind.USER), ids.get(Identity.Kind.ANONYMOUS)
        if user is not None:
            who = self._user(event, user, visitor)
        elif visitor is not None:
            who = self._find(visitor) or self._note(visitor, Identity.Kind.ANONYMOUS, _Someone(event.campaign_id))
        else:
            who = _Someone(event.campaign_id)
        if event.type == EventType.ALIAS:
            who = self._alias(event, who)
        self._met[who] = None
        _remember(who, event)
        if event.type == EventType.IDENTIFY and (email := said_email(event.data)):
            # Leads are found to be theirs by it; calls are not.
            key = identity_key(event.campaign_id, Identity.Kind.EMAIL, email)
            self._moved[key] = (who, Identity.Kind.EMAIL, email)
        return who

    def _user(
        self, event: TrackedEvent, user: tuple[uuid.UUID, str], visitor: tuple[uuid.UUID, str] | None
    ) -> _Someone:
        who, before = self._find(user), self._find(visitor) if visitor else None
        if who is None:
            # Who has visited without a name until now has one.
            who = before if before is not None and not before.user_id else _Someone(event.campaign_id)
            who.user_id = user[1]
            who.changed = True
            self._note(user, Identity.Kind.USER, who)
        elif before is not None and before is not who and not before.user_id:
            who = self._merge(before, who)
        if visitor is not None and before is None:
            self._note(visitor, Identity.Kind.ANONYMOUS, who)
        return who

    def _alias(self, event: TrackedEvent, who: _Someone) -> _Someone:
        previous = said_id(event.data, "previousId")
        for kind in (Identity.Kind.USER, Identity.Kind.ANONYMOUS):
            former = self._find((identity_key(event.campaign_id, kind, previous), previous))
            if former is not None:
                return who if former is who else self._merge(former, who)
        named = (identity_key(event.campaign_id, Identity.Kind.ANONYMOUS, previous), previous)
        return self._note(named, Identity.Kind.ANONYMOUS, who)

    def _find(self, identity: tuple[uuid.UUID, str]) -> _Someone | None:
        found = self._known.get(identity[0])
        return found.now() if found is not None else None

    def _note(self, identity: tuple[uuid.UUID, str], kind: str, who: _Someone) -> _Someone:
        self._known[identity[0]] = who
        self._moved[identity[0]] = (who, kind, identity[1])
        return who

    def _merge(self, former: _Someone, who: _Someone) -> _Someone:
        """Two are one: the row with fewer events goes, so that no chain of merges moves the same events for ever."""
        kept, gone = who, former
        if gone.pk is not None and (kept.pk is None or _size(gone.pk) > _size(kept.pk)):
            kept, gone = gone, kept
        kept.user_id = who.user_id or former.user_id
        kept.traits = _traits(former.traits, who.traits)
        kept.traits_at = max(filter(None, (former.traits_at, who.traits_at)), default=None)
        kept.first_seen_at = min(former.first_seen_at, who.first_seen_at)
        kept.seen_at = max(former.seen_at, who.seen_at)
        for device, seen in gone.devices.items():
            kept.devices[device] = max(seen, kept.devices.get(device, seen))
        kept.changed = True
        gone.became = kept
        self._gone.append(gone)
        if gone.pk is not None and kept.pk is not None:
            self._merged.append((gone.pk, kept.pk))
        self._met.pop(gone, None)
        self._met[kept] = None
        return kept

    def touched(self) -> dict[int, set[int]]:
        """Persons to whom something happened, by campaign; once written. Those who became others are among them."""
        found: dict[int, set[int]] = {}
        for who in (*self._met, *self._gone):
            if who.pk is not None:
                found.setdefault(who.campaign_id, set()).add(who.pk)
        return found

    def write(self) -> None:
        """Write down what has become known."""
        met = [who for who in self._met if who.became is None]
        new = [who for who in met if who.pk is None]
        made = Person.objects.bulk_create(
            Person(
                campaign_id=who.campaign_id,
                user_id=who.user_id,
                traits=who.traits,
                traits_at=who.traits_at,
                first_seen_at=who.first_seen_at,
                seen_at=who.seen_at,
            )
            for who in new
        )
        known = [who for who in met if who.pk is not None]
        for who, row in zip(new, made, strict=True):
            who.pk = row.pk
        update_rows(
            Person, ["id"], ["first_seen_at", "seen_at"], [(who.pk, who.first_seen_at, who.seen_at) for who in known]
        )
        update_rows(
            Person,
            ["id"],
            ["user_id", "traits", "traits_at"],
            [(who.pk, who.user_id, who.traits, who.traits_at) for who in known if who.changed],
        )
        for gone, kept in self._merged:
            _rows_move(gone, kept)
        insert_rows(
            Identity,
            ("key", "person", "kind", "value"),
            [(key, who.now().pk, kind, value) for key, (who, kind, value) in self._moved.items()],
            on_conflict="(key) DO UPDATE SET person_id = excluded.person_id",
        )
        insert_rows(
            Device,
            ("person", "device_id", "seen_at"),
            [(who.pk, device, seen) for who in met for device, seen in who.devices.items()],
            on_conflict="(person_id, device_id) DO UPDATE SET seen_at = excluded.seen_at",
        )


def _identities(event: TrackedEvent) -> list[tuple[uuid.UUID, str, str]]:
    """The ids of whom a call is about: key, kind and value."""
    campaign_id, data = event.campaign_id, event.data
    found = []
    for kind, name in ((Identity.Kind.USER, "userId"), (Identity.Kind.ANONYMOUS, "anonymousId")):
        if value := said_id(data, name):
            found.append((identity_key(campaign_id, kind, value), kind.value, value))
    return found


def _remember(who: _Someone, event: TrackedEvent) -> None:
    who.first_seen_at = min(who.first_seen_at, event.timestamp)
    who.seen_at = max(who.seen_at, event.timestamp)
    if device := device_id(event.data):
        who.devices[device] = max(event.timestamp, who.devices.get(device, event.timestamp))
    said = event.data.get("traits")
    if event.type == EventType.IDENTIFY and isinstance(said, dict) and said:
        # What came late says nothing new of what was said since.
        late = who.traits_at is not None and event.timestamp < who.traits_at
        who.traits = _traits(said, who.traits) if late else _traits(who.traits, said)
        who.traits_at = max(event.timestamp, who.traits_at or event.timestamp)
        who.changed = True


def _traits(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**older, **newer}
    return whole if len(orjson.dumps(whole)) <= MAX_TRAITS_BYTES else dict(newer)


def _size(pk: int) -> int:
    return PersonEvent.objects.filter(person=pk)[:_MANY].count()


def _rows_move(gone: int, kept: int) -> None:
    PersonEvent.objects.filter(person=gone).update(person=kept)
    Identity.objects.filter(person=gone).update(person=kept)
    there = Device.objects.filter(person=kept).values("device_id")
    Device.objects.filter(person=gone).exclude(device_id__in=there).update(person=kept)
    Device.objects.filter(person=gone).delete()
    Person.objects.filter(pk=gone).delete()
