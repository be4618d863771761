"""What a connector is: a value made of plain functions that do no I/O.

A step is a generator: it yields a Request and is sent the Response. The engine owns sockets, time-outs, retries, budgets,
tokens and redaction, so one connector runs under threads or asyncio, and a test replays it from data.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias, TypeVar

T = TypeVar("T")


class ConnectorError(Exception):
    """Something that a person can mend. Its text is shown to account managers: say what happened and what to do.

    `field` names the settings field that it is about, if it is about one. `passing`: nothing was decided (the client is busy
    or broken) and the same call may go through later, so nobody has to act; `after_s` is when they ask to be called again,
    where they say. `renew_token`: the token was refused; get a new one and run the step once more.
    """

    def __init__(
        self,
        message: str,
        field: str = "",
        *,
        passing: bool = False,
        renew_token: bool = False,
        after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.passing = passing
        self.renew_token = renew_token
        self.after_s = after_s


class NotKnown(ConnectorError):
    """From poll(): the client answers, and says that it does not know this lead."""


class NoAnswer(Exception):
    """The engine throws it into a flow whose request got no answer. `sent`: the other side may have read it."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class NotCalled(NoAnswer):
    """The address may not be called at all: it is not https, not public, not readable. Another try changes nothing."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. At most one of `form`, `json` and `body`; `budget` is the class of calls that it counts as.

    `body` beside `json` is that JSON as it was written to be signed.
    """

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    form: Sequence[tuple[str, str]] | None = None
    json: Any = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    bearer: str = ""
    budget: str = "call"
    secrets: frozenset[str] = frozenset()
    """Names of query or form keys whose values are never written down."""
    plain: frozenset[str] = frozenset()
    """Names of form keys whose values are nobody's personal data: written down as they are."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer. Header names are lower-case; the body is cut at the kit's cap."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False
    """The body is not whole: longer than the cap, or the line broke while it came."""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


Flow: TypeAlias = Generator[Request, Response, T]


class OutcomeKind(StrEnum):
    """The closed list of what a try can come to."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # they read it and said no: never resent by itself
    RETRY = "retry"  # nothing was decided
    MISCONFIGURED = "misconfigured"  # held until a person acts
    UNKNOWN = "unknown"  # it went out, no answer came, and they honour no idempotency key


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a try came to. `message` is in words for account managers; `problems` are the client's words per field."""

    kind: OutcomeKind
    reference: str = ""
    message: str = ""
    problems: tuple[tuple[str, str], ...] = ()
    after_s: float | None = None
    renew_token: bool = False
    """With RETRY: the token was refused; the engine renews it once and tries again at once."""
    form_changed: bool = False
    """With REFUSED: their form is not the one that was mapped; the engine pulls it again."""
    cut: bool = False
    """With DELIVERED: their answer was not whole, and may have named a reference. Where they honour keys the engine asks
    for it once, by the same post under the same key."""


def delivered(reference: str = "", message: str = "", *, cut: bool = False) -> Outcome:
    return Outcome(OutcomeKind.DELIVERED, reference=reference, message=message, cut=cut and not reference)


def refused(message: str, problems: Sequence[tuple[str, str]] = (), *, form_changed: bool = False) -> Outcome:
    return Outcome(OutcomeKind.REFUSED, message=message, problems=tuple(problems), form_changed=form_changed)


def retry(message: str, after_s: float | None = None, *, renew_token: bool = False) -> Outcome:
    return Outcome(OutcomeKind.RETRY, message=message, after_s=after_s, renew_token=renew_token)


def misconfigured(message: str) -> Outcome:
    return Outcome(OutcomeKind.MISCONFIGURED, message=message)


def unknown(message: str) -> Outcome:
    return Outcome(OutcomeKind.UNKNOWN, message=message)


VerdictState: TypeAlias = Literal["pending", "valid", "invalid", "returned", "test"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the client says of a delivered lead. Empty strings and None: they did not say."""

    state: VerdictState
    reason_code: str = ""
    comment: str = ""
    by: str = ""
    decided_at: dt.datetime | None = None
    event_id: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class RemoteField:
    """One field of the client's form, keyed as it is posted. `sync` marks the engine's own inputs: token or subdomain."""

    key: str
    label: str = ""
    type: str = "text"
    required: bool = False
    hidden: bool = False
    choices: tuple[Choice, ...] = ()
    max_length: int | None = None
    sync: str = ""


@dataclass(frozen=True, slots=True)
class RemoteForm:
    """What discover() learns of the client's form. `honours_keys`: a repeated idempotency key is answered, not repeated."""

    fields: tuple[RemoteField, ...]
    name: str = ""
    honours_keys: bool = False


@dataclass(frozen=True, slots=True)
class RemoteRule:
    """A rule that the client checks leads by and shows us. `version` is another one whenever the rule is.

    A list has values, which rule_values() gives page by page: `wanted` says whether a value has to be on it or must not be. A
    conditional has an operator (kit/conditions.py) and values.
    """

    id: str
    kind: Literal["list", "conditional"]
    name: str
    field: str = ""
    campaign: str = ""
    version: str = ""
    wanted: bool = True
    several: bool = False
    empty_fails: bool = False
    count: int = 0
    operator: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RulePage:
    """A part of a list's values. `next` asks for the next part; empty where this is the last."""

    version: str
    values: tuple[str, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    value: str
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class SettingField:
    """One box of the Configure page. `type`: text, secret, integer, choice (its values come from options()), boolean, map.

    A map (own names to theirs) is kept as kit/text_map.py says; read it with pairs_of().
    """

    name: str
    label: str
    type: Literal["text", "secret", "integer", "choice", "boolean", "map"] = "text"
    required: bool = True
    help: str = ""
    advanced: bool = False
    default: str = ""
    pattern: str = ""
    pattern_help: str = ""
    choices: tuple[Choice, ...] = ()
    sides: tuple[str, str] = ("Your name", "Their name")
    """Of a map: what stands above its two columns."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `calls` of a class of requests to one remote host in `seconds`; class `call` counts every request."""

    name: str
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a connector says of itself. `slug` is never renamed; a shipped one never gains a required setting."""

    slug: str
    name: str
    summary: str
    accepts: frozenset[str]
    """Kinds of deliveries: lead, status, event."""
    settings: tuple[SettingField, ...] = ()
    former_names: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    """Keys of the deployment's CONNECTOR_ENVIRONMENT that it reads."""
    budgets: tuple[Budget, ...] = ()
    concurrency: int = 8
    offered: bool = True
    """False: the engine makes its integrations itself and no person adds one."""
    help: str = ""
    integrations_name: str = ""
    """For events: its name in the `integrations` object of a message, in exactly this case."""
    try_seconds: tuple[float, ...] = ()
    """Seconds until the next try after the first, second, ... one, where they are not the engine's."""


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True)
class Call:
    """All that a connector may see. `environment` holds the keys that its manifest names.

    `now` is the clock, for a step whose request carries the time: ask it in the step, which may run long after it was made.
    """

    settings: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    token: str = ""
    idempotency_key: str = ""
    now: Callable[[], dt.datetime] = _utc_now


@dataclass(frozen=True, slots=True)
class Payload:
    """What deliver() hands over.

    For a lead: `fields` are remote keys to mapped text, the sync inputs included. For a status change: `data` has token,
    verdict, reason_code, comment, by, event_id, decided_at (ISO 8601). For an event: `data` is the message in Segment's shape.
    `test`: to be marked as a test on their side.
    """

    kind: Literal["lead", "status", "event"]
    fields: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    test: bool = False


@dataclass(frozen=True, slots=True)
class Connector:
    """A connector. Every function but `deliver` may be None: not offered."""

    manifest: Manifest
    deliver: Callable[[Call, Payload], Flow[Outcome]]
    host: Callable[[Call], str]
    """The remote host (name and port) that its calls go to, for budgets and breakers; ConnectorError on bad settings."""
    authenticate: Callable[[Call], Flow[Token]] | None = None
    check: Callable[[Call], Flow[None]] | None = None
    options: Callable[[Call, str], Flow[tuple[Choice, ...]]] | None = None
    """The choices of a settings field, from the settings filled in so far."""
    discover: Callable[[Call], Flow[RemoteForm]] | None = None
    rules: Callable[[Call], Flow[tuple[RemoteRule, ...]]] | None = None
    """The rules that the client checks leads by and shows us."""
    rule_values: Callable[[Call, str, str], Flow[RulePage]] | None = None
    """The values of the list with this id, behind what the page before called `next`."""
    poll: Callable[[Call, str], Flow[Verdict]] | None = None
    """The verdict on the delivery with this reference; ConnectorError where it can't be read for good."""
    takes: Callable[[Mapping[str, Any]], frozenset[str]] | None = None
    """The kinds of deliveries that an integration with these settings takes, where that is not all that the manifest accepts."""
    wants: Callable[[Call, Payload], str] | None = None
    """Why an event is not sent, in words; "" where it is. Asked before a delivery is queued, so it must be quick."""
    browser: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """What of the settings its browser.js is told, for everybody to read: never a secret. For connectors with such a file."""
    receive: Callable[[str, Mapping[str, str]], Verdict] | None = None
    """Reads a verdict that they push: the word in the callback's path (validate, invalidate) and its form values."""
