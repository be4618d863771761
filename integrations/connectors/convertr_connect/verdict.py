"""What the client says of a lead: asked for (facts, section 5) or pushed (section 8, sync tags)."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from typing import Any

from integrations.connectors.convertr_connect.instance import (
    host,
    password_expired,
    publisher_unknown,
    refusal,
    result_url,
)
from integrations.connectors.convertr_connect.manifest import VERDICT_WORDS
from integrations.kit.answers import is_passing, plain_text, said
from integrations.kit.contract import Call, ConnectorError, Flow, NotKnown, Request, Response, Verdict, VerdictState

COMMENT_CHARS, RAW_CHARS = 2_000, 2_000
_EVENT_ID = re.compile(r"[0-9a-f]{32}\Z")


def poll(call: Call, reference: str) -> Flow[Verdict]:
    """The verdict on the lead with this id. `detail=1` asks an instance of ours for all it knows; others ignore it.

    ConnectorError where it can't be had for good, a passing one where it may be had later.
    """
    if not reference:
        raise ConnectorError("The client gave no id for this lead, so its result can't be asked for.")
    response = yield Request(
        "GET", result_url(call, reference), query={"detail": "1"}, bearer=call.token, budget="result"
    )
    return verdict_of(call, response)


def verdict_of(call: Call, response: Response) -> Verdict:
    """Read in this order: 202, not 200, blank, text, object. Their copy of the lead's data is never kept."""
    status = response.status
    if status == 202:
        return Verdict("pending")
    if status in (404, 410):
        raise _not_found(call, response)
    if status in (401, 403) or is_passing(status) or password_expired(response):
        raise refusal(call, response)
    if status != 200:
        raise ConnectorError(
            f"{host(call)} gave an answer to the lead's result that can't be used ({status}).{said(response)}"
        )
    if response.cut:
        raise ConnectorError(f"{host(call)} broke off in the middle of the lead's result.", passing=True)
    if _is_page(response):
        # A log-in or maintenance page is no reason to call a lead invalid.
        raise ConnectorError(f"{host(call)} answered with a web page instead of the lead's result.", passing=True)
    return _read(response)


def _not_found(call: Call, response: Response) -> ConnectorError:
    """Facts, section 7: a wrong publisher is a 404 too, and so is the page of whatever answers while the client deploys."""
    if publisher_unknown(response):
        return refusal(call, response)
    if _is_page(response):
        return ConnectorError(
            f"{host(call)} answered with a web page instead of the lead's result ({response.status})."
        )
    return NotKnown("The client's instance does not know this lead, so its result can't be asked for.")


def _is_page(response: Response) -> bool:
    return "html" in response.headers.get("content-type", "").lower() or response.body.lstrip()[:1] == b"<"


def _read(response: Response) -> Verdict:
    data: Any = response.json()
    text = response.text.strip()
    if not text or (not data and (data is not None or text == "null")):
        return Verdict("valid")
    if not isinstance(data, dict):
        words = data if isinstance(data, str) else text
        return Verdict("invalid", comment=plain_text(words, COMMENT_CHARS), raw=plain_text(text, RAW_CHARS))
    detail = data.get("verdict")
    if isinstance(detail, dict):
        return _detailed(detail)
    reasons = _reasons(data.get("failedJobs")) or _reasons(data.get("qaReasons"))
    kept = {key: value for key, value in data.items() if key != "leadData"}
    return Verdict("invalid", comment=reasons[:COMMENT_CHARS], raw=_raw(kept))


def _raw(data: Mapping[str, Any]) -> str:
    return plain_text(json.dumps(data, ensure_ascii=False), RAW_CHARS)


def _reasons(value: Any) -> str:
    """failedJobs is a list and qaReasons text in the facts; both are read as either."""
    listed = value if isinstance(value, list) else [value]
    texts = [
        plain_text(each.get("message") if isinstance(each, dict) else each, COMMENT_CHARS) for each in listed[:100]
    ]
    return "; ".join(text for text in texts if text)


def _detailed(detail: Mapping[str, Any]) -> Verdict:
    """The answer of an instance of ours to detail=1."""
    word = plain_text(detail.get("state"), 100)
    return Verdict(
        state_of(word, "pending"),
        reason_code=plain_text(detail.get("reason_code"), 200),
        comment=plain_text(detail.get("comment"), COMMENT_CHARS),
        by=plain_text(detail.get("by"), 200),
        decided_at=_moment(detail.get("decided_at")),
        event_id=_event_id(detail.get("event_id")),
        raw=_raw(detail),
    )


def receive(action: str, form: Mapping[str, str]) -> Verdict:
    """A pushed verdict: validate or invalidate, with reason and user, and from an instance of ours all the rest.

    The path decides between valid and not valid; `verdict` refines the latter into invalid, returned or test. ConnectorError
    where the path says neither.
    """
    outline = state_of(action, "pending")
    if outline not in ("valid", "invalid"):
        raise ConnectorError("A verdict is pushed to validate or to invalidate.")
    said_word = state_of(form.get("verdict", ""), outline)
    refined: VerdictState = (
        said_word if outline == "invalid" and said_word in ("invalid", "returned", "test") else outline
    )
    code, comment, reason = (
        plain_text(form.get("reasonCode"), 200),
        plain_text(form.get("comment"), COMMENT_CHARS),
        plain_text(form.get("reason"), COMMENT_CHARS),
    )
    if not code and not comment:
        # A plain caller has one text: the reason. Short ones are codes to whoever reads the record.
        code, comment = (reason, "") if len(reason) <= 200 else ("", reason)
    return Verdict(
        refined,
        reason_code=code,
        comment=comment,
        by=plain_text(form.get("user"), 200),
        decided_at=_moment(form.get("decidedAt")),
        event_id=_event_id(form.get("eventId")),
        raw=_raw({"action": action, **form}),
    )


def state_of(word: Any, otherwise: VerdictState) -> VerdictState:
    """Their word as a verdict; `otherwise` for one that nobody has told us of."""
    return VERDICT_WORDS.get(plain_text(word, 100).casefold(), otherwise)


def _event_id(value: Any) -> str:
    text = plain_text(value, 64).replace("-", "").lower()
    return text if _EVENT_ID.match(text) else ""


def _moment(value: Any) -> dt.datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(value.strip())
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment.year >= 2000 else None
