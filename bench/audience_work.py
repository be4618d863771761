"""A process of the portal's own that keeps audiences up over a history of so many events, and says how long that takes.

    DATABASE_URL=… python -m bench.audience_work < tasks

A task is one line of JSON with `do`: "history" (events: until there are so many), "compute" (everybody anew) or "update" (events:
so many new ones, of people of the history); the answer is one line with `took_s`.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from integrations.tracked_events.routing import events_route  # noqa: E402
from leads.audiences import audience_compute, audience_create  # noqa: E402
from leads.database import insert_rows  # noqa: E402
from leads.membership import memberships_due, memberships_update  # noqa: E402
from leads.models import Advertiser, Audience, Campaign, Identity, Membership, Person, Source  # noqa: E402
from leads.rule_checks import rule_checked  # noqa: E402
from leads.tracking.messages import Common, event  # noqa: E402
from leads.tracking.persons import identity_key  # noqa: E402
from leads.tracking.storing import events_insert  # noqa: E402

EVENTS_OF_A_PERSON = 10
# A third of the events is of the name that is asked for; they lie within the last sixty days.
_HISTORY = """
WITH people AS (
    INSERT INTO leads_person (campaign_id, user_id, traits, first_seen_at, seen_at)
    SELECT {campaign}, 'user-' || n, '{{}}', now() - interval '60 days', now()
    FROM generate_series({first}, {last}) AS n RETURNING id, user_id
), happened AS (
    SELECT nextval(pg_get_serial_sequence('leads_event', 'id')) AS id, people.id AS person, people.user_id, k,
        CASE WHEN k % 3 = 0 THEN 'Order Completed' ELSE 'Product Viewed' END AS name,
        now() - random() * interval '60 days' AS at
    FROM people, generate_series(1, {each}) AS k
), told AS (
    INSERT INTO leads_event (id, key, source_id, type, name, timestamp, received_at, data)
    SELECT id, gen_random_uuid(), {source}, 'track', name, at, at, jsonb_build_object('type', 'track', 'event', name,
        'userId', user_id, 'properties', jsonb_build_object('total', k * 10, 'category', 'shoes', 'url', repeat('x', 200)))
    FROM happened
)
INSERT INTO leads_personevent (event_id, person_id, type, name, timestamp) SELECT id, person, 'track', name, at FROM happened
"""
_BIG = {"kind": "event", "event": "Order Completed", "how": "at_least", "times": 1, "days": 30}
_RULES: dict[str, dict[str, Any]] = {
    "audience": {"match": "all", "items": [{**_BIG, "where": [{"path": "total", "test": "greater", "value": "50"}]}]},
    "trait": {"compute": "sum", "event": "Order Completed", "property": "total", "days": 30},
}


class Work:
    """One campaign with an audience and a computed trait, on PostgreSQL."""

    def __init__(self) -> None:
        call_command("migrate", verbosity=0)
        campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
        self.source = Source.objects.create(campaign=campaign, name="Shop")
        self.persons = 0
        for kind, rule in _RULES.items():
            audience_create(campaign, kind, f"Of {kind}", rule_checked(rule)[0])
        memberships_update(slice_s=None)

    def history(self, events: int) -> None:
        """Until there are so many events, ten of each person."""
        persons = events // EVENTS_OF_A_PERSON
        names = {"first": self.persons, "last": persons - 1, "each": EVENTS_OF_A_PERSON}
        with connection.cursor() as cursor:
            cursor.execute(_HISTORY.format(**names, campaign=self.source.campaign_id, source=self.source.pk))
        self._identities(self.persons, persons)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        self.persons = persons

    def _identities(self, first: int, end: int) -> None:
        """Ids by which routing finds the people of the history."""
        campaign_id = self.source.campaign_id
        users = [f"user-{number}" for number in range(first, end)]
        ids = dict(Person.objects.filter(campaign=campaign_id).values_list("user_id", "pk"))
        for start in range(0, len(users), 5_000):
            rows = [
                (identity_key(campaign_id, "user", user), ids[user], "user", user)
                for user in users[start : start + 5_000]
            ]
            insert_rows(Identity, ("key", "person", "kind", "value"), rows)

    def compute(self) -> float:
        """Look at everybody, as after a change of the rules."""
        for audience in Audience.objects.all():
            audience_compute(audience)
        return self._work()

    def update(self, events: int) -> float:
        """New events are routed, which is not counted, and audiences are brought up to them, which is."""
        chance = random.Random(events)  # noqa: S311  the same people in every round
        common = Common(self.source.pk, timezone.now(), None)
        calls = [
            {
                "type": "track",
                "event": "Order Completed",
                "userId": f"user-{chance.randrange(self.persons)}",
                "properties": {"total": chance.randrange(100)},
            }
            for _ in range(events)
        ]
        events_insert([[event(call, common) for call in calls]])
        events_route()
        return self._work()

    def _work(self) -> float:
        began = time.perf_counter()
        memberships_update(slice_s=None)
        took = time.perf_counter() - began
        if memberships_due() or not Membership.objects.filter(member=True).exists():
            raise SystemExit("Nobody is in, or somebody still waits: nothing was measured.")
        return took


def main() -> None:
    work = Work()
    for line in sys.stdin:
        task: dict[str, Any] = json.loads(line)
        took = getattr(work, task.pop("do"))(**task)
        print(json.dumps({"took_s": took, "persons": work.persons}), flush=True)


if __name__ == "__main__":
    main()
