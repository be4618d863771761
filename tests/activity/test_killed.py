"""A worker process that is killed with no time to say goodbye."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from django.conf import settings
from django.db import connection

from integrations.bulk import bulk_start
from integrations.models import Delivery, Integration
from integrations.selections import LeadSelection
from leads.activity_work import activities_due
from leads.lead_search import LeadSearch
from leads.models import Activity, ActivityItem
from tests.activity.conftest import MakeLead

pytestmark = pytest.mark.django_db(transaction=True)

WORKER = """
import sys, django
django.setup()
from leads import activity_work as working
from integrations.bulk import activity_work
working.LEASE_SECONDS = 0.5
working.BATCH = 5
activity_work(int(sys.argv[1]))
"""


def worker(activity: Activity) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{connection.settings_dict['NAME']}", "LOG_LEVEL": "ERROR"}
    return subprocess.Popen([sys.executable, "-c", WORKER, str(activity.pk)], cwd=settings.BASE_DIR, env=environment)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the worker is told of a database file")
def test_a_worker_killed_in_the_middle_loses_no_lead_and_sends_none_twice(acme: Integration, lead: MakeLead) -> None:
    leads = [lead().pk for _ in range(400)]
    activity = bulk_start(
        "deliver", LeadSelection(search=LeadSearch()), {"integrations": [acme.pk]}, by="grace", token=""
    )
    first = worker(activity)
    deadline = time.monotonic() + 60
    while ActivityItem.objects.filter(state="done").count() < 20 and time.monotonic() < deadline:
        assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.wait()
    activity.refresh_from_db()
    assert 20 <= activity.done < 400
    assert activity.done == Delivery.objects.count()

    while activities_due() != [activity.pk] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert worker(activity).wait(60) == 0
    activity.refresh_from_db()
    assert (activity.state, activity.done) == ("done", 400)
    assert Counter(Delivery.objects.values_list("lead_id", flat=True)) == Counter(leads)
