"""Writes what came together at once, and answers each after the commit.

A thread of its own owns the database connection. It takes whatever arrived while its last commit ran, without waiting for
more: alone a row is written at once, under load hundreds share one commit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Generic, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, connections, transaction

from leads.error_words import error_words

logger = logging.getLogger(__name__)

Row = TypeVar("Row")
Answer = TypeVar("Answer")


class Overloaded(Exception):
    """Too much waits already, or the database does not answer. Nothing was written: try again in a moment."""


class Batcher(Generic[Row, Answer]):
    """Hands rows to `write`, many at a time: `max_rows` where there are more, and `max_waiting` may wait.

    `size` says for how many a row counts, where one of them stands for several.

    `write` gets rows and returns as many answers in the same order; an answer that is an exception is raised for its row. It
    may be called again with the same rows, after a failure, so it must bear repetition. It runs inside a transaction, but
    where it is said to make its own: a single statement needs none around it, whose beginning and end are two more
    questions to the database.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[Row]], Sequence[Answer | Exception]],
        *,
        max_rows: int = 500,
        max_waiting: int | None = None,
        size: Callable[[Row], int] = lambda row: 1,
        own_transaction: bool = False,
    ) -> None:
        self._name = name
        self._write = write
        self._size = size
        self._own_transaction = own_transaction
        self._max_rows = max_rows
        self._max_waiting = settings.INTAKE_QUEUE_ROWS if max_waiting is None else max_waiting
        self._waiting: deque[_Waiter[Row, Answer]] = deque()
        self._waiting_rows = 0
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = False

    async def submit(self, row: Row) -> Answer:
        """Write the row; return its answer after the commit. Raises Overloaded, or what the row itself failed with."""
        loop = asyncio.get_running_loop()
        waiter: _Waiter[Row, Answer] = _Waiter(row, loop)
        with self._lock:
            if self._waiting_rows >= self._max_waiting:
                raise Overloaded(f"{self._name}: {self._max_waiting} rows wait already")
            self._waiting.append(waiter)
            self._waiting_rows += self._size(row)
            # Started here and not before: a server that forks its workers would leave the thread behind.
            if self._thread is None or not self._thread.is_alive():
                self._closing = False
                self._thread = threading.Thread(target=self._run, name=f"batcher-{self._name}", daemon=True)
                self._thread.start()
        if not self._something.is_set():
            self._something.set()
        return await waiter.future

    def write_now(self, rows: Sequence[Row]) -> Sequence[Answer | Exception]:
        """Write rows in the caller's thread and transactions of their own; an answer for each, in their order."""
        return self._answers(rows)

    def close(self) -> None:
        """Write what waits and end the thread. A later submit starts it again."""
        with self._lock:
            thread, self._closing = self._thread, True
        self._something.set()
        if thread is not None and thread.is_alive():
            thread.join()

    def _run(self) -> None:
        try:
            while self._step():
                pass
        finally:
            connections.close_all()

    def _step(self) -> bool:
        self._something.wait()
        self._something.clear()
        while True:
            with self._lock:
                batch = self._next_batch()
                if not batch:
                    if self._closing:
                        self._thread = None
                        return False
                    return True
            try:
                answers = self._answers([waiter.row for waiter in batch])
            except Exception as error:
                logger.exception("%s: a batch failed", self._name)
                answers = [error] * len(batch)
            _settle(batch, answers)

    def _next_batch(self) -> list[_Waiter[Row, Answer]]:
        """Whatever waits, `max_rows` at the most, but one in any case. The lock is held."""
        batch: list[_Waiter[Row, Answer]] = []
        rows = 0
        while self._waiting:
            more = self._size(self._waiting[0].row)
            if batch and rows + more > self._max_rows:
                break
            rows += more
            batch.append(self._waiting.popleft())
        self._waiting_rows -= rows
        return batch

    def _answers(self, rows: Sequence[Row]) -> Sequence[Answer | Exception]:
        for tries_left in (1, 0):
            try:
                return self._commit(rows)
            except (OperationalError, InterfaceError) as error:
                # No row's fault. A connection that the server dropped is noticed only now: once more on a new one.
                connection.close()
                if not tries_left:
                    logger.error("%s: the database takes no rows: %s", self._name, error_words(error))
                    return [Overloaded(f"{self._name}: the database takes no rows") for _ in rows]
            except Exception as error:  # noqa: BLE001  whatever is wrong with one of these rows
                if len(rows) == 1:
                    logger.warning("%s: a row was refused: %s", self._name, error_words(error))
                    return [error]
                # Halves, so that one bad row among hundreds costs a few commits and its neighbours nothing.
                middle = len(rows) // 2
                return [*self._answers(rows[:middle]), *self._answers(rows[middle:])]
        raise AssertionError("unreachable")

    def _commit(self, rows: Sequence[Row]) -> Sequence[Answer | Exception]:
        with nullcontext() if self._own_transaction else transaction.atomic():
            answers = self._write(rows)
        if len(answers) != len(rows):
            raise RuntimeError(f"{self._name}: {len(answers)} answers to {len(rows)} rows")
        connection.queries_log.clear()
        return answers


class _Waiter(Generic[Row, Answer]):
    __slots__ = ("future", "loop", "row")

    def __init__(self, row: Row, loop: asyncio.AbstractEventLoop) -> None:
        self.row = row
        self.loop = loop
        self.future: asyncio.Future[Answer] = loop.create_future()


def _settle(batch: Sequence[_Waiter[Row, Answer]], answers: Sequence[Answer | Exception]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Answer], Answer | Exception]]] = {}
    for waiter, answer in zip(batch, answers, strict=True):
        by_loop.setdefault(waiter.loop, []).append((waiter.future, answer))
    for loop, settled in by_loop.items():
        try:
            loop.call_soon_threadsafe(_set_results, settled)
        except RuntimeError:  # the loop was closed: nobody waits any more
            continue


def _set_results(settled: Sequence[tuple[asyncio.Future[Answer], Answer | Exception]]) -> None:
    for future, answer in settled:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
