"""What a tracking call says, made into messages of one shape: pure functions; no bytes make them fail.

Rules: facts on Segment, sections 1 and 2. What can't be used becomes a message with a problem, in words, so that the sender's
people find it in the live view: the call itself is answered as if it were well, as Segment does.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from leads.database import JSONText, uuid7
from leads.models.event import NAME_CHARS, EventType

MAX_MESSAGE_BYTES = 32 * 1024
MAX_BATCH_BYTES = 500 * 1024
MAX_BATCH_EVENTS = 2_500
# What the parts that a batch says once for all its messages may come to when they are written into each.
MAX_COMMON_BYTES = 8 * 1024 * 1024
MAX_NUMBER_TEXT = 100
TYPES = frozenset(EventType.values)
_LOST = "\N{REPLACEMENT CHARACTER}"

TOO_LARGE = f"Larger than {MAX_MESSAGE_BYTES // 1024} KB."
TOO_DEEP = "Nested too deeply."
TOO_MANY = f"More than {MAX_BATCH_EVENTS} messages in one batch."
NO_TYPE = "Its type is none of identify, track, page, screen, group and alias."
NO_EVENT = "A track call needs the name of an event."
NO_IDS = "Neither a userId nor an anonymousId was given."
NO_ALIAS = "An alias call needs a previousId and a userId."
NO_OBJECT = "Not a JSON object."


class BadCall(Exception):
    """A body that can't be read at all: answered 400. `code` and the words go to the developer at the other end."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class EventRow(NamedTuple):
    """An event to be written. Its fields are columns, in the order of COLUMNS."""

    key: uuid.UUID
    source_id: int
    type: str
    name: str
    timestamp: dt.datetime
    received_at: dt.datetime
    data: JSONText
    problem: str = ""


COLUMNS = tuple(name.removesuffix("_id") for name in EventRow._fields)


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its gzip. Raises BadCall for what is no gzip, or would be larger than `limit` bytes."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise BadCall("unsupported_encoding", "Send the body as it is, or with Content-Encoding: gzip.")
    plain = b""
    try:
        while body:
            reader = zlib.decompressobj(wbits=31)
            plain += reader.decompress(body, limit + 1 - len(plain))
            if len(plain) > limit:
                raise too_large(limit)
            if not reader.eof:
                raise BadCall("invalid_gzip", "The gzip body was cut off.")
            body = reader.unused_data
    except zlib.error:
        raise BadCall("invalid_gzip", "The body says that it is gzip, and is not.") from None
    return plain


def too_large(limit: int) -> BadCall:
    return BadCall("payload_too_large", f"The body is larger than {limit} bytes.")


def read(body: bytes) -> dict[str, Any]:
    """The JSON object in a body, whatever it calls itself. Raises BadCall."""
    try:
        value = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        value = _read_mended(body)
    if not isinstance(value, dict):
        raise BadCall("invalid_json", "The body is not a JSON object.")
    return value


def _read_mended(body: bytes) -> Any:
    """Browsers write half of a character where a page cuts a text in the middle of one: that much is forgiven."""
    if b"\\ud" not in body.lower():
        raise BadCall("invalid_json", "The body is not JSON.")
    try:
        text = json.dumps(json.loads(body, parse_constant=_refuse), ensure_ascii=False)
        return orjson.loads(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise BadCall("invalid_json", "The body is not JSON.") from None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


class Common(NamedTuple):
    """What holds for all messages of a call."""

    source_id: int
    received_at: dt.datetime
    ip: str | None
    sent_at: dt.datetime | None = None
    context: Mapping[str, Any] | None = None
    integrations: Mapping[str, Any] | None = None


def batch_messages(call: Mapping[str, Any], common: Common) -> Iterator[EventRow]:
    """The events of a batch, in their order. Raises BadCall before the first where it is no batch."""
    batch = call.get("batch")
    if not isinstance(batch, list):
        raise BadCall("invalid_request", "A batch has its messages in a list called batch.")
    context, integrations = _object(call.get("context")), _object(call.get("integrations"))
    if (context or integrations) and len(_dumped([context, integrations])) * len(batch) > MAX_COMMON_BYTES:
        raise BadCall("payload_too_large", "The context of the batch is too large for so many messages.")
    common = common._replace(sent_at=_moment(call.get("sentAt")), context=context, integrations=integrations)
    return _events(batch, common)


def _events(batch: Sequence[Any], common: Common) -> Iterator[EventRow]:
    for place, message in enumerate(batch):
        if not isinstance(message, dict):
            yield _unusable({}, common, NO_OBJECT)
        elif place >= MAX_BATCH_EVENTS:
            yield _unusable(message, common, TOO_MANY)
            return
        else:
            yield event(message, common)


def event(message: dict[str, Any], common: Common, kind: str = "") -> EventRow:
    """One message as an event; it is changed on the way. `kind` is the type that the address says."""
    message.pop("writeKey", None)
    said = kind or message.get("type")
    if not isinstance(said, str) or said not in TYPES:
        return _unusable(message, common, NO_TYPE)
    message["type"] = said
    for name in ("userId", "anonymousId", "previousId", "groupId", "messageId"):
        if name in message:
            _put(message, name, said_text(message[name]))
    message_id = message.setdefault("messageId", f"api-{uuid7()}")
    name = _name(message, said)
    problem = _problem(message, said, name)
    for part in ("properties", "traits"):
        if part in message:
            message[part] = _object(message[part])
    _merge(message, common)
    timestamp = _stamp(message, common)
    if problem:
        return _unusable(message, common, problem)
    try:
        data = _written(message)
    except TypeError:
        return _unusable({"type": said, "messageId": message_id}, common, TOO_DEEP)
    if len(data) > MAX_MESSAGE_BYTES:
        return _unusable(message, common, TOO_LARGE)
    if data.find(b"\\u0000") >= 0:
        message = _without_nul(message)
        data, name, message_id = _written(message), _name(message, said), message["messageId"]
    key = event_key(common.source_id, message_id)
    return EventRow(key, common.source_id, said, name[:NAME_CHARS], timestamp, common.received_at, data)


def event_key(source_id: int, message_id: str) -> uuid.UUID:
    """What makes a repeat of a message harmless."""
    return uuid.UUID(bytes=hashlib.blake2b(f"{source_id}:{message_id}".encode(), digest_size=16).digest())


def said_text(value: Any) -> str:
    """An id or a name as text. Numbers but zero count as what is written; "" for all else, and for blanks."""
    if isinstance(value, str):
        return value if value and not value.isspace() else ""
    if isinstance(value, int | float) and not isinstance(value, bool) and value:
        return str(value)[:MAX_NUMBER_TEXT]
    return ""


def _put(message: dict[str, Any], name: str, text: str) -> None:
    if text:
        message[name] = text
    else:
        del message[name]


def _name(message: dict[str, Any], kind: str) -> str:
    key = {"track": "event", "page": "name", "screen": "name"}.get(kind, "")
    if not key or key not in message:
        return ""
    text = said_text(message[key])
    _put(message, key, text)
    return text


def _problem(message: Mapping[str, Any], kind: str, name: str) -> str:
    if kind == EventType.TRACK and not name:
        return NO_EVENT
    if kind == EventType.ALIAS:
        return "" if "userId" in message and "previousId" in message else NO_ALIAS
    return "" if "userId" in message or "anonymousId" in message else NO_IDS


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _merge(message: dict[str, Any], common: Common) -> None:
    """What the batch says once holds for each of its messages, unless that says otherwise itself."""
    context = _merged(common.context or {}, _object(message.get("context")))
    if context.get("direct") is True and common.ip:
        context = {**context, "ip": common.ip}
    message["context"] = context
    own = message.pop("integrations", None)
    switches = dict(common.integrations or {})
    if isinstance(own, dict):
        if any(name.lower() == "all" for name in own):
            switches = {name: value for name, value in switches.items() if name.lower() != "all"}
        switches |= own
    if switches:
        message["integrations"] = switches


def _merged(common: Mapping[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    if not common:
        return own
    whole = {**common, **own}
    for name, value in own.items():
        if isinstance(value, dict) and isinstance(common.get(name), dict):
            whole[name] = _merged(common[name], value)
    return whole


def _stamp(message: dict[str, Any], common: Common) -> dt.datetime:
    """Write the times into a message; return when it happened by our clock.

    receivedAt - (sentAt - originalTimestamp); without a sentAt what the sender says; without that when it came. Nothing
    happened after it came.
    """
    given = message.get("originalTimestamp") if "timestamp" not in message else message["timestamp"]
    original = _moment(given)
    sent = _moment(message.get("sentAt")) or common.sent_at
    received = common.received_at
    timestamp = received
    if original is not None:
        try:
            timestamp = min(received - (sent - original) if sent is not None else original, received)
        except OverflowError:
            timestamp = received
        message["originalTimestamp"] = given if isinstance(given, str) else moment_text(original)
    else:
        message.pop("originalTimestamp", None)
    if sent is not None:
        message["sentAt"] = moment_text(sent)
    else:
        message.pop("sentAt", None)
    message["timestamp"] = moment_text(timestamp)
    message["receivedAt"] = moment_text(received)
    return timestamp


def _moment(value: Any) -> dt.datetime | None:
    """A moment as clients write it: ISO 8601, or seconds or milliseconds since 1970."""
    try:
        if isinstance(value, str):
            found = dt.datetime.fromisoformat(value)
            return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return dt.datetime.fromtimestamp(value / 1000 if abs(value) > 1e11 else value, dt.UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def moment_text(moment: dt.datetime) -> str:
    """As Segment writes it: 2026-01-31T12:00:00.000Z."""
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        raise BadCall("invalid_request", TOO_DEEP) from None


def _written(message: Mapping[str, Any]) -> JSONText:
    return JSONText(orjson.dumps(message))


def _without_nul(value: Any) -> Any:
    """PostgreSQL keeps no NUL in a text."""
    if isinstance(value, str):
        return value.replace("\0", _LOST)
    if isinstance(value, dict):
        return {name.replace("\0", _LOST): _without_nul(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nul(each) for each in value]
    return value


def _unusable(message: Mapping[str, Any], common: Common, problem: str) -> EventRow:
    """What is kept of a message that was not taken: enough to recognise it by. A mended repeat of it is taken."""
    kind = message.get("type")
    known = kind if isinstance(kind, str) and kind in TYPES else ""
    kept: dict[str, str] = {"type": known} if known else {}
    for name in ("event", "name", "userId", "anonymousId", "messageId"):
        if text := said_text(message.get(name)):
            kept[name] = text[:NAME_CHARS].replace("\0", _LOST)
    name = kept.get("event") or kept.get("name") or ""
    received = common.received_at
    return EventRow(uuid7(), common.source_id, known, name, received, received, _written(kept), problem)
