"""The lead collection of the platform API, for the instance's own users to read (facts, section 9)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import AnonymousUser
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils.dateparse import parse_date, parse_datetime

from leads import pool
from leads.callback_hash import callback_hash, lead_hashes
from leads.models import Lead, LeadChange, User
from leads.publisher_api import answers
from leads.publisher_api.callers import own_user
from leads.rights import masked, masked_ip, masked_values, may_see_personal_data, open_keys, without_personal
from leads.web import Request, Response, json_response, refusal

PATH = "/api/v4/leads"
PER_PAGE = 30
MAX_PER_PAGE = 100
COMPLETE = 1000  # what every finished lead shows as its processrStatus
JSON_LD = "application/ld+json"
# Documented members that this portal has no counterpart of: there, so that nobody's reader stumbles, and null.
_NOT_KEPT = (
    "publisherSubId", "formHash", "photo", "host", "doubleOptIn", "suppressionList", "firstDeliveredTs", "emailHash",
    "fingerprint", "baseCurrencyPublisherPayout", "publisherPayout", "baseCurrencyAdvertiserPayout", "advertiserPayout",
    "advertiserBillable",
)  # fmt: skip
_OWN_COLUMNS = ("title", "firstName", "lastName", "email", "telephone", "postcode") + tuple(
    f"addressLine{line}" for line in range(1, 5)
)


async def leads(request: Request) -> Response:
    """GET /api/v4/leads and /api/v4/leads.jsonld: newest first.

    Filters: campaign.id, leadHash, createdTs[after], createdTs[before], updatedTs[after], updatedTs[before] (a date or
    an ISO time, both ends included); page, itemsPerPage (at most 100). Raises Refusal: 400 for a filter that can't be read,
    401, 403, 429.
    """
    caller = await own_user(request)
    arguments = dict(request.query)
    body = await pool.lists(_collection, caller.user_id or 0, request.path, arguments)
    return _answer(request, body)


async def lead(request: Request) -> Response:
    """GET /api/v4/leads/{id}. Raises Refusal (401, 403, 404, 429)."""
    caller = await own_user(request)
    found = await pool.lists(_item, caller.user_id or 0, request.params["lead_id"])
    if found is None:
        raise refusal(404, "Not Found")
    return _answer(request, {"@context": "/api/v4/contexts/Lead", **found})


def _answer(request: Request, body: dict[str, Any]) -> Response:
    answer = json_response(body)
    if request.path.endswith(".jsonld") or JSON_LD in request.header("accept"):
        return Response(answer.status, answer.body, f"{JSON_LD}; charset=utf-8")
    return answer


@dataclass(frozen=True, slots=True)
class _Reader:
    """What of leads the caller may have: personal data in clear, and the hash by which leads are flagged."""

    clear: bool
    may_flag: bool


def _reader(user_id: int) -> _Reader:
    """Raises Refusal (403) for who may not see leads."""
    user = User.objects.filter(pk=user_id).first() or AnonymousUser()
    may_flag = user.has_perm("leads.change_lead")
    if not may_flag and not user.has_perm("leads.view_lead"):
        raise answers.not_allowed()
    return _Reader(may_see_personal_data(user), may_flag)


def _collection(user_id: int, path: str, arguments: dict[str, str]) -> dict[str, Any]:
    reader = _reader(user_id)
    page = _positive(arguments, "page", 1, 10**9)
    per_page = _positive(arguments, "itemsPerPage", PER_PAGE, MAX_PER_PAGE)
    found = _filtered(arguments)
    total = found.count()
    last = max(1, -(-total // per_page))
    rows = _with_all(found.order_by("-pk"))[(page - 1) * per_page : page * per_page]

    def at(number: int) -> str:
        return f"{path}?{urlencode({**arguments, 'page': str(number)}, errors='replace')}"

    view = {"@id": at(page), "@type": "hydra:PartialCollectionView", "hydra:first": at(1), "hydra:last": at(last)}
    if page > 1:
        view["hydra:previous"] = at(page - 1)
    if page < last:
        view["hydra:next"] = at(page + 1)
    return {
        "@context": "/api/v4/contexts/Lead",
        "@id": PATH,
        "@type": "hydra:Collection",
        "hydra:member": _members(list(rows), reader),
        "hydra:totalItems": total,
        "hydra:view": view,
        "hydra:search": _SEARCH,
    }


_SEARCH = {
    "@type": "hydra:IriTemplate",
    "hydra:template": PATH
    + "{?campaign.id,leadHash,createdTs[after],createdTs[before],updatedTs[after],updatedTs[before],page,itemsPerPage}",
    "hydra:variableRepresentation": "BasicRepresentation",
    "hydra:mapping": [
        {"@type": "IriTemplateMapping", "variable": name, "property": name.partition("[")[0], "required": False}
        for name in (
            "campaign.id", "leadHash", "createdTs[after]", "createdTs[before]", "updatedTs[after]", "updatedTs[before]",
        )
    ],
}  # fmt: skip


def _item(user_id: int, lead_id: int) -> dict[str, Any] | None:
    reader = _reader(user_id)
    rows = list(_with_all(Lead.objects.filter(pk=lead_id)))
    return _members(rows, reader)[0] if rows else None


def _with_all(leads: QuerySet[Lead]) -> QuerySet[Lead]:
    return leads.select_related("link").prefetch_related("form__fields")


def _positive(arguments: dict[str, str], name: str, default: int, most: int) -> int:
    text = arguments.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 19 and int(text) > 0):
        raise refusal(400, f"{name} is a number from 1.")
    return min(int(text), most)


def _filtered(arguments: dict[str, str]) -> QuerySet[Lead]:
    found = Lead.objects.all()
    if arguments.get("campaign.id", "").strip():
        found = found.filter(campaign_id=_positive(arguments, "campaign.id", 0, 10**18))
    if given := arguments.get("leadHash", "").strip():
        found = found.filter(hash__in=lead_hashes(given))
    if after := _time(arguments, "createdTs[after]"):
        found = found.filter(created_at__gte=after)
    if before := _time(arguments, "createdTs[before]"):
        found = found.filter(created_at__lte=before)
    # A lead changes with its history: what has an entry since then was updated since then.
    if after := _time(arguments, "updatedTs[after]"):
        received = Lead.objects.filter(created_at__gte=after).order_by().values("pk")
        changed = LeadChange.objects.filter(created_at__gte=after).order_by().values("lead")
        found = found.filter(pk__in=received.union(changed))
    if before := _time(arguments, "updatedTs[before]"):
        later = LeadChange.objects.filter(lead=OuterRef("pk"), created_at__gt=before)
        found = found.filter(~Exists(later), created_at__lte=before)
    return found


def _time(arguments: dict[str, str], name: str) -> dt.datetime | None:
    text = arguments.get(name, "").strip()
    if not text:
        return None
    try:
        day = parse_date(text)
        given = dt.datetime.combine(day, dt.time()) if day else parse_datetime(text.replace(" ", "+", 1))
        if given is None and " " in text:
            given = parse_datetime(text)
        if given is not None:
            return given.astimezone(dt.UTC) if given.tzinfo else given.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        pass
    raise refusal(400, f"{name} is a date, such as 2026-03-04.")


def _members(rows: list[Lead], reader: _Reader) -> list[dict[str, Any]]:
    ids = [lead.pk for lead in rows]
    changed = dict(
        LeadChange.objects.filter(lead__in=ids).values_list("lead").annotate(at=Max("created_at")).order_by()
    )
    return [_member(lead, changed.get(lead.pk), reader) for lead in rows]


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a lead's person can be known by, as the caller may see it."""

    values: Mapping[str, Any]
    enriched: Mapping[str, Any]
    ip: str | None
    reason: str
    comment: str
    failed: list[str]


def _shown(lead: Lead, reader: _Reader) -> _Shown:
    enriched = lead.enriched or {}
    if reader.clear:
        return _Shown(lead.values, enriched, lead.ip, lead.reason_code, lead.comment, lead.failed_words)
    fields = list(lead.form.fields.all())
    given, chosen = {**enriched, **(lead.visitor or {}), **lead.values, "": lead.ip or ""}, open_keys(fields)

    def hidden(text: str) -> str:
        return without_personal(text, given, chosen)

    return _Shown(
        masked_values(lead.values, fields),
        {name: masked(str(value)) for name, value in enriched.items()},
        masked_ip(lead.ip) if lead.ip else lead.ip,
        hidden(lead.reason_code),
        hidden(lead.comment),
        [hidden(words) for words in lead.failed_words],
    )


def _member(lead: Lead, changed_at: dt.datetime | None, reader: _Reader) -> dict[str, Any]:
    shown = _shown(lead, reader)
    types = {key: field.type for field in lead.form.fields.all() for key in field.inputs}
    data = [{"type": types.get(name, "text"), "name": name, "value": value} for name, value in shown.values.items()]
    data += [{"type": "text", "name": name, "value": value} for name, value in shown.enriched.items()]
    lead_hash = callback_hash(lead.hash) if reader.may_flag else None
    if lead_hash:
        data.append({"type": "hidden", "name": "leadHash", "value": lead_hash})
    updated_at = max(lead.created_at, changed_at) if changed_at else lead.created_at
    return {
        "@id": f"{PATH}/{lead.pk}",
        "@type": "Lead",
        "id": lead.pk,
        "leadHash": lead_hash,
        "campaign": f"/api/v4/campaigns/{lead.campaign_id}",
        "publisher": f"/api/v4/publishers/{lead.publisher_id}",
        "channel": {"name": lead.link.channel} if lead.link and lead.link.channel else None,
        "createdTs": lead.created_at.isoformat(),
        "updatedTs": updated_at.isoformat(),
        **{name: shown.values.get(name) for name in _OWN_COLUMNS},
        **dict.fromkeys(_NOT_KEPT),
        "optIn": shown.values.get("optin.terms"),
        "integration": False,
        "processingCounter": max(lead.judgements, 1) if lead.processed_at else 0,
        "score": lead.score,
        "maxScore": lead.max_score,
        "hardfail": None if lead.score is None else any(entry.get("hard") for entry in lead.failed_jobs),
        "overAllocation": lead.billable is False or lead.held.startswith("cap_"),
        "publisherBillable": lead.is_billable if lead.processed_at else None,
        "ip": shown.ip,
        "imported": False,
        "visible": True,
        "processrStatus": COMPLETE if lead.processed_at else 0,
        "leadStatus": {"name": lead.get_status_display()},
        "leadFlag": {"name": lead.flag, "reason": shown.reason, "comment": shown.comment} if lead.flag else None,
        "qaResult": {"failedJobs": shown.failed},
        "leadData": data,
        "leadNotes": [],
    }
