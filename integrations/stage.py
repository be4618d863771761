"""How a process works a stage: one look at a time, together with what came meanwhile, whoever asked for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from leads.wake import BUSY_PAUSE_SECONDS

logger = logging.getLogger(__name__)

# How soon a stage that was told that more is to come looks again: later where a look found many, so that fewer statements serve
# them; and for how much longer than wake-ups are held back.
LOOK_AGAIN_SECONDS, MANY, AFTER_MANY_SECONDS, LONGER = 0.012, 20, 0.025, 1.2


class Stage:
    """A stage's work (which says how many it found), by one thread of this process at a time; who comes meanwhile makes that one look once more.

    Two threads would share the rows that are due, and pay for a transaction each. Where who wakes it holds back further wake-ups
    it goes on looking for as long.
    """

    def __init__(self, work: Callable[[], int]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._at_work = False
        self._until = 0.0
        self._thread: ThreadPoolExecutor | None = None

    def __call__(self) -> None:
        """Work until nothing is due; returns at once where another thread is at it."""
        if self._ask():
            self._go_on()

    def begin(self, more_to_come: bool = False) -> None:
        """The same in a thread of the stage's own, without waiting for it."""
        if more_to_come:
            self._until = time.monotonic() + BUSY_PAUSE_SECONDS * LONGER
        if not self._ask():
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._work.__name__)
        try:
            self._thread.submit(self._begun)
        except RuntimeError:  # the process is ending
            self._at_work = False

    def _ask(self) -> bool:
        """Ask for a look; whether it is for us to make it."""
        with self._lock:
            self._asked.set()
            ours = not self._at_work
            self._at_work = True
            return ours

    def _begun(self) -> None:
        try:
            self._go_on()
        except Exception:
            # The sweeper comes back to it.
            logger.exception("%s was given up", self._work.__name__)
        finally:
            # To open a file anew costs more than a query; other connections go back to their pool.
            if connection.vendor != "sqlite" or connection.errors_occurred:
                connection.close()

    def _go_on(self) -> None:
        try:
            while True:
                self._asked.clear()
                found = self._work()
                if time.monotonic() < self._until:
                    # Whoever asks meanwhile waits as well: so several share a look.
                    time.sleep(LOOK_AGAIN_SECONDS if found < MANY else AFTER_MANY_SECONDS)
                    continue
                with self._lock:
                    if not self._asked.is_set():
                        self._at_work = False
                        return
        except BaseException:
            with self._lock:
                self._at_work = False
            raise
