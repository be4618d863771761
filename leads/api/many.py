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
from concurrent.futures import Future
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
from leads.bulk_pace import bulk_pace
from leads.forms import Cleaned, clean
from leads.intake import KeyReused, LeadRow, Received
from leads.json_forms import json_form
from leads.partner_keys import Partner
from leads.web import Pieces, Refusal, Request, Response

BATCH = 2_000
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
        with bulk_pace():
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


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that were checked, what is wrong with each (None: nothing), and what becomes of the good ones."""

    rows: Sequence[Row]
    wrong: Sequence[list[Wrong] | None]
    written: Future[Sequence[Received | Exception]]


def _taken(call: Call) -> tuple[BinaryIO, int, int, bool]:
    """The rows' answers in a file, how many were received and refused, and whether some could not be written."""
    answers = Answers(_file(), b"\n" if call.answer_kind == NDJSON else b",")
    most, most_bytes = settings.API_MAX_ROWS, settings.MAX_BODY_BYTES
    rows = body_rows(call.file, call.kind, call.target.form, most=most, most_bytes=most_bytes)
    # One batch is written while the next one is read and checked.
    before: Batch | None = None
    while batch := list(islice(rows, BATCH)):
        made, wrong = _checked(call, batch)
        if before is not None:
            answers.add(before)
        before = Batch(batch, wrong, pool.bulk_write(_written, call, made))
    if before is None:
        raise BadBody("invalid", "There is no row in it.")
    answers.add(before)
    return answers.file, answers.received, answers.rows - answers.received, answers.undone


def _checked(call: Call, batch: Sequence[Row]) -> tuple[list[LeadRow], list[list[Wrong] | None]]:
    """The leads of these rows that are good, and what is wrong with the others."""
    made: list[LeadRow] = []
    wrong: list[list[Wrong] | None] = []
    max_chars: int = settings.MAX_VALUE_CHARS
    for row in batch:
        cleaned = _cleaned(call.target, row, max_chars)
        if isinstance(cleaned, list):
            wrong.append(cleaned)
        else:
            wrong.append(None)
            made.append(_lead_row(call, row, cleaned))
    return made, wrong


def _written(call: Call, made: Sequence[LeadRow]) -> Sequence[Received | Exception]:
    if call.claim is not None:
        call_alive(call.claim)
    return intake.many.write_now(made) if made else ()


class Answers:
    """The rows' answers, in a file, in their order; and what they come to."""

    def __init__(self, file: BinaryIO, separator: bytes) -> None:
        self.file = file
        self._separator = separator
        self.rows = self.received = 0
        self.undone = False

    def add(self, batch: Batch) -> None:
        """Wait until a batch is written, and write down what became of its rows."""
        written = iter(batch.written.result())
        said = []
        for row, errors in zip(batch.rows, batch.wrong, strict=True):
            if errors is not None:
                said.append(_refused(row.number, 422, errors))
                continue
            answer = next(written)
            if isinstance(answer, Received):
                self.received += 1
                lead_hash = answer.hash.hex.encode()
                said.append(b'{"row":%d,"status":201,"id":%d,"hash":"%s"}' % (row.number, answer.lead_id, lead_hash))
                continue
            self.undone = self.undone or isinstance(answer, Overloaded)
            status = 503 if isinstance(answer, Overloaded) else 422
            # Else the form, link or publisher went between the look into the catalog and the commit.
            words = "It could not be stored. Send it again." if status == 503 else "It could not be stored."
            said.append(_refused(row.number, status, [Wrong("", words, row=row.number)]))
        first = self._separator if self.rows and self._separator == b"," else b""
        last = b"" if self._separator == b"," else self._separator
        self.file.write(first + self._separator.join(said) + last)
        self.rows += len(batch.rows)


def _cleaned(target: Target, row: Row, max_chars: int) -> Cleaned | list[Wrong]:
    if row.said is not None:
        return checked(target.form, row.said, max_chars, row.number)
    if row.pairs is None:
        return [Wrong("", row.problem, row=row.number)]
    cleaned = clean(target.form, row.pairs, max_chars)
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
