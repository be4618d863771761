"""Runs the bench and prints what came of it: `make bench ARGS="--quick"`. docs/benchmarks.md says how to read it."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from bench import rig, sections
from bench.figures import Figure, table_plain, write
from bench.portal import workshop
from bench.processes import ROOT, BenchError

LONGEST_S = 900
DOCUMENT = ROOT / "docs" / "benchmarks.md"


def main() -> int:
    """The command line; 0 when everything was measured, whether or not targets were reached."""
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only", action="append", choices=list(sections.SECTIONS), help="this part alone (may be repeated)"
    )
    parser.add_argument("--leads", type=int, help="leads in each round under load")
    parser.add_argument("--rounds", type=int, help="rounds of each measurement")
    parser.add_argument("--quick", action="store_true", help="small counts: under a minute, and noisier")
    parser.add_argument("--profile", metavar="DIR", type=Path, help="write there what the time goes to (needs py-spy)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.relative_to(ROOT)}")
    asked = parser.parse_args()
    if not sys.platform.startswith("linux"):
        print("The bench reads /proc and runs on Linux only.", file=sys.stderr)
        return 1
    size = rig.QUICK if asked.quick else rig.FULL
    size = size.changed(leads=asked.leads, rounds=asked.rounds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell that starts it in the background has it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST_S)

    began = time.monotonic()
    with ExitStack() as stack:
        try:
            bench = rig.Bench(stack, stack.enter_context(workshop(ROOT / "var")), size)
            figures = measured(bench, asked.only or list(sections.SECTIONS))
            if asked.profile is not None:
                print(sections.profiled(bench, asked.profile))
        except BenchError as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nStopped.", file=sys.stderr)
            return 130
        conditions = said_conditions(bench, size)
    print(f"\n{conditions}\n{table_plain(figures)}\n\nTook {time.monotonic() - began:.0f} s.")
    if asked.write:
        write(DOCUMENT, conditions, figures)
    return 0


def _too_long(*_: object) -> None:
    raise BenchError(f"Not done in {LONGEST_S // 60} minutes. Is this machine busy with something else?")


def measured(bench: rig.Bench, names: list[str]) -> list[Figure]:
    """The figures of these sections, in order."""
    figures: list[Figure] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        figures += sections.SECTIONS[name](bench)
    return figures


def said_conditions(bench: rig.Bench, size: rig.Size) -> str:
    """Under which conditions it was measured, in one sentence or two, without a name or a date."""
    cores = len(os.sched_getaffinity(0))
    durable = ", ".join(f"{name}={value}" for name, value in bench.servers.durability.items())
    return (
        f"{cores} cores for the portal, its servers, the load and the client together; PostgreSQL {bench.servers.version} "
        f"({durable}); Python {platform.python_version()}; {size.rounds} round{'s' if size.rounds > 1 else ''} of "
        f"{size.leads:,} leads. Other programs took {bench.elsewhere():.0%} of the machine's cores meanwhile."
    )


if __name__ == "__main__":
    sys.exit(main())
