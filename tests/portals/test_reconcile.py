"""Two live portals whose verdicts never came back: one command brings both sides together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.portals.world import World, emails, wait_until
from tests.running.portal_process import ROOT

pytestmark = pytest.mark.portals

LEADS, FLAGGED = 40, 25


def reconcile(world: World, *more: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "manage.py", "reconcile", "--campaign", "Spring webinar", "--format", "json", *more],
        cwd=ROOT,
        env=world.sender.process.env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, json.loads(done.stdout)


def test_one_command_brings_every_verdict_that_was_neither_pushed_nor_polled(tmp_path: Path) -> None:
    world = World(tmp_path, sender={"SYNC_TAGS": "0", "VERDICT_POLLING": "0"})
    try:
        world.sender.post_leads(emails(LEADS))
        wait_until(lambda: len(world.client.leads()) >= LEADS, 60)
        said = {}
        for number, lead in enumerate(sorted(world.client.leads(), key=lambda lead: lead["id"])[:FLAGGED]):
            said[lead["email"]] = ("invalid", f"Reason {number % 3}", f"comment {number}")
            world.client.flag(lead, *said[lead["email"]])
        assert {flag for flag, _, _ in world.sender.flags().values()} == {""}
        code, report = reconcile(world)
        assert (code, report["counts"]["changed"]) == (0, LEADS)
        flags = world.sender.flags()
        assert {email: flags[email] for email in said} == said
        code, report = reconcile(world)
        assert (code, report["counts"]["equal"]) == (0, LEADS)
    finally:
        world.close()
