"""Posts a lead, and reads what came of it (facts, sections 4 and 7)."""

from __future__ import annotations

from typing import Any

from integrations.connectors.convertr_connect.instance import (
    KEY_REFUSED,
    PASSWORD_EXPIRED,
    campaign_id,
    campaign_inactive,
    form_id,
    host,
    inactive_words,
    leads_url,
    number,
    password_expired,
    publisher_unknown,
    publisher_words,
)
from integrations.connectors.convertr_connect.manifest import WINDOW_S
from integrations.kit.answers import general_outcome, plain_text, said, their_words
from integrations.kit.contract import (
    Call,
    Flow,
    Outcome,
    Payload,
    Request,
    Response,
    delivered,
    misconfigured,
    refused,
    retry,
)

REFERENCE_CHARS = 100


def deliver(call: Call, lead: Payload) -> Flow[Outcome]:
    """Send one lead. linkId goes along only when it is set; `test=1` marks a test lead.

    NoAnswer is left to the engine, which knows whether they honour the key.
    """
    query = {}
    if str(call.settings.get("link") or "").strip():
        query["linkId"] = number(call, "link", "Link")
    if lead.test:
        query["test"] = "1"
    response = yield Request(
        "POST",
        leads_url(call),
        query=query,
        form=tuple(lead.fields.items()),
        headers={"Idempotency-Key": call.idempotency_key} if call.idempotency_key else {},
        bearer=call.token,
    )
    return outcome_of(call, response)


def outcome_of(call: Call, response: Response) -> Outcome:
    """What their answer decides.

    201 is trusted whatever its body says; the id is in `data`. A 200 or 202 counts only with an id in it: without one it may
    be any page, so it is unknown, and a person looks.
    """
    status = response.status
    if status == 201:
        return delivered(_reference(response.json()), cut=response.cut)
    if status in (200, 202) and (reference := _reference(response.json())):
        return delivered(reference)
    if password_expired(response):
        return misconfigured(PASSWORD_EXPIRED)
    if status == 401:
        return retry(KEY_REFUSED, renew_token=True)
    if status in (400, 422):
        return _not_valid(response)
    if campaign_inactive(response):
        return misconfigured(inactive_words(call))
    if status == 403:
        return misconfigured(f"The client's instance does not let this API_Key post leads here.{said(response)}")
    if publisher_unknown(response):
        return misconfigured(publisher_words(call))
    if status == 404:
        return misconfigured(
            f"The client's instance knows no campaign {campaign_id(call)} with the form {form_id(call)} for this publisher."
        )
    return general_outcome(response, host(call), busy_s=WINDOW_S)


def _reference(data: Any) -> str:
    """The lead's id on their side: a number in `data`; seen documented only so, read as text too."""
    value = data.get("data") if isinstance(data, dict) else None
    if isinstance(value, dict):
        value = value.get("id")
    if isinstance(value, float):
        return ""
    return plain_text(value, REFERENCE_CHARS)


def _not_valid(response: Response) -> Outcome:
    """A 400: their words per field. One that speaks of extra fields says that their form is not the one that was mapped."""
    data = response.json()
    items = data.get("data") if isinstance(data, dict) else None
    problems: list[tuple[str, str]] = []
    extra = False
    for item in items[:50] if isinstance(items, list) else ():
        if not isinstance(item, dict):
            continue
        field, words = plain_text(item.get("fieldName"), 200), plain_text(item.get("message"), 300)
        extra = extra or "extra field" in words.casefold()
        if field or words:
            problems.append((field, words or "Does not fit the client's form."))
    if extra:
        message = "The client's form does not have every field that was sent: it has changed, or the Global Form is another one."
    elif problems:
        named = [f"{field}: {words}" if field else words for field, words in problems[:3]]
        message = "The client's instance refused the lead. " + " ".join(named)
    else:
        message = f"The client's instance refused the lead. {their_words(response)}".strip()
    return refused(message, problems, form_changed=extra)
