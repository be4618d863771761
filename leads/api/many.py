"""Sending many leads in one call: every row has an answer, the good ones are kept, and memory stays flat however many there are.

The body is written to a file first: only a whole one is worked, and a repeated one is known before any row is. Rows are then
checked and written some hundreds at a time in a thread; their answers wait in a file until the last one is there. With an
Idempotency-Key each row has a key of its own beside the call's: if the portal dies in the middle and the call comes again,
the leads that are in are found and not made again.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, cast

import orjson
from django.conf import settings

from leads import intake, pool
from leads.answered_calls import Answered, Claim, StillRunning, call_alive, call_answer, call_claim, call_drop
from leads.api.openapi import Hot
from leads.api.problems import Wrong, invalid, problem, problem_response, refused
from leads.api.receiving import (
    IDEMPOTENCY_KEY,
    REPLAYED,
    TAG,
    TARGET_PARAMETERS,
    Target,
    campaign_open,
    checked,
    idempotency_key,
    key_reused,
    places_of,
    target_of,
)
from leads.api.rows import JSON, NDJSON, TYPES, BadBody, Row, body_rows
from leads.batcher import Overloaded
from leads.forms import Cleaned, clean
from leads.intake import KeyReused, LeadRow, Received
from leads.json_forms import json_form
from leads.partner_keys import Partner
from leads.web import Pieces, Refusal, Request, Response

BATCH = 1_000
# Up to this a body is held in memory, and beyond it on disk.
IN_MEMORY = 4 * 1024 * 1024
PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """What a call brings, and how it wants its answer."""

    target: Target
    file: BinaryIO
    kind: str
    answer_kind: str
    ip: str | None
    row_key: str
    """What the rows' idempotency keys begin with; empty without one."""
    digest: str
    claim: Claim | None


async def create_many(request: Request, partner: Partner) -> Response:
    """POST /campaigns/{campaign}/forms/{form}/leads/bulk: 200 with an answer for each row, once all are committed."""
    target = await target_of(request, partner)
    key = idempotency_key(request)
    kind = _kind(request)
    said = hashlib.sha256(request.path.encode() + b"\0" + target.said + b"\0" + kind.encode() + b"\0")
    file = _file()
    await request.spool(file, settings.API_MAX_BYTES, said.update)
    digest = said.hexdigest()
    claim = None
    if key:
        first = await _claimed(partner, key, digest)
        if isinstance(first, Answered):
            return Response(first.status, first.body, first.content_type, {REPLAYED: "true"})
        claim = first
    call = Call(
        target=target,
        file=file,
        kind=kind,
        answer_kind=_answer_kind(request, kind),
        ip=request.client_ip,
        row_key=f"v1:{partner.key_id}:{hashlib.sha256(key.encode()).hexdigest()[:32]}:{digest[:16]}:" if key else "",
        digest=digest,
        claim=claim,
    )
    return await pool.bulk(_answered, call)


def _file() -> BinaryIO:
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=IN_MEMORY))


def _kind(request: Request) -> str:
    if request.header("content-encoding") not in ("", "identity"):
        raise refused("wrong-media-type", "Send the body without compression.")
    kind = TYPES.get(request.header("content-type").partition(";")[0].strip().lower())
    if kind is None:
        raise refused("wrong-media-type", f"Send the leads as one of: {', '.join(dict.fromkeys(TYPES.values()))}.")
    return kind


def _answer_kind(request: Request, kind: str) -> str:
    wanted = request.header("accept").lower()
    if "ndjson" in wanted or "jsonl" in wanted:
        return NDJSON
    return NDJSON if kind == NDJSON and JSON not in wanted else JSON


async def _claimed(partner: Partner, key: str, digest: str) -> Claim | Answered:
    try:
        return await pool.quick(call_claim, partner.key_id, key, digest)
    except StillRunning:
        words = "The first call with this Idempotency-Key is being worked just now."
        raise refused("still-running", words, headers={"Retry-After": "2"}) from None
    except KeyReused:
        raise key_reused() from None


# --- in a thread --------------------------------------------------------------------------------------------


def _answered(call: Call) -> Response:
    """Take the rows in; the answer to the call."""
    try:
        campaign_open(call.target.campaign)
        answers, received, refused_rows, undone = _taken(call)
    except Refusal as refusal:
        _drop(call)
        return refusal.response
    except BadBody as bad:
        _drop(call)
        return _bad_body(bad)
    except BaseException:
        _drop(call)
        raise
    first, last = _around(call.answer_kind, received, refused_rows)
    length = len(first) + answers.tell() + len(last)
    if call.claim is not None:
        if undone:
            # Some could not be written: sent again with the same key they are, and the others are found.
            _drop(call)
        else:
            call_answer(call.claim, 200, call.answer_kind, _pieces(first, answers, last))
    return Response(200, b"", call.answer_kind, pieces=Pieces(length, _pieces(first, answers, last)))


def _drop(call: Call) -> None:
    if call.claim is not None:
        call_drop(call.claim)


def _bad_body(bad: BadBody) -> Response:
    if bad.columns:
        return problem_response(invalid([Wrong(name, bad.words, column=name) for name in bad.columns]))
    return problem_response(problem(bad.slug, bad.words))


def _around(kind: str, received: int, refused_rows: int) -> tuple[bytes, bytes]:
    """What stands before and behind the rows' answers."""
    if kind == NDJSON:
        return b"", orjson.dumps({"received": received, "refused": refused_rows}) + b"\n"
    return b'{"received":%d,"refused":%d,"rows":[' % (received, refused_rows), b"]}"


def _pieces(first: bytes, answers: BinaryIO, last: bytes) -> Iterator[bytes]:
    answers.seek(0)
    yield first
    while piece := answers.read(PIECE):
        yield piece
    yield last


def _taken(call: Call) -> tuple[BinaryIO, int, int, bool]:
    """The rows' answers in a file, how many were received and refused, and whether some could not be written."""
    answers = _file()
    separator = b"\n" if call.answer_kind == NDJSON else b","
    most, most_bytes = settings.API_MAX_ROWS, settings.MAX_BODY_BYTES
    rows = body_rows(call.file, call.kind, call.target.form, most=most, most_bytes=most_bytes)
    received = all_rows = 0
    undone = False
    while batch := list(islice(rows, BATCH)):
        if call.claim is not None:
            call_alive(call.claim)
        said, good, failed = _batch(call, batch)
        if call.answer_kind == NDJSON:
            answers.write(separator.join(said) + separator)
        else:
            answers.write((separator if all_rows else b"") + separator.join(said))
        received, all_rows, undone = received + good, all_rows + len(batch), undone or failed
    if not all_rows:
        raise BadBody("invalid", "There is no row in it.")
    return answers, received, all_rows - received, undone


def _batch(call: Call, batch: Sequence[Row]) -> tuple[list[bytes], int, bool]:
    """Answers for these rows in their order, how many leads were received, and whether some could not be written."""
    made: list[LeadRow] = []
    found: list[list[Wrong] | None] = []
    for row in batch:
        cleaned = _cleaned(call.target, row)
        if isinstance(cleaned, list):
            found.append(cleaned)
            continue
        found.append(None)
        made.append(_lead_row(call, row, cleaned))
    written = iter(intake.batcher.write_now(made) if made else ())
    said, good, failed = [], 0, False
    for row, errors in zip(batch, found, strict=True):
        if errors is not None:
            said.append(_refused(row.number, 422, errors))
            continue
        answer = next(written)
        if isinstance(answer, Received):
            good += 1
            said.append(
                b'{"row":%d,"status":201,"id":%d,"hash":"%s"}' % (row.number, answer[0], answer[1].hex.encode())
            )
        elif isinstance(answer, Overloaded):
            failed = True
            said.append(
                _refused(row.number, 503, [Wrong("", "It could not be stored. Send it again.", row=row.number)])
            )
        else:
            # The form, link or publisher went between the look into the catalog and the commit.
            said.append(_refused(row.number, 422, [Wrong("", "It could not be stored.", row=row.number)]))
    return said, good, failed


def _cleaned(target: Target, row: Row) -> Cleaned | list[Wrong]:
    if row.said is not None:
        return checked(target.form, row.said, row.number)
    if row.pairs is None:
        return [Wrong("", row.problem, row=row.number)]
    cleaned = clean(target.form, row.pairs, settings.MAX_VALUE_CHARS)
    return cleaned if isinstance(cleaned, Cleaned) else places_of(json_form(target.form), cleaned, row.number)


def _lead_row(call: Call, row: Row, cleaned: Cleaned) -> LeadRow:
    return intake.row_of(
        call.target.form,
        cleaned,
        campaign_id=call.target.campaign.id,
        publisher_id=call.target.publisher_id,
        link_id=call.target.link_id,
        test=call.target.test,
        ip=call.ip,
        key=f"{call.row_key}{row.number}" if call.row_key else None,
        digest=call.digest if call.row_key else "",
    )


def _refused(number: int, status: int, errors: Sequence[Wrong]) -> bytes:
    return orjson.dumps({"row": number, "status": status, "errors": [each.as_json() for each in errors]})


# --- what the document says of it ---------------------------------------------------------------------------

_ROW_ANSWER = {
    "type": "object",
    "required": ["row", "status"],
    "properties": {
        "row": {"type": "integer", "description": "Its line, its place in the array from 1, or its row in the table."},
        "status": {"type": "integer", "enum": [201, 422, 503]},
        "id": {"type": "integer"},
        "hash": {"type": "string"},
        "errors": {"$ref": "#/components/schemas/Problem/properties/errors"},
    },
}
_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["received", "refused", "rows"],
    "properties": {
        "received": {"type": "integer"},
        "refused": {"type": "integer"},
        "rows": {"type": "array", "items": _ROW_ANSWER},
    },
}
_CREATE_MANY = {
    "operationId": "leads_create",
    "tags": [TAG],
    "summary": "Send many leads",
    "description": "As NDJSON (a lead on each line), as a JSON array, or as CSV whose first row names the fields "
    "(`optin.terms` for a part of one). Good rows are kept, bad ones are told with their row and column. "
    "NDJSON is answered as NDJSON, a line for each row and the counts on the last; all else as JSON.",
    "parameters": [*TARGET_PARAMETERS, IDEMPOTENCY_KEY],
    "requestBody": {
        "required": True,
        "content": {
            NDJSON: {
                "schema": {"type": "string"},
                "example": '{"email": "ada@example.com"}\n{"email": "bob@example.com"}\n',
            },
            JSON: {
                "schema": {"type": "array", "items": {"type": "object"}, "minItems": 1},
                "example": [{"firstName": "Ada", "email": "ada@example.com"}],
            },
            "text/csv": {"schema": {"type": "string"}, "example": "firstName,email\r\nAda,ada@example.com\r\n"},
        },
    },
    "responses": {
        "200": {
            "description": "What became of each row.",
            "content": {JSON: {"schema": _ANSWER}, NDJSON: {"schema": {"type": "string"}}},
        }
    },
}

HOT = (
    Hot(
        "POST",
        "/api/v1/campaigns/{campaign}/forms/{form}/leads/bulk",
        {"campaign": "row", "form": "row"},
        "leads:write",
        create_many,
        _CREATE_MANY,
    ),
)
