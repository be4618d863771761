"""Calls per credential, and guesses per address, in a rolling window (facts, section 7): 429 with Retry-After beyond it.

Kept in memory for one process, in Redis for many. A refused call is not counted, so that a client that keeps asking gets in as
soon as the window frees. When Redis does not answer, each process counts for itself: nobody is shut out by its failure.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import logging
import math
import threading
import time
import weakref
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

import redis
from django.conf import settings
from redis import RedisError
from redis import asyncio as redis_asyncio

from leads.web import refusal

logger = logging.getLogger(__name__)

Kind = Literal["logins", "passwords", "sign_ins", "results", "calls"]

MAX_KEYS = 50_000
BUCKETS = 60
REDIS_SECONDS = 0.5
REDIS_PAUSE_SECONDS = 5.0

# One atomic step for all calls that are asked about, those under one key together: forget what left the window, then count as
# many as there is room for, and say when there will be more. The counts stand in sixtieths of the window; Redis's own clock is the one clock of all processes.
_COUNT = """
local now = redis.call('TIME')
local clock = tonumber(now[1]) + tonumber(now[2]) / 1000000
local buckets = tonumber(ARGV[1])
local answers = {}
for k = 1, #KEYS do
  local window, limit, wanted = tonumber(ARGV[3 * k - 1]), tonumber(ARGV[3 * k]), tonumber(ARGV[3 * k + 1])
  local width = window / buckets
  local current = math.floor(clock / width)
  local total, oldest = 0, current
  local counts = redis.call('HGETALL', KEYS[k])
  for i = 1, #counts, 2 do
    local bucket = tonumber(counts[i])
    if bucket <= current - buckets then
      redis.call('HDEL', KEYS[k], counts[i])
    else
      total = total + tonumber(counts[i + 1])
      if bucket < oldest then oldest = bucket end
    end
  end
  local counted = math.max(0, math.min(wanted, limit - total))
  if counted > 0 then
    redis.call('HINCRBY', KEYS[k], tostring(current), counted)
    redis.call('PEXPIRE', KEYS[k], math.ceil((window + width) * 1000))
  end
  answers[k] = {tostring(counted), tostring(limit - total), tostring((oldest + buckets) * width - clock)}
end
return answers
"""


@dataclass(frozen=True, slots=True)
class Use:
    """What a call came to: the seconds to wait (0: it was counted), the calls left, and the seconds until more are."""

    wait: float
    left: int
    reset: float


class _Memory:
    def __init__(self) -> None:
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()
        # The server's loop and the deliveries' loop are threads of one process.
        self._lock = threading.Lock()

    def use(self, key: str, limit: int, window: float) -> Use:
        with self._lock:
            return self._use(key, limit, window)

    def _use(self, key: str, limit: int, window: float) -> Use:
        now = time.monotonic()
        calls = self._calls.get(key)
        if calls is None:
            if len(self._calls) >= MAX_KEYS:
                self._calls.popitem(last=False)
            calls = self._calls[key] = deque()
        else:
            self._calls.move_to_end(key)
        while calls and calls[0] <= now - window:
            calls.popleft()
        full = len(calls) >= limit
        if not full:
            calls.append(now)
        reset = calls[0] + window - now
        return Use(reset if full else 0.0, max(0, limit - len(calls)), reset)

    def clear(self) -> None:
        self._calls.clear()


_memory = _Memory()
_redis_paused_until = 0.0


@dataclass(slots=True)
class _Question:
    key: str
    limit: int
    window: float
    answer: asyncio.Future[Use]


class _Asker:
    """Asks Redis from one event loop: one question at a time, each about all calls that came up since the one before."""

    def __init__(self) -> None:
        self._script = redis_asyncio.from_url(settings.REDIS_URL).register_script(_COUNT)
        self._waiting: list[_Question] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, key: str, limit: int, window: float) -> Use:
        question = _Question(key, limit, window, asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await question.answer

    async def _run(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            alike: dict[tuple[str, int, float], list[_Question]] = {}
            for question in asked:
                alike.setdefault((question.key, question.limit, question.window), []).append(question)
            try:
                async with asyncio.timeout(REDIS_SECONDS):
                    answers = await self._script(
                        keys=[_redis_key(key) for key, _, _ in alike],
                        args=[BUCKETS, *(n for (_, limit, s), those in alike.items() for n in (s, limit, len(those)))],
                    )
            except Exception as error:  # noqa: BLE001  each who asked gets it
                for question in asked:
                    if not question.answer.done():
                        question.answer.set_exception(error)
            else:
                for those, said in zip(alike.values(), answers, strict=True):
                    for question, used in zip(those, _uses(said, len(those)), strict=True):
                        if not question.answer.done():
                            question.answer.set_result(used)


@lru_cache(maxsize=4096)
def _redis_key(key: str) -> str:
    """The key names no one: what a client presents may be a secret."""
    return "limit:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _uses(said: Sequence[bytes], wanted: int) -> list[Use]:
    """What so many calls under one key came to, in their order: the first are counted, the others wait."""
    counted, room, reset = map(float, said)
    return [
        Use(0.0, int(room) - place - 1, reset) if place < counted else Use(reset, 0, reset) for place in range(wanted)
    ]


_askers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Asker] = weakref.WeakKeyDictionary()


async def _use_in_redis(key: str, limit: int, window: float) -> Use | None:
    if time.monotonic() < _redis_paused_until:
        return None
    loop = asyncio.get_running_loop()
    try:
        if loop not in _askers:
            _askers[loop] = _Asker()
        return await _askers[loop].ask(key, limit, window)
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        _pause_redis(error)
        return None


def _pause_redis(error: Exception) -> None:
    global _redis_paused_until
    _redis_paused_until = time.monotonic() + REDIS_PAUSE_SECONDS
    logger.warning("limits are counted by each process for itself, Redis does not answer: %r", error)


async def use(key: str, limit: int, window: float) -> Use:
    """Count one call under a key, if fewer than `limit` were in the last `window` seconds."""
    used = await _use_in_redis(key, limit, window) if settings.REDIS_URL else None
    return _memory.use(key, limit, window) if used is None else used


async def take(key: str, limit: int, window: float) -> float:
    """Count one call under a key, if fewer than `limit` were in the last `window` seconds: 0, or the seconds to wait."""
    return (await use(key, limit, window)).wait


@cache
def _script_of_threads() -> Any:
    client = redis.from_url(settings.REDIS_URL, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
    return client.register_script(_COUNT)


def use_in_thread(key: str, limit: int, window: float) -> Use:
    """As `use`, under the same counts, for threads that run no event loop."""
    if settings.REDIS_URL and time.monotonic() >= _redis_paused_until:
        try:
            return _uses(_script_of_threads()(keys=[_redis_key(key)], args=[BUCKETS, window, limit, 1])[0], 1)[0]
        except (RedisError, OSError, ValueError) as error:
            _pause_redis(error)
    return _memory.use(key, limit, window)


def address_key(address: str | None) -> str:
    """Under which passwords from an address are counted: of IPv6 the network that one customer is given as a whole."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return f"address:{address}"
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is None:
        return f"address:{ipaddress.ip_network((found, 64), strict=False)}"
    return f"address:{getattr(found, 'ipv4_mapped', None) or found}"


def _limit(kind: Kind) -> int:
    limit: int = getattr(settings, f"RATE_LIMIT_{kind.upper()}")
    return limit


def count_in_thread(kind: Kind, key: str) -> int:
    """Count one call, in a thread that runs no event loop: 0, or the seconds to wait when the window is full."""
    limit = _limit(kind)
    if limit <= 0:
        return 0
    return math.ceil(use_in_thread(f"{kind}:{key}", limit, float(settings.RATE_LIMIT_WINDOW_SECONDS)).wait)


async def count(kind: Kind, key: str) -> None:
    """Count one call. Raises Refusal (429, with Retry-After in seconds) when the window is full."""
    limit = _limit(kind)
    if limit <= 0:
        return
    wait = await take(f"{kind}:{key}", limit, float(settings.RATE_LIMIT_WINDOW_SECONDS))
    if wait > 0:
        raise refusal(429, "Too Many Requests", {"Retry-After": str(max(1, math.ceil(wait)))})


def forget() -> None:
    """Start counting anew in this process."""
    _memory.clear()
