"""Every kind of job in the real Processr: with lists in the database, and with whatever publishers have ever posted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integrations import jobs as jobs_package
from integrations.judging.job_sets import campaign_inputs
from integrations.judging.steps import OUR_FAULT
from integrations.kit.job_registry import job_kinds
from integrations.kit.job_replay import job_cases
from integrations.kit.lists import SUPPRESSION, VALUES
from integrations.models import ValueList
from integrations.value_lists.lists import list_add
from leads.models import Campaign, Field, Lead, Status
from tests.processr.conftest import add_job, judge

CASES = Path(jobs_package.__path__[0]) / "cases"
# As intake takes them: NUL and half characters are refused there.
HOSTILE = ["\u202e\u200b\ufeff", "e\u0301" * 400, "\U0001f469\u200d\U0001f4bb@\u2603.\u2603", "9" * 9_000, "x" * 9_000]


def settings_of(slug: str) -> dict[str, Any]:
    """Good settings of a kind, with lists that are there."""
    [case, *_] = [each for each in job_cases(CASES / f"{slug}.json") if "bad_setting" not in each.expect]
    settings = dict(case.settings)
    for box in job_kinds()[slug].manifest.settings:
        if box.type == "list" and settings.get(box.name):
            settings[box.name] = ValueList.objects.get_or_create(name=box.lists[0], kind=box.lists[0])[0].pk
    return settings


def failed(lead: Lead) -> dict[str, str]:
    return {each["name"]: each["reason"] for each in lead.failed_jobs}


def test_whatever_is_posted_every_kind_judges_it_or_says_why_not(campaign: Campaign) -> None:
    form = campaign.forms.get()
    wanted = {key for slug in job_kinds() for key in reads(slug, settings_of(slug))} - campaign_inputs(campaign.pk)
    for name in wanted:
        Field.objects.create(form=form, name=name)
    for slug in job_kinds():
        settings = settings_of(slug)
        # Names that are added stand beside what was posted.
        settings |= {name: f"{slug}_{settings[name]}" for name in ("adds",) if name in settings}
        add_job(campaign, slug, slug, settings)
    for value in ["Ada", *HOSTILE]:
        posted: dict[str, Any] = dict.fromkeys(sorted(campaign_inputs(campaign.pk)), value)
        lead = judge(campaign, ip="192.0.2.7", **posted)
        assert lead.status != Status.PENDING
        assert lead.processed_at is not None
        assert not [name for name, reason in failed(lead).items() if OUR_FAULT in reason]


def reads(slug: str, settings: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for box in job_kinds()[slug].manifest.settings:
        value = settings.get(box.name)
        found += [value] if box.type == "field" and value else list(value or ()) if box.type == "fields" else []
    return found


def test_a_list_of_values_is_looked_up(campaign: Campaign) -> None:
    countries = ValueList.objects.create(name="Countries", kind=VALUES)
    list_add(countries, "Germany")
    add_job(campaign, "value_list", "Country", {"field": "country", "list": countries.pk})
    assert judge(campaign, country=" germany ").status == Status.VALID
    lead = judge(campaign, country="Atlantis")
    assert (lead.status, failed(lead)) == (
        Status.INVALID, {"Country": "country has a value that is not on the list."},
    )  # fmt: skip
    list_add(countries, "Atlantis")
    assert judge(campaign, country="Atlantis").status == Status.VALID


def test_whose_leads_are_not_wanted_is_found_by_hashes(campaign: Campaign) -> None:
    unwanted = ValueList.objects.create(name="Not wanted", kind=SUPPRESSION)
    list_add(unwanted, "ada@example.test")
    add_job(campaign, "suppression_list", "Suppressed", {"fields": ["email", "telephone"], "list": unwanted.pk})
    assert judge(campaign, email="joe@example.test").status == Status.VALID
    assert judge(campaign, email=" ADA@example.test").status == Status.INVALID


@pytest.mark.parametrize("kind", ["pattern", "find_replace"])
def test_an_expression_that_takes_too_long_lets_the_lead_wait_for_a_person(campaign: Campaign, kind: str) -> None:
    expression = "^(?:[a-c][d-f][g-i]|[a-c][d-f][g-i][a-c][d-f][g-i])+$"
    settings = {"field": "country", "expression": expression, "adds": "made", "replacement": ""}
    used = {box.name for box in job_kinds()[kind].manifest.settings}
    add_job(campaign, kind, "Slow", {name: value for name, value in settings.items() if name in used})
    lead = judge(campaign, country="adg" * 40 + "!")
    assert lead.status == Status.CAUTION
    assert failed(lead)["Slow"].startswith("The regular expression took too long on this lead.")
    assert judge(campaign, country="adg").status == Status.VALID


def test_a_client_s_rule_that_is_not_copied_yet_lets_leads_wait(campaign: Campaign) -> None:
    add_job(campaign, "client_validation_list", "Theirs", {"field": "country", "rule": 404})
    lead = judge(campaign, country="Germany")
    assert lead.status == Status.CAUTION
    assert "has not been copied yet" in failed(lead)["Theirs"]
