"""A publisher's small client for a portal's API, as one of its programmers would write it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import requests

GRANT = "https://convertr.cvtr.io/grants/api_key"
# The portal's limits are 3,800 calls and 1,400 results in five minutes; others use the same key.
CALLS, RESULTS, WINDOW_S = 3_600, 1_300, 300.0
TIMEOUT_S = 30


class Refused(Exception):
    """The portal said no; its words are the text."""


@dataclass
class Pace:
    """Lets so many calls through in a window of time, and makes those beyond wait."""

    calls: int
    seconds: float = WINDOW_S
    _times: deque[float] = field(default_factory=deque)
    _lock: Lock = field(default_factory=Lock)

    def wait(self) -> None:
        while True:
            with self._lock:
                now = time.monotonic()
                while self._times and self._times[0] <= now - self.seconds:
                    self._times.popleft()
                if len(self._times) < self.calls:
                    self._times.append(now)
                    return
                pause = self._times[0] + self.seconds - now
            time.sleep(pause)


class Publisher:
    """What a publisher does: log in, ask for the fields, post leads, ask what became of them."""

    def __init__(self, portal: Mapping[str, Any]) -> None:
        self._portal = portal
        self._base = f"{portal['url']}/api/v2.4/publisher"
        self._session = requests.Session()
        adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=16)
        self._session.mount("http://", adapter)
        self._session.trust_env = False
        self._calls, self._results = Pace(CALLS), Pace(RESULTS)

    def log_in(self) -> None:
        query = {name: str(self._portal[name]) for name in ("client_id", "client_secret", "api_key")}
        answer = self._call("GET", f"{self._portal['url']}/oauth/v2/token", params={"grant_type": GRANT, **query})
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def fields(self) -> list[str]:
        """The inputs of the campaign's first form, as they are posted."""
        answer = self._call("GET", f"{self._base}/fields/{self._portal['campaign_id']}")
        forms: list[dict[str, Any]] = answer.json()
        return next(list(form["fields"]) for form in forms if form["formId"] == self._portal["form_id"])

    def submit(self, values: Mapping[str, str], *, user_id: str = "") -> int:
        """Post a lead by bare names, of the tracked user with this id if any; its id. Refused carries the portal's reasons."""
        portal = self._portal
        url = f"{self._base}/{portal['publisher_id']}/forms/{portal['form_id']}/campaign/{portal['campaign_id']}/leads"
        visitor = {"userId": user_id} if user_id else {}
        answer = self._call("POST", url, data={**{posted_as(name): value for name, value in values.items()}, **visitor})
        return int(answer.json()["data"])

    def result(self, lead_id: int) -> dict[str, Any] | None:
        """The verdict on a lead (state, reason_code, comment, ...); None while there is none."""
        self._results.wait()
        url = f"{self._base}/{self._portal['publisher_id']}/lead-result/{lead_id}"
        answer = self._call("GET", url, params={"detail": "1"})
        verdict: dict[str, Any] | None = answer.json()["verdict"] if answer.status_code == 200 else None
        return verdict

    def _call(self, method: str, url: str, **what: Any) -> requests.Response:
        for _ in range(5):
            self._calls.wait()
            answer = self._session.request(method, url, timeout=TIMEOUT_S, **what)
            if answer.status_code not in (429, 503):
                break
            time.sleep(min(float(answer.headers.get("Retry-After", "1")), WINDOW_S))
        if answer.status_code >= 400:
            raise Refused(reasons(answer))
        return answer


def posted_as(name: str) -> str:
    """email is posted as form[email], optin.terms as form[optin][terms]."""
    return "form" + "".join(f"[{part}]" for part in name.split("."))


def reasons(answer: requests.Response) -> str:
    """What an error answer says, in one line."""
    try:
        body = answer.json()
    except ValueError:
        return f"{answer.status_code} {answer.text[:200]}"
    entries = body.get("data") if isinstance(body, dict) else None
    if isinstance(entries, list) and entries:
        return "; ".join(" ".join(filter(None, [e.get("fieldName"), e.get("message")])) for e in entries)
    if isinstance(body, dict):
        return str(body.get("message") or body.get("error_description") or body.get("error") or body)
    return str(body)


class Administrator:
    """Reads a portal's leads as one of its own users."""

    def __init__(self, portal: Mapping[str, Any]) -> None:
        self._url = f"{portal['url']}/api/v4/leads"
        self._session = requests.Session()
        self._session.trust_env = False
        login = self._session.post(
            f"{portal['url']}/oauth/v2/token",
            data={
                "grant_type": "password",
                "client_id": portal["client_id"],
                "client_secret": portal["client_secret"],
                "username": portal["admin_username"],
                "password": portal["admin_password"],
            },
            timeout=TIMEOUT_S,
        )
        login.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {login.json()['access_token']}"

    def count(self, **query: str) -> int:
        """How many leads there are; `query` are the collection's filters."""
        return int(self._get(query)["hydra:totalItems"])

    def leads(self, **query: str) -> list[dict[str, Any]]:
        """One page of leads, the newest first."""
        members: list[dict[str, Any]] = self._get(query)["hydra:member"]
        return members

    def newest(self, **query: str) -> dict[str, Any] | None:
        """The newest lead, or None."""
        return next(iter(self.leads(**query)), None)

    def _get(self, query: Mapping[str, str]) -> dict[str, Any]:
        answer = self._session.get(self._url, params={"itemsPerPage": "1", **query}, timeout=TIMEOUT_S)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body
