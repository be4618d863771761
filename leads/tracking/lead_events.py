"""Where leads and events meet: what becomes of a lead, as track calls of a source of its campaign.

Written in the transaction that writes the change down, with a messageId made of the lead's hash and the change's own id: a
change is never without its event, and no event comes twice. From there they go the way of all events. Off until a
campaign's LeadEvents row says which changes, and which source they are counted to.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.utils import timezone

from leads.models import Device, Event, Flag, Identity, Lead, LeadChange, LeadEvents, Source, Status
from leads.personal import personal_values, without
from leads.readings import Reading
from leads.tracking.messages import Common, EventRow, event, event_key, moment_text
from leads.tracking.persons import identity_key
from leads.tracking.storing import events_insert

RECEIVED = "received"
# What a change comes to: also the names of the boxes of LeadEvents.
NAMES: Mapping[str, str] = {
    RECEIVED: "Lead Received",
    Flag.VALID.value: "Lead Validated",
    Flag.INVALID.value: "Lead Invalidated",
    Flag.RETURNED.value: "Lead Returned",
}
NOBODY = "No userId, anonymousId or known e-mail address came with the lead."
_CONTEXT = {"channel": "server", "library": {"name": "portal leads", "version": "1"}}
_IN_A_QUERY = 500
_MESSAGE_ID = re.compile(rf"lead-([0-9a-f]{{32}})-(?:[0-9a-f]{{32}}|{RECEIVED})")


class Change(NamedTuple):
    """Something that became of a lead. `what` is a key of NAMES; `change` the id of its LeadChange, None for RECEIVED."""

    lead_id: int
    what: str
    change: uuid.UUID | None = None
    at: dt.datetime | None = None
    reason_code: str = ""
    via: str = ""


class _Whose(NamedTuple):
    """The ids that an event names its person by, and the device last seen of them."""

    user_id: str = ""
    anonymous_id: str = ""
    device_id: str = ""


def flag_before(flag: str, status: str) -> str:
    """What a lead counted as before a flag: what the Processr has made invalid is not invalidated by a flag again."""
    return flag or (Flag.INVALID.value if status == Status.INVALID else "")


# Asked with every batch of leads, where most portals have none.
_SWITCHED_ON = Reading(lambda: LeadEvents.objects.filter(source__enabled=True).values_list("pk")[:1])


def leads_changed(changes: Sequence[Change]) -> int:
    """Write events of these changes, in the caller's transaction; how many. Of test leads and erased ones there are none."""
    if not changes or not _SWITCHED_ON.rows():
        return 0
    rules = {
        rule.campaign_id: rule
        for rule in LeadEvents.objects.filter(source__enabled=True).select_related("campaign")
        if any(getattr(rule, what) for what in NAMES)
    }
    rows: list[EventRow] = []
    for start in range(0, len(changes), _IN_A_QUERY):
        rows += _rows(rules, changes[start : start + _IN_A_QUERY])
    if rows:
        events_insert([rows])
    return len(rows)


def _rows(rules: Mapping[int, LeadEvents], changes: Sequence[Change]) -> list[EventRow]:
    leads = {
        lead.pk: lead
        for lead in Lead.objects.filter(
            pk__in={change.lead_id for change in changes}, campaign__in=rules, erased_at=None
        )
        .exclude(status=Status.TEST)
        .exclude(flag=Flag.TEST)
        .select_related("publisher")
    }
    wanted = [
        change
        for change in changes
        if change.lead_id in leads and getattr(rules[leads[change.lead_id].campaign_id], change.what)
    ]
    whose = _whose([leads[pk] for pk in {change.lead_id for change in wanted}])
    now = timezone.now()
    rows = []
    for change in wanted:
        lead = leads[change.lead_id]
        rule = rules[lead.campaign_id]
        message = _message(change, lead, rule, whose[lead.pk])
        row = event(message, Common(rule.source_id, now, None))
        if row.problem:
            row = row._replace(key=event_key(rule.source_id, message["messageId"]), problem=NOBODY)
        rows.append(row)
    return rows


def message_id(lead_hash: uuid.UUID, change: uuid.UUID | None) -> str:
    """The messageId of a lead's event."""
    return f"lead-{lead_hash.hex}-{change.hex if change else RECEIVED}"


def _message(change: Change, lead: Lead, rule: LeadEvents, whose: _Whose) -> dict[str, Any]:
    """A track call in Segment's shape. Of what was posted nothing goes along."""
    properties: dict[str, Any] = {
        "lead_id": lead.pk,
        "lead_hash": lead.hash.hex,
        "campaign_id": lead.campaign_id,
        "campaign": rule.campaign.name,
        "publisher": lead.publisher.name,
    }
    if change.reason_code:
        posted = personal_values(lead.values, lead.ip or "", lead.email_key)
        properties["reason_code"] = without(change.reason_code, posted)
    if change.via:
        properties["decided_by"] = change.via
    if change.what == Flag.VALID and rule.revenue is not None:
        properties["revenue"] = float(rule.revenue)
        if rule.currency:
            properties["currency"] = rule.currency
    context: dict[str, Any] = dict(_CONTEXT)
    if whose.device_id:
        context["device"] = {"id": whose.device_id}
    ids = {"userId": whose.user_id, "anonymousId": whose.anonymous_id}
    return {
        "type": "track",
        "event": NAMES[change.what],
        "messageId": message_id(lead.hash, change.change),
        "timestamp": moment_text((change.at or lead.created_at).astimezone(dt.UTC)),
        **{name: value for name, value in ids.items() if value},
        "properties": properties,
        "context": context,
    }


def _whose(leads: Collection[Lead]) -> dict[int, _Whose]:
    """Whose each lead is: by the ids that it was posted with; else by its e-mail address, as user id or as identify gave it."""
    keys = {lead.pk: _keys(lead) for lead in leads}
    wanted = {key for of_lead in keys.values() for key in of_lead}
    persons = {
        key: (person_id, user_id)
        for key, person_id, user_id in Identity.objects.filter(key__in=wanted).values_list(
            "key", "person", "person__user_id"
        )
    }
    ids = {person_id for person_id, _ in persons.values()}
    devices = dict(Device.objects.filter(person__in=ids).order_by("seen_at", "pk").values_list("person", "device_id"))
    visitors = dict(
        Identity.objects.filter(person__in=ids, kind=Identity.Kind.ANONYMOUS)
        .order_by("key")
        .values_list("person", "value")
    )
    found = {}
    for lead in leads:
        posted = lead.visitor or {}
        user_id, anonymous_id = posted.get("userId", ""), posted.get("anonymousId", "")
        person_id, known = next((persons[key] for key in keys[lead.pk] if key in persons), (0, ""))
        user_id = user_id or known
        if not user_id and not anonymous_id:
            anonymous_id = visitors.get(person_id, "")
        found[lead.pk] = _Whose(user_id, anonymous_id, devices.get(person_id, ""))
    return found


def _keys(lead: Lead) -> list[uuid.UUID]:
    """What the person of a lead is looked up by, the surest first."""
    posted = lead.visitor or {}
    if posted.get("userId"):
        return [identity_key(lead.campaign_id, Identity.Kind.USER, posted["userId"])]
    if posted.get("anonymousId"):
        # A posted e-mail address never ties a browser to the user whose address it is: anybody may post it.
        return [identity_key(lead.campaign_id, Identity.Kind.ANONYMOUS, posted["anonymousId"])]
    email = lead.email_key
    if not email:
        return []
    as_posted = [value for value in lead.values.values() if value != email and value.lower() == email]
    return [
        *(identity_key(lead.campaign_id, Identity.Kind.USER, value) for value in dict.fromkeys([email, *as_posted])),
        identity_key(lead.campaign_id, Identity.Kind.EMAIL, email),
    ]


def event_keys(leads: Iterable[Lead]) -> dict[uuid.UUID, int]:
    """The keys that events of these leads have or would have, and whose they are: of every source of their campaigns."""
    by_id = {lead.pk: lead for lead in leads}
    sources: dict[int, list[int]] = {}
    campaigns = {lead.campaign_id for lead in by_id.values()}
    for source_id, campaign_id in Source.objects.filter(campaign__in=campaigns).values_list("pk", "campaign"):
        sources.setdefault(campaign_id, []).append(source_id)
    kinds = (LeadChange.Kind.JUDGED, LeadChange.Kind.FLAGGED, LeadChange.Kind.RELEASED)
    changes: list[tuple[int, uuid.UUID | None]] = [(pk, None) for pk in by_id]
    changes += LeadChange.objects.filter(lead__in=by_id, kind__in=kinds).values_list("lead", "event_id")
    return {
        event_key(source_id, message_id(by_id[pk].hash, change)): pk
        for pk, change in changes
        for source_id in sources.get(by_id[pk].campaign_id, ())
    }


def events_of_lead(lead: Lead) -> list[Event]:
    """The events that were made of what became of a lead, in their order."""
    return list(Event.objects.filter(key__in=event_keys([lead])).select_related("source").order_by("pk"))


def lead_of_event(campaign_id: int, message: Mapping[str, Any]) -> int | None:
    """The lead that an event tells of, by its messageId; None where it is none of ours, whatever else it says."""
    said = _MESSAGE_ID.fullmatch(str(message.get("messageId", "")))
    if said is None:
        return None
    return Lead.objects.filter(hash=said[1], campaign=campaign_id).values_list("pk", flat=True).first()
