"""What made-up people do in their client's app before they become leads: tracked calls, as a mobile library sends them."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from demo.people import Person

# Of those who post a lead, so many were in the app before.
SHARE = 0.4
TIMEOUT_S = 30
AT_ONCE = 100


def user_id(person: Person) -> str:
    """The id that the app knows a person by: always the same for the same e-mail address."""
    email = person.values.get("email", "")
    return f"u-{hashlib.sha256(email.encode()).hexdigest()[:10]}"


def visits(made: Sequence[Person], seed: int) -> dict[str, list[dict[str, Any]]]:
    """The calls of those who were in the app, by user id, oldest first; the same for the same seed but for their times."""
    chance = random.Random(seed)  # noqa: S311  made-up people
    now = dt.datetime.now(dt.UTC)
    found = {}
    for person in made:
        if person.kind == "valid" and chance.random() < SHARE:
            found[user_id(person)] = _calls(person, chance, now - dt.timedelta(minutes=chance.randint(5, 240)))
    return found


def _calls(person: Person, chance: random.Random, began: dt.datetime) -> list[dict[str, Any]]:
    user, device = user_id(person), f"phone-{chance.randrange(16**8):08x}"
    traits = {"email": person.values["email"], "plan": chance.choice(("free", "pro"))}
    said: list[dict[str, Any]] = [{"type": "identify", "traits": traits}]
    said.append({"type": "track", "event": "Signed Up", "properties": {"plan": traits["plan"]}})
    if chance.random() < 0.5:
        said.append({"type": "track", "event": "Webinar Joined", "properties": {"minutes": chance.randint(10, 60)}})
    for repeat in (False, True):
        if chance.random() < 0.3:
            order = {"orderId": f"o-{chance.randrange(10**6):06}", "total": round(chance.uniform(10, 250), 2)}
            said.append({"type": "track", "event": "Order Completed", "properties": {**order, "repeat": repeat}})
    context = {"device": {"id": device, "type": chance.choice(("ios", "android"))}, "channel": "mobile"}
    return [
        {
            **each,
            "userId": user,
            "messageId": f"demo-{user}-{device}-{place}",
            "timestamp": (began + dt.timedelta(seconds=40 * place)).isoformat(),
            "context": context,
        }
        for place, each in enumerate(said)
    ]


def send(portal: Mapping[str, Any], calls: Sequence[Mapping[str, Any]]) -> None:
    """Send them in batches, as client libraries do. Raises requests.RequestException."""
    with requests.Session() as session:
        session.trust_env = False
        for start in range(0, len(calls), AT_ONCE):
            batch = {"batch": calls[start : start + AT_ONCE], "sentAt": dt.datetime.now(dt.UTC).isoformat()}
            address, key = f"{portal['url']}/v1/batch", (str(portal["write_key"]), "")
            session.post(address, json=batch, auth=key, timeout=TIMEOUT_S).raise_for_status()
