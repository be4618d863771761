"""A client's systems for the fault runs: a process of its own that takes leads at several sites and misbehaves on order.

`keyed` is a webhook that knows repeats, `plain` and `again` are instances that do not, `down` is an instance that does. What each
got, and the last word on each lead, can be asked for at the control port; it is the truth that the runs are counted against.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import random
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
from aiohttp import web

FIELDS = [
    {"key": "form[firstName]", "label": "First name", "type": "text", "required": False, "hidden": False},
    {"key": "form[email]", "label": "E-mail", "type": "email", "required": True, "hidden": False},
    {"key": "form[syncToken]", "type": "hidden", "required": False, "hidden": True, "sync": "token"},
    {"key": "form[syncSubdomain]", "type": "hidden", "required": False, "hidden": True, "sync": "subdomain"},
]
LATE_SECONDS = 33.0
POLL_ONLY = 0.2
"""Share of the verdicts that are never pushed: they have to be asked for."""


@dataclass
class Word:
    """One verdict as this client said it."""

    state: str
    reason_code: str
    comment: str
    event_id: str
    decided_at: str
    by: str = "maria"


@dataclass
class Taken:
    """One lead that a site took: how often it was posted under the same key, and what was said of it."""

    site: str
    email: str
    key: str
    posts: int = 1


class Site:
    """One system of the client's: which keys it has seen, and how it is to treat the next posts."""

    def __init__(self, name: str, *, honours_keys: bool) -> None:
        self.name = name
        self.honours_keys = honours_keys
        self.taken: list[Taken] = []
        self.by_key: dict[str, int] = {}
        self.words: dict[str, list[Word]] = {}
        self.pushed: set[str] = set()
        self.orders: deque[str] = deque()
        self.tokens: set[str] = set()
        self.logins = 0


class StandIn:
    """All sites, the orders that they got, and the verdicts that are on their way."""

    def __init__(self, portals: dict[str, str]) -> None:
        self.portals = portals
        self.sites = {
            name: Site(name, honours_keys=keys)
            for name, keys in (("keyed", True), ("plain", False), ("again", False), ("down", True))
        }
        self.flags = False
        self.pushes: set[asyncio.Task[None]] = set()
        self.waiting = 0
        self.released = asyncio.Event()
        self.http: aiohttp.ClientSession | None = None

    # --- what a portal calls ------------------------------------------------------------------------------

    def handler(self, site: Site) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            path = request.path
            if path == "/oauth/v2/token":
                site.logins += 1
                token = uuid.uuid4().hex
                site.tokens.add(token)
                return web.json_response({"access_token": token, "expires_in": 3600, "token_type": "bearer"})
            if path == "/hook":
                return await self._post(site, request)
            if request.headers.get("Authorization", "").removeprefix("Bearer ") not in site.tokens:
                return web.json_response({"code": 401, "message": "Access denied."}, status=401)
            if "/publisher/fields/" in path:
                headers = {"Idempotency-Key-Honoured": "true"} if site.honours_keys else {}
                return web.json_response([{"formName": "Sign-up", "formId": 75, "fields": FIELDS}], headers=headers)
            if "/lead-result/" in path:
                return self._result(site, int(path.rsplit("/", 1)[1]))
            if path.endswith("/leads"):
                return await self._post(site, request)
            return web.Response(status=404, text="404 Not Found")

        return serve

    async def _post(self, site: Site, request: web.Request) -> web.StreamResponse:
        if request.path == "/hook":
            message = await request.json()
            key, email, token, subdomain = message["id"], message["data"]["email"], "", ""
        else:
            form = await request.post()
            key, email = request.headers.get("Idempotency-Key", ""), str(form["form[email]"])
            token, subdomain = str(form.get("form[syncToken]", "")), str(form.get("form[syncSubdomain]", ""))
        order = site.orders.popleft() if site.orders else "take"
        if order == "busy":
            return web.Response(status=503, text="busy")
        if order == "limited":
            return web.Response(status=429, headers={"Retry-After": "1"})
        number = self._take(site, key, email)
        if token and subdomain and self.flags and email not in site.words:
            self._flag(site, email, token, subdomain)
        if order == "late":
            await asyncio.sleep(LATE_SECONDS)
        if order == "silent":
            self._abort(request)
        if order in ("hold", "keep"):
            self.waiting += 1
            await self.released.wait()
            self.waiting -= 1
        if order == "hold":
            return web.json_response({"code": 400, "message": "The word of a worker that was thought dead"}, status=400)
        answer = {"data": number if self.flags else None, "message": "Lead was created successfully", "status": 201}
        if order == "cut":
            return await self._cut(request, json.dumps(answer).encode())
        return web.json_response(answer, status=201)

    def _take(self, site: Site, key: str, email: str) -> int:
        if site.honours_keys and key in site.by_key:
            site.taken[site.by_key[key]].posts += 1
            return site.by_key[key] + 1
        site.taken.append(Taken(site.name, email, key))
        site.by_key[key] = len(site.taken) - 1
        return len(site.taken)

    def _abort(self, request: web.Request) -> None:
        """Close the connection under the caller, without a word."""
        if request.transport is not None:
            request.transport.abort()

    async def _cut(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(status=201, headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        self._abort(request)
        return response

    def _result(self, site: Site, number: int) -> web.Response:
        words = site.words.get(site.taken[number - 1].email) if number <= len(site.taken) else None
        if not words:
            return web.Response(status=202, text="The lead has not been processed yet")
        last = max(words, key=lambda word: word.decided_at)
        return web.json_response({"verdict": asdict(last)})

    # --- what this client says of leads -------------------------------------------------------------------

    def _flag(self, site: Site, email: str, token: str, subdomain: str) -> None:
        """Say up to three words on a lead, one after the other, and push them in any order, some of them never."""
        chance = random.Random(f"{site.name} {email}")
        now = dt.datetime.now(dt.UTC)
        words = [
            Word(
                chance.choice(["valid", "invalid", "returned"]),
                f"Code {chance.randrange(5)}",
                f"word {place} on {email}",
                uuid.uuid4().hex,
                (now + dt.timedelta(milliseconds=place)).isoformat(timespec="milliseconds"),
            )
            for place in range(chance.randint(1, 3))
        ]
        site.words[email] = words
        if chance.random() < POLL_ONLY:
            return
        site.pushed.add(email)
        for word in chance.sample(words, len(words)):
            task = asyncio.create_task(self._push(word, token, subdomain, chance.uniform(0, 1.5)))
            self.pushes.add(task)
            task.add_done_callback(self.pushes.discard)

    async def _push(self, word: Word, token: str, subdomain: str, delay: float) -> None:
        """Tell the portal that the lead came from, again and again until it says that it has stored it."""
        assert self.http is not None
        await asyncio.sleep(delay)
        action = "validate" if word.state == "valid" else "invalidate"
        form = {
            "reason": word.reason_code,
            "user": word.by,
            "verdict": word.state,
            "reasonCode": word.reason_code,
            "comment": word.comment,
            "eventId": word.event_id,
            "decidedAt": word.decided_at,
        }
        while True:
            try:
                url = f"{self.portals[subdomain]}/api/webhook/{action}/{token}"
                async with self.http.post(url, data=form, timeout=aiohttp.ClientTimeout(total=10)) as answer:
                    if answer.status == 201:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.2)

    # --- what the harness calls ---------------------------------------------------------------------------

    async def control(self, request: web.Request) -> web.Response:
        order: dict[str, Any] = await request.json() if request.can_read_body else {}
        match request.path:
            case "/received":
                run = request.query["run"]
                taken = [
                    {
                        **asdict(entry),
                        "words": [asdict(word) for word in site.words.get(entry.email, [])],
                        "pushed": entry.email in site.pushed,
                    }
                    for site in self.sites.values()
                    for entry in site.taken
                    if entry.email.startswith(run)
                ]
                return web.json_response({"taken": taken, "pushes": len(self.pushes), "waiting": self.waiting})
            case "/order":
                for name in order["sites"]:
                    self.sites[name].orders.extend([order["treatment"]] * order["count"])
            case "/calm":
                for site in self.sites.values():
                    site.orders.clear()
            case "/withdraw":
                for site in self.sites.values():
                    site.tokens.clear()
            case "/flags":
                self.flags = order["on"]
            case "/release":
                self.released.set()
                self.released = asyncio.Event()
            case "/state":
                pass
            case _:
                return web.Response(status=404)
        state = {
            "orders": {name: len(site.orders) for name, site in self.sites.items()},
            "logins": {name: site.logins for name, site in self.sites.items()},
            "taken": {name: len(site.taken) for name, site in self.sites.items()},
            "waiting": self.waiting,
        }
        return web.json_response(state)


async def _serve(handler: Any, port: int) -> None:
    runner = web.ServerRunner(web.Server(handler, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--sites", type=json.loads, required=True, help="site to port, as JSON")
    parser.add_argument("--portals", type=json.loads, required=True, help="subdomain to URL, as JSON")
    options = parser.parse_args()
    stand_in = StandIn(options.portals)
    async with aiohttp.ClientSession() as stand_in.http:
        for name, port in options.sites.items():
            await _serve(stand_in.handler(stand_in.sites[name]), port)
        await _serve(stand_in.control, options.control)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
