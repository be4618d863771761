"""Deliveries, their attempts, and what clients said, as entries of a lead's timeline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Q
from django.urls import reverse

from integrations.admin.activity_words import ITEM_TONES, activity_title, integration_names
from integrations.admin.badges import (
    DELIVERY_TONES,
    OUTCOME_TONES,
    OUTCOME_WORDS,
    UPDATE_TONES,
    VERDICT_TONES,
)
from integrations.bulk import DELIVERY_ACTIONS
from integrations.comparison import NAME as COMPARE
from integrations.models import Attempt, Delivery, DeliveryState, StatusUpdate, VerdictState
from integrations.waiting import repeat_words, waiting_words
from leads.admin.timeline import Entry, Exchange, Try
from leads.models import Activity, ActivityItem, Event, ItemState, Lead
from leads.tracking.lead_events import events_of_lead

ACTIVITIES_LOOKED_AT = 200

NOT_APPLIED = {
    StatusUpdate.State.RECEIVED: "Not applied yet",
    StatusUpdate.State.STALE: "Not applied: the client has said something newer",
    StatusUpdate.State.REPEATED: "Not applied: the client had said so before",
    StatusUpdate.State.CONFLICTING: "Not applied: it conflicts with what is known here. Compare with the client",
    StatusUpdate.State.UNMATCHED: "Not applied: it names no delivery of ours",
}


def delivery_entries(deliveries: Iterable[Delivery]) -> list[Entry]:
    """Each delivery with its tries, and each of its status updates. Wants integration, attempts and status_updates."""
    entries = []
    for delivery in deliveries:
        entries.append(_delivery(delivery))
        entries += [update_entry(update, delivery.integration.name) for update in delivery.status_updates.all()]
    return entries


def _delivery(delivery: Delivery) -> Entry:
    state, name = DeliveryState(delivery.state), delivery.integration.name
    if delivery.kind == Delivery.Kind.STATUS:
        said = str(delivery.data.get("verdict", ""))
        title = f"Telling the instance it came from{f' ({said})' if said else ''}: {state.label}"
    else:
        again = ", sent again" if delivery.resend else ""
        test = ", as a test" if delivery.test else ""
        title = f"To {name}{again}{test}: {state.label}"
    words = standing_words(delivery)
    lines = [words] if words else []
    lines += [_problem(problem) for problem in delivery.problems]
    if delivery.reference:
        lines.append(f"The client’s reference: {delivery.reference}")
    link = reverse("admin:integrations_delivery_change", args=[delivery.pk])
    tries = tuple(attempt_try(attempt) for attempt in delivery.attempts.all())
    return Entry(delivery.created_at, title, DELIVERY_TONES[state], lines, link, tries=tries)


def standing_words(delivery: Delivery) -> str:
    """Why a delivery stands as it does: what it waits for and until when, and whether the client may have it twice."""
    words, _ = waiting_words(delivery)
    return " ".join(filter(None, (words or delivery.reason, repeat_words(delivery))))


def _problem(problem: Any) -> str:
    if isinstance(problem, list | tuple) and len(problem) == 2:
        return f"{problem[0]}: {problem[1]}" if problem[0] else str(problem[1])
    return str(problem)


def attempt_try(attempt: Attempt) -> Try:
    """One attempt with its requests and answers, as text."""
    word = OUTCOME_WORDS.get(attempt.outcome, attempt.outcome)
    exchanges = [
        Exchange(_request(entry.get("request")), _response(entry))
        for entry in attempt.exchanges
        if isinstance(entry, Mapping)
    ]
    return Try(
        title=f"Try {attempt.number}: {word} · {attempt.took_ms:,} ms",
        tone=OUTCOME_TONES.get(attempt.outcome, "off"),
        at=attempt.started_at,
        lines=[attempt.message] if attempt.message else [],
        exchanges=exchanges,
    )


def update_entry(update: StatusUpdate, name: str) -> Entry:
    """What a client said, how it came, and whether it was applied."""
    verdict, state = VerdictState(update.verdict), StatusUpdate.State(update.state)
    lines = [f"Reason: {update.reason_code}"] if update.reason_code else []
    if update.comment:
        lines.append(f"Comment: {update.comment}")
    how = "Told by the client" if update.via == StatusUpdate.Via.PUSHED else "Asked for by us"
    lines.append(f"{how}{f', by {update.by}' if update.by else ''}, decided {update.decided_at:%d %b %H:%M:%S} UTC")
    if state in NOT_APPLIED:
        lines.append(NOT_APPLIED[state])
    tone = VERDICT_TONES.get(verdict, "off") if state == StatusUpdate.State.APPLIED else UPDATE_TONES[state]
    return Entry(update.received_at, f"{name} says: {verdict.label}", tone, lines, order=1)


def event_entries(lead: Lead) -> list[Entry]:
    """The tracked events that were made of what became of a lead, with what became of each at each destination."""
    events = events_of_lead(lead)
    went: dict[int, list[Delivery]] = {}
    for row in Delivery.objects.filter(event__in=[event.pk for event in events]).select_related("integration"):
        went.setdefault(row.event_id or 0, []).append(row)
    return [_event(event, went.get(event.pk, [])) for event in events]


def _event(event: Event, deliveries: Sequence[Delivery]) -> Entry:
    states = [DeliveryState(row.state) for row in deliveries]
    lines = [
        " ".join(filter(None, (f"{row.integration.name}: {state.label}.", row.reason)))
        for row, state in zip(deliveries, states, strict=True)
    ]
    if event.problem:
        title, tone, lines = f"Not tracked as {event.name}", "off", [event.problem]
    else:
        title, tone = f"Tracked as {event.name}", DELIVERY_TONES[states[0]] if len(set(states)) == 1 else "busy"
        lines.append(f"Counted to the source {event.source.name}")
    link = reverse("admin:leads_source_event", args=[event.source_id, event.pk])
    return Entry(event.received_at, title, tone, lines, link, order=3)


def activity_entries(lead: Lead, delivery_ids: Sequence[int]) -> list[Entry]:
    """The bulk actions that a lead was part of, of the latest ones; imports stand in its changes.

    Found from the activity's side, whose rows are indexed: one look-up for each of the latest activities.
    """
    latest = Activity.objects.exclude(kind="import").order_by("-pk")[:ACTIVITIES_LOOKED_AT]
    found = {activity.pk: activity for activity in latest}
    of_deliveries = [pk for pk, activity in found.items() if activity.kind in (*DELIVERY_ACTIONS, COMPARE)]
    of_leads = [pk for pk in found if pk not in set(of_deliveries)]
    items = ActivityItem.objects.filter(
        Q(activity__in=of_leads, subject=lead.pk) | Q(activity__in=of_deliveries, subject__in=delivery_ids)
    )
    names = integration_names(found.values())
    entries = []
    for item in items:
        activity = found[item.activity_id]
        entries.append(
            Entry(
                activity.started_at or activity.created_at,
                f"Part of a bulk action by {activity.by}: {activity_title(activity, names)}",
                ITEM_TONES[ItemState(item.state)],
                [item.words] if item.words else [],
                reverse("admin:leads_activity_change", args=[activity.pk]),
                order=3,
            )
        )
    return entries


def _request(request: Any) -> str:
    if not isinstance(request, Mapping):
        return _plain(request)
    first = " ".join(str(request[key]) for key in ("method", "url") if key in request)
    lines = [first] if first else []
    if isinstance(headers := request.get("headers"), Mapping):
        lines += [f"{name}: {value}" for name, value in headers.items()]
    if isinstance(form := request.get("form"), list):
        lines += ["", *(" = ".join(map(str, pair)) if isinstance(pair, list) else str(pair) for pair in form)]
    rest = {key: value for key, value in request.items() if key not in ("method", "url", "headers", "form")}
    return "\n".join(lines + (["", _plain(rest)] if rest else []))


def _response(entry: Mapping[str, Any]) -> str:
    response = entry.get("response")
    if not isinstance(response, Mapping):
        return str(entry.get("error") or "No answer.")
    lines = [f"Status {response.get('status', '?')}"]
    if isinstance(headers := response.get("headers"), Mapping):
        lines += [f"{name}: {value}" for name, value in headers.items()]
    body = response.get("body")
    lines += ["", body if isinstance(body, str) and body else _plain(body) if body else "(empty)"]
    if response.get("cut"):
        lines.append("… (the rest was not kept)")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
