"""The tabs Quality Assurance and Enrichment: rows, Add, Configure with its boxes, groups, order, and who may do what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.judging.arranging import group_fill, group_store, job_add, job_store
from integrations.models import Job, JobGroup, JobReason, JobTally, ValueList
from leads.models import Campaign, Field, Lead, Publisher, User
from portal.roles import ACCOUNT_MANAGER, VIEWER
from tests.admin.pages import boxes, said, text

QUALITY, ENRICHMENT = "quality-assurance", "enrichment"


def _tab(campaign: Campaign, key: str = QUALITY) -> str:
    return f"/admin/leads/campaign/{campaign.pk}/processr/{key}/"


def _do(job: Job, do: str) -> str:
    return f"/admin/leads/campaign/{job.campaign_id}/processr/jobs/{job.pk}/{do}/"


def _configure(job: Job) -> str:
    return f"/admin/integrations/job/{job.pk}/change/"


@pytest.fixture
def job_make(campaign: Campaign) -> Callable[..., Job]:
    def make(
        kind: str = "required_value", *, on: bool = True, settings: dict[str, Any] | None = None, **more: Any
    ) -> Job:
        job = job_add(campaign, kind)
        if settings is None and kind == "required_value":
            settings = {"fields": ["zip"]}
        job.settings |= settings or {}
        job.enabled = on
        for name, value in more.items():
            setattr(job, name, value)
        job_store(job)
        return job

    return make


def _rows(client: Client, campaign: Campaign, key: str = QUALITY) -> list[dict[str, Any]]:
    return list(client.get(_tab(campaign, key)).context["units"])


def _names(client: Client, campaign: Campaign) -> list[str]:
    return [unit["group"].name if "group" in unit else unit["job"]["row"].name for unit in _rows(client, campaign)]


# --- the rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "on", "word", "cause"),
    [
        ("required_value", {"fields": ["zip"]}, True, "On", ""),
        ("required_value", {"fields": ["zip"]}, False, "Paused", ""),
        ("required_value", {}, False, "Needs setup", "Fields: Choose at least one field."),
        ("required_value", {"fields": ["fax"]}, True, "Needs a look", "“fax” is no longer on the campaign’s forms"),
        ("value_list", {"field": "zip", "list": 99}, True, "Needs a look", "The list that it looks values up in was removed"),
    ],
)  # fmt: skip
def test_every_state_of_a_job_is_said_with_its_cause_and_what_to_do(
    kind: str, settings: dict[str, Any], on: bool, word: str, cause: str,
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job],
) -> None:  # fmt: skip
    job_make(kind, on=on, settings=settings)
    [unit] = _rows(browser_client, campaign)
    standing = unit["job"]["standing"]
    assert (standing.word, cause in standing.cause) == (word, True)
    shown = text(browser_client.get(_tab(campaign)))
    assert word in shown
    assert cause in shown


def test_a_job_of_a_kind_that_is_gone_says_so_and_can_be_removed(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job = job_make()
    Job.objects.filter(pk=job.pk).update(kind="gone")
    assert "no kind of job “gone” any more. Remove it." in text(browser_client.get(_tab(campaign)))
    assert browser_client.get(_configure(job)).status_code == 302
    browser_client.post(_do(job, "remove"))
    assert not Job.objects.exists()


def test_a_row_counts_what_it_passed_and_failed_on_the_campaigns_day(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job, publisher = job_make(), Publisher.objects.get()
    today = timezone.now().date()
    JobTally.objects.create(job=job, publisher=publisher, day=today, passed=1_204, failed=31, unjudged=2)
    [unit] = _rows(browser_client, campaign)
    numbers = unit["job"]["numbers"]
    assert (numbers.passed, numbers.failed, numbers.share) == (1_204, 31, 97)
    assert "1,204" in text(browser_client.get(_tab(campaign)))


def test_the_tab_asks_as_often_for_twelve_jobs_as_for_two(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    def queries(address: str) -> int:
        browser_client.get(address)
        with CaptureQueriesContext(connection) as caught:
            assert browser_client.get(address).status_code == 200
        return len(caught)

    for settings in ({"fields": ["zip"]}, {"fields": ["fax"]}):
        job_make(settings=settings)
    pages = (_tab(campaign), "/admin/", f"/admin/leads/campaign/{campaign.pk}/change/")
    few = [queries(page) for page in pages]
    for number in range(10):
        job_make(settings={"fields": ["zip" if number % 2 else "fax"]})
    assert [queries(page) for page in pages] == few


def test_what_goes_out_is_said_in_words_and_a_change_of_it_is_kept_in_the_history(
    browser_client: Client, campaign: Campaign
) -> None:
    assert "A lead in Caution waits for a person." in text(browser_client.get(_tab(campaign)))
    response = browser_client.post(_tab(campaign), {"lets_out": "caution"}, follow=True)
    assert "valid leads and those in caution" in said(response)
    campaign.refresh_from_db()
    assert campaign.lets_out == "caution"
    history = text(browser_client.get(f"/admin/leads/campaign/{campaign.pk}/history/"))
    assert "What goes out" in history
    assert "Valid leads only" in history
    assert browser_client.post(_tab(campaign), {"lets_out": "all"}).status_code == 404


def test_the_rule_of_scores_is_said_with_the_campaigns_own_numbers(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job_make(score=50)
    job_make(score=10)
    job_make(on=False, score=90)
    shown = text(browser_client.get(_tab(campaign)))
    assert "a lead can score 60. All of it: Valid. Up to 11 missed: Caution." in shown


# --- Add --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tab", "typed", "name"),
    [
        (QUALITY, "dup", "Duplicate"),
        (QUALITY, "Enterprise Duplicate", "Duplicate"),
        (ENRICHMENT, "casing", "Letter case"),
    ],
)
def test_the_box_under_add_finds_kinds_of_its_own_tab_by_name_and_former_name(
    tab: str, typed: str, name: str, browser_client: Client, campaign: Campaign
) -> None:
    shown = text(browser_client.get(f"{_tab(campaign, tab)}add/", {"q": typed}, headers={"HX-Request": "true"}))
    assert name in shown
    assert "<html" not in shown
    other = ENRICHMENT if tab == QUALITY else QUALITY
    assert "Nothing is called" in text(browser_client.get(f"{_tab(campaign, other)}add/", {"q": typed}))


def test_a_job_that_is_added_opens_its_configure_page_and_judges_nothing_yet(
    browser_client: Client, campaign: Campaign
) -> None:
    for number in (1, 2):
        response = browser_client.post(f"{_tab(campaign)}add/", {"q": "required va"}, follow=True)
        job = Job.objects.latest("pk")
        assert response.redirect_chain == [(_configure(job), 302)]
        assert (job.name, job.enabled) == ("Required value" if number == 1 else "Required value 2", False)
    assert "Needs setup" in text(response)
    assert browser_client.post(f"{_tab(campaign)}add/", {"offer": "none"}).status_code == 404
    assert browser_client.post(f"{_tab(campaign, 'other')}add/", {"q": "x"}).status_code == 404


def test_a_kind_that_is_a_hard_fail_by_nature_starts_as_one(browser_client: Client, campaign: Campaign) -> None:
    browser_client.post(f"{_tab(campaign)}add/", {"offer": "duplicate"})
    assert Job.objects.get().hard_fail


# --- Configure --------------------------------------------------------------------------------------------------


def _sent(client: Client, job: Job) -> dict[str, Any]:
    """What the page would send as it stands; of several boxes of one name all."""
    job.refresh_from_db()
    sent: dict[str, Any] = dict(boxes(client.get(_configure(job))))
    if "fields" in job.settings:
        sent["settings-s-fields"] = [*job.settings["fields"], ""]
    return sent


def _save(client: Client, job: Job, typed: dict[str, Any], do: str = "save") -> Any:
    named = {f"settings-{name}": value for name, value in typed.items()}
    return client.post(_configure(job), {**_sent(client, job), **named, "do": do}, follow=True)


def test_what_is_missing_may_be_saved_but_not_switched_on(browser_client: Client, job_make: Callable[..., Job]) -> None:
    job = job_make(on=False, settings={})
    assert "Saved." in said(_save(browser_client, job, {"name": "Postcode there"}))
    response = _save(browser_client, job, {}, "on")
    assert "Nothing is saved yet" in said(response)
    assert "This is needed." in text(response)
    job.refresh_from_db()
    assert (job.name, job.enabled) == ("Postcode there", False)
    response = _save(browser_client, job, {"s-fields": ["zip", "country"]}, "on")
    assert "is on" in said(response)
    job.refresh_from_db()
    assert (job.enabled, job.settings["fields"]) == (True, ["zip", "country"])


def test_the_order_of_fields_is_the_one_that_was_chosen_and_an_empty_box_takes_one_out(
    browser_client: Client, job_make: Callable[..., Job]
) -> None:
    job = job_make(settings={"fields": ["zip", "email", "country"]})
    page = text(browser_client.get(_configure(job)))
    assert page.index('value="zip" selected') < page.index('value="email" selected')
    _save(browser_client, job, {"s-fields": ["country", "", "zip", ""]})
    job.refresh_from_db()
    assert job.settings["fields"] == ["country", "zip"]


def test_a_job_that_is_on_is_never_saved_with_settings_that_make_no_sense(
    browser_client: Client, job_make: Callable[..., Job]
) -> None:
    job = job_make("length", settings={"fields": ["zip"], "least": 2, "most": 8})
    response = _save(browser_client, job, {"s-least": "9", "s-most": "3"})
    assert "Nothing is saved yet" in said(response)
    assert response.context["form"].errors.keys() & {"s-least", "s-most"}
    assert 'class="pt-error"' in text(response)
    job.refresh_from_db()
    assert job.settings["least"] == 2


def test_an_expression_that_never_ends_is_found_where_it_is_entered(
    browser_client: Client, job_make: Callable[..., Job]
) -> None:
    job = job_make("pattern", on=False, settings={"field": "zip"})
    response = _save(browser_client, job, {"s-expression": "(a+)+$"})
    shown = text(response)
    assert "Nothing is saved yet" in said(response)
    assert "This expression takes too long on some texts" in shown
    job.refresh_from_db()
    assert not job.settings.get("expression")


def test_a_save_stands_in_the_history_with_the_words_of_the_boxes(
    browser_client: Client, job_make: Callable[..., Job]
) -> None:
    job = job_make()
    _save(browser_client, job, {"s-fields": ["zip", "country"], "s-need": "any", "score": "25", "hard_fail": "on"})
    history = text(browser_client.get(f"/admin/integrations/job/{job.pk}/history/"))
    for words in ("Zip code, Country", "A value in one of the fields", "25", "Hard fail"):
        assert words in history
    assert "Zip code, Country" in text(browser_client.get(f"/admin/leads/campaign/{job.campaign_id}/history/"))


def test_what_somebody_else_saved_meanwhile_is_shown_before_it_is_overwritten(
    browser_client: Client, job_make: Callable[..., Job]
) -> None:
    job = job_make()
    mine = _sent(browser_client, job)
    _save(browser_client, job, {"score": "30"})
    response = browser_client.post(_configure(job), {**mine, "settings-score": "5", "do": "save"})
    shown = text(response)
    assert "erin changed this on" in shown
    [score] = response.context["conflict"].changes
    assert (score.label, score.before, score.after, score.mine) == ("Score", "10", "30", "5")
    again = {**mine, **boxes(response), "settings-s-fields": ["zip"]}
    browser_client.post(_configure(job), {**again, "do": "over"})
    job.refresh_from_db()
    assert job.score == 5


def test_conditions_are_edited_without_a_script_and_nothing_is_saved_by_their_buttons(
    browser_client: Client, job_make: Callable[..., Job]
) -> None:
    job = job_make("conditional", on=False, settings={})
    name = "settings-s-conditions"
    sent = _sent(browser_client, job) | {f"{name}-at": ["0", "0.0"]}
    typed: dict[str, Any] = {f"{name}-0.0-field": "country", f"{name}-0.0-values": "Germany; France;"}
    response = browser_client.post(_configure(job), {**sent, **typed, "do": f"add-condition:{name}/0"})
    assert 'value="Germany; France"' in text(response)
    typed |= {f"{name}-at": ["0", "0.0", "0.1"], f"{name}-0.1-field": "zip", f"{name}-0.1-operator": "exists"}
    response = browser_client.post(_configure(job), {**sent, **typed, "do": f"add-section:{name}"})
    assert "Remove section" in text(response)
    job.refresh_from_db()
    assert "conditions" not in job.settings
    response = browser_client.post(
        _configure(job), {**sent, **typed, f"{name}-0-match": "any", "do": "save"}, follow=True
    )
    job.refresh_from_db()
    [section] = job.settings["conditions"]["sections"]
    assert section == {
        "match": "any",
        "conditions": [
            {"field": "country", "operator": "equal", "values": ["Germany", "France"]},
            {"field": "zip", "operator": "exists", "values": []},
        ],
    }
    response = browser_client.post(_configure(job), {**boxes(response), **typed, "do": f"remove-condition:{name}/0.0"})
    assert "Germany; France" not in text(response)


def test_boxes_are_checked_as_they_are_typed_and_nothing_is_saved(
    browser_client: Client, job_make: Callable[..., Job]
) -> None:
    job = job_make("length", on=False, settings={"fields": ["zip"]})
    sent = boxes(browser_client.get(_configure(job))) | {"settings-s-least": "many"}
    shown = text(browser_client.post(f"/admin/integrations/job/{job.pk}/check/", sent))
    assert "Enter a whole number." in shown
    assert "#state-least" in shown
    assert browser_client.get(f"/admin/integrations/job/{job.pk}/check/").status_code == 405
    job.refresh_from_db()
    assert "least" not in job.settings or job.settings["least"] != "many"


def test_a_quality_job_may_look_at_what_enrichment_adds_and_enrichment_only_at_what_comes_before_it(
    browser_client: Client, job_make: Callable[..., Job]
) -> None:
    first = job_make("change_case", settings={"field": "firstName", "adds": "upperName"})
    second = job_make("change_case", settings={"field": "firstName", "adds": "lowerName"})
    quality = job_make(settings={"fields": ["upperName"]})
    assert "upperName (added by Letter case)" in text(browser_client.get(_configure(quality)))
    assert "upperName (added by" in text(browser_client.get(_configure(second)))
    assert "lowerName (added by" not in text(browser_client.get(_configure(first)))
    [unit] = _rows(browser_client, quality.campaign)
    assert unit["job"]["standing"].word == "On"


def test_a_list_can_only_be_one_of_the_kinds_that_the_box_takes(
    browser_client: Client, job_make: Callable[..., Job]
) -> None:
    values = ValueList.objects.create(name="Regions", kind="values")
    table = ValueList.objects.create(name="Postcodes", kind="suppression")
    job = job_make("value_list", on=False, settings={"field": "zip"})
    shown = text(browser_client.get(_configure(job)))
    assert "Regions" in shown
    assert "Postcodes" not in shown
    assert "Nothing is saved yet" in said(_save(browser_client, job, {"s-list": str(table.pk)}))
    _save(browser_client, job, {"s-list": str(values.pk)})
    job.refresh_from_db()
    assert job.settings["list"] == values.pk


# --- what is done with a row ------------------------------------------------------------------------------------


def test_a_job_is_paused_resumed_renamed_and_removed_and_each_is_in_the_history(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job = job_make()
    shown = text(browser_client.post(_do(job, "pause"), headers={"HX-Request": "true"}))
    assert "Paused: leads that come from now on are not judged by it." in shown
    assert "<html" not in shown
    assert "On: leads that come" in said(browser_client.post(_do(job, "resume"), follow=True))
    job_make(name="Other")
    assert "Another job of this campaign has this name" in text(
        browser_client.post(_do(job, "rename"), {"name": "Other "})
    )
    assert "is called “Postcode” now." in said(
        browser_client.post(_do(job, "rename"), {"name": "Postcode"}, follow=True)
    )
    history = text(browser_client.get(f"/admin/integrations/job/{job.pk}/history/"))
    assert "Postcode" in history
    assert "Paused" in history
    assert "What it said of leads stays on them" in text(browser_client.get(_do(job, "remove")))
    browser_client.post(_do(job, "remove"))
    assert [each.name for each in Job.objects.all()] == ["Other"]
    assert "Job “Postcode” removed." in text(browser_client.get(f"/admin/leads/campaign/{campaign.pk}/history/"))


def test_a_job_whose_field_is_gone_is_not_resumed_and_the_home_page_asks_for_it(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job = job_make()
    Field.objects.get(name="zip").delete()
    [need] = [need for need in browser_client.get("/admin/").context["needs"] if "zip" in need.words]
    assert (need.tone, need.button) == ("bad", "Configure")
    assert "Until then leads land in Caution" in need.words
    browser_client.post(_do(job, "pause"))
    assert "It can’t be switched on yet. The field “zip”" in said(browser_client.post(_do(job, "resume"), follow=True))


def test_jobs_and_groups_move_up_and_down_among_each_other(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    first, second = job_make(name="first"), job_make(name="second")
    job_make("change_case", name="adds")
    group = JobGroup(campaign=campaign, name="group")
    group_store(group)
    assert _names(browser_client, campaign) == ["first", "second", "group"]
    browser_client.post(_do(second, "up"))
    assert _names(browser_client, campaign) == ["second", "first", "group"]
    browser_client.post(f"/admin/leads/campaign/{campaign.pk}/processr/groups/{group.pk}/up/")
    assert _names(browser_client, campaign) == ["second", "group", "first"]
    browser_client.post(_do(first, "down"))
    assert "It is the last already." in text(browser_client.post(_do(first, "down"), headers={"HX-Request": "true"}))
    assert _names(browser_client, campaign) == ["second", "group", "first"]


def test_every_change_of_the_processr_is_in_force_for_the_next_lead(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job_make()
    job = job_make()

    def version() -> int:
        campaign.refresh_from_db()
        return campaign.processr_version

    seen = [version()]
    for do in ("up", "pause", "resume"):
        browser_client.post(_do(job, do))
        seen.append(version())
    _save(browser_client, job, {"score": "7"})
    seen.append(version())
    browser_client.post(_do(job, "remove"))
    seen.append(version())
    assert seen == sorted(set(seen))


def test_a_job_of_another_campaign_is_not_found_under_this_one(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job = job_make()
    other = Campaign.objects.create(advertiser=campaign.advertiser, name="Other")
    for do in ("pause", "rename", "remove", "up", "nonsense"):
        address = f"/admin/leads/campaign/{other.pk}/processr/jobs/{job.pk}/{do}/"
        assert browser_client.post(address).status_code == 404
    assert browser_client.post(_do(job, "nonsense")).status_code == 404
    assert browser_client.get(_do(job, "pause")).status_code == 405


# --- groups -----------------------------------------------------------------------------------------------------


def test_a_group_takes_jobs_with_the_leads_that_each_runs_for(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    german, other, loose = job_make(name="German"), job_make(name="Other"), job_make(name="Loose")
    new = f"/admin/leads/campaign/{campaign.pk}/processr/groups/new/"
    sent = boxes(browser_client.get(new), "group")
    sent |= {"name": "By country", "score": "40", f"in-{other.pk}": "on", f"in-{german.pk}": "on"}
    response = browser_client.post(new, {**sent, f"field-{german.pk}": "country"})
    assert "Write the values that it runs for" in text(response)
    browser_client.post(new, {**sent, f"field-{german.pk}": "country", f"values-{german.pk}": "Germany ;; Austria"})
    units = _rows(browser_client, campaign)
    assert units[0]["job"]["row"] == loose
    inside = [(row["row"].name, row["when"]) for row in units[1]["rows"]]
    assert inside == [("German", "where country is Germany or Austria"), ("Other", "for all other leads")]
    assert not units[1]["hole"]
    browser_client.post(_do(other, "pause"))
    assert "No job that is on is for all other leads: those land in Caution." in text(
        browser_client.get(_tab(campaign))
    )
    group = JobGroup.objects.get()
    assert group.score == 40
    response = browser_client.post(
        f"/admin/leads/campaign/{campaign.pk}/processr/groups/{group.pk}/remove/", follow=True
    )
    assert not JobGroup.objects.exists()
    left: set[Any] = set(Job.objects.values_list("name", "group", "when_field"))
    assert left == {
        ("German", None, ""), ("Other", None, ""), ("Loose", None, "")
    }  # fmt: skip


def test_a_job_in_a_group_whose_field_was_removed_needs_a_look(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job, group = job_make(), JobGroup(campaign=campaign, name="By region")
    group_store(group)
    group_fill(group, [(job, "region", "North")])
    [unit] = _rows(browser_client, campaign)
    assert "“region” is no longer on" in unit["rows"][0]["standing"].cause


# --- statistics -------------------------------------------------------------------------------------------------


def test_statistics_say_by_job_publisher_and_day_what_passed_and_why_not(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job, publisher = job_make(name="Postcode there"), Publisher.objects.get()
    today = timezone.now().date()
    other = Publisher.objects.create(name="Inkwell")
    campaign.contracts.create(publisher=other)
    JobTally.objects.create(job=job, publisher=publisher, day=today, passed=90, failed=10)
    JobTally.objects.create(job=job, publisher=other, day=today, passed=1, failed=3, unjudged=4)
    JobReason.objects.create(job=job, publisher=other, day=today, reason="Required values are empty: zip.", times=3)
    where = f"/admin/leads/campaign/{campaign.pk}/processr/statistics/"
    response = browser_client.get(where)
    [(share, numbers)] = response.context["by_job"]
    assert (share.name, numbers.passed, numbers.failed, numbers.unjudged) == ("Postcode there", 91, 13, 4)
    assert [share.name for share, _ in response.context["by_publisher"]] == ["Northbeam", "Inkwell"]
    assert "Required values are empty: zip." in text(response)
    of_one = browser_client.get(where, {"publisher": str(other.pk), "days": "7"})
    [(_, numbers)] = of_one.context["by_job"]
    assert (numbers.passed, numbers.failed) == (1, 3)
    assert browser_client.get(where, {"publisher": "9999", "job": "x", "days": "-1"}).status_code == 200
    charts = browser_client.get(f"/admin/leads/campaign/{campaign.pk}/change/").context["charts"]
    [chart] = [each for each in charts if each.key == "failed"]
    assert [(series.name, series.total) for series in chart.series] == [("Postcode there", 13)]


# --- who may ----------------------------------------------------------------------------------------------------


@pytest.fixture
def signed_in_as(client: Client, db: None) -> Callable[[str], Client]:
    def sign_in(role: str) -> Client:
        user = User.objects.create_user(role.split()[0].lower(), password="a-long-password-1", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        return client

    return sign_in


def test_a_viewer_sees_the_jobs_and_changes_nothing(
    signed_in_as: Callable[[str], Client], campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job, client = job_make(), signed_in_as(VIEWER)
    shown = text(client.get(_tab(campaign)))
    assert "Required value" in shown
    for word in ("Add</summary>", "Configure", "Pause", "Rename", "Remove", "Move", "New group"):
        assert word not in shown
    for address in (
        *(_do(job, do) for do in ("pause", "up", "rename", "remove")), _configure(job), _tab(campaign), f"{_tab(campaign)}add/",
        f"/admin/integrations/job/{job.pk}/check/", f"/admin/leads/campaign/{campaign.pk}/processr/groups/new/",
    ):  # fmt: skip
        assert client.post(address, {"offer": "length", "lets_out": "caution"}).status_code == 403, address
    assert client.get(f"/admin/integrations/job/{job.pk}/history/").status_code == 200


def test_an_account_manager_runs_the_whole_processr(
    signed_in_as: Callable[[str], Client], campaign: Campaign, job_make: Callable[..., Job]
) -> None:
    job, client = job_make(), signed_in_as(ACCOUNT_MANAGER)
    assert client.get(_configure(job)).status_code == 200
    for do in ("pause", "resume", "down", "remove"):
        assert client.post(_do(job, do)).status_code == 302
    assert not Job.objects.exists()


# --- leads that jobs turned down, or that wait -------------------------------------------------------------------


def test_the_list_of_leads_finds_those_that_a_job_turned_down_and_those_that_wait(
    browser_client: Client, campaign: Campaign, job_make: Callable[..., Job], lead_make: Callable[..., Lead]
) -> None:
    job, other = job_make(name="Postcode there"), job_make()
    failed = [
        {"job": job.pk, "name": job.name, "reason": "zip is empty", "field": "zip", "hard": False, "unjudged": False}
    ]
    turned_down = lead_make(status="invalid", failed_jobs=failed)
    waits = lead_make(status="caution", held="caution", failed_jobs=[{**failed[0], "job": other.pk}])
    lead_make()

    def found(**asked: str) -> list[Lead]:
        return list(browser_client.get("/admin/leads/lead/", asked).context["cl"].result_list)

    assert found(failed_job=str(job.pk)) == [turned_down]
    assert found(held="caution") == [waits]
    shown = text(browser_client.get("/admin/leads/lead/", {"failed_job": str(job.pk)}))
    assert "Failed job: Postcode there" in shown


def test_leads_in_caution_are_a_need_on_the_home_page_and_on_the_campaigns(
    browser_client: Client, campaign: Campaign, lead_make: Callable[..., Lead]
) -> None:
    for _ in range(3):
        lead_make(status="caution", held="caution")
    for page in ("/admin/", f"/admin/leads/campaign/{campaign.pk}/change/"):
        [need] = [need for need in browser_client.get(page).context["needs"] if "Caution" in need.words]
        assert need.words == "3 leads wait in Caution"
        assert need.button == "Review"
        assert browser_client.get(need.link).context["cl"].result_count == 3
