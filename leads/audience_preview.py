"""How many a rule would have now, and twenty of them, before it is saved. Nothing is written."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass, field
from typing import Any

from leads.audience_rules import Answer, Rule, answer
from leads.models import Campaign, Membership, Person
from leads.models.audience import Audience
from leads.person_facts import persons_known

SHOWN = 20
# A person waits for it: where there are more people, those seen last are looked at.
MOST_PERSONS, MOST_SECONDS = 5_000, 3.0
_BATCH = 250


@dataclass(slots=True)
class Preview:
    """What came of it. `looked` of `everybody` were looked at, the newest first."""

    looked: int = 0
    everybody: int = 0
    members: int = 0
    some: list[tuple[int, str, Any]] = field(default_factory=list)
    """Person, user id ("" for a visitor), value."""

    @property
    def whole(self) -> bool:
        return self.looked >= self.everybody

    @property
    def about(self) -> int:
        """How many of everybody that would be."""
        return round(self.members * self.everybody / self.looked) if self.looked else 0


def rule_preview(campaign: Campaign, rule: Rule, now: dt.datetime) -> Preview:
    """Answer a rule for the campaign's people, as far as a moment reaches."""
    persons = Person.objects.filter(campaign=campaign)
    found = Preview(everybody=persons.count())
    until, last = time.monotonic() + MOST_SECONDS, None
    while found.looked < MOST_PERSONS and time.monotonic() < until:
        rows = persons.order_by("-pk") if last is None else persons.filter(pk__lt=last).order_by("-pk")
        ids = list(rows.values_list("pk", flat=True)[:_BATCH])
        if not ids:
            found.looked = found.everybody
            break
        for person_id, known in sorted(persons_known(ids, [rule], now).items(), reverse=True):
            _count(found, person_id, known.user_id, answer(rule, known.facts, now))
        found.looked += len(ids)
        last = ids[-1]
    return found


def _count(found: Preview, person_id: int, user_id: str, said: Answer) -> None:
    if not said.member:
        return
    found.members += 1
    if len(found.some) < SHOWN:
        found.some.append((person_id, user_id, said.value))


def members_newest(audience: Audience) -> list[tuple[int, str, Any, dt.datetime]]:
    """Twenty of those who are in now: person, user id, value, since when; of the largest ids, which came last."""
    rows = Membership.objects.filter(audience=audience, generation=audience.generation, member=True)
    return list(rows.order_by("-person").values_list("person_id", "user_id", "value", "since")[:SHOWN])
