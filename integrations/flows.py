"""Runs connectors' flows for the stages: the process's one event loop, and the tokens that its flows carry.

A token belongs to a credential (connector, host and secrets), is kept encrypted in a row, and is shared by every worker and
integration with that credential, so that log-ins stay far below the client's limit (facts, sections 1d and 7).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from integrations.kit.contract import Call, Connector, ConnectorError, Flow, NoAnswer, Request, Response
from integrations.kit.flow import Exchange, run, run_async
from integrations.kit.http import Session, send_once
from integrations.models import RemoteToken
from leads import limits

logger = logging.getLogger(__name__)
T = TypeVar("T")

# A token is given up this long before its end, so that none ends on its way to the client.
TOKEN_MARGIN = dt.timedelta(seconds=120)
SINGLE_CALL_SECONDS = 10


@dataclass(slots=True)
class Finished(Generic[T]):
    """A flow that ended: its value, or what it raised; what was said on the wire (redacted); when and how long (ms)."""

    value: Any = None
    error: Exception | None = None
    log: list[Exchange] = field(default_factory=list)
    started_at: dt.datetime = field(default_factory=timezone.now)
    took_ms: int = 0
    job: T = None  # type: ignore[assignment]


class BudgetSpent(ConnectorError):
    """The budget of calls to a host is spent for now: nothing was sent, and nothing is wrong."""


class _WithinBudget:
    """A session that keeps to a connector's budgets for its host; all workers count together."""

    # Room for what people and other software send with the same credential.
    SHARE = 0.95

    def __init__(self, session: Session, connector: Connector, host: str) -> None:
        self._session = session
        self._budgets = connector.manifest.budgets
        self._host = host

    async def send(self, request: Request) -> Response:
        for budget in self._budgets:
            if budget.name in ("call", request.budget):
                limit = int(budget.calls * self.SHARE)
                wait = await limits.take(f"budget:{self._host}:{budget.name}", limit, budget.seconds)
                if wait > 0:
                    words = f"{self._host} takes no more calls from us for {round(wait)} seconds."
                    raise BudgetSpent(words, passing=True, after_s=wait)
        return await self._session.send(request)


class Runner(Generic[T]):
    """Runs flows of one connector on the loop, so many to a host at once; what has finished is taken out as it ends.

    A job is whatever the caller knows a flow by.
    """

    def __init__(self, connector: Connector, host: str) -> None:
        self._connector = connector
        self._host = host
        self._finished: queue.SimpleQueue[Finished[T]] = queue.SimpleQueue()
        self._runtime = runtime()
        self.running = 0

    def start(self, jobs: Iterable[tuple[T, Flow[Any]]]) -> None:
        """Start flows; returns at once."""
        started = list(jobs)
        self.running += len(started)
        self._runtime.submit(self._start(started))

    def finished(self, timeout_s: float) -> list[Finished[T]]:
        """What has ended: waits for the first up to `timeout_s`, then takes all that is there; [] if none ended."""
        ended: list[Finished[T]] = []
        try:
            ended.append(self._finished.get(timeout=timeout_s))
            while True:
                ended.append(self._finished.get_nowait())
        except queue.Empty:
            self.running -= len(ended)
            return ended

    async def _start(self, jobs: list[tuple[T, Flow[Any]]]) -> None:
        for job, flow in jobs:
            task = asyncio.create_task(self._run(job, flow))
            self._runtime.tasks.add(task)
            task.add_done_callback(self._runtime.tasks.discard)

    async def _run(self, job: T, flow: Flow[Any]) -> None:
        async with self._runtime.slot(self._host, self._connector.manifest.concurrency):
            session = _WithinBudget(self._runtime.open_session(), self._connector, self._host)
            end: Finished[T] = Finished(job=job)
            clock = time.monotonic()
            try:
                end.value = await run_async(flow, session, end.log)
            except Exception as error:  # noqa: BLE001  each flow fails for itself; the caller reads the error
                end.error = error
            end.took_ms = int((time.monotonic() - clock) * 1000)
        self._finished.put(end)


class Runtime:
    """One event loop in a thread of its own, with one HTTP session that is kept between batches."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.sessions: dict[tuple[str, ...], Session] = {}
        self.slots: dict[str, asyncio.Semaphore] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        threading.Thread(target=self._run, name="flows", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> Any:
        """Start a coroutine on the loop; a concurrent.futures.Future of its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def open_session(self) -> Session:
        """The session for the private hosts that the deployment allows; to be called on the loop."""
        allowed = tuple(settings.CONNECTOR_PRIVATE_HOSTS)
        if allowed not in self.sessions:
            self.sessions[allowed] = Session(allowed)
        return self.sessions[allowed]

    def slot(self, host: str, size: int) -> asyncio.Semaphore:
        """What keeps the calls to one host under its concurrency; to be used on the loop."""
        if host not in self.slots:
            self.slots[host] = asyncio.Semaphore(size)
        return self.slots[host]


_runtimes: dict[int, Runtime] = {}
_runtime_lock = threading.Lock()


def runtime() -> Runtime:
    """This process's runtime; a forked worker gets one of its own."""
    with _runtime_lock:
        pid = os.getpid()
        if pid not in _runtimes:
            _runtimes[pid] = Runtime()
        return _runtimes[pid]


def connector_call(connector: Connector, values: Mapping[str, Any], *, token: str = "", key: str = "") -> Call:
    """What a connector may see: its settings and the deployment's keys that its manifest names."""
    environment = {name: settings.CONNECTOR_ENVIRONMENT[name] for name in connector.manifest.environment}
    return Call(settings=values, environment=environment, token=token, idempotency_key=key)


class SingleCalls:
    """The calls that one person waits for: so many seconds for all of them together, and no look-up is made twice."""

    def __init__(self, seconds: float = SINGLE_CALL_SECONDS) -> None:
        self.answers = 0
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._known: dict[tuple[Any, ...], Response] = {}

    def send(self, request: Request) -> Response:
        """The answer to a request; NoAnswer where there is none, or no time is left."""
        lookup = (request.url, tuple(request.query.items()), tuple(request.headers.items()), request.bearer)
        if request.method == "GET" and lookup in self._known:
            return self._known[lookup]
        left = self._until - time.monotonic()
        try:
            if left <= 0:
                raise NoAnswer("", sent=False)
            response = send_once(request, timeout_s=left, private_hosts=settings.CONNECTOR_PRIVATE_HOSTS)
        except NoAnswer as silence:
            if time.monotonic() < self._until:
                raise
            host = urlsplit(request.url).netloc
            raise NoAnswer(f"{host} has not answered for {self._seconds:g} seconds.", sent=silence.sent) from None
        self.answers += 1
        if request.method == "GET":
            self._known[lookup] = response
        return response


def run_step(
    connector: Connector,
    step: Callable[[Call], Flow[T]],
    values: Mapping[str, Any],
    *,
    fresh_login: bool = False,
    calls: SingleCalls | None = None,
) -> T:
    """Run one step for a person who waits: logged in, and bounded to a few seconds in all, those of earlier `calls` included.

    ConnectorError where a person can mend it, NoAnswer where the client gave no answer.
    """
    calls = calls or SingleCalls()
    token = token_get(connector, values, fresh=fresh_login, calls=calls)
    return run(step(connector_call(connector, values, token=token)), calls.send)


def token_get(
    connector: Connector, values: Mapping[str, Any], *, fresh: bool = False, calls: SingleCalls | None = None
) -> str:
    """A token that is still good for a while, logging in where there is none; "" for a connector without log-in."""
    if connector.authenticate is None:
        return ""
    call = connector_call(connector, values)
    credential = _credential(connector, call)
    now = timezone.now()
    if not fresh:
        kept = RemoteToken.objects.filter(credential=credential, expires_at__gt=now + TOKEN_MARGIN).first()
        if kept is not None:
            return str(kept.token["value"])
    token = run(connector.authenticate(call), (calls or SingleCalls()).send)
    RemoteToken.objects.update_or_create(
        credential=credential,
        defaults={
            "token": {"value": token.value},
            "expires_at": now + dt.timedelta(seconds=token.expires_in_s),
        },
    )
    return token.value


def token_renew(
    connector: Connector, values: Mapping[str, Any], refused: str, *, calls: SingleCalls | None = None
) -> str:
    """A token other than the refused one: a colleague's newer one where there is one, else from a new log-in."""
    current = token_get(connector, values, calls=calls)
    return current if current != refused else token_get(connector, values, fresh=True, calls=calls)


def _credential(connector: Connector, call: Call) -> str:
    secrets = {
        field.name: call.settings.get(field.name) for field in connector.manifest.settings if field.type == "secret"
    }
    text = json.dumps([connector.manifest.slug, connector.host(call), secrets], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
