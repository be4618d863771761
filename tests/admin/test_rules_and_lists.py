"""What a job goes by: a client's rule, chosen once the client was asked, or a list that is there from the start."""

from __future__ import annotations

import datetime as dt

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from integrations.judging.arranging import job_add
from integrations.judging.problems import jobs_problems
from integrations.kit.lists import CLIENTS
from integrations.models import ClientRule, Integration, Job, ValueList
from leads.models import Campaign

pytestmark = pytest.mark.django_db


@pytest.fixture
def rule(campaign: Campaign) -> ClientRule:
    integration = Integration.objects.create(campaign=campaign, name="Acme EU", connector="convertr_connect")
    theirs = ValueList.objects.create(name="Acme EU: Countries", kind=CLIENTS)
    return ClientRule.objects.create(
        integration=integration,
        remote_id="12",
        kind="list",
        name="Countries",
        remote_campaign="Spring",
        version="a",
        copied_version="a",
        value_list=theirs,
        looked_at=timezone.now() - dt.timedelta(hours=5),
        problem="acme.cvtr.io has not answered for 10 seconds.",
    )


def job_of(campaign: Campaign, kind: str) -> Job:
    return Job.objects.create(campaign=campaign, kind=kind, name=kind, enabled=False)


def configure(client: Client, job: Job, **posted: str) -> str:
    page = reverse("admin:integrations_job_change", args=[job.pk])
    posted = {f"settings-{name}": value for name, value in posted.items() if name != "do"} | {
        "do": posted.get("do", "")
    }
    opened = {"opened_with": Job.objects.get(pk=job.pk).updated_at.isoformat()}
    answer = client.post(page, posted | opened, follow=True) if posted["do"] else client.get(page)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_rule_is_chosen_by_its_name_and_says_how_fresh_it_is(
    admin_client: Client, campaign: Campaign, rule: ClientRule
) -> None:
    job = job_of(campaign, "client_validation_list")
    assert "Countries (Spring) · Acme EU" in configure(admin_client, job)
    configure(
        admin_client, job, do="save", name="Their countries", score="10", **{"s-field": "email", "s-rule": str(rule.pk)}
    )
    job.refresh_from_db()
    assert job.settings == {"field": "email", "rule": rule.pk}
    html = configure(admin_client, job)
    assert "Copied; the client last answered 5 hours ago. They can’t be asked since, so this copy stays in use:" in html
    lists = admin_client.get(reverse("admin:integrations_valuelist_change", args=[rule.value_list_id])).content.decode()
    assert "Their countries" in lists
    assert "Fill it from a file" not in lists, "it is kept as the client has it"


def test_a_client_that_can_t_be_asked_is_said(admin_client: Client, campaign: Campaign, rule: ClientRule) -> None:
    html = configure(admin_client, job_of(campaign, "client_validation_list"), do="ask-clients", name="x", score="1")
    assert "Acme EU: " in html
    assert "Subdomain" in html or "subdomain" in html


def test_what_a_job_checks_is_shown_to_publishers_by_a_tick(admin_client: Client, campaign: Campaign) -> None:
    job = job_of(campaign, "simple_conditional")
    boxes = {"s-field": "email", "s-operator": "exists", "shown_to_publishers": "on"}
    configure(admin_client, job, do="save", name="E-mail", score="10", **boxes)
    job.refresh_from_db()
    assert job.shown_to_publishers
    assert "Shown to publishers" not in configure(admin_client, job_of(campaign, "duplicate"))


def test_a_new_job_begins_with_the_list_that_is_there_for_it(campaign: Campaign) -> None:
    made = job_add(campaign, "email_address")
    names = {name: ValueList.objects.get(pk=made.settings[name]).name for name in ("disposable", "roles")}
    assert names == {"disposable": "Disposable domains", "roles": "Role names"}
    ValueList.objects.create(name="More of them", kind="domains")
    assert "disposable" not in job_add(campaign, "email_address").settings, "of two one is chosen by a person"
    ValueList.objects.create(name="Countries", kind="values")
    assert "list" not in job_add(campaign, "value_list").settings


def test_a_job_whose_rule_can_t_be_copied_or_was_removed_says_so(campaign: Campaign, rule: ClientRule) -> None:
    job = job_of(campaign, "client_validation_list")
    job.settings = {"field": "email", "rule": rule.pk}
    assert jobs_problems([job]) == {}
    ClientRule.objects.update(copied_version="")
    words = "The client's rule could not be copied. acme.cvtr.io has not answered for 10 seconds."
    assert jobs_problems([job]) == {job.pk: words}
    ClientRule.objects.all().delete()
    assert jobs_problems([job])[job.pk].startswith("The client's rule that it goes by was removed.")
