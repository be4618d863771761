"""Posts lifelike leads to the portal that `make run` started, as a publisher does, and says what became of them.

`make demo-leads N=100 SEED=7`: valid, invalid and duplicate leads, the same for the same seed.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import requests
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo.api import Administrator, Publisher, Refused, posted_as  # noqa: E402  the line above makes it findable
from demo.people import Person, people  # noqa: E402
from demo.visits import send, user_id, visits  # noqa: E402

# The platform asks for fewer than ten calls at once.
AT_ONCE = 8
# How long to wait for the portal's own judgement and for the client's answers, and how many results to ask for.
WAIT_SECONDS = 10.0
ASK_AT_MOST = 200

T = TypeVar("T")
R = TypeVar("R")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, help="to post the same leads again; made up and printed if not given")
    parser.add_argument("--no-events", action="store_true", help="leads alone, without what some did in the app before")
    parser.add_argument("--var", type=Path, default=ROOT / "var")
    asked = parser.parse_args()
    if asked.count < 1:
        print("Post at least one lead: N=1.", file=sys.stderr)
        return 1
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(10**6)
    try:
        about = json.loads((asked.var / "run.json").read_text())
        publisher = Publisher(about["portal"])
        publisher.log_in()
    except (OSError, ValueError, KeyError):
        print("Your portal is not running: start it with make run in another terminal.", file=sys.stderr)
        return 1
    except Refused as refused:
        print(f"Your portal lets nobody in: {refused}", file=sys.stderr)
        return 1
    return post(about, publisher, people(asked.count, seed), seed, events=not asked.no_events)


def post(about: dict[str, Any], publisher: Publisher, made: Sequence[Person], seed: int, *, events: bool = True) -> int:
    """Post them, several at once; print what became of them; 1 where an answer was not what it had to be."""
    url = about["portal"]["url"]
    print(f"Posting {len(made)} leads to “{about['portal']['campaign_name']}” at {url} (SEED={seed})")
    known = set(publisher.fields())
    seen = track(about["portal"], made, seed) if events else set()
    client = Administrator(about["client"])
    before = client.count()

    def submit(person: Person) -> tuple[Person, int | None, str]:
        # A form that was changed since gets what it still has; an invalid lead stays as wrong as it was meant.
        values = {name: value for name, value in person.values.items() if person.why or posted_as(name) in known}
        try:
            return person, publisher.submit(values, user_id=user_id(person) if user_id(person) in seen else ""), ""
        except Refused as refused:
            return person, None, str(refused)
        except requests.RequestException as error:
            return person, None, f"no answer: {type(error).__name__}"

    began = time.monotonic()
    answers = list(in_parallel(submit, made, "posted"))
    took = time.monotonic() - began
    accepted = [(person, lead_id) for person, lead_id, _ in answers if lead_id is not None]
    refused = Counter((person.why or person.kind, words) for person, lead_id, words in answers if lead_id is None)
    kinds = Counter(person.kind for person, _ in accepted)
    print(f"\n{len(accepted)} accepted ({', '.join(f'{n} {kind}' for kind, n in kinds.items())}) in {took:.1f} s")
    print(f"{sum(refused.values())} refused")
    for (why, words), number in refused.most_common():
        print(f"  {number:>4}  {why}: {words}")
    if accepted:
        tell(about, publisher, [lead_id for _, lead_id in accepted], client, before)
    unexpected = [p for p, lead_id, _ in answers if (lead_id is None) != (p.kind == "invalid")]
    for person in unexpected[:5]:
        print(f"Unexpected: a {person.kind} lead {person.values}", file=sys.stderr)
    return 1 if unexpected else 0


def track(portal: dict[str, Any], made: Sequence[Person], seed: int) -> set[str]:
    """Send what some of them did in the client's app before; the ids of these users."""
    calls = visits(made, seed)
    flat = [call for of_user in calls.values() for call in of_user]
    try:
        send(portal, flat)
    except requests.RequestException as error:
        print(f"No events were tracked: {error}", file=sys.stderr)
        return set()
    print(f"{len(calls)} of them were in the app before: {len(flat)} events")
    return set(calls)


def tell(about: dict[str, Any], publisher: Publisher, ids: Sequence[int], client: Administrator, before: int) -> None:
    """Wait a little, then print how the portal judged them, and how many the client has; it had `before`."""
    sample = list(ids) if len(ids) <= ASK_AT_MOST else sorted(random.Random(0).sample(list(ids), ASK_AT_MOST))  # noqa: S311
    words = f"Of {len(sample)} of them" if len(sample) < len(ids) else "Of these"
    verdicts: dict[int, dict[str, Any]] = {}
    deadline = time.monotonic() + WAIT_SECONDS
    while len(verdicts) < len(sample) and time.monotonic() < deadline - WAIT_SECONDS / 2:
        open_ids = [lead_id for lead_id in sample if lead_id not in verdicts]
        results = in_parallel(lambda lead_id: (lead_id, publisher.result(lead_id)), open_ids, "")
        verdicts |= {lead_id: verdict for lead_id, verdict in results if verdict}
        time.sleep(0.3)
    states = Counter(verdict["state"] for verdict in verdicts.values())
    print(f"\n{words}, your portal judged {', '.join(f'{n} {state}' for state, n in states.most_common()) or 'none'}")
    if len(verdicts) < len(sample):
        print(f"{len(sample) - len(verdicts)} are in Caution, where they wait for a person, or not judged yet")
    # What is not valid goes to nobody.
    due = states["valid"] if len(sample) == len(ids) else len(ids)
    while (arrived := client.count() - before) < due and time.monotonic() < deadline:
        time.sleep(0.3)
    print(f"The client's portal at {about['client']['url']} has {arrived} leads more than before.")
    print("Its verdicts come back by themselves once somebody flags the leads there.")


def in_parallel(function: Callable[[T], R], items: Sequence[T], words: str) -> Iterable[R]:
    """Do it for all, several at once, with a progress bar if there are words for it; in the items' order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = pool.map(function, items)
        yield from tqdm(done, total=len(items), desc=words, unit="lead", ascii=" #") if words else done


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped. What was accepted is in the portal.")
        sys.exit(130)
