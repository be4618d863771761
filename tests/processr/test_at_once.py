"""Several workers at once, and workers that are killed: rows are the truth on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models import Count, Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations import processr
from integrations.judging.held import leads_held_release, leads_push_on
from integrations.judging.job_sets import job_sets_forget
from integrations.judging.reprocessing import leads_reprocess
from integrations.models import Delivery, Job, JobReason, JobTally
from integrations.processr import leads_process
from leads.models import CapCount, Lead, LeadChange, LeadKey
from leads.readings import Reading
from tests.processr.conftest import cap, duplicate, judge, make_campaign, receive, required

EMAILS = [f"person{number}@example.test" for number in range(8)]


def batches_of(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let workers take so many leads at a time."""
    monkeypatch.setattr(processr, "BATCH", count)
    monkeypatch.setattr(processr, "_NEXT", Reading(processr._next, times=[0]))


def at_once(*works: Callable[[], Any]) -> None:
    """Run these in threads of their own, begun together; whatever one raises is raised here."""
    begin, failed = threading.Barrier(len(works)), []

    def run(work: Callable[[], Any]) -> None:
        try:
            begin.wait(10)
            work()
        except BaseException as error:  # noqa: BLE001
            failed.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if failed:
        raise failed[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scope", ["campaign", "instance"])
def test_of_leads_that_several_workers_judge_at_once_one_of_each_passes(
    monkeypatch: pytest.MonkeyPatch, scope: str
) -> None:
    campaign, other = make_campaign(), make_campaign("Autumn")
    for each in (campaign, other):
        duplicate(each, settings={"scope": scope})
    cap(campaign, cap_day=5)
    # Small batches: workers meet all the time.
    batches_of(monkeypatch, 7)
    for _ in range(6):
        for email in EMAILS:
            receive(campaign, email=email)
            receive(other, email=email)
    at_once(*[leads_process] * 4)
    leads_process()
    assert not Lead.objects.filter(processed_at=None).exists()
    valid = Lead.objects.filter(status="valid").order_by().values_list("values__email", "campaign")
    expected = len(EMAILS) if scope == "instance" else 2 * len(EMAILS)
    assert len(valid) == expected
    assert len(set(valid)) == expected
    if scope == "campaign":
        # And no two of them took the same room under the cap.
        assert Lead.objects.filter(campaign=campaign, status="valid", held="").count() == 5
        assert Lead.objects.filter(held="cap_day").count() == len(EMAILS) - 5
        assert CapCount.objects.get().leads == 5
    out = Lead.objects.filter(status="valid", held="")
    assert set(Delivery.objects.values_list("lead_id", flat=True)) == set(out.values_list("pk", flat=True))
    assert Delivery.objects.count() == out.count()
    sums_are_right()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scopes", [("campaigns", "campaigns"), ("campaigns", "instance"), ("advertiser", "publisher")])
def test_of_two_equal_leads_in_campaigns_that_compare_with_each_other_one_passes(scopes: tuple[str, str]) -> None:
    campaign, other = make_campaign(), make_campaign("Autumn")
    for mine, theirs, scope in [(campaign, other, scopes[0]), (other, campaign, scopes[1])]:
        duplicate(mine, settings={"scope": scope, **({"campaigns": [theirs.pk]} if scope == "campaigns" else {})})
    ended = threading.Event()

    def second() -> None:
        receive(other, email=EMAILS[0])
        leads_process()
        connections.close_all()
        ended.set()

    thread = threading.Thread(target=second)
    with transaction.atomic():
        receive(campaign, email=EMAILS[0])
        leads_process()
        thread.start()
        # It has to wait until what the first one says is there.
        while not ended.wait(0.02):
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                if cursor.fetchone()[0]:
                    break
    thread.join(60)
    assert ended.is_set()
    assert list(Lead.objects.order_by("pk").values_list("status", flat=True)) == ["valid", "invalid"]


@pytest.mark.django_db(transaction=True)
def test_people_and_workers_who_act_at_once_lose_and_double_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = make_campaign()
    required(campaign, "email", score=90)
    required(campaign, "lastName", score=10)
    duplicate(campaign, score=100)
    cap(campaign, cap_day=3)
    waiting = [judge(campaign, email=f"early{number}@example.test").pk for number in range(6)]
    batches_of(monkeypatch, 5)
    for email in EMAILS * 3:
        receive(campaign, email=email, lastName="L")
    at_once(
        leads_process,
        leads_process,
        lambda: leads_push_on(waiting, by="grace"),
        lambda: leads_push_on(waiting[::-1], by="ada"),
        lambda: leads_reprocess(waiting[:3], by="grace"),
        leads_held_release,
    )
    leads_process()
    assert not Lead.objects.filter(processed_at=None).exists()
    assert Lead.objects.filter(values__lastName="L", status="valid").count() == len(EMAILS)
    # What was accepted, then judged once more, was taken back: it goes out once, if it was accepted again.
    going = Delivery.objects.exclude(state="not_sent").order_by().values("lead").annotate(count=Count("pk"))
    assert not going.filter(count__gt=1).exists()
    out = set(Lead.objects.filter(status="valid", held="").values_list("pk", flat=True))
    assert out == set(Delivery.objects.exclude(state="not_sent").values_list("lead_id", flat=True))
    sums_are_right()


class Killed(BaseException):
    """As if the process ended here."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("at", ["keys_write", "tallies_add", "deliveries_add", "leads_judge"])
def test_a_worker_that_is_killed_in_the_middle_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    campaign = make_campaign()
    duplicate(campaign)
    cap(campaign, cap_day=3)
    for email in EMAILS:
        receive(campaign, email=email)
    module = "integrations.processr" if at in ("deliveries_add", "leads_judge") else "integrations.judging.judgements"

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.{at}", killed)
        with pytest.raises(Killed):
            leads_process()
    left = [rows.objects.count() for rows in (LeadKey, JobTally, CapCount, Delivery, LeadChange)]
    assert left == [0, 0, 0, 0, 0]
    leads_process()
    assert Lead.objects.filter(status="valid", held="").count() == 3
    assert Lead.objects.filter(held="cap_day").count() == len(EMAILS) - 3
    assert CapCount.objects.get().leads == 3
    sums_are_right()


def sums_are_right() -> None:
    """The sum of tallies is the number of judgements, by job; every failed one has its reason."""
    judgements = Lead.objects.exclude(status="test").aggregate(sum=Sum("judgements"))["sum"] or 0
    failed: dict[int, int] = {}
    for change in LeadChange.objects.filter(kind="judged", via="processr").exclude(lead__status="test"):
        for entry in change.data.get("failed", ()):
            failed[entry["job"]] = failed.get(entry["job"], 0) + 1
    per_campaign = dict(
        Lead.objects.exclude(status="test").order_by().values_list("campaign").annotate(sum=Sum("judgements"))
    )
    for job in Job.objects.all():
        sums = JobTally.objects.filter(job=job).aggregate(a=Sum("passed"), b=Sum("failed"), c=Sum("unjudged"))
        total = sum(value or 0 for value in sums.values())
        assert total == per_campaign.get(job.campaign_id, 0) <= judgements
        reasons = JobReason.objects.filter(job=job).aggregate(sum=Sum("times"))["sum"] or 0
        assert reasons == failed.get(job.pk, 0) == (sums["b"] or 0) + (sums["c"] or 0)


_DOES = st.sampled_from(["lead", "lead", "lead", "test", "process", "reprocess", "accept"])


@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(does=st.lists(st.tuples(_DOES, st.sampled_from(EMAILS[:3] + [""]), st.booleans()), max_size=25))
def test_the_sum_of_tallies_is_the_number_of_judgements(does: list[tuple[str, str, bool]]) -> None:
    with transaction.atomic():
        campaign = make_campaign("Of chance")
        required(campaign, "email", score=50)
        required(campaign, "lastName", score=10)
        duplicate(campaign)
        for what, email, named in does:
            if what in ("lead", "test"):
                status: Any = "pending" if what == "lead" else "test"
                receive(campaign, status, email=email, lastName="L" if named else "", firstName="Ada")
            elif what == "process":
                leads_process()
            elif what == "reprocess":
                leads_reprocess(Lead.objects.values_list("pk", flat=True), by="grace")
            else:
                leads_push_on(Lead.objects.values_list("pk", flat=True), by="grace")
        leads_process()
        sums_are_right()
        assert not Lead.objects.filter(processed_at=None).exists()
        transaction.set_rollback(True)
    job_sets_forget()
