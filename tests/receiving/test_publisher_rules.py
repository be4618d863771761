"""What an instance shows its publishers of how it checks leads, and to whom it shows nothing."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.api import publisher_rules
from integrations.kit.lists import SUPPRESSION, VALUES
from integrations.models import Job, ValueList
from integrations.value_lists.lists import list_add
from leads.models import Campaign, CampaignPublisher
from tests.receiving.conftest import Client, Instance

RULES = "/api/v2.4/publisher/rules"


@pytest.fixture
def industries(instance: Instance) -> ValueList:
    made = ValueList.objects.create(name="Industries", kind=VALUES)
    for value in ("IT", "Law", "Mining"):
        list_add(made, value)
    return made


@pytest.fixture
def job(instance: Instance, industries: ValueList) -> Job:
    settings = {"field": "industry", "list": industries.pk, "wanted": "not_listed", "several": True, "empty": "fails"}
    return Job.objects.create(
        campaign=instance.campaign, kind="value_list", name="Industry", settings=settings, shown_to_publishers=True
    )


def rules(client: Client) -> list[dict[str, Any]]:
    answer = client.get(RULES)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()
    return found


def test_a_list_is_shown_with_what_it_takes_to_check_by_it(client: Client, instance: Instance, job: Job) -> None:
    [rule] = rules(client)
    assert len(rule.pop("version")) == 16
    assert rule == {
        "id": job.pk,
        "type": "list",
        "name": "Industry",
        "campaignId": instance.campaign.pk,
        "campaign": "Spring",
        "field": "form[industry]",
        "wanted": False,
        "several": True,
        "emptyFails": True,
        "count": 3,
    }
    values = client.get(f"{RULES}/{job.pk}/values").json()
    assert (values["values"], values["next"]) == (["it", "law", "mining"], None)
    assert values["version"] == rules(client)[0]["version"]


def test_a_condition_is_shown_whole(client: Client, instance: Instance) -> None:
    settings = {"field": "optin.terms", "operator": "equal", "values": ["1"]}
    job = Job.objects.create(
        campaign=instance.campaign,
        kind="simple_conditional",
        name="Terms",
        settings=settings,
        shown_to_publishers=True,
    )
    [rule] = rules(client)
    assert (rule["type"], rule["field"], rule["operator"], rule["values"]) == (
        "conditional", "form[optin][terms]", "equal", ["1"],
    )  # fmt: skip
    assert client.get(f"{RULES}/{job.pk}/values").status_code == 404


def test_long_lists_come_in_parts(client: Client, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_rules, "PAGE", 2)
    path = f"{RULES}/{job.pk}/values"
    first = client.get(path).json()
    assert (first["values"], first["next"]) == (["it", "law"], "law")
    assert client.get(path, params={"after": first["next"]}).json()["values"] == ["mining"]
    assert client.get(path, params={"after": "\x00\u202ezzz" + "z" * 2_000}).json()["values"] == []


def test_a_changed_list_or_job_has_another_version(client: Client, job: Job, industries: ValueList) -> None:
    versions = [rules(client)[0]["version"]]
    list_add(industries, "Fishing")
    versions.append(rules(client)[0]["version"])
    Job.objects.filter(pk=job.pk).update(settings={**job.settings, "wanted": "listed"})
    versions.append(rules(client)[0]["version"])
    assert len(set(versions)) == 3
    assert rules(client)[0]["version"] == versions[-1]


def hide(job: Job, instance: Instance, how: str) -> None:
    if how == "not shown":
        Job.objects.filter(pk=job.pk).update(shown_to_publishers=False)
    elif how == "off":
        Job.objects.filter(pk=job.pk).update(enabled=False)
    elif how == "other kind":
        Job.objects.filter(pk=job.pk).update(kind="duplicate")
    elif how == "list gone":
        ValueList.objects.all().delete()
    elif how == "hashed list":
        ValueList.objects.filter(pk=job.settings["list"]).update(kind=SUPPRESSION)
    elif how == "no part in it":
        CampaignPublisher.objects.filter(publisher=instance.publisher).update(active=False)
    else:
        other = Campaign.objects.create(advertiser=instance.campaign.advertiser, name="Other")
        Job.objects.filter(pk=job.pk).update(campaign=other)


@pytest.mark.parametrize(
    "how", ["not shown", "off", "other kind", "list gone", "hashed list", "no part in it", "other campaign"]
)
def test_what_is_not_for_a_publisher_is_not_there(client: Client, instance: Instance, job: Job, how: str) -> None:
    hide(job, instance, how)
    assert rules(client) == []
    answer = client.get(f"{RULES}/{job.pk}/values")
    assert (answer.status_code, answer.text) == (404, "404 Not Found")


def test_nobody_without_a_token_is_shown_anything(client: Client, job: Job) -> None:
    client.session.headers.pop("Authorization")
    for path in (RULES, f"{RULES}/{job.pk}/values"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "Access denied."})


def test_the_client_s_own_people_are_no_publisher(client: Client, instance: Instance, job: Job) -> None:
    login = client.post("/api/login", {"username": "sam", "password": "manage-it"})
    client.session.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
    assert client.get(RULES).status_code == 403
