"""Tasks inside the web process: a Celery worker and beat as threads, for a portal that is one process.

The broker is memory://, so a task message never leaves the process and is lost with it. That costs nothing: messages are
wake-ups, rows are the truth, and the sweeper finds what a lost message left behind (docs/adr/0004).
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from celery import Celery, beat
from celery.worker import WorkController

from integrations.dispatch import deliveries_leave
from portal.celery import worker_prepare

logger = logging.getLogger(__name__)


class _Worker(WorkController):
    """A worker that says when it takes messages. Celery's `worker_ready` signal belongs to its own command line."""

    def __init__(self, *, ready: threading.Event, **options: Any) -> None:
        self.ready = ready
        super().__init__(**options)

    def on_consumer_ready(self, consumer: Any) -> None:
        self.ready.set()


# Deliveries hold no thread while they wait for a client; look-ups of verdicts and forms do.
CONCURRENCY = 12


class EmbeddedTasks:
    """A worker and beat in threads of this process, which steal no signals and keep nothing on disk."""

    def __init__(self, app: Celery, *, concurrency: int = CONCURRENCY) -> None:
        self.ready = threading.Event()
        self._worker = _Worker(
            app=app,
            ready=self.ready,
            hostname="embedded@localhost",
            pool_cls="threads",
            concurrency=concurrency,
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
            task_events=False,
        )
        self._thread = threading.Thread(target=self._worker.start, name="worker", daemon=True)
        # With thread=True it is a thread; its type says that it might be a process.
        self._beat: Any = beat.EmbeddedService(app, thread=True, scheduler_cls="celery.beat:Scheduler")

    def start(self) -> None:
        worker_prepare()
        self._thread.start()
        self._beat.start()

    def stop(self, timeout_s: float) -> bool:
        """Stop beat, let the running tasks end, and say whether all of it ended in time."""
        ended = threading.Event()

        def stop() -> None:
            self._beat.stop()
            if deliveries_leave(timeout_s):
                self._worker.stop(exitcode=0)
                ended.set()

        threading.Thread(target=stop, name="stop tasks", daemon=True).start()
        return ended.wait(timeout_s)
