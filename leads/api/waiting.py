"""Waiting for the judgement of leads: one look at the database for all who wait, and no thread held by any of them.

The judgement is made in another process. So each event loop looks for all its leads in one query, often while one has just
begun to wait and more seldom then.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Collection

from leads import pool
from leads.models import Lead

MOST_SECONDS = 20
MOST_WAITING = 5_000
FIRST_LOOK_SECONDS, SLOWEST_LOOK_SECONDS, SLOWER = 0.02, 0.25, 1.3


def _judged(ids: Collection[int]) -> dict[int, str]:
    found = Lead.objects.filter(pk__in=ids, processed_at__isnull=False)
    return dict(found.values_list("pk", "status"))


class _Watch:
    """The leads that are waited for in one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[asyncio.Future[str]]] = {}
        self._pause = FIRST_LOOK_SECONDS
        self._task: asyncio.Task[None] | None = None

    async def judged(self, lead_id: int, seconds: float) -> str | None:
        if len(self._waiting) >= MOST_WAITING:
            return None
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(lead_id, []).append(future)
        self._pause = FIRST_LOOK_SECONDS
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            return None
        finally:
            self._forget(lead_id, future)

    def _forget(self, lead_id: int, future: asyncio.Future[str]) -> None:
        left = [each for each in self._waiting.get(lead_id, ()) if each is not future]
        if left:
            self._waiting[lead_id] = left
        else:
            self._waiting.pop(lead_id, None)

    async def _run(self) -> None:
        while self._waiting:
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * SLOWER, SLOWEST_LOOK_SECONDS)
            try:
                found = await pool.quick(_judged, list(self._waiting))
            except Exception as error:  # noqa: BLE001  each who waits gets it
                for future in [each for futures in self._waiting.values() for each in futures]:
                    if not future.done():
                        future.set_exception(error)
                return
            for lead_id, status in found.items():
                for future in self._waiting.get(lead_id, ()):
                    if not future.done():
                        future.set_result(status)


_watches: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = weakref.WeakKeyDictionary()


async def judgement(lead_id: int, seconds: float) -> str | None:
    """The status of a lead once it was judged; None where that took longer, or where too many wait already."""
    watch = _watches.setdefault(asyncio.get_running_loop(), _Watch())
    return await watch.judged(lead_id, seconds)
