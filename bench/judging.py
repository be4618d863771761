"""Measures how fast leads are judged, beside few leads kept and beside very many."""

from __future__ import annotations

from dataclasses import dataclass

from bench.processes import Child

LEADS = 5_000
DUPLICATES_IN = 10


@dataclass(frozen=True)
class Judged:
    """Beside so many leads kept: leads a second and CPU seconds of a lead for each round, and what the check itself takes."""

    kept: int
    keys_per_s: float
    leads_per_s: list[float]
    worker_ms: list[float]
    check_ms: list[float]


def judged(child: Child, kept: int, rounds: int) -> Judged:
    """Let the leads that are kept grow to so many, make their keys, then judge a round of new leads at a time."""
    made = child.ask({"do": "keep", "leads": kept})
    child.ask({"do": "judge", "leads": LEADS})  # the first finds nothing in any cache
    found = [child.ask({"do": "judge", "leads": LEADS}) for _ in range(rounds)]
    checks = [child.ask({"do": "check", "leads": LEADS})["took_s"] for _ in range(rounds + 1)][1:]
    return Judged(
        kept,
        made["keys_per_s"],
        [LEADS / each["took_s"] for each in found],
        [each["cpu_s"] * 1000 / LEADS for each in found],
        [took * 1000 / LEADS for took in checks],
    )
