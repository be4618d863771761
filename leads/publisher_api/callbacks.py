"""What receivers further down say of a lead, by its callback hash, which is the secret (facts, section 8, write-back webhooks)."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.conf import settings
from django.db import IntegrityError
from django.utils.dateparse import parse_datetime

from leads import clock, pool
from leads.batcher import Batcher, Overloaded
from leads.callback_hash import hash_parsed, lead_hashes
from leads.database import uuid7
from leads.forms import FieldError, text_problem
from leads.models import Flag, Lead, LeadChange
from leads.models.lead import Via
from leads.posted import Pairs, split_name
from leads.publisher_api import answers
from leads.status import FlagChange, leads_flag
from leads.web import Refusal, Request, Response, overloaded, text_response

# Writes values that were added to a lead down: lead id and values; False where there is no such lead.
Keep = Callable[[int, Mapping[str, str]], bool]
MAX_NAME_CHARS = 100
MAX_REASON_CHARS = 200
_FLAGS = {
    "validate": {"": Flag.VALID, "test": Flag.TEST},
    "invalidate": {"": Flag.INVALID, "returned": Flag.RETURNED, "test": Flag.TEST},
}


async def _posted(request: Request) -> Pairs:
    """Pairs from the query and the body (multipart or urlencoded); of a name in both the body's comes last."""
    return [*request.query, *await request.form()]


async def read_callback(request: Request) -> dict[str, str] | Response:
    """What a validate or invalidate call says, from its body or its query; the 400 to answer with where it can't be kept.

    `reason` and `user` are required. The text is trimmed.
    """
    form = {name: value.strip() for name, value in await _posted(request)}
    errors = [FieldError(name, "This value is missing.") for name in ("reason", "user") if not form.get(name)]
    for name, value in form.items():
        if problem := text_problem(value, settings.MAX_VALUE_CHARS):
            errors.append(FieldError(name, problem))
    return answers.validation_failed(errors).response if errors else form


@dataclass(frozen=True, slots=True)
class Flagging:
    """A flag for the lead with this hash. Not dated, or dated in the future: it counts as decided when it is stored."""

    lead_hash: uuid.UUID
    change: FlagChange


def flags_store(flaggings: Sequence[Flagging]) -> list[bool]:
    """Flag leads; False for each unknown hash. What was said before, or is older than what is known, changes nothing."""
    hashes = {flagging.lead_hash for flagging in flaggings}
    # Locked: a newer flag that is being written elsewhere is waited for, and seen.
    found = Lead.objects.select_for_update().filter(hash__in=hashes).order_by("pk")
    leads = {row[0]: row[1:] for row in found.values_list("hash", "pk", "flagged_at")}
    events = {flagging.change.event_id for flagging in flaggings}
    said = set(LeadChange.objects.filter(event_id__in=events).values_list("event_id", flat=True))
    round_: dict[int, FlagChange] = {}
    newest = dict(leads.values())
    for flagging in flaggings:
        if flagging.lead_hash not in leads or flagging.change.event_id in said:
            continue
        lead_id, now = leads[flagging.lead_hash][0], clock.now()
        decided_at = min(flagging.change.decided_at or now, now)
        if (known := newest[lead_id]) is not None and known > decided_at:
            continue
        if lead_id in round_:
            # Two calls for one lead in a batch are two changes of it, in their order.
            leads_flag(round_)
            round_ = {}
        round_[lead_id] = replace(flagging.change, decided_at=decided_at)
        newest[lead_id] = decided_at
        said.add(flagging.change.event_id)
    if round_:
        leads_flag(round_)
    return [flagging.lead_hash in leads for flagging in flaggings]


batcher: Batcher[Flagging, bool] = Batcher("flags", flags_store)


async def flag_by_hash(action: str, token: str, form: Mapping[str, str]) -> Response:
    """Flag the lead with this callback hash, as `validate` or `invalidate` and what read_callback returned say.

    201 and an empty body, also when nothing changed; 404 for an unknown hash. Beside the documented reason and user our own
    instances send verdict (valid, invalid, returned, test), reasonCode, comment, eventId and decidedAt: all optional.
    """
    change = _change(action, form)
    try:
        for lead_hash in lead_hashes(token):
            if await batcher.submit(Flagging(lead_hash, change)):
                return Response(201)
    except Overloaded:
        return overloaded()
    except IntegrityError:
        # Another process stored the same event at the same moment.
        return Response(201)
    return _unknown_lead()


def _change(action: str, form: Mapping[str, str]) -> FlagChange:
    finer = _FLAGS[action]
    reason = form.get("reason", "")
    code = form.get("reasonCode") or reason
    comment = form.get("comment", "")
    if not comment and (len(code) > MAX_REASON_CHARS or code != reason):
        comment = reason
    return FlagChange(
        flag=finer.get(form.get("verdict", ""), finer[""]),
        reason_code=code[:MAX_REASON_CHARS],
        comment=comment,
        by=form.get("user", ""),
        via=Via.WEBHOOK,
        decided_at=_decided_at(form.get("decidedAt", "")),
        event_id=hash_parsed(form.get("eventId", "")) or uuid7(),
    )


def _decided_at(text: str) -> dt.datetime | None:
    """When it was decided; None where no good time is given."""
    try:
        given = parse_datetime(text)
    except ValueError:
        given = None
    if given is None:
        return None
    try:
        return given.astimezone(dt.UTC) if given.tzinfo else given.replace(tzinfo=dt.UTC)
    except OverflowError:
        return None


async def append_by_hash(request: Request, keep: Keep) -> Response:
    """POST /ajax/lead-append/{lead_hash}: add or overwrite values, as form[name] or name; 200 and an empty body.

    `keep` writes them down; False where there is no such lead.
    400 for values that can't be kept, 404 for an unknown hash.
    """
    hashes = lead_hashes(request.params["lead_hash"])
    data: dict[str, str] = {}
    errors: list[FieldError] = []
    for name, value in await _posted(request):
        key, value = _key(name), value.strip()
        problem = text_problem(value, settings.MAX_VALUE_CHARS)
        if not key or len(key) > MAX_NAME_CHARS or text_problem(key, MAX_NAME_CHARS):
            errors.append(FieldError("", f"A name has 1 to {MAX_NAME_CHARS} characters."))
        elif problem:
            errors.append(FieldError(name, problem))
        else:
            data[key] = value
    if not data and not errors:
        errors.append(FieldError("", "No values were posted."))
    if errors:
        raise answers.validation_failed(errors)
    if not hashes:
        return _unknown_lead()
    return await pool.slow(_append, hashes, data, keep)


def _append(hashes: Sequence[uuid.UUID], data: Mapping[str, str], keep: Keep) -> Response:
    lead = Lead.objects.filter(hash__in=hashes).only("pk", "values").first()
    if lead is None:
        return _unknown_lead()
    if len({*lead.values, *data}) > settings.MAX_FORM_PARTS:
        message = f"A lead has at most {settings.MAX_FORM_PARTS} values."
        raise answers.validation_failed([FieldError("", message)])
    return Response(200) if keep(lead.pk, data) else _unknown_lead()


def _key(name: str) -> str:
    """form[optin][terms] is kept as optin.terms, as intake keeps it."""
    parts = split_name(name)
    return ".".join(parts[1:] if len(parts) > 1 and parts[0] == "form" else parts)


def _unknown_lead() -> Response:
    return text_response("404 Not Found", 404)


async def flag(request: Request) -> Response:
    """POST /api/webhook/{validate|invalidate}/{lead_hash}, where nothing above this app takes the address."""
    form = await read_callback(request)
    if isinstance(form, Response):
        raise Refusal(form)
    return await flag_by_hash(request.params["action"], request.params["token"], form)
