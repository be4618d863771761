"""Wake-ups: a stage tells the next one that there is work, by the name of its task and nothing else.

A wake-up carries no data and may be lost: rows that wait say so themselves and the sweeper finds them. So it is never
waited for: a thread of its own sends them, at once when idle and now and then when busy, by the bell (leads/bell.py) where
somebody listens and else as a message, and a broker that does not answer holds up nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable

from celery import current_app
from django.db import transaction

from leads.bell import bell_ring

logger = logging.getLogger(__name__)

# After wake-ups were sent the next ones wait: a little where each of them stood for several; and where so many come in a second that
# one look finds several, for long: whoever listens to the bell is told, and looks again by itself for as long (integrations/stage.py).
PAUSE_SECONDS, MANY, MANY_PAUSE_SECONDS = 0.01, 3, 0.05
BUSY_A_SECOND, BUSY_PAUSE_SECONDS = 150, 0.25
AFTER_FAILURE_SECONDS = 1.0
# A message is out of date after this by its reader's clock; short of what clocks may differ by, a machine whose clock is ahead would
# throw away all that it takes.
EXPIRE_SECONDS = 7_200


class _Waker:
    def __init__(self) -> None:
        self._waiting: dict[tuple[str, tuple[Hashable, ...]], None] = {}
        self._asked = 0
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._thread: threading.Thread | None = None
        self.here: dict[str, Callable[..., object]] = {}

    def wake(self, task: str, args: tuple[Hashable, ...]) -> None:
        if task in self.here:
            self.here[task](*args)
            return
        with self._lock:
            self._waiting[(task, args)] = None
            self._asked += 1
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
                self._thread.start()
        self._something.set()

    def _run(self) -> None:
        paused = PAUSE_SECONDS
        while True:
            self._something.wait()
            self._something.clear()
            with self._lock:
                waiting, self._waiting = self._waiting, {}
                asked, self._asked = self._asked, 0
            # The wait for the first one is not counted: who comes after a quiet while is not many.
            several = asked >= MANY * len(waiting)
            busy = several and asked >= BUSY_A_SECOND * paused * len(waiting)
            rung = bell_ring([task for task, args in waiting if not args], holding_back=busy)
            for task, args in waiting:
                if task not in rung:
                    self._send(task, args)
            if busy and len(rung) == len(waiting):
                paused = BUSY_PAUSE_SECONDS
            else:
                paused = MANY_PAUSE_SECONDS if several else PAUSE_SECONDS
            time.sleep(paused)

    def _send(self, task: str, args: tuple[Hashable, ...]) -> None:
        try:
            current_app.send_task(task, args=args, retry=False, ignore_result=True, expires=EXPIRE_SECONDS)
        except Exception as error:  # noqa: BLE001  whatever the broker's client raises: the sweeper takes over
            logger.warning("no wake-up sent for %s: %s", task, error)
            time.sleep(AFTER_FAILURE_SECONDS)


_waker = _Waker()


def followed_here(task: str, begin: Callable[..., object]) -> None:
    """From now on this process, a worker, follows wake-ups for a task by itself: `begin` gets their arguments and never waits.

    A message to itself, or to a colleague, costs more than to begin. Colleagues join with what their own sweeps find.
    """
    _waker.here[task] = begin


def wake(task: str, *args: Hashable) -> None:
    """Ask for a run of the task once the current transaction, if there is one, has committed."""
    if transaction.get_connection().in_atomic_block:
        transaction.on_commit(lambda: _waker.wake(task, args))
    else:
        _waker.wake(task, args)
