"""The bench's clients misbehave when they are told to, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from bench.processes import Child


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[Child]:
    child = Child("clients", ["-m", "bench.stand_in", "4"], directory=tmp_path, pipes=True)
    yield child
    child.stop()


def post(port: int, timeout_s: float = 10) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.post(f"http://127.0.0.1:{port}/leads", json={"email": "lead7@example.test"}, timeout=timeout_s)


def test_each_misbehaves_in_its_way_until_it_is_told_to_behave(clients: Child) -> None:
    hangs, fails, garbles, behaves = clients.hear()
    clients.ask({"do": "misbehave", "manners": {hangs: "hang", fails: "fail", garbles: "garbage"}})
    assert post(fails).status_code == 500
    garbage = post(garbles)
    assert (garbage.status_code, len(garbage.content)) == (200, 256 * 1024)
    assert post(behaves).json() == {"data": 1, "id": 1}
    with pytest.raises(requests.ReadTimeout):
        post(hangs, timeout_s=0.3)

    with ThreadPoolExecutor(1) as others:
        waiting = others.submit(post, hangs)
        while clients.ask({"do": "misfits"}) != {"hang": 2, "fail": 1, "garbage": 1}:
            assert not waiting.done()
        assert clients.ask({"do": "count"}) == {"leads": 1, "posts": 1}
        clients.ask({"do": "misbehave", "manners": {}})
        assert waiting.result(timeout=10).status_code == 201
    assert [post(port).status_code for port in (hangs, fails, garbles)] == [201, 201, 201]
