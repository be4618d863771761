"""Database work for async handlers: small pools of threads that own their connections.

The event loop never waits for a query. Each kind of work has a pool of its own: a flood of guessed passwords holds up neither
the look-up that a lead's token needs nor who logs in by a key, and neither does a list that takes long to read.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import connection

P = ParamSpec("P")
T = TypeVar("T")

_quick = concurrent.futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="database-quick")
_bulk = concurrent.futures.ThreadPoolExecutor(max_workers=2, thread_name_prefix="database-bulk")
_bulk_writes = concurrent.futures.ThreadPoolExecutor(max_workers=2, thread_name_prefix="database-bulk-write")
_slow = concurrent.futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="database-slow")
_lists = concurrent.futures.ThreadPoolExecutor(max_workers=2, thread_name_prefix="database-list")
_passwords = concurrent.futures.ThreadPoolExecutor(max_workers=2, thread_name_prefix="database-password")


def _run(work: Callable[[], T]) -> T:
    keep = False
    try:
        answer = work()
        # A PostgreSQL connection goes back to its pool. SQLite has no pool, and opening a file anew costs more than a
        # query: each thread keeps its own.
        keep = connection.vendor == "sqlite"
        connection.queries_log.clear()
        return answer
    finally:
        if not keep:
            connection.close()


def start(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
    """Start a quick read; the future belongs to no event loop."""
    return _quick.submit(_run, partial(work, *args, **kwargs))


async def quick(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do a quick read in a thread and wait for what it returns or raises."""
    return await asyncio.wrap_future(_quick.submit(_run, partial(work, *args, **kwargs)))


async def slow(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work of several statements (log-ins by key, what is appended to a lead) in a thread of another pool."""
    return await asyncio.wrap_future(_slow.submit(_run, partial(work, *args, **kwargs)))


async def lists(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Read a long list that takes as long as its filters make it."""
    return await asyncio.wrap_future(_lists.submit(_run, partial(work, *args, **kwargs)))


async def password(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Check a password, which takes a tenth of a second of a core."""
    return await asyncio.wrap_future(_passwords.submit(_run, partial(work, *args, **kwargs)))


async def bulk(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do work on thousands of rows; few at once, so that they are in nobody's way."""
    return await asyncio.wrap_future(_bulk.submit(_run, partial(work, *args, **kwargs)))


def bulk_write(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
    """Write a batch of rows beside the work that makes the next one of it."""
    return _bulk_writes.submit(_run, partial(work, *args, **kwargs))
