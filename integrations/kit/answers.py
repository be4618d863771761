"""What an answer means whoever gave it: how HTTP statuses are read, when to call again, what the other side's words are."""

from __future__ import annotations

import datetime as dt
import email.utils
from collections.abc import Mapping
from typing import Any

from integrations.kit.contract import ConnectorError, Outcome, Response, misconfigured, refused, retry, unknown
from integrations.kit.redaction import storable

LONGEST_WAIT_S = 24 * 3600.0
WORDS_CHARS = 500
_RETRIED = frozenset([408, 425, 429])
_NOT_RETRIED = frozenset([501, 505])


def is_passing(status: int) -> bool:
    """Whether a status decides nothing, so that the same request is sent again: 408, 425, 429, 5xx but 501 and 505."""
    return status in _RETRIED or (500 <= status <= 599 and status not in _NOT_RETRIED)


def retry_after(headers: Mapping[str, str], now: dt.datetime | None = None) -> float | None:
    """Seconds until they ask to be called again: from Retry-After as seconds or as a date, a day at the most.

    None where they do not say, or say it in no known way.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return LONGEST_WAIT_S if len(text) > 9 else min(float(text), LONGEST_WAIT_S)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    try:
        wait = (moment - (now or dt.datetime.now(dt.UTC))).total_seconds()
    except OverflowError:
        return None
    return min(max(wait, 0.0), LONGEST_WAIT_S)


def plain_text(value: Any, limit: int = WORDS_CHARS) -> str:
    """What they sent as a line of text that can be stored and shown: no control characters, no run of spaces, cut."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = " ".join(storable(str(value)).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


_WORDS_KEYS = ("message", "error_description", "detail", "error", "title")


def their_words(response: Response) -> str:
    """The text of an error in any of its known shapes (facts, section 7 and 13); "" where there is none worth showing.

    Read are message, error_description, detail, error and title of an object, or of an error object inside it, and plain
    text that is no web page.
    """
    data = response.json()
    if isinstance(data, dict):
        inner = data.get("error")
        for source in (data, inner if isinstance(inner, dict) else {}):
            for key in _WORDS_KEYS:
                if words := plain_text(source.get(key)):
                    return words
        return ""
    if data is not None:
        return plain_text(data)
    text = plain_text(response.text, 200)
    return "" if text.startswith("<") or "\N{REPLACEMENT CHARACTER}" in text else text


def said(response: Response) -> str:
    """Their words as the end of a sentence of ours; "" where they said nothing."""
    words = their_words(response)
    return f" They say: {words}" if words else ""


def passing_words(status: int, who: str) -> str:
    """Why nothing was decided, in words."""
    if status == 429:
        return f"{who} is busy and asks to be called later."
    if status in _RETRIED:
        return f"{who} did not take the request in time. It is sent again."
    return f"{who} is out of order at the moment (answer {status})."


def passing_error(response: Response, who: str, otherwise_after_s: float | None = None) -> ConnectorError:
    """For steps that return no Outcome: nothing was decided, and nobody has to act."""
    after_s = retry_after(response.headers)
    if after_s is None and response.status == 429:
        after_s = otherwise_after_s
    return ConnectorError(passing_words(response.status, who), passing=True, after_s=after_s)


def general_outcome(response: Response, who: str, *, busy_s: float | None = None) -> Outcome:
    """What an answer comes to that a connector has no better reading of. `who` starts the sentence; `busy_s` is how long
    to wait after a 429 that does not say.
    """
    status = response.status
    if is_passing(status):
        after_s = retry_after(response.headers)
        return retry(passing_words(status, who), busy_s if after_s is None and status == 429 else after_s)
    if status == 410:
        return misconfigured(
            f"{who} takes nothing at this address any more (410), so this was switched off.{said(response)}"
        )
    if 300 <= status <= 399:
        return misconfigured(f"{who} sends us on to another address, which is not followed. Check the address.")
    if status in (401, 403):
        return misconfigured(f"{who} does not let us in. Check the credentials.{said(response)}")
    if status in (404, 405, 501, 505):
        return misconfigured(f"{who} knows no such address (answer {status}). Check the settings.{said(response)}")
    if status == 413:
        return refused(f"{who} finds this too large.{said(response)}")
    if 400 <= status <= 499:
        return refused(f"{who} refused it (answer {status}).{said(response)}")
    return unknown(f"{who} gave an answer that says neither yes nor no ({status}). It may have arrived.")
