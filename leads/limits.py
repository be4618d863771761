"""Calls per credential in a rolling window (facts, section 7): 429 with Retry-After beyond it.

Kept in memory for one process, in Redis for many. A refused call is not counted, so that a client that keeps asking gets in as
soon as the window frees. When Redis does not answer, each process counts for itself: nobody is shut out by its failure.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import threading
import time
import weakref
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from redis import RedisError
from redis import asyncio as redis_asyncio

from leads.web import refusal

logger = logging.getLogger(__name__)

Kind = Literal["logins", "results", "calls"]

MAX_KEYS = 50_000
BUCKETS = 60
REDIS_SECONDS = 0.5
REDIS_PAUSE_SECONDS = 5.0

# One atomic step for all calls that are asked about: for each, forget what left the window, then count it or say for how long
# its window is full. The counts stand in sixtieths of the window; Redis's own clock is the one clock of all processes.
_COUNT = """
local now = redis.call('TIME')
local clock = tonumber(now[1]) + tonumber(now[2]) / 1000000
local buckets = tonumber(ARGV[1])
local answers = {}
for k = 1, #KEYS do
  local window, limit = tonumber(ARGV[2 * k]), tonumber(ARGV[2 * k + 1])
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
  if total >= limit then
    answers[k] = tostring((oldest + buckets) * width - clock)
  else
    redis.call('HINCRBY', KEYS[k], tostring(current), 1)
    redis.call('PEXPIRE', KEYS[k], math.ceil((window + width) * 1000))
    answers[k] = '0'
  end
end
return answers
"""


class _Memory:
    def __init__(self) -> None:
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()
        # The server's loop and the deliveries' loop are threads of one process.
        self._lock = threading.Lock()

    def wait(self, key: str, limit: int, window: float) -> float:
        with self._lock:
            return self._wait(key, limit, window)

    def _wait(self, key: str, limit: int, window: float) -> float:
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
        if len(calls) >= limit:
            return calls[0] + window - now
        calls.append(now)
        return 0.0

    def clear(self) -> None:
        self._calls.clear()


_memory = _Memory()
_redis_paused_until = 0.0


@dataclass(slots=True)
class _Question:
    key: str
    limit: int
    window: float
    answer: asyncio.Future[float]


class _Asker:
    """Asks Redis from one event loop: one question at a time, each about all calls that came up since the one before."""

    def __init__(self) -> None:
        self._script = redis_asyncio.from_url(settings.REDIS_URL).register_script(_COUNT)
        self._waiting: list[_Question] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, key: str, limit: int, window: float) -> float:
        question = _Question(key, limit, window, asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await question.answer

    async def _run(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            try:
                async with asyncio.timeout(REDIS_SECONDS):
                    waits = await self._script(
                        # The key names no one: what a client presents may be a secret.
                        keys=[
                            "limit:" + hashlib.sha256(q.key.encode("utf-8", "surrogatepass")).hexdigest() for q in asked
                        ],
                        args=[BUCKETS, *(number for q in asked for number in (q.window, q.limit))],
                    )
            except Exception as error:  # noqa: BLE001  each who asked gets it
                for question in asked:
                    if not question.answer.done():
                        question.answer.set_exception(error)
            else:
                for question, wait in zip(asked, waits, strict=True):
                    if not question.answer.done():
                        question.answer.set_result(float(wait))


_askers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Asker] = weakref.WeakKeyDictionary()


async def _wait_in_redis(key: str, limit: int, window: float) -> float | None:
    global _redis_paused_until
    if time.monotonic() < _redis_paused_until:
        return None
    loop = asyncio.get_running_loop()
    try:
        if loop not in _askers:
            _askers[loop] = _Asker()
        return await _askers[loop].ask(key, limit, window)
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        _redis_paused_until = time.monotonic() + REDIS_PAUSE_SECONDS
        logger.warning("limits are counted by each process for itself, Redis does not answer: %r", error)
        return None


async def take(key: str, limit: int, window: float) -> float:
    """Count one call under a key, if fewer than `limit` were in the last `window` seconds: 0, or the seconds to wait."""
    wait = await _wait_in_redis(key, limit, window) if settings.REDIS_URL else None
    return _memory.wait(key, limit, window) if wait is None else wait


async def count(kind: Kind, key: str) -> None:
    """Count one call. Raises Refusal (429, with Retry-After in seconds) when the window is full."""
    limit: int = getattr(settings, f"RATE_LIMIT_{kind.upper()}")
    if limit <= 0:
        return
    wait = await take(f"{kind}:{key}", limit, float(settings.RATE_LIMIT_WINDOW_SECONDS))
    if wait > 0:
        raise refusal(429, "Too Many Requests", {"Retry-After": str(max(1, math.ceil(wait)))})


def forget() -> None:
    """Start counting anew in this process."""
    _memory.clear()
