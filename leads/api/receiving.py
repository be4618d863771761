"""Sending a lead, and looking one up: the addresses that come by the thousand, and those that wait for a judgement."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings
from django.db import Error, IntegrityError
from rest_framework.renderers import JSONRenderer

from leads import catalog, intake, pool
from leads.answered_calls import MOST_KEY_CHARS, call_digest
from leads.api.lead_answers import LeadSerializer, lead_links, lead_named
from leads.api.openapi import Hot
from leads.api.problems import Wrong, invalid, problem_response, refused
from leads.api.waiting import MOST_SECONDS, judgement
from leads.batcher import Overloaded
from leads.catalog import CampaignEntry
from leads.forms import Cleaned, CompiledForm, FieldError, clean
from leads.intake import KeyReused, Received
from leads.json_forms import JsonForm, json_form, pairs_of_json
from leads.models import Lead, Status
from leads.partner_keys import Partner
from leads.web import Refusal, Request, Response

logger = logging.getLogger(__name__)

TAG = "Leads"
JSON = "application/json"
REPLAYED = "Idempotency-Replayed"


@dataclass(frozen=True, slots=True)
class Target:
    """Where leads of a call go: what its address and its query say, checked."""

    campaign: CampaignEntry
    form: CompiledForm
    publisher_id: int
    link_id: int | None
    test: bool

    @property
    def said(self) -> bytes:
        """What the call said of them, as part of what makes two calls the same."""
        return repr((self.publisher_id, self.link_id, self.test)).encode()


async def target_of(request: Request, partner: Partner) -> Target:
    """Where a call's leads go. Raises Refusal: 404, 422."""
    campaign = await catalog.campaign(request.params["campaign"])
    if campaign is None or not partner.sees(campaign_id=campaign.id):
        raise refused("not-found", "There is no such campaign.")
    publisher_id = _publisher(request, partner, campaign)
    form = campaign.forms.get(request.params["form"])
    if form is None:
        raise refused("not-found", "This campaign has no such form.")
    link = _number(request, "link")
    if link is not None and link not in campaign.links:
        raise wrong(Wrong("link", "This campaign has no such link."))
    return Target(campaign, form, publisher_id, link, _yes(request, "test"))


def _publisher(request: Request, partner: Partner, campaign: CampaignEntry) -> int:
    asked = _number(request, "publisher")
    publisher_id = partner.publisher_id if asked is None else asked
    if publisher_id is None:
        raise wrong(
            Wrong("publisher", "This key is not a publisher’s: say in the query whose lead it is, ?publisher=17.")
        )
    if publisher_id not in campaign.publishers or not partner.sees(publisher_id=publisher_id):
        raise refused("not-found", "There is no such publisher in this campaign.")
    return publisher_id


def campaign_open(campaign: CampaignEntry) -> None:
    """Raises Refusal (403) where the campaign takes no leads now."""
    if not campaign.active:
        raise refused("campaign-inactive", "This campaign takes no leads now. Nothing was taken in.")


def wrong(*errors: Wrong) -> Refusal:
    """Ends a handler with what is wrong in a request."""
    return Refusal(problem_response(invalid(errors)))


def _number(request: Request, name: str) -> int | None:
    text = request.argument(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise wrong(Wrong(name, "Write its number."))
    return int(text)


def _yes(request: Request, name: str) -> bool:
    text = request.argument(name)
    if text not in ("", "0", "1", "false", "true"):
        raise wrong(Wrong(name, "Write true or false."))
    return text in ("1", "true")


def _seconds(request: Request) -> float:
    text = request.argument("wait")
    if not text:
        return 0.0
    try:
        seconds = float(text) if text.isascii() and len(text) <= 10 else -1.0
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MOST_SECONDS:
        raise wrong(Wrong("wait", f"Write seconds, from 0 to {MOST_SECONDS}."))
    return seconds


def idempotency_key(request: Request) -> str:
    """The call's Idempotency-Key; empty without one. Raises Refusal (422)."""
    key = request.header("idempotency-key")
    if len(key) > MOST_KEY_CHARS or not (key.isascii() and key.isprintable()):
        raise wrong(Wrong("Idempotency-Key", f"Write at most {MOST_KEY_CHARS} letters, digits and signs."))
    return key


def places_of(form: JsonForm, errors: list[FieldError], row: int | None = None) -> list[Wrong]:
    """What intake says of inputs (form[optin][terms]) or of members (optin.terms), by field and where it stands in JSON."""
    found = []
    for error in errors:
        field, pointer = form.places.get(error.name) or (
            error.name,
            "/" + error.name.replace(".", "/") if error.name else "",
        )
        found.append(Wrong(field, error.message, row=row, column=field if row else "", pointer=pointer))
    return found


async def create(request: Request, partner: Partner) -> Response:
    """POST /campaigns/{campaign}/forms/{form}/leads: 201 with id, hash and status, once it is committed."""
    target = await target_of(request, partner)
    seconds = _seconds(request)
    key = idempotency_key(request)
    body = await _json_body(request)
    own_key = f"v1:{partner.key_id}:{key}" if key else None
    digest = call_digest(request.path.encode(), target.said, body) if key else ""
    try:
        campaign_open(target.campaign)
        row = intake.row_of(
            target.form,
            _cleaned(target.form, body),
            campaign_id=target.campaign.id,
            publisher_id=target.publisher_id,
            link_id=target.link_id,
            test=target.test,
            ip=request.client_ip,
            key=own_key,
            digest=digest,
        )
    except Refusal:
        # What was taken in once is answered as it was, whatever the campaign or its form has become since.
        if own_key and (first := await _first(target.publisher_id, own_key, digest)) is not None:
            return await _created(first, target.test, seconds, replayed=True)
        raise
    try:
        received = await intake.submit(row)
    except Overloaded:
        raise refused("busy", "Too much comes in just now. Nothing was stored.", headers={"Retry-After": "1"}) from None
    except KeyReused:
        raise key_reused() from None
    except IntegrityError:
        # The campaign, form, link or publisher went between the look into the catalog and the commit.
        raise refused("not-found", "This campaign has no such form, link or publisher any more.") from None
    return await _created(received, target.test, seconds, replayed=received.hash != row.hash)


async def _json_body(request: Request) -> bytes:
    if request.header("content-encoding") not in ("", "identity"):
        raise refused("wrong-media-type", "Send the body without compression.")
    kind = request.header("content-type").partition(";")[0].strip().lower()
    if kind != JSON:
        raise refused("wrong-media-type", f"Send the lead as {JSON}.")
    return await request.body()


def _cleaned(form: CompiledForm, body: bytes) -> Cleaned:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        words = f"This is no JSON: {error.msg}, in line {error.lineno}, column {error.colno}."
        raise refused("unreadable", words) from None
    if not isinstance(said, dict):
        raise wrong(Wrong("", "Send one lead as a JSON object; many of them to the address that ends in /bulk."))
    found = checked(form, said, settings.MAX_VALUE_CHARS)
    if isinstance(found, list):
        raise wrong(*found)
    return found


def checked(
    form: CompiledForm, said: Mapping[str, Any], max_chars: int, row: int | None = None
) -> Cleaned | list[Wrong]:
    """A lead as JSON put to its form: what to keep, or all that is wrong with it."""
    written = json_form(form)
    pairs, unreadable = pairs_of_json(written, said)
    cleaned = clean(form, pairs, max_chars)
    if isinstance(cleaned, Cleaned) and not unreadable:
        return cleaned
    named = {error.name for error in unreadable}
    others = [] if isinstance(cleaned, Cleaned) else places_of(written, cleaned, row)
    # Of a field that could not be read it is not said besides that it is missing.
    return [*places_of(written, unreadable, row), *(each for each in others if each.field and each.field not in named)]


async def _first(publisher_id: int, key: str, digest: str) -> Received | None:
    try:
        return await pool.quick(intake.lead_of_key, publisher_id, key, digest)
    except KeyReused:
        raise key_reused() from None


def key_reused() -> Refusal:
    """422: the Idempotency-Key came before, with another call."""
    return refused(
        "idempotency-key-reused", "This Idempotency-Key came before, with another request. Nothing was taken in."
    )


async def _created(received: Received, test: bool, seconds: float, *, replayed: bool) -> Response:
    status: str = Status.TEST if test else Status.PENDING
    judged = await _judged(received.lead_id, seconds) if seconds else None
    links = lead_links(received.hash.hex)
    said = {
        "id": received.lead_id,
        "hash": received.hash.hex,
        "status": judged or status,
        "judged": judged is not None,
        "links": links,
    }
    headers = {"Location": links["self"]}
    if replayed:
        headers[REPLAYED] = "true"
    return Response(201, orjson.dumps(said), JSON, headers)


async def _judged(lead_id: int, seconds: float) -> str | None:
    """The status of a lead that is stored: that the database can't be asked for it now is no judgement yet, and undoes nothing."""
    try:
        return await judgement(lead_id, seconds)
    except Error as error:
        logger.warning("lead %s is stored, whether it was judged can't be read: %s", lead_id, error)
        return None


async def read(request: Request, partner: Partner) -> Response:
    """GET /leads/{lead}: the lead as it is now; with `wait` once it was judged, or when the time is over."""
    seconds = _seconds(request)
    found = await pool.quick(_lead, partner, request.params["lead"])
    if seconds and found.processed_at is None:
        await judgement(found.pk, seconds)
        found = await pool.quick(_lead, partner, request.params["lead"])
    return Response(200, JSONRenderer().render(LeadSerializer(found, context={"partner": partner}).data), JSON)


def _lead(partner: Partner, named: str) -> Lead:
    found = lead_named(partner.leads(), named)
    if found is None:
        raise refused("not-found", "There is no such lead.")
    return found


# --- what the document says of them -------------------------------------------------------------------------

_NUMBER: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
_WAIT = {
    "name": "wait",
    "in": "query",
    "description": "Seconds to wait for the judgement. The answer comes once it is made, or when they are over.",
    "schema": {"type": "number", "minimum": 0, "maximum": MOST_SECONDS, "default": 0},
}
TARGET_PARAMETERS = [
    {
        "name": "publisher",
        "in": "query",
        "description": "Whose leads they are. A publisher’s key need not say so; others have to.",
        "schema": _NUMBER,
    },
    {"name": "link", "in": "query", "description": "The channel they came through.", "schema": _NUMBER},
    {
        "name": "test",
        "in": "query",
        "description": "A test: it goes the whole way, is marked, and counts nowhere.",
        "schema": {"type": "boolean", "default": False},
    },
]
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Sent again with the same key within a day, the call is answered as it was, and done once.",
    "schema": {"type": "string", "maxLength": MOST_KEY_CHARS, "pattern": r"^[ -~]*$"},
}
_CREATED = {
    "type": "object",
    "required": ["id", "hash", "status", "judged", "links"],
    "properties": {
        "id": {"type": "integer"},
        "hash": {"type": "string"},
        "status": {"type": "string", "enum": list(Status.values)},
        "judged": {"type": "boolean", "description": "Whether the checks are through: only ever with `wait`."},
        "links": {"$ref": "#/components/schemas/LeadLinks"},
    },
}
_CREATE = {
    "operationId": "lead_create",
    "tags": [TAG],
    "summary": "Send a lead",
    "description": "The body is what the form takes: its schema is at `/api/v1/campaigns/{campaign}/forms/{form}/schema`. "
    "The lead is stored when the answer comes; the checks follow.",
    "parameters": [*TARGET_PARAMETERS, _WAIT, IDEMPOTENCY_KEY],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {"type": "object", "additionalProperties": True},
                "example": {"firstName": "Ada", "email": "ada@example.com"},
            }
        },
    },
    "responses": {
        "201": {
            "description": "It is stored.",
            "headers": {
                "Location": {"schema": {"type": "string"}, "description": "The lead’s address."},
                REPLAYED: {"schema": {"type": "string"}, "description": "true: this was the first answer, said again."},
            },
            "content": {JSON: {"schema": _CREATED}},
        }
    },
}
_READ = {
    "operationId": "lead_read",
    "tags": [TAG],
    "summary": "One lead",
    "parameters": [_WAIT],
    "responses": {
        "200": {"description": "The lead.", "content": {JSON: {"schema": {"$ref": "#/components/schemas/Lead"}}}}
    },
}

HOT = (
    Hot(
        "POST",
        "/api/v1/campaigns/{campaign}/forms/{form}/leads",
        {"campaign": "row", "form": "row"},
        "leads:write",
        create,
        _CREATE,
    ),
    Hot("GET", "/api/v1/leads/{lead}", {"lead": "lead"}, "leads:read", read, _READ),
)
