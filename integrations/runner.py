"""The process's one event loop, on which connectors' flows run: so many to a host at once, in turns between integrations."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import uvloop
from django.conf import settings

from integrations.kit.contract import Connector, ConnectorError, Flow, Request, Response, Token
from integrations.kit.flow import Exchange, run_async
from integrations.kit.http import Session
from leads import clock, limits

T = TypeVar("T")


@dataclass(slots=True)
class Finished(Generic[T]):
    """A flow that ended: its value, or what it raised; what was said on the wire (redacted); how long it took (ms)."""

    value: Any = None
    error: Exception | None = None
    log: list[Exchange] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    took_ms: int = 0
    job: T = None  # type: ignore[assignment]

    @property
    def started_at(self) -> dt.datetime:
        """When it began by the clock that all go by. Not to be asked on the loop: that clock may ask the database."""
        return clock.now() - dt.timedelta(seconds=time.monotonic() - self.begun)


class BudgetSpent(ConnectorError):
    """The budget of calls to a host is spent for now: nothing was sent, and nothing is wrong."""


class LaneSpent(BudgetSpent):
    """What is spent is only the part of the budget that calls of this sort may take."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The part of a narrow budget (not that of all calls) that calls of one sort keep to, so that others find the rest."""

    name: str
    share: float


class NotBegun(Exception):
    """The flow was called off before its first request: nothing was sent."""


class _WithinBudget:
    """A session that keeps to a connector's budgets for its host; all workers count together."""

    # Room for what people and other software send with the same credential.
    SHARE = 0.95

    def __init__(self, session: Session, connector: Connector, host: str, lane: Lane | None = None) -> None:
        self._session = session
        self._lane = lane
        # The narrower ones first: a call that one of them forbids takes nothing from the budget of all calls.
        self._budgets = sorted(connector.manifest.budgets, key=lambda budget: budget.name == "call")
        self._host = host

    async def send(self, request: Request) -> Response:
        for budget in self._budgets:
            if budget.name in ("call", request.budget):
                limit = int(budget.calls * self.SHARE)
                # Where the schedule runs faster, so does the client's time.
                window = budget.seconds * float(settings.SCHEDULE_FACTOR)
                if self._lane is not None and budget.name != "call":
                    part = f"{budget.name}:{self._lane.name}"
                    await self._take(part, int(limit * self._lane.share), window, LaneSpent)
                await self._take(budget.name, limit, window, BudgetSpent)
        return await self._session.send(request)

    async def _take(self, name: str, limit: int, window: float, spent: type[BudgetSpent]) -> None:
        wait = await limits.take(f"budget:{self._host}:{name}", limit, window)
        if wait > 0:
            words = f"{self._host} takes no more calls from us for {round(wait)} seconds."
            raise spent(words, passing=True, after_s=wait)


class HostLine:
    """Who may call a host: at most `size` at once, and where several integrations call it, none may take all places.

    A client's campaign that hangs keeps three quarters of the places at the most, so that its neighbours on the same host
    go on; whoever waits is let in by turns. To be used on the loop.
    """

    REMEMBERED_S = 600.0

    def __init__(self, size: int) -> None:
        self._size = size
        self._inside = 0
        self._inside_by: dict[Hashable, int] = {}
        self._seen: dict[Hashable, float] = {}
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    async def enter(self, key: Hashable) -> None:
        """Wait for a place; NotBegun where the wait is called off."""
        self._seen[key] = time.monotonic()
        if key not in self._waiting and self._has_room(key):
            self._take(key)
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(place)
        await place

    def leave(self, key: Hashable) -> None:
        """Give a place back, to whoever's turn it is."""
        self._inside -= 1
        self._inside_by[key] -= 1
        if not self._inside_by[key]:
            del self._inside_by[key]
        while self._let_one_in():
            pass

    def call_off(self, key: Hashable) -> None:
        """End the wait of all that wait under this key."""
        for place in self._waiting.pop(key, ()):
            if not place.done():
                place.set_exception(NotBegun())

    def _take(self, key: Hashable) -> None:
        self._inside += 1
        self._inside_by[key] = self._inside_by.get(key, 0) + 1

    def _has_room(self, key: Hashable) -> bool:
        if self._inside >= self._size:
            return False
        horizon = time.monotonic() - self.REMEMBERED_S
        shared = any(other != key and seen > horizon for other, seen in self._seen.items())
        most = self._size - max(1, self._size // 4) if shared and self._size > 1 else self._size
        return self._inside_by.get(key, 0) < most

    def _let_one_in(self) -> bool:
        for key, places in list(self._waiting.items()):
            if not self._has_room(key):
                continue
            place = places.popleft()
            # Behind all others that wait: one in, then the next integration's one.
            del self._waiting[key]
            if places:
                self._waiting[key] = places
            if place.done():
                return True
            self._take(key)
            place.set_result(None)
            return True
        return False


class Runner(Generic[T]):
    """Runs flows of one connector on the loop, so many to a host at once; what has finished is taken out as it ends.

    A job is whatever the caller knows a flow by; `key` is who calls, for the turns at a host. `on_end` is called on the loop
    after each end, and `may_begin` with a flow's job before its first request: where it says no, the flow ends with NotBegun.
    """

    def __init__(
        self,
        connector: Connector,
        host: str,
        *,
        key: Hashable = None,
        on_end: Callable[[], None] | None = None,
        may_begin: Callable[[T], bool] = lambda _job: True,
        lane: Lane | None = None,
    ) -> None:
        self._connector = connector
        self._host = host
        self._key = key
        self._on_end = on_end
        self._may_begin = may_begin
        self._lane = lane
        self._finished: queue.SimpleQueue[Finished[T]] = queue.SimpleQueue()
        self._runtime = runtime()
        self._halted = False
        self.running = 0

    def start(self, jobs: Iterable[tuple[T, Flow[Any]]]) -> None:
        """Start flows; returns at once."""
        started = list(jobs)
        self.running += len(started)
        self._halted = False
        self._runtime.submit(self._start(started))

    def start_login(self, job: T, credential: str, flow: Flow[Token]) -> None:
        """Start a log-in; one that is under way for the same credential is waited for instead of a second one."""
        self.running += 1
        self._runtime.submit(self._log_in(job, credential, flow))

    def halt(self) -> None:
        """Call off what has not begun: it ends with NotBegun."""
        self._halted = True
        self._runtime.loop.call_soon_threadsafe(lambda: self._line().call_off(self._key))

    def ended(self) -> list[Finished[T]]:
        """What has ended since the last look; does not wait."""
        ended: list[Finished[T]] = []
        while not self._finished.empty():
            ended.append(self._finished.get_nowait())
        self.running -= len(ended)
        return ended

    def finished(self, timeout_s: float) -> list[Finished[T]]:
        """What has ended: waits for the first up to `timeout_s`, then takes all that is there; [] if none ended."""
        try:
            first = self._finished.get(timeout=timeout_s)
        except queue.Empty:
            return []
        self.running -= 1
        return [first, *self.ended()]

    def _line(self) -> HostLine:
        return self._runtime.line(self._host, self._connector.manifest.concurrency)

    async def _start(self, jobs: list[tuple[T, Flow[Any]]]) -> None:
        for job, flow in jobs:
            self._runtime.keep(asyncio.create_task(self._run(job, flow)))

    async def _run(self, job: T, flow: Flow[Any]) -> None:
        end: Finished[T] = Finished(job=job)
        line = self._line()
        try:
            await line.enter(self._key)
        except NotBegun as error:
            flow.close()
            end.error = error
        else:
            try:
                await self._drive(flow, end)
            finally:
                line.leave(self._key)
        self._put(end)

    async def _drive(self, flow: Flow[Any], end: Finished[T]) -> None:
        if self._halted or not self._may_begin(end.job):
            flow.close()
            end.error = NotBegun()
            return
        session = _WithinBudget(self._runtime.open_session(), self._connector, self._host, self._lane)
        end.begun = time.monotonic()
        try:
            end.value = await run_async(flow, session, end.log)
        except Exception as error:  # noqa: BLE001  each flow fails for itself; the caller reads the error
            end.error = error
        end.took_ms = int((time.monotonic() - end.begun) * 1000)

    async def _log_in(self, job: T, credential: str, flow: Flow[Token]) -> None:
        end: Finished[T] = Finished(job=job)
        logins = self._runtime.logins
        if credential in logins:
            flow.close()
        else:
            logins[credential] = asyncio.create_task(self._logged_in(flow))
            logins[credential].add_done_callback(lambda _: logins.pop(credential, None))
        try:
            end.value = await asyncio.shield(logins[credential])
        except Exception as error:  # noqa: BLE001  the caller reads the error
            end.error = error
        self._put(end)

    async def _logged_in(self, flow: Flow[Token]) -> Token:
        # Outside the line: while its places are taken by calls whose token was refused, nothing else would free them.
        session = _WithinBudget(self._runtime.open_session(), self._connector, self._host)
        return await run_async(flow, session)

    def _put(self, end: Finished[T]) -> None:
        self._finished.put(end)
        if self._on_end is not None:
            self._on_end()


class Runtime:
    """One event loop in a thread of its own, with one HTTP session that is kept between batches."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.sessions: dict[tuple[str, ...], Session] = {}
        self.logins: dict[str, asyncio.Task[Token]] = {}
        self._lines: dict[str, HostLine] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        threading.Thread(target=self._run, name="flows", daemon=True).start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> Any:
        """Start a coroutine on the loop; a concurrent.futures.Future of its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def call_later(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        """Call a function on the loop after a while; it must not wait."""
        self.loop.call_soon_threadsafe(self.loop.call_later, seconds, function, *args)

    def keep(self, task: asyncio.Task[None]) -> None:
        """Hold on to a task until it is done, as the loop itself does not; to be called on the loop."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def open_session(self) -> Session:
        """The session for the private hosts that the deployment allows; to be called on the loop."""
        allowed = tuple(settings.CONNECTOR_PRIVATE_HOSTS)
        if allowed not in self.sessions:
            self.sessions[allowed] = Session(allowed)
        return self.sessions[allowed]

    def line(self, host: str, size: int) -> HostLine:
        """What keeps the calls to one host under its concurrency; to be used on the loop."""
        if host not in self._lines:
            self._lines[host] = HostLine(size)
        return self._lines[host]


_runtimes: dict[int, Runtime] = {}
_runtime_lock = threading.Lock()


def runtime() -> Runtime:
    """This process's runtime; a forked worker gets one of its own."""
    with _runtime_lock:
        pid = os.getpid()
        if pid not in _runtimes:
            _runtimes[pid] = Runtime()
        return _runtimes[pid]
