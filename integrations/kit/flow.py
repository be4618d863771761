"""Drives a connector's flow: hands its requests to whatever sends them, and writes down each exchange, redacted.

There is one way of stepping and two drivers, so a flow behaves the same in a batch, in a single call and in a replay.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, MutableSequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from integrations.kit import single_calls
from integrations.kit.contract import ConnectorError, Flow, NoAnswer, Request, Response
from integrations.kit.redaction import redact_request, redact_response

T = TypeVar("T")
MAX_REQUESTS = 20


@dataclass(slots=True)
class Exchange:
    """One request of a flow and what came back, redacted: fit to be kept with an attempt."""

    request: dict[str, Any]
    response: dict[str, Any] | None = None
    error: str = ""
    took_ms: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {"request": self.request, "response": self.response, "error": self.error, "took_ms": self.took_ms}


class Sends(Protocol):
    """What the async driver needs of a session: kit.http.Session, or the engine's own around it."""

    async def send(self, request: Request) -> Response: ...


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    value: T


def _start(flow: Flow[T]) -> Request | _Done[T]:
    try:
        return next(flow)
    except StopIteration as end:
        return _Done(end.value)


def _go_on(flow: Flow[T], answer: Response | NoAnswer) -> Request | _Done[T]:
    try:
        return flow.throw(answer) if isinstance(answer, NoAnswer) else flow.send(answer)
    except StopIteration as end:
        return _Done(end.value)


def _write_down(
    log: MutableSequence[Exchange] | None, request: Request, answer: Response | NoAnswer, started: float
) -> None:
    if log is None:
        return
    exchange = Exchange(redact_request(request), took_ms=round((time.monotonic() - started) * 1000))
    if isinstance(answer, NoAnswer):
        exchange.error = str(answer)
    else:
        exchange.response = redact_response(answer, request)
    log.append(exchange)


def _never_ends(flow: Flow[Any]) -> ConnectorError:
    flow.close()
    return ConnectorError(
        f"The connector asked {MAX_REQUESTS} times without coming to an end. Tell whoever runs this portal."
    )


async def run_async(flow: Flow[T], session: Sends, log: MutableSequence[Exchange] | None = None) -> T:
    """Run a flow over `session`; what it returns is returned, what it raises is raised.

    NoAnswer is thrown into the flow, and comes out where the flow does not catch it. Each exchange is added to `log`.
    ConnectorError where the flow never ends.
    """
    step = _start(flow)
    for _ in range(MAX_REQUESTS):
        if isinstance(step, _Done):
            return step.value
        started = time.monotonic()
        answer: Response | NoAnswer
        try:
            answer = await session.send(step)
        except NoAnswer as error:
            answer = error
        _write_down(log, step, answer, started)
        step = _go_on(flow, answer)
    if isinstance(step, _Done):
        return step.value
    raise _never_ends(flow)


def run(flow: Flow[T], send: Callable[[Request], Response], log: MutableSequence[Exchange] | None = None) -> T:
    """Run a flow with a plain function that sends; otherwise as run_async."""
    step = _start(flow)
    for _ in range(MAX_REQUESTS):
        if isinstance(step, _Done):
            return step.value
        started = time.monotonic()
        answer: Response | NoAnswer
        try:
            answer = send(step)
        except NoAnswer as error:
            answer = error
        _write_down(log, step, answer, started)
        step = _go_on(flow, answer)
    if isinstance(step, _Done):
        return step.value
    raise _never_ends(flow)


def run_sync(
    flow: Flow[T],
    log: MutableSequence[Exchange] | None = None,
    *,
    timeout_s: float = 10,
    private_hosts: Collection[str] = (),
) -> T:
    """Run a flow with single calls (checks, options, discovery, commands); each may take `timeout_s` in all."""
    return run(
        flow, lambda request: single_calls.send_once(request, timeout_s=timeout_s, private_hosts=private_hosts), log
    )
