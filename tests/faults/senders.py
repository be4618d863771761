"""Publishers that post numbered leads for as long as a run lasts, and each of them again until it is answered."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping
from types import TracebackType

import requests

AT_ONCE = 4


class Senders:
    """Posts leads while the block is open. Each has its number in its e-mail address, and an idempotency key.

    What got no answer, or one that decides nothing, is sent again with the same key, as the facts ask of senders.
    """

    def __init__(
        self, url: str, path: str, key: str, run: str, *, pause_s: float = 0.06, patience_s: float = 120
    ) -> None:
        self._url = url
        self._path = path
        self._key = key
        self._run = run
        self._pause_s = pause_s
        self._patience_s = patience_s
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(AT_ONCE)]
        self.accepted: dict[str, set[str]] = {}
        """E-mail address of each lead that was answered with 201, and the ids that its answers gave."""
        self.repeats = 0
        self.odd: list[str] = []

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(self._patience_s)
        assert not any(thread.is_alive() for thread in self._threads), f"{self._run}: a lead is not answered at all"

    def wait_for(self, count: int, seconds: float = 90) -> None:
        """Wait until so many leads, from now on, have been accepted."""
        with self._changed:
            goal = len(self.accepted) + count
            assert self._changed.wait_for(lambda: len(self.accepted) >= goal, seconds), (
                f"{self._run}: only {len(self.accepted)} of {goal} leads were accepted; {self.odd[-3:]}"
            )

    def _work(self) -> None:
        session = requests.Session()
        session.trust_env = False
        token = self._log_in(session)
        # Slower and slower: a fault that takes its time is not to drown the clients in leads.
        while not self._stopping.wait(self._pause_s * (1 + (len(self.accepted) / 50) ** 2)):
            email = f"{self._run}-{next(self._numbers)}@example.test"
            token = self._post_until_answered(session, token, email)

    def _post_until_answered(self, session: requests.Session, token: str, email: str) -> str:
        form = {"form[firstName]": email.partition("@")[0], "form[email]": email, "form[country]": "DE"}
        while True:
            headers: Mapping[str, str] = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"key-{email}"}
            try:
                answer = session.post(self._url + self._path, data=form, headers=headers, timeout=10)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status_code == 201:
                with self._changed:
                    self.accepted.setdefault(email, set()).add(str(answer.json()["data"]))
                    self._changed.notify_all()
                return token
            if answer is not None and answer.status_code == 401:
                token = self._log_in(session)
            elif answer is not None and answer.status_code not in (500, 502, 503, 504):
                self.odd.append(f"{email}: {answer.status_code} {answer.text[:200]}")
                return token
            self.repeats += 1
            time.sleep(0.05)

    def _log_in(self, session: requests.Session) -> str:
        grant = {
            "grant_type": "https://convertr.cvtr.io/grants/api_key",
            "client_id": "convertr-connect",
            "client_secret": "convertr-connect-public-client",
            "api_key": self._key,
        }
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                answer = session.get(f"{self._url}/oauth/v2/token", params=grant, timeout=10)
                if answer.status_code == 200:
                    return str(answer.json()["access_token"])
            except requests.RequestException:
                pass
            assert time.monotonic() < deadline, "nobody can log in"
            time.sleep(0.1)
