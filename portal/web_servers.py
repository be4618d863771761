"""Web servers that end with the process that started them. No Django here: each of them reads this before it sets Django up."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn


class FollowingConfig(uvicorn.Config):
    """A configuration whose web servers end when the process that made it is gone.

    One that is left behind by a parent that was killed would keep the port, and nobody could start the portal anew.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parent = os.getpid()

    def load(self) -> None:
        """Called in the process that serves."""
        super().load()
        if os.getpid() != self._parent:
            following = (self._parent, lambda: os.kill(os.getpid(), signal.SIGTERM))
            threading.Thread(target=follow, args=following, name="follow parent", daemon=True).start()


def follow(parent: int, stop: Callable[[], object]) -> None:
    """Wait until this process has another parent than the one with this id, then stop it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    stop()
