"""Posts a changed flag to the instance that the lead came from (facts, section 8, write-back webhooks)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from integrations.kit.addresses import instance_origin
from integrations.kit.answers import general_outcome, said
from integrations.kit.contract import Call, Flow, Outcome, Payload, Request, Response, delivered, refused

_TOKEN = re.compile(r"[0-9a-fA-F]{32}\Z")
# Only two words exist in their path; which of the others it is goes along as `verdict`. A test lead is not valid to whoever
# is paid for valid ones, so a plain receiver must read it as invalid.
ACTIONS = {"valid": "validate", "invalid": "invalidate", "returned": "invalidate", "test": "invalidate"}
PLAIN = frozenset({"verdict", "eventId", "decidedAt"})


def _origin(call: Call) -> str:
    return instance_origin(call.settings.get("subdomain") or "", call.environment)


def host(call: Call) -> str:
    return urlsplit(_origin(call)).netloc


def deliver(call: Call, change: Payload) -> Flow[Outcome]:
    """Send one change of flag. A repeat is harmless to its receiver by the event id."""
    data = {name: str(value or "") for name, value in change.data.items()}
    token, verdict = data.get("token", ""), data.get("verdict", "")
    if not _TOKEN.match(token) or verdict not in ACTIONS:
        return refused("This change can't be told: its sync token or its verdict is not one.")
    # A plain receiver wants a reason and a user and gets one text (facts, section 8): neither may be empty.
    reason = ": ".join(part for part in (data.get("reason_code"), data.get("comment")) if part)
    form = {
        "reason": reason or f"Flagged {verdict}",
        "user": data.get("by") or call.environment.get("INSTANCE_SUBDOMAIN") or "The client",
        "verdict": verdict,
        "reasonCode": data.get("reason_code", ""),
        "comment": data.get("comment", ""),
        "eventId": data.get("event_id", ""),
        "decidedAt": data.get("decided_at", ""),
    }
    response = yield Request(
        "POST",
        f"{_origin(call)}/api/webhook/{ACTIONS[verdict]}/{token}",
        form=tuple(form.items()),
        headers={"Idempotency-Key": call.idempotency_key} if call.idempotency_key else {},
        plain=PLAIN,
    )
    return outcome_of(call, response)


def outcome_of(call: Call, response: Response) -> Outcome:
    """201 with an empty body is their yes; a token that they do not know is a record that is gone, and no fault of ours."""
    status = response.status
    if 200 <= status <= 299:
        return delivered()
    if status in (404, 410):
        return refused("The instance that the lead came from has no record of it any more.")
    if status in (401, 403):
        return refused(f"The instance that the lead came from does not take this change.{said(response)}")
    return general_outcome(response, host(call))
