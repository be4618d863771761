"""Whatever dies under load: every lead that was answered with 201 is with the client, once, or waits where people see it.

Real processes, and a count of every lead at both ends. The long form, with all faults mixed by chance, is `make soak`.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.account import Account, count
from tests.faults.faults import FAULTS, Run
from tests.faults.field import Field, eventually
from tests.faults.soak import mixed_run

pytestmark = [pytest.mark.portals, pytest.mark.timeout(600)]

SEED = int(os.environ.get("FAULT_SEED", "4"))
# In these the client says something of each lead while things die.
FLAGGED = {"all_killed", "postgres_crashed", "sqlite_portal_killed"}


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    # Not below pytest's own folder: another run of pytest closes that to PostgreSQL's user again.
    with tempfile.TemporaryDirectory(prefix="faults-") as directory, closing(Field(Path(directory) / "field")) as made:
        yield made


def check(account: Account) -> None:
    states = dict(account.states)
    print(
        f"{account.run}: {account.accepted} accepted, {states}, {account.marked} marked, {account.settled_s:.1f} s to settle"
    )
    assert not account.wrong, "\n".join(account.wrong[:20])


@pytest.mark.parametrize("name", FAULTS)
def test_no_lead_is_lost_or_doubled_when(field: Field, name: str) -> None:
    field.heal()
    field.flags(name in FLAGGED)
    chance = random.Random(f"{SEED} {name}")
    with field.senders(name) as senders:
        run = Run(field, senders, chance)
        run.under_load(16)
        FAULTS[name](run)
        field.heal()
        run.under_load()
    assert not senders.odd
    check(count(field, name, senders.accepted, flagged=name in FLAGGED))


def test_a_worker_that_was_thought_dead_writes_nothing_over_its_successor(field: Field) -> None:
    """The client keeps one worker's posts until another has delivered the same leads, and then answers them with a no."""
    field.heal()
    field.flags(False)
    field.kill("worker-2")
    with field.senders("fence") as senders:
        Run(field, senders, random.Random(SEED)).under_load(4)
        field.order("hold", 3, "keyed")
        eventually(lambda: field.waiting_posts() == 3, 60, "no post is kept")
        field.machines.pause("worker-1")
        field.start("worker-2")
        taken_over = "fence > 1 AND state = 'delivered' AND i.name = 'keyed' AND l.values->>'email' LIKE 'fence-%'"
        eventually(lambda: _count(field, taken_over) >= 3, 90, "nobody takes over")
        field.release_posts()
        eventually(lambda: field.waiting_posts() == 0, 60, "the kept posts are not answered")
        field.machines.resume("worker-1")
        # It works on once it has read those answers.
        field.kill("worker-2")
        Run(field, senders, random.Random(SEED)).under_load(8)
    account = count(field, "fence", senders.accepted, flagged=False)
    check(account)
    assert _count(field, taken_over) >= 3
    assert not [row for row in account.rows if row.state == "refused"]


def _count(field: Field, where: str) -> int:
    tables = "integrations_delivery d JOIN leads_lead l ON l.id = d.lead_id JOIN integrations_integration i ON i.id = d.integration_id"
    return int(field.rows_of_ours(f"SELECT count(*) FROM {tables} WHERE {where.replace('state', 'd.state')}")[0][0])


def test_faults_mixed_by_chance_lose_no_lead_and_no_verdict(field: Field) -> None:
    account, _ = mixed_run(field, SEED, faults=4, long=False)
    check(account)
