"""A process of the portal's own that judges leads of a campaign with ten jobs, and says how long that takes.

    DATABASE_URL=… python -m bench.judging_work < tasks

A task is one line of JSON with `do`: "keep" (leads: until so many are kept), "judge" (leads: so many new ones) or "check" (leads: what
the check for duplicates alone takes for so many); the answer is one line with `took_s`.
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
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from bench.judging import DUPLICATES_IN  # noqa: E402
from integrations.judging.answers import Asked, answers_find, questions_lock  # noqa: E402
from integrations.judging.changes import processr_changed  # noqa: E402
from integrations.judging.job_sets import JobSet, job_set  # noqa: E402
from integrations.judging.key_builds import key_builds_due, keys_build  # noqa: E402
from integrations.judging.lead_keys import keys_of, keys_write, questions_kept  # noqa: E402
from integrations.judging.weighing import job_lead  # noqa: E402
from integrations.models import Integration, Job, KeyBuild, ValueList  # noqa: E402
from integrations.processr import leads_process  # noqa: E402
from leads.database import insert_rows, uuid7  # noqa: E402
from leads.intake import COLUMNS, LeadRow  # noqa: E402
from leads.models import Advertiser, Campaign, Field, Form, Lead, Publisher  # noqa: E402

BATCH = 500
_KEPT = """
INSERT INTO leads_lead (hash, campaign_id, publisher_id, form_id, form_version, "values", status, created_at, processed_at)
SELECT gen_random_uuid(), {campaign}, {publisher}, {form}, 1, jsonb_build_object('firstName', 'Ada', 'lastName', 'Lovelace',
    'email', 'person' || n || '@example.com', 'telephone', '+447' || lpad((n % 1000000000)::text, 9, '0'), 'company',
    repeat('x', 100)), 'valid', now() - random() * interval '60 days', now()
FROM generate_series({first}, {last}) AS n
"""


class Work:
    """One campaign with ten jobs, on PostgreSQL."""

    def __init__(self) -> None:
        call_command("migrate", verbosity=0)
        self.campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring")
        self.form = Form.objects.create(name="Sign-up")
        for name in ("firstName", "lastName", "email", "telephone", "company", "country"):
            Field.objects.create(form=self.form, name=name)
        self.campaign.forms.add(self.form)
        self.publisher = Publisher.objects.create(name="Northbeam")
        self.campaign.contracts.create(publisher=self.publisher)
        Integration.objects.create(campaign=self.campaign, name="Acme EU", connector="webhook", state="paused")
        countries = ValueList.objects.create(name="Countries", kind="values")
        countries.items.bulk_create(
            [countries.items.model(list=countries, key=key) for key in ("gb", "ie", "de", "fr")]
        )
        names = ["firstName", "lastName"]
        jobs: list[tuple[str, dict[str, Any]]] = [
            ("duplicate", {"fields": ["email"]}),
            ("required_value", {"fields": [*names, "email"]}),
            ("email_address", {"field": "email"}),
            ("telephone_number", {"field": "telephone"}),
            ("length", {"fields": names, "least": 2, "most": 60}),
            ("name_check", {"first": "firstName", "last": "lastName"}),
            ("repeated_characters", {"fields": names}),
            ("unusual_characters", {"fields": names}),
            ("value_list", {"field": "country", "list": countries.pk}),
            ("simple_conditional", {"field": "company", "operator": "not_contains", "values": "student\nunemployed"}),
        ]
        for position, (kind, settings) in enumerate(jobs):
            about = {"settings": settings, "position": position, "hard_fail": kind == "duplicate"}
            Job.objects.create(campaign=self.campaign, kind=kind, name=kind, **about)
        processr_changed(self.campaign.pk)
        self.kept, self.number = 0, 0
        self.chance = random.Random(1)  # noqa: S311  the same leads in every run

    def keep(self, leads: int) -> dict[str, float]:
        """Until so many leads are kept, each with its key."""
        place = {"campaign": self.campaign.pk, "publisher": self.publisher.pk, "form": self.form.pk}
        with connection.cursor() as cursor:
            cursor.execute(_KEPT.format(**place, first=self.kept, last=leads - 1))
        # As if the job had been added now.
        KeyBuild.objects.all().delete()
        processr_changed(self.campaign.pk)
        began = time.perf_counter()
        while key_builds_due():
            keys_build()
        took = time.perf_counter() - began
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        self.kept = leads
        return {"took_s": took, "keys_per_s": leads / took}

    def judge(self, leads: int) -> dict[str, float]:
        """New leads come in, which is not counted, and are judged, which is. One in ten came before."""
        for start in range(0, leads, BATCH):
            insert_rows(Lead, COLUMNS, [self._row() for _ in range(min(BATCH, leads - start))])
        began, cpu = time.perf_counter(), time.process_time()
        count = leads_process()
        took = {"took_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu}
        statuses = set(Lead.objects.order_by("-pk").values_list("status", flat=True)[:leads])
        if count != leads or not {"valid", "invalid"} <= statuses:
            raise SystemExit(f"{count} of {leads} leads were judged, as {statuses}: something else was measured.")
        return took

    def check(self, leads: int) -> dict[str, float]:
        """The check for duplicates alone: its lock, its look-ups and its keys, in batches."""
        jobs = self._jobs()
        asks = jobs.quality[0].jobs[0].check
        assert asks is not None
        assert asks.asks is not None
        took = 0.0
        for start in range(0, leads, BATCH):
            rows = [self._row() for _ in range(min(BATCH, leads - start))]
            written = insert_rows(Lead, COLUMNS, rows, returning=("id",))
            seen = [
                job_lead(lead, jobs, lead.values)
                for lead in Lead.objects.filter(pk__in=[pk for (pk,) in written]).order_by("pk")
            ]
            began = time.perf_counter()
            with transaction.atomic():
                asked = [Asked(lead, question) for lead in seen for question in asks.asks(lead)]
                questions_lock(asked, jobs.kinds)
                answers_find(asked, jobs.kinds, again=False)
                keys_write(key for lead in seen for key in keys_of(lead, questions_kept(lead, jobs), jobs.kinds, True))
            took += time.perf_counter() - began
        Lead.objects.filter(processed_at=None).update(processed_at=timezone.now(), status="valid")
        return {"took_s": took}

    def _jobs(self) -> JobSet:
        campaign = Campaign.objects.get(pk=self.campaign.pk)
        return job_set(campaign.pk, campaign.processr_version, {})

    def _row(self) -> LeadRow:
        self.number += 1
        came = self.number % DUPLICATES_IN == 0
        number = self.chance.randrange(self.kept) if came else 10_000_000 + self.number
        values = {
            "firstName": "Grace",
            "lastName": "Hopper",
            "email": f"Person{number}@example.com",
            "telephone": f"(+44)07911{self.chance.randrange(10**6):06d}",
            "company": "Navy",
            "country": self.chance.choice(("GB", "IE", "DE")),
        }
        return LeadRow(uuid7(), self.campaign.pk, self.publisher.pk, self.form.pk, 1, None, values)


def main() -> None:
    work = Work()
    for line in sys.stdin:
        task: dict[str, Any] = json.loads(line)
        print(json.dumps(getattr(work, task.pop("do"))(**task)), flush=True)


if __name__ == "__main__":
    main()
