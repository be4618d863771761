"""Test connection: a signed message without any lead in it."""

from __future__ import annotations

from integrations.connectors.webhook.deliver import outcome_of
from integrations.connectors.webhook.message import host, post
from integrations.kit.contract import Call, ConnectorError, Flow, OutcomeKind


def check(call: Call) -> Flow[None]:
    """Send a ping. ConnectorError wherever a lead would be held or tried again.

    Who reads it and says no is fine: a receiver need not know pings.
    """
    response = yield from post(call, "ping", f"ping-{int(call.now().timestamp())}", {}, test=True)
    outcome = outcome_of(call, response)
    if outcome.kind == OutcomeKind.RETRY:
        raise ConnectorError(outcome.message, passing=True, after_s=outcome.after_s)
    if outcome.kind == OutcomeKind.MISCONFIGURED:
        raise ConnectorError(outcome.message, "signing_secret" if response.status in (401, 403) else "url")
    if outcome.kind == OutcomeKind.UNKNOWN:
        raise ConnectorError(f"{host(call)} gave an answer that can't be used ({response.status}).", "url")
