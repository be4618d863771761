"""A bell beside the broker, for wake-ups that carry nothing: Redis has a list of names, and whoever works listens at it.

To send, receive and unpack a task message takes longer than to judge a lead that comes alone. So a process that works rings itself
out of its sleep by the bare name of a task; where nobody listens to that name the message goes the broker's way. As with a
message, nothing is lost that the sweeper would not find.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis import RedisError

logger = logging.getLogger(__name__)

_LIST, _HEARD = "bell", "bell:heard:"
# Behind a name: more is about to come.
_MORE = "+"
# Who listens says so this often; after three times that nobody believes it any more.
SAY_SECONDS = 2
RING_SECONDS = 0.5
AFTER_FAILURE_SECONDS = 1.0
MOST = 100


@cache
def _ringer() -> Any:
    return redis.from_url(settings.REDIS_URL, socket_timeout=RING_SECONDS, socket_connect_timeout=RING_SECONDS)


def bell_ring(names: Collection[str], *, holding_back: bool = False) -> set[str]:
    """Ring for these tasks; those of them that somebody listens to. None where there is no Redis, or it does not answer.

    `holding_back`: more is about to come, and who rings will not do so for a while.
    """
    if not names or not settings.REDIS_URL:
        return set()
    try:
        with _ringer().pipeline(transaction=False) as steps:
            for name in names:
                steps.exists(_HEARD + name)
            steps.rpush(_LIST, *(name + _MORE if holding_back else name for name in names))
            # What nobody has taken in a while says nothing any more.
            steps.ltrim(_LIST, -MOST, -1)
            steps.expire(_LIST, SAY_SECONDS * 3)
            heard = steps.execute()
    except (RedisError, OSError) as error:
        logger.info("the bell is not heard: %r", error)
        return set()
    return {name for name, there in zip(names, heard, strict=False) if there}


class BellListener:
    """Listens in a thread of its own, and follows each name by a function that never waits; it is told whether more is to come."""

    def __init__(self, follow: Mapping[str, Callable[[bool], object]]) -> None:
        self._follow = follow
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Listen no more; what is rung for from now on is for others."""
        self._ended.set()

    def _run(self) -> None:
        line: Any = redis.from_url(
            settings.REDIS_URL, socket_timeout=SAY_SECONDS * 2, socket_connect_timeout=SAY_SECONDS
        )
        said_at = 0.0
        while not self._ended.is_set():
            try:
                if time.monotonic() - said_at > SAY_SECONDS:
                    for name in self._follow:
                        line.set(_HEARD + name, 1, ex=SAY_SECONDS * 3)
                    said_at = time.monotonic()
                rung = line.blpop([_LIST], timeout=SAY_SECONDS)
            except (RedisError, OSError) as error:
                logger.info("no bell for a while: %r", error)
                self._ended.wait(AFTER_FAILURE_SECONDS)
                said_at = 0.0
                continue
            name = rung[1].decode("utf-8", "replace") if rung is not None else ""
            if (begin := self._follow.get(name.removesuffix(_MORE))) is not None:
                begin(name.endswith(_MORE))
        line.close()
