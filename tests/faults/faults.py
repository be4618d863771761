"""What can go wrong, one function each: it is called under load, makes it happen, and lets it end.

A fault waits for events, not for times, wherever there is one to wait for; `heal` starts again whatever it killed. `long` is how
long it may last in the long form of the runs.
"""

from __future__ import annotations

import contextlib
import random
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.faults.field import HOUR, LEASE_SECONDS, SITES, WORKERS, Field, Totals, eventually
from tests.faults.proxy import Line
from tests.faults.senders import Senders

# Sites that our own portal delivers to.
OUR_SITES = ("keyed", "plain", "again")

_FULL = """
CREATE OR REPLACE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE OR REPLACE TRIGGER disk_full BEFORE INSERT ON integrations_attempt EXECUTE FUNCTION disk_full()
"""


@dataclass
class Run:
    """One run under load: where, who sends, what chance decides, and whether it is the long form."""

    field: Field
    senders: Senders
    chance: random.Random
    long: bool = False

    def under_load(self, leads: int = 8) -> None:
        """Let so many more leads come in."""
        self.senders.wait_for(leads)


def web_killed(run: Run) -> None:
    """The whole of it, and then only the process that looks after the web server."""
    run.field.kill("web")
    time.sleep(run.chance.uniform(0, 0.5))  # senders are to meet a portal that is not there
    run.field.start("web")
    run.under_load()
    run.field.machines.kill_alone("web")
    run.field.start("web")
    run.under_load()


def worker_killed(run: Run) -> None:
    """Both workers, one after the other, and then both at once with posts in their hands."""
    for name in WORKERS:
        run.field.kill(name)
        run.under_load(4)
        run.field.start(name)
    _with_posts_waiting(run, 3)
    run.field.kill(*WORKERS)
    run.field.order_nothing()
    run.field.heal()


def beat_killed(run: Run) -> None:
    run.field.kill("beat")
    run.under_load(20)
    run.field.start("beat")


def all_killed(run: Run) -> None:
    run.field.kill("web", "beat", *WORKERS)
    run.field.acme.kill()
    run.field.heal()
    run.under_load()


def redis_stopped_and_emptied(run: Run) -> None:
    run.field.redis.stop()
    run.under_load(20)
    if run.long:
        time.sleep(60)
    run.field.redis.start()
    run.under_load()
    run.field.redis.empty()
    run.under_load()


def postgres_restarted(run: Run) -> None:
    _restart(run, "fast")


def postgres_crashed(run: Run) -> None:
    _restart(run, "immediate")


def _restart(run: Run, mode: str) -> None:
    run.field.postgres.stop(mode)
    time.sleep(run.chance.uniform(0, 1))
    run.field.postgres.start()
    run.under_load()


def postgres_away(run: Run) -> None:
    """Away for longer than a lease, while clients answer what workers had sent."""
    _with_posts_waiting(run, 3, "keep")
    run.field.postgres.stop("fast")
    run.field.order_nothing()
    time.sleep(60 if run.long else LEASE_SECONDS + 3)
    run.field.postgres.start()
    run.under_load()


def sqlite_portal_killed(run: Run) -> None:
    """The client's portal, which takes our leads, passes them on and tells us of them, all in one process."""
    for _ in range(2):
        run.field.acme.kill()
        time.sleep(run.chance.uniform(0, 0.5))
        run.field.acme.start(wait_s=60)
        run.under_load()


def cut_on_the_way_to_clients(run: Run) -> None:
    lines = [run.field.lines[name] for name in (*SITES, "acme")]
    _cut(run, lines, 3)


def cut_on_the_way_to_us(run: Run) -> None:
    _cut(run, [run.field.lines["ours"]], 6)


def _cut(run: Run, lines: list[Line], times: int) -> None:
    before = [line.cuts for line in lines]
    for line in lines:
        line.cut("request", times)
        line.cut("answer", times)
    wanted = [count + 2 * times for count in before]
    eventually(
        lambda: all(line.cuts >= count for line, count in zip(lines, wanted, strict=True)),
        90,
        lambda: f"cut so often: {[line.cuts for line in lines]}, not {wanted}",
    )


def line_down(run: Run) -> None:
    for name in (*SITES, "acme"):
        run.field.lines[name].blocked = True
    run.under_load(12)
    for name in (*SITES, "acme"):
        run.field.lines[name].blocked = False


def answer_too_late(run: Run) -> None:
    """The client takes the lead, and no answer comes: at once, or in the long form when nobody waits for it any more."""
    run.field.order("silent", 3)
    run.field.order("cut", 2)
    if run.long:
        run.field.order("late", 2)
    run.under_load(16)


def client_busy(run: Run) -> None:
    run.field.order("busy", 6)
    run.field.order("limited", 2)
    run.under_load(16)


def token_withdrawn(run: Run) -> None:
    """All tokens that live at the client's, once.

    A fresh token that is refused at once says that the key is bad, and rightly stops the integration until a person looks.
    """
    sites = ("plain", "again", "down")
    logins = run.field.totals("logins")
    run.field.withdraw_tokens()
    _all_more(run, "logins", logins, sites)
    _all_more(run, "taken", run.field.totals("taken"), sites)


def _all_more(run: Run, what: Totals, before: Mapping[str, int], sites: Sequence[str]) -> None:
    eventually(
        lambda: all(run.field.totals(what)[site] > before[site] for site in sites),
        60,
        lambda: f"more {what} at each of {sites}: {before}, then {run.field.totals(what)}",
    )


def clock_ahead(run: Run) -> None:
    """One worker whose clock is an hour ahead, beside one whose clock is right; then alone, and it dies with posts in its hands."""
    run.field.kill("worker-2")
    run.field.start("worker-2", ahead_s=HOUR)
    run.under_load(16)
    run.field.kill("worker-1")
    _with_posts_waiting(run, 3)
    run.field.kill("worker-2")
    run.field.order_nothing()
    run.field.heal()


def _with_posts_waiting(run: Run, count: int, treatment: str = "hold") -> None:
    """Let the client keep so many posts at each of its sites that workers are amid them."""
    run.field.order(treatment, count, *OUR_SITES)
    eventually(
        lambda: run.field.waiting_posts() >= count, 60, lambda: f"{run.field.waiting_posts()} posts are being answered"
    )


def worker_paused(run: Run) -> None:
    """A worker that is thought dead, and comes back when others have its leads."""
    run.field.machines.pause("worker-1")
    try:
        pause_s = LEASE_SECONDS + 1
        end = time.monotonic() + pause_s
        while time.monotonic() < end:
            run.under_load(4)
    finally:
        run.field.machines.resume("worker-1")
    run.under_load()


def stands_still_with_rows_locked(run: Run) -> None:
    """A worker that stands still in the middle of a transaction: colleagues who look at what it held must not wait for it."""
    run.field.kill("worker-1")
    _with_posts_waiting(run, 3)
    with run.field.postgres.session() as session:
        session.execute("SELECT id FROM integrations_delivery WHERE state = 'sending' FOR UPDATE")
        run.field.kill("worker-2")
        run.field.order_nothing()
        run.field.start("worker-1")
        # So long that a worker which waits in each round of its sweeper has no thread left.
        end = time.monotonic() + LEASE_SECONDS + 6
        while time.monotonic() < end:
            run.under_load(2)
        _all_more(run, "taken", run.field.totals("taken"), OUR_SITES)
    run.field.heal()


def disk_full_for_attempts(run: Run) -> None:
    """No room for the log of tries, at ours."""
    with _no_room(run.field):
        run.under_load(16)
        time.sleep(1)


@contextlib.contextmanager
def _no_room(field: Field) -> Iterator[None]:
    field.postgres.execute(_FULL)
    try:
        yield
    finally:
        field.postgres.execute("DROP TRIGGER disk_full ON integrations_attempt")


def disk_full_at_sqlite(run: Run) -> None:
    """No file of the client's portal can be written beyond its first kilobytes."""
    assert run.field.acme.process is not None
    pid = run.field.acme.process.pid
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (16_384, most))
    try:
        run.under_load(12)
        time.sleep(1)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))


Fault = Callable[[Run], None]
FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        web_killed,
        worker_killed,
        beat_killed,
        all_killed,
        redis_stopped_and_emptied,
        postgres_restarted,
        postgres_crashed,
        postgres_away,
        sqlite_portal_killed,
        cut_on_the_way_to_clients,
        cut_on_the_way_to_us,
        line_down,
        answer_too_late,
        client_busy,
        token_withdrawn,
        clock_ahead,
        worker_paused,
        stands_still_with_rows_locked,
        disk_full_for_attempts,
        disk_full_at_sqlite,
    )
}
