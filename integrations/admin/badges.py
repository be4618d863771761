"""States of integrations, deliveries and verdicts, by word and colour and shape."""

from __future__ import annotations

from django.utils.safestring import SafeString

from integrations.models import Delivery, DeliveryState, Integration, IntegrationState, StatusUpdate, VerdictState
from leads.admin.badges import badge

INTEGRATION_TONES = {
    IntegrationState.NEEDS_SETUP: "off",
    IntegrationState.ON: "good",
    IntegrationState.PAUSED: "wait",
    IntegrationState.NEEDS_A_LOOK: "bad",
}
DELIVERY_TONES = {
    DeliveryState.QUEUED: "busy",
    DeliveryState.SENDING: "busy",
    DeliveryState.DELIVERED: "good",
    DeliveryState.REFUSED: "bad",
    DeliveryState.HELD: "wait",
    DeliveryState.UNKNOWN: "wait",
    DeliveryState.EXHAUSTED: "bad",
    DeliveryState.NOT_SENT: "off",
}
VERDICT_TONES = {
    VerdictState.PENDING: "busy",
    VerdictState.VALID: "good",
    VerdictState.INVALID: "bad",
    VerdictState.RETURNED: "back",
    VerdictState.TEST: "test",
}
UPDATE_TONES = {
    StatusUpdate.State.RECEIVED: "busy",
    StatusUpdate.State.APPLIED: "good",
    StatusUpdate.State.STALE: "off",
    StatusUpdate.State.REPEATED: "off",
    StatusUpdate.State.CONFLICTING: "wait",
    StatusUpdate.State.UNMATCHED: "wait",
}
OUTCOME_TONES = {"delivered": "good", "refused": "bad", "retry": "wait", "misconfigured": "wait", "unknown": "wait"}
OUTCOME_WORDS = {
    "delivered": "delivered",
    "refused": "refused",
    "retry": "nothing decided, tried again later",
    "misconfigured": "the set-up needs a look",
    "unknown": "sent, but no answer came",
}


def integration_badge(integration: Integration) -> SafeString:
    return badge(
        integration.get_state_display(),
        INTEGRATION_TONES.get(IntegrationState(integration.state), "off"),
        integration.state_reason,
    )


def delivery_badge(delivery: Delivery, *, with_reason: bool = True) -> SafeString:
    """A delivery's state; the reason, when pointed at, may name what was posted."""
    tone = DELIVERY_TONES.get(DeliveryState(delivery.state), "off")
    return badge(delivery.get_state_display(), tone, delivery.reason if with_reason else "")


def verdict_badge(verdict: str, hint: str = "") -> SafeString:
    state = VerdictState(verdict)
    return badge(state.label, VERDICT_TONES.get(state, "off"), hint)


def update_badge(update: StatusUpdate) -> SafeString:
    return badge(update.get_state_display(), UPDATE_TONES.get(StatusUpdate.State(update.state), "off"))
