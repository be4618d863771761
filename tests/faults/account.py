"""The count at the end of a run: every accepted lead, at every client, against what the portal says of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.field import Field, eventually

# What a delivery may be left as: with the client, or waiting where people see it, with a reason.
WAITING = ("held", "unknown", "exhausted")
AT_OURS = ("acme", "keyed", "plain", "again")
KNOWS_REPEATS = ("acme", "keyed", "down")


class Row(NamedTuple):
    """A delivery as its portal knows it."""

    email: str
    integration: str
    state: str
    reason: str
    maybe_repeat: bool
    tries: int
    fence: int
    verdict: str
    reason_code: str
    comment: str
    reference: str
    polls: int
    next_poll_at: Any
    polls_wait_until: Any

    @property
    def asked(self) -> str:
        """How it stands with the look-ups of its verdict."""
        return f"asked for {self.polls} times, next at {self.next_poll_at}, its client left alone until {self.polls_wait_until}"


@dataclass
class Account:
    """What a run came to. `wrong` is empty when no lead was lost, none doubled without a mark, and no verdict lost."""

    run: str
    accepted: int = 0
    repeats: int = 0
    states: Counter[str] = field(default_factory=Counter)
    marked: int = 0
    settled_s: float = 0
    verdicts_s: float = 0
    wrong: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        return sum(self.states[state] for state in WAITING)


def deliveries(field: Field, run: str) -> list[Row]:
    """All deliveries of this run's leads, at both portals."""
    columns = "d.state, d.reason, d.maybe_repeat, d.tries, d.fence, d.verdict, d.reason_code, d.comment, d.reference, "
    columns += "d.polls, d.next_poll_at, i.polls_wait_until"
    tables = "leads_lead l JOIN integrations_delivery d ON d.lead_id = l.id AND d.kind = 'lead' "
    tables += "JOIN integrations_integration i ON i.id = d.integration_id"
    ours = f"SELECT l.values->>'email', i.name, {columns} FROM {tables} WHERE l.values->>'email' LIKE '{run}-%'"
    email = "json_extract(l.\"values\", '$.email')"
    acme = f"SELECT {email}, i.name, {columns} FROM {tables} WHERE {email} LIKE '{run}-%'"
    return [Row(*row) for row in [*field.rows_of_ours(ours), *field.rows_of_acme(acme)]]


def leads(field: Field, run: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """E-mail address, id, whether it was judged, flag, reason code and comment of this run's leads, at ours and at acme."""
    columns = "l.id, l.processed_at, l.flag, l.reason_code, l.comment"
    ours = f"SELECT l.values->>'email', {columns} FROM leads_lead l WHERE l.values->>'email' LIKE '{run}-%'"
    email = "json_extract(l.\"values\", '$.email')"
    return field.rows_of_ours(ours), field.rows_of_acme(
        f"SELECT {email}, {columns} FROM leads_lead l WHERE {email} LIKE '{run}-%'"
    )


def settle(field: Field, run: str, accepted: set[str], seconds: float) -> float:
    """Wait until nothing of this run is on its way any more; how long that took."""
    left: Counter[str] = Counter()

    def done() -> bool:
        left.clear()
        ours, acme = leads(field, run)
        left["not judged"] = sum(row[2] is None for row in [*ours, *acme])
        rows = deliveries(field, run)
        counts: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            counts[row.integration].add(row.email)
            if row.state in ("queued", "sending"):
                left[f"{row.integration} {row.state}: {row.reason[:80]}"] += 1
        for name in AT_OURS:
            left[f"no delivery to {name}"] = len(accepted - counts[name])
        at_acme = {row[0] for row in acme}
        left["no delivery to down"] = len(at_acme - counts["down"])
        return not left.total()

    return eventually(done, seconds, lambda: f"{run}: still on its way: { {k: n for k, n in left.items() if n} }")


def count(field: Field, run: str, answered: dict[str, set[str]], *, flagged: bool, seconds: float = 90) -> Account:
    """Wait until all has settled, and count. Whatever does not add up stands in the account's `wrong`."""
    account = Account(run, accepted=len(answered))
    try:
        account.settled_s = settle(field, run, set(answered), seconds)
        if flagged:
            account.verdicts_s = settle_verdicts(field, run, seconds)
    except AssertionError as late:
        account.wrong.append(str(late))
    account.wrong += field.held_up()
    _count_leads(account, field, answered)
    _count_deliveries(account, field, answered)
    return account


def _count_leads(account: Account, field: Field, answered: dict[str, set[str]]) -> None:
    ours, _ = leads(field, account.run)
    ids: dict[str, set[str]] = defaultdict(set)
    for email, lead_id, *_rest in ours:
        ids[email].add(str(lead_id))
    for email, said in answered.items():
        if len(said) != 1:
            account.wrong.append(f"{email}: its repeats were answered with different ids: {sorted(said)}")
        if ids.get(email) != said:
            account.wrong.append(f"{email}: answered as {sorted(said)}, kept as {sorted(ids.get(email, ()))}")
    account.wrong += [f"{email}: kept, but never answered" for email in ids.keys() - answered.keys()]


def _count_deliveries(account: Account, field: Field, answered: dict[str, set[str]]) -> None:
    account.rows = deliveries(field, account.run)
    got: Counter[tuple[str, str]] = Counter()
    for entry in field.received(account.run)["taken"]:
        got[(entry["email"], entry["site"])] += 1
    _, acme = leads(field, account.run)
    got.update((row[0], "acme") for row in acme)
    seen: Counter[tuple[str, str]] = Counter()
    for row in account.rows:
        account.states[row.state] += 1
        account.marked += row.maybe_repeat
        seen[(row.email, row.integration)] += 1
        account.wrong += _judge(row, got[(row.email, row.integration)])
    wanted = {(email, name) for email in answered for name in AT_OURS} | {(row[0], "down") for row in acme}
    account.wrong += [
        f"{email}: has {seen[(email, name)]} deliveries to {name}" for email, name in wanted if seen[(email, name)] != 1
    ]
    account.wrong += [f"{email}: {name} has it, and nobody here knows" for email, name in got.keys() - seen.keys()]


def _judge(row: Row, copies: int) -> list[str]:
    """What is wrong with a delivery, given how many copies of its lead the client has."""
    what = f"{row.email} to {row.integration} ({row.state}, {row.tries} tries, “{row.reason[:100]}”): the client has it {copies} times"
    if row.state == "delivered":
        if copies == 0:
            return [what]
    elif row.state not in WAITING:
        return [what]
    elif not row.reason:
        return [f"{what}, and no reason is shown"]
    elif copies and row.state != "unknown" and not row.maybe_repeat and row.integration not in KNOWS_REPEATS:
        return [f"{what}, and nothing says so"]
    if copies > 1 and (row.integration in KNOWS_REPEATS or not row.maybe_repeat):
        return [f"{what}, and it is not marked"]
    return []


# --- verdicts -----------------------------------------------------------------------------------------------


def last_words(field: Field, run: str, unasked: set[tuple[str, str]]) -> dict[tuple[str, str], tuple[str, str, str]]:
    """What the client said last of each lead at each site: state, reason code, comment.

    Left out is what it pushed to nobody where its answer to the lead got lost: without an id of theirs it can't be asked for.
    """
    found = {}
    for entry in field.received(run)["taken"]:
        if entry["words"] and (entry["pushed"] or (entry["email"], entry["site"]) not in unasked):
            last = max(entry["words"], key=lambda word: word["decided_at"])
            found[(entry["email"], entry["site"])] = (last["state"], last["reason_code"], last["comment"])
    return found


def settle_verdicts(field: Field, run: str, seconds: float) -> float:
    """Wait until the last word on every lead has come to every portal that it concerns; how long that took."""
    wrong: list[str] = []

    def done() -> bool:
        wrong.clear()
        known = deliveries(field, run)
        words = last_words(field, run, {(row.email, row.integration) for row in known if not row.reference})
        # What down says of a lead is what acme says of it to us.
        words.update({(email, "acme"): word for (email, site), word in words.items() if site == "down"})
        rows = {(row.email, row.integration): row for row in known}
        flags = {row[0]: row[3:6] for row in leads(field, run)[1]}
        for (email, site), word in words.items():
            row = rows.get((email, site))
            if row is None or (row.verdict, row.reason_code, row.comment) != word:
                known_here = f"{row[7:10]}, {row.asked}" if row else "no delivery"
                wrong.append(f"{email} at {site}: said {word}, known {known_here}")
            if site == "down" and flags.get(email) != word:
                wrong.append(f"{email} at acme: said {word}, flagged {flags.get(email)}")
        pushes = field.received(run)["pushes"]
        if pushes:
            wrong.append(f"{pushes} verdicts are not taken")
        return not wrong

    return eventually(done, seconds, lambda: f"{run}: {len(wrong)} verdicts are missing: {wrong[:3]}")
