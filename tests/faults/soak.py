"""The long form of the fault runs: all faults mixed by chance, run after run, every lead counted. `make soak`."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults.account import WAITING, Account, count
from tests.faults.faults import FAULTS, Run
from tests.faults.field import Field


def mixed_run(field: Field, seed: int, *, faults: int, long: bool) -> tuple[Account, list[str]]:
    """One run with so many faults, one after the other as chance (the seed) has it; its account, and which they were."""
    chance = random.Random(seed)
    names = chance.sample(sorted(FAULTS), faults)
    run_name = f"mixed{seed}"
    print(f"FAULT_SEED={seed}: {', '.join(names)}", flush=True)
    field.heal()
    field.flags(True)
    with field.senders(run_name, pause_s=0.04 if long else 0.06) as senders:
        run = Run(field, senders, chance, long=long and chance.random() < 0.15)
        for name in names:
            run.under_load(chance.randint(2, 20))
            FAULTS[name](run)
            if chance.random() < 0.5:
                field.heal()
        field.heal()
        run.under_load(10)
    account = count(field, run_name, senders.accepted, flagged=True, seconds=180)
    account.repeats = senders.repeats
    account.wrong += senders.odd
    return account, names


def _table(done: list[tuple[int, Account]]) -> str:
    lines = [
        f"{'seed':>10} {'accepted':>9} {'sent again':>10} {'delivered':>10} {'waiting':>8} {'marked':>7} {'wrong':>6}"
    ]
    for seed, account in done:
        lines.append(
            f"{seed:>10} {account.accepted:>9} {account.repeats:>10} {account.states['delivered']:>10} "
            f"{account.waiting:>8} {account.marked:>7} {len(account.wrong):>6}"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Mixed fault runs; 1 when a lead or a verdict was lost.")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--faults", type=int, default=6, help="faults in each run")
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(10**6))
    )
    options = parser.parse_args()
    done: list[tuple[int, Account]] = []
    try:
        for seed in range(options.seed, options.seed + options.runs):
            start = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="soak-") as directory:
                field = Field(Path(directory) / "field")
                try:
                    account, _ = mixed_run(field, seed, faults=options.faults, long=True)
                except AssertionError:
                    account = Account(f"mixed{seed}", wrong=[traceback.format_exc()])
                finally:
                    field.close()
            done.append((seed, account))
            states = ", ".join(f"{count} {state}" for state, count in sorted(account.states.items()))
            print(
                f"  {account.accepted} accepted: {states}; settled in {account.settled_s:.0f} s, verdicts "
                f"in {account.verdicts_s:.0f} s; {time.monotonic() - start:.0f} s in all",
                flush=True,
            )
            for words in account.wrong[:10]:
                print(f"  WRONG: {words}", flush=True)
    except KeyboardInterrupt:
        print(f"Stopped after {len(done)} runs.")
    print(_table(done))
    lost = [seed for seed, account in done if account.wrong]
    print(f"Waiting means: {', '.join(WAITING)}, each with a reason.")
    print(f"Something is wrong with: {lost}" if lost else "No lead lost, none doubled without a mark, no verdict lost.")
    return 1 if lost or len(done) < options.runs else 0


if __name__ == "__main__":
    sys.exit(main())
