"""Stage 3, whose turn it is: turns of integrations go on whenever a flow has ended or there is more to send.

A turn that waits for a client holds no thread, so that however many clients hang, those that answer are not kept waiting: a
few threads work whichever turns can go on. Workers of other processes are kept apart by the claims.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import close_old_connections

from integrations.runner import runtime
from integrations.sending import Turn

logger = logging.getLogger(__name__)

# While several flows are under way a step waits for more to end, and longer while many are: one record of thirty costs little more
# than one of one.
SEVERAL, GATHER_SECONDS = 4, 0.012
MANY, GATHER_MANY_SECONDS = 40, 0.02


class _Place:
    """An integration's turn in this process, and whether a thread has it, or will."""

    def __init__(self, integration_id: int, desk: Desk) -> None:
        self.turn = Turn(integration_id, on_end=lambda: desk.go_on(self, under_way=self.turn.under_way))
        self.asked = False
        """A step is due: it will be worked, or the one who is at work looks again."""
        self.at_work = False
        self.inline = False
        """Its steps are worked by a thread that waits for its end."""
        self.something = threading.Event()
        # What other threads want of the turn; it hears of it from the thread that is at work on it.
        self.look = False
        self.leave = False


class Desk:
    """The turns of this process."""

    def __init__(self, threads: int) -> None:
        self._places: dict[int, _Place] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="deliveries")
        self._leaving = False
        self._ticking = False

    def begin(self, integration_id: int) -> None:
        """Let an integration have its turn; returns at once. One that has it already looks again."""
        if (place := self._place(integration_id)) is not None:
            self.go_on(place)

    def work(self, integration_id: int) -> int:
        """Work an integration's turn on this thread until nothing is due; how many tries that were.

        0 where it has its turn already: that one looks again before it ends.
        """
        place = self._place(integration_id, inline=True)
        if place is None:
            return 0
        try:
            while self._step(place):
                if not place.turn.ready:
                    place.something.wait(place.turn.pause_s or settings.DELIVERY_LEASE_SECONDS / 3)
                    place.something.clear()
        except BaseException:
            self._drop(place)
            raise
        return place.turn.tried

    def go_on(self, place: _Place, *, under_way: int = 0) -> None:
        """A turn can go on: now, or in a moment where so many are under way that more will end. Never waits; from any thread."""
        if place.inline:
            place.something.set()
            return
        with self._lock:
            if place.asked:
                return
            place.asked = True
            if place.at_work:
                return
        if under_way >= SEVERAL:
            seconds = GATHER_SECONDS if under_way < MANY else GATHER_MANY_SECONDS
            runtime().call_later(seconds, self._submit, place)
        else:
            self._submit(place)

    def leave(self, timeout_s: float) -> bool:
        """Claim no more, give back what has not begun, and wait for what is on its way; whether all of it ended."""
        self._leaving = True
        with self._lock:
            places = list(self._places.values())
            for place in places:
                place.leave = True
        for place in places:
            self.go_on(place)
        until = time.monotonic() + timeout_s
        while self._places and time.monotonic() < until:
            time.sleep(0.02)
        return not self._places

    def _place(self, integration_id: int, *, inline: bool = False) -> _Place | None:
        """The integration's turn: a new one, or None where it looks again by itself."""
        with self._lock:
            if self._leaving:
                return None
            place = self._places.get(integration_id)
            if place is None:
                place = self._places[integration_id] = _Place(integration_id, self)
                place.inline = inline
                self._tick()
                return place
            place.look = True
        self.go_on(place)
        return None

    def _submit(self, place: _Place) -> None:
        try:
            self._threads.submit(self._work, place)
        except RuntimeError:  # the process is ending
            logger.info("integration %s: its turn ends with this process", place.turn.integration_id)

    def _work(self, place: _Place) -> None:
        with self._lock:
            place.at_work, place.asked = True, False
        going_on = False
        try:
            going_on = self._step(place)
        except Exception:
            # What it held comes back when its leases end.
            logger.exception("integration %s: its turn was given up", place.turn.integration_id)
            self._drop(place)
            close_old_connections()
        with self._lock:
            place.at_work = False
            if not going_on:
                return
            place.asked = again = place.asked or place.turn.ready
        if again:
            self._submit(place)
        elif place.turn.pause_s:
            runtime().call_later(place.turn.pause_s, self.go_on, place)

    def _step(self, place: _Place) -> bool:
        """One step; whether the turn goes on."""
        with self._lock:
            look, leave = place.look, place.leave
            place.look = False
        if leave:
            place.turn.leave()
        elif look:
            place.turn.look()
        place.turn.step()
        with self._lock:
            if place.turn.over and not place.look:
                self._drop(place)
                return False
        return True

    def _drop(self, place: _Place) -> None:
        if self._places.get(place.turn.integration_id) is place:
            del self._places[place.turn.integration_id]

    def _tick(self) -> None:
        """As long as there are turns, each goes on now and then: to renew its leases, and to see whether it is still wanted."""
        if not self._ticking:
            self._ticking = True
            runtime().call_later(settings.DELIVERY_LEASE_SECONDS / 3, self._ticked)

    def _ticked(self) -> None:
        with self._lock:
            places = list(self._places.values())
            self._ticking = False
            if places:
                self._tick()
        for place in places:
            self.go_on(place)


_desks: dict[int, Desk] = {}
_desks_lock = threading.Lock()


def desk() -> Desk:
    """This process's desk; a forked worker gets one of its own."""
    with _desks_lock:
        pid = os.getpid()
        if pid not in _desks:
            _desks[pid] = Desk(settings.DELIVERY_THREADS)
        return _desks[pid]


def integration_begin(integration_id: int) -> None:
    """Let an integration's due deliveries go out, in the background; returns at once."""
    desk().begin(integration_id)


def integration_deliver(integration_id: int) -> int:
    """Send what is due for an integration until nothing is; how many tries that were.

    Returns 0 at once where the integration has its turn in this process: that one looks again before it ends.
    """
    return desk().work(integration_id)


def deliveries_leave(timeout_s: float) -> bool:
    """Before this process ends: let what is on its way come to its end; whether all of it did in time."""
    return desk().leave(timeout_s)
