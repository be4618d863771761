"""Sends a lead, and reads what came of it."""

from __future__ import annotations

from typing import Any

from integrations.connectors.webhook.message import Clash, host, nested, post, post_event
from integrations.kit.answers import general_outcome, is_passing, plain_text, retry_after, said, their_words
from integrations.kit.contract import Call, Flow, Outcome, Payload, Response, delivered, misconfigured, refused, retry

REFERENCE_CHARS = 100
MAX_PROBLEMS = 50


def deliver(call: Call, lead: Payload) -> Flow[Outcome]:
    """Send one lead. The idempotency key is the message's id, in the header and in the body: the same in every try.

    An event brings its own type, timestamp and data.
    """
    if lead.kind == "event":
        response = yield from post_event(call, call.idempotency_key, lead.data, test=lead.test)
        if call.settings.get("until_taken"):
            return taken_or_again(call, response)
        return outcome_of(call, response, what="message")
    try:
        data = nested(lead.fields)
    except Clash as clash:
        return misconfigured(str(clash))
    response = yield from post(call, lead.kind, call.idempotency_key, data, test=lead.test)
    return outcome_of(call, response)


def outcome_of(call: Call, response: Response, what: str = "lead") -> Outcome:
    """What their status decides; bodies only add words, a reference and problems per field. `what` was sent, in words."""
    status, who = response.status, host(call)
    if 200 <= status <= 299:
        return delivered(_reference(response.json()), cut=response.cut)
    if status in (400, 409, 422):
        return _not_taken(response, who, what)
    if status in (401, 403):
        return misconfigured(
            f"{who} does not accept the signature. Compare the signing secret on both sides.{said(response)}"
        )
    if status in (404, 405):
        return misconfigured(
            f"{who} takes no {what}s at this address (answer {status}). Check the URL.{said(response)}"
        )
    if status == 410:
        return misconfigured(
            f"{who} takes nothing at this address any more (410), so this was switched off. "
            f"Ask them for another one.{said(response)}"
        )
    if 300 <= status <= 399:
        return misconfigured(
            f"{who} sends us on to another address, which is not followed. Fill in the address that it ends at."
        )
    return general_outcome(response, who)


def taken_or_again(call: Call, response: Response) -> Outcome:
    """What a partner's webhook answers: taken with 2xx, never again with 410; whatever else it says, it is told again.

    A receiver that is being mended must not lose what it is told meanwhile, nor be switched off for it.
    """
    status, who = response.status, host(call)
    if 200 <= status <= 299:
        return delivered()
    if status == 410:
        return outcome_of(call, response, what="message")
    if is_passing(status):
        return general_outcome(response, who)
    return retry(f"{who} did not take it (answer {status}).{said(response)}", retry_after(response.headers))


def _reference(data: Any) -> str:
    """Their id for the lead, where the answer is JSON with an id or a reference."""
    for name in ("id", "reference"):
        value = data.get(name) if isinstance(data, dict) else None
        if not isinstance(value, float) and (text := plain_text(value, REFERENCE_CHARS)):
            return text
    return ""


def _not_taken(response: Response, who: str, what: str) -> Outcome:
    problems = _problems(response.json())
    words = their_words(response) or " ".join(f"{field}: {text}" if field else text for field, text in problems[:3])
    return refused(f"{who} refused the {what}. {words}".strip(), problems)


def _problems(data: Any) -> list[tuple[str, str]]:
    """What is wrong with which field, from `errors`: an object of names to words, or a list of {field, message}."""
    errors = data.get("errors") if isinstance(data, dict) else None
    found: list[tuple[str, str]] = []
    if isinstance(errors, dict):
        for name, words in list(errors.items())[:MAX_PROBLEMS]:
            first = words[0] if isinstance(words, list) and words else words
            found.append((plain_text(name, 200), plain_text(first, 300) or "Was not accepted."))
    for item in errors[:MAX_PROBLEMS] if isinstance(errors, list) else ():
        field = plain_text(item.get("field"), 200) if isinstance(item, dict) else ""
        text = plain_text(item.get("message") if isinstance(item, dict) else item, 300)
        if field or text:
            found.append((field, text or "Was not accepted."))
    return found
