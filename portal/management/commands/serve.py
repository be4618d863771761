"""`manage.py serve`: a whole portal in one process; with --workers web servers only, for a portal of many processes.

docs/operating.md says which of them when.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from uvicorn.supervisors import Multiprocess

from portal.celery import app
from portal.embedded import EmbeddedTasks
from portal.http import HttpProtocol
from portal.web_servers import FollowingConfig, follow

# Uvicorn gives open requests this long, then the tasks get as long; what does not end by then is taken up at the next
# start, since every stage works from rows.
GRACE_SECONDS = 4


class Command(BaseCommand):
    help = "Serve the portal: web server, Celery worker and beat in one process."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--workers", type=int, metavar="N", help="N web servers only; Celery workers and beat run on their own."
        )
        parser.add_argument("--stop-with", type=int, metavar="PID", help="Stop once this parent process has ended.")

    def handle(
        self, *args: Any, host: str, port: int, workers: int | None, stop_with: int | None, **options: Any
    ) -> None:
        config = FollowingConfig(
            "portal.asgi:application",
            host=host,
            port=port,
            http=HttpProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # Who called stands in a proxy's headers; they are believed where an operator says so.
            proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
            workers=workers,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = uvicorn.Server(config)

        def stop(*_: object) -> None:
            server.should_exit = True

        # Uvicorn puts its own handlers in place while it serves and raises the signal once more at the end: into these.
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)
        if stop_with:
            threading.Thread(target=follow, args=(stop_with, stop), name="follow parent", daemon=True).start()

        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        if workers and settings.CELERY_BROKER_URL.startswith("memory:"):
            raise CommandError("Web servers alone need a broker that others reach too: set BROKER_URL.")
        listener = _bind(config, patience_s=2 * GRACE_SECONDS if workers else 0)
        _refuse_old_tables()
        connections.close_all()  # the server's threads open their own
        if workers:
            self.stdout.write(f"{settings.INSTANCE_NAME} on http://{host}:{port}, {workers} web servers")
            self.stdout.flush()
            Multiprocess(config, sockets=[listener]).run()
            return

        tasks = EmbeddedTasks(app)
        tasks.start()
        self.stdout.write(f"{settings.INSTANCE_NAME} on http://{host}:{port}")
        self.stdout.flush()
        try:
            server.run(sockets=[listener])
        except SystemExit:
            self.stderr.write("The portal could not start; the lines above say why.")
            sys.stderr.flush()
            os._exit(1)
        if not tasks.stop(GRACE_SECONDS):
            self.stdout.write("A task did not end in time; its work is taken up at the next start.")
        _fold_write_ahead_log()
        self.stdout.write("Stopped.")
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit(): that would wait for threads that wait for work (the pool of a request that never ends).
        os._exit(0)


def _bind(config: uvicorn.Config, patience_s: float) -> Any:
    """Take the port before anything is started; raise a CommandError of one line where it is not to be had.

    `patience_s` is how long those that a killed parent left behind have to end.
    """
    uvicorn_log = logging.getLogger("uvicorn.error")
    uvicorn_log.disabled = True
    deadline = time.monotonic() + patience_s
    try:
        while True:
            try:
                return config.bind_socket()
            except SystemExit:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(0.2)
    except SystemExit:
        raise CommandError(
            f"Port {config.port} on {config.host} can't be used: another program has it, or you may not take it. "
            "Choose another with --port."
        ) from None
    finally:
        uvicorn_log.disabled = False


def _refuse_old_tables() -> None:
    connection = connections["default"]
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database's tables are not up to date. Run `manage.py migrate` first.")


def _fold_write_ahead_log() -> None:
    """Leave one whole file behind, which can be copied as it is."""
    connection = connections["default"]
    if connection.vendor == "sqlite":
        with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
