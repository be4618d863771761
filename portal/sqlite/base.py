"""SQLite with one write lock in the process.

SQLite lets one writer in at a time; the others poll for the lock with growing pauses, so that under load a thread may wait
for seconds while others go ahead. All threads of an embedded portal (web, batcher, worker, beat) share one process, so they
can queue for a lock of the process's own instead; other processes are still kept apart by SQLite's own lock.
"""

from __future__ import annotations

import threading
from typing import Any

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

WRITE_LOCK = threading.Lock()


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend; a transaction holds the process's write lock from BEGIN IMMEDIATE to its end."""

    _holds_write_lock = False

    def _start_transaction_under_autocommit(self) -> None:
        timeout = float(self.settings_dict["OPTIONS"].get("timeout", 5))
        if not WRITE_LOCK.acquire(timeout=timeout):
            raise OperationalError("database is locked: another thread has been writing for too long")
        self._holds_write_lock = True
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._release_write_lock()
            raise

    def _commit(self) -> Any:
        super()._commit()  # type: ignore[misc]
        self._release_write_lock()

    def _rollback(self) -> Any:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._release_write_lock()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._release_write_lock()

    def _release_write_lock(self) -> None:
        if self._holds_write_lock:
            self._holds_write_lock = False
            WRITE_LOCK.release()
