"""A client shows its rules, and jobs of ours go by a copy that follows them: over the wire, both roles played by one portal."""

from __future__ import annotations

import datetime as dt

import pytest
from django.conf import LazySettings
from django.utils import timezone

from integrations.api import publisher_rules
from integrations.judging import client_rules
from integrations.judging.answers import Asked, answers_find
from integrations.judging.client_rules import (
    client_rule_words,
    client_rules_due,
    client_rules_find,
    client_rules_look,
    client_rules_offered,
)
from integrations.judging.steps import job_compile
from integrations.kit.contract import ConnectorError
from integrations.kit.jobs import CannotJudge, JobLead, QualityCheck
from integrations.kit.lists import CLIENTS, VALUES
from integrations.models import ClientRule, Integration, Job, ValueList
from integrations.value_lists.lists import list_add, list_import, lists_tidy
from leads.models import Advertiser, Campaign
from tests.jobs.test_lists import file_of
from tests.receiving.conftest import Instance


@pytest.fixture
def shown(instance: Instance) -> Job:
    """What the client shows: a list that is long enough to come in parts."""
    theirs = ValueList.objects.create(name="Their countries", kind=VALUES)
    list_import(theirs, file_of("Germany\nAustria\nChile\n"))
    return Job.objects.create(
        campaign=instance.campaign,
        kind="value_list",
        name="Countries",
        settings={"field": "country", "list": theirs.pk},
        shown_to_publishers=True,
    )


@pytest.fixture
def integration(
    server: str, instance: Instance, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> Integration:
    """Ours, connected to that client."""
    host = server.removeprefix("http://")
    settings.CONNECTOR_ENVIRONMENT = {**settings.CONNECTOR_ENVIRONMENT, "CONVERTR_INSTANCES": f"acme={server}"}
    settings.CONNECTOR_PRIVATE_HOSTS = [host]
    monkeypatch.setattr(publisher_rules, "PAGE", 2)
    campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Ours"), name="Sent on")
    return Integration.objects.create(
        campaign=campaign,
        name="Acme EU",
        connector="convertr_connect",
        settings={"subdomain": "acme", "campaign_id": "204", "publisher_id": "31", "global_form": "75"},
        secrets={"api_key": instance.api_key},
    )


def job_by(rule: ClientRule, kind: str = "client_validation_list") -> Job:
    assert rule.integration.campaign is not None
    return Job.objects.create(
        campaign=rule.integration.campaign, kind=kind, name=kind, settings={"field": "country", "rule": rule.pk}
    )


def judged(job: Job, value: str) -> str:
    """What the job makes of a lead with this value: "passes", or its reason."""
    made = job_compile(job.kind, job.settings).check
    assert isinstance(made, QualityCheck)
    lead = JobLead({"country": value})
    asked = [Asked(lead, question) for question in (made.asks(lead) if made.asks is not None else ())]
    try:
        failed = made.judge(lead, answers_find(asked, {}, again=False))
    except CannotJudge as cannot:
        return str(cannot)
    return failed.reason if failed is not None else "passes"


def test_a_client_s_list_is_copied_once_a_job_goes_by_it(shown: Job, integration: Integration) -> None:
    [rule] = client_rules_find(integration)
    assert (rule.name, rule.kind, rule.remote_field) == ("Countries", "list", "form[country]")
    assert client_rules_offered(integration.campaign_id or 0, ["list"]) == [rule]
    assert client_rules_due() == [], "nobody goes by it yet"
    job = job_by(rule)
    assert "has not been copied yet" in judged(job, "Germany")
    assert client_rules_due() == [integration.pk]
    before = Campaign.objects.get(name="Sent on").processr_version
    client_rules_look(integration.pk)
    assert (judged(job, " germany "), judged(job, "France")) == (
        "passes",
        "country has a value that is not on the list.",
    )
    assert Campaign.objects.get(name="Sent on").processr_version == before + 1
    assert client_rules_due() == []
    rule.refresh_from_db()
    assert client_rule_words(rule) == "Copied; the client last answered just now."


def look_again(integration: Integration) -> None:
    ClientRule.objects.update(next_look_at=timezone.now() - dt.timedelta(seconds=1))
    assert client_rules_due() == [integration.pk]
    client_rules_look(integration.pk)


def test_the_copy_follows_what_the_client_changes(shown: Job, integration: Integration) -> None:
    job = job_by(client_rules_find(integration)[0])
    client_rules_look(integration.pk)
    list_add(ValueList.objects.get(name="Their countries"), "France")
    assert judged(job, "France") != "passes"
    look_again(integration)
    assert judged(job, "France") == "passes"
    Job.objects.filter(pk=shown.pk).update(settings={**shown.settings, "wanted": "not_listed"})
    look_again(integration)
    assert judged(job, "France") == "country has a value that is on the list of unwanted ones."
    copied = ClientRule.objects.get().copied_version
    generation = ValueList.objects.get(kind=CLIENTS).generation
    look_again(integration)
    assert (ClientRule.objects.get().copied_version, ValueList.objects.get(kind=CLIENTS).generation) == (
        copied,
        generation,
    )


def test_while_the_client_can_t_be_reached_the_last_copy_is_used_and_its_age_said(
    shown: Job, integration: Integration, settings: LazySettings
) -> None:
    job = job_by(client_rules_find(integration)[0])
    client_rules_look(integration.pk)
    ClientRule.objects.update(looked_at=timezone.now() - dt.timedelta(days=3))
    # Nobody listens at this port.
    settings.CONNECTOR_ENVIRONMENT = {**settings.CONNECTOR_ENVIRONMENT, "CONVERTR_INSTANCES": "acme=http://127.0.0.1:9"}
    settings.CONNECTOR_PRIVATE_HOSTS = ["127.0.0.1:9"]
    look_again(integration)
    assert (judged(job, "Germany"), judged(job, "France")) == ("passes", "country has a value that is not on the list.")
    rule = ClientRule.objects.get()
    words = client_rule_words(rule)
    assert words.startswith(
        "Copied; the client last answered 3 days ago. They can’t be asked since, so this copy stays in use:"
    )
    assert "127.0.0.1:9" in words
    assert rule.next_look_at is not None
    assert rule.next_look_at > timezone.now()
    with pytest.raises(ConnectorError):
        client_rules_find(integration)


def test_a_rule_that_is_shown_no_more_stays_in_use_and_says_so(shown: Job, integration: Integration) -> None:
    job = job_by(client_rules_find(integration)[0])
    client_rules_look(integration.pk)
    Job.objects.filter(pk=shown.pk).update(shown_to_publishers=False)
    look_again(integration)
    assert judged(job, "Germany") == "passes"
    assert client_rule_words(ClientRule.objects.get()).startswith("The client does not show this rule any more.")
    assert client_rules_find(integration) == []


def test_a_client_s_condition_is_copied_with_the_list_of_rules(instance: Instance, integration: Integration) -> None:
    theirs = Job.objects.create(
        campaign=instance.campaign,
        kind="simple_conditional",
        name="Size",
        settings={"field": "size", "operator": "starts_with", "values": "G\nA"},
        shown_to_publishers=True,
    )
    job = job_by(client_rules_find(integration)[0], "client_simple_conditional")
    assert (judged(job, "Germany"), judged(job, "France")) == (
        "passes",
        "Does not meet the condition: country starts with G or A.",
    )
    Job.objects.filter(pk=theirs.pk).update(settings={**theirs.settings, "values": "F"})
    look_again(integration)
    assert judged(job, "France") == "passes"


def test_a_list_that_is_longer_than_can_be_copied_leaves_the_last_copy(
    shown: Job, integration: Integration, settings: LazySettings
) -> None:
    job = job_by(client_rules_find(integration)[0])
    client_rules_look(integration.pk)
    list_add(ValueList.objects.get(name="Their countries"), "France")
    settings.LIST_MAX_VALUES = 3
    look_again(integration)
    assert (judged(job, "Germany"), judged(job, "France") == "passes") == ("passes", False)
    assert "more than 3 values" in ClientRule.objects.get().problem


def test_a_copy_that_nobody_has_any_more_is_tidied_up(shown: Job, integration: Integration) -> None:
    job_by(client_rules_find(integration)[0])
    client_rules_look(integration.pk)
    integration.delete()
    ValueList.objects.filter(kind=CLIENTS).update(created_at=timezone.now() - dt.timedelta(hours=1))
    lists_tidy()
    assert not ValueList.objects.filter(kind=CLIENTS).exists()
    assert client_rules.client_rules_due() == []
