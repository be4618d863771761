"""Two people edit the same thing: nobody undoes what the other saved without having seen it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from integrations.judging.arranging import group_fill, group_store
from integrations.models import Job, JobGroup
from integrations.webhooks.subscriptions import subscription_add
from leads.models import Campaign, Field, Form, Link, Publisher, User
from leads.partner_keys import key_issue
from tests.admin.pages import boxes, text
from tests.admin.test_history import _history, _values


@pytest.fixture
def colleague(db: None) -> Client:
    anna = User.objects.create_superuser("anna", "anna@example.test", "a-long-password-1")
    client = Client()
    client.force_login(anna)
    return client


def test_a_choice_that_a_colleague_added_meanwhile_is_not_taken_away_by_a_page_that_is_older(
    browser_client: Client, colleague: Client, campaign: Campaign
) -> None:
    form = campaign.forms.get()
    where = f"/admin/leads/form/{form.pk}/change/"
    older = boxes(browser_client.get(where), "form_form")
    colleague.post(where, {**boxes(colleague.get(where), "form_form"), "fields-3-choices": "Germany\nFrance\nAT"})
    asked = browser_client.post(where, {**older, "fields-1-label": "Business e-mail"})
    page = text(asked)
    assert asked.status_code == 200
    assert "anna changed this on" in page
    assert "Germany, France, AT" in page
    assert "Business e-mail" in page, "what was typed is kept on the page"
    assert Field.objects.get(name="email").label == "E-mail", "nothing is saved yet"
    shown_again = boxes(asked, "form_form")
    assert shown_again["fields-1-label"] == "Business e-mail"
    assert browser_client.post(where, {**shown_again, "_save": ""}).status_code == 200, "Save alone decides nothing"
    assert browser_client.post(where, {**shown_again, "do": "merge"}).status_code == 302
    assert Field.objects.get(name="email").label == "Business e-mail"
    assert [each["value"] for each in Field.objects.get(name="country").choices] == ["Germany", "France", "AT"]
    assert [_values(entry) for entry in _history(browser_client, f"/admin/leads/form/{form.pk}/history/")] == [
        [("Label", "E-mail", "Business e-mail")],
        [("Choices", "Germany, France", "Germany, France, AT")],
    ]


def test_mine_over_theirs_is_written_only_when_it_is_said(
    browser_client: Client, colleague: Client, campaign: Campaign
) -> None:
    form = campaign.forms.get()
    where = f"/admin/leads/form/{form.pk}/change/"
    older = boxes(browser_client.get(where), "form_form")
    colleague.post(where, {**boxes(colleague.get(where), "form_form"), "fields-1-label": "Mail"})
    asked = browser_client.post(where, {**older, "fields-1-label": "E-post"})
    assert "<strong>E-post</strong>" in text(asked)
    sent = boxes(asked, "form_form")
    # Anna goes on: what was decided on is another state, and it is asked again.
    colleague.post(where, {**boxes(colleague.get(where), "form_form"), "fields-0-label": "Given name"})
    asked = browser_client.post(where, {**sent, "do": "over"})
    assert asked.status_code == 200
    assert "Given name" in text(asked)
    assert browser_client.post(where, {**boxes(asked, "form_form"), "do": "over"}).status_code == 302
    assert list(Field.objects.filter(position__lt=2).order_by("position").values_list("label", flat=True)) == [
        "First name",
        "E-post",
    ]


def test_fields_that_a_colleague_added_or_removed_stay_so(
    browser_client: Client, colleague: Client, campaign: Campaign
) -> None:
    form = campaign.forms.get()
    where = f"/admin/leads/form/{form.pk}/change/"
    older = boxes(browser_client.get(where), "form_form")
    sent = boxes(colleague.get(where), "form_form") | {"fields-2-DELETE": "on", "fields-TOTAL_FORMS": "5"}
    sent |= {"fields-4-name": "job", "fields-4-label": "Job title", "fields-4-type": "text", "fields-4-position": "4"}
    assert colleague.post(where, sent).status_code == 302
    asked = browser_client.post(where, {**older, "name": "Webinar form", "fields-2-label": "Postcode"})
    page = text(asked)
    for words in ("removed", "added", "Job title"):
        assert words in page
    assert "Label: Postcode" in page, "what was typed into the row that is gone"
    assert browser_client.post(where, {**boxes(asked, "form_form"), "do": "merge"}).status_code == 302
    form.refresh_from_db()
    assert form.name == "Webinar form"
    assert sorted(form.fields.values_list("name", flat=True)) == ["country", "email", "firstName", "job"]


def test_campaign_settings_are_merged_with_their_publishers_links_and_forms(
    browser_client: Client, colleague: Client, campaign: Campaign
) -> None:
    Link.objects.create(campaign=campaign, name="Newsletter", channel="Email")
    other = Form.objects.create(name="Second form")
    where = f"/admin/leads/campaign/{campaign.pk}/settings/"
    first = str(campaign.forms.get().pk)
    older = {**boxes(browser_client.get(where), "campaign_form"), "forms": first}
    theirs = {**boxes(colleague.get(where), "campaign_form"), "forms": [first, str(other.pk)]}
    theirs.pop("contracts-0-active")
    assert colleague.post(where, {**theirs, "links-0-channel": "Social", "status": "paused"}).status_code == 302
    asked = browser_client.post(where, {**older, "name": "Autumn webinar"})
    page = text(asked)
    for words in ("Paused", "Social", "Second form", "Active"):
        assert words in page
    sent = {**boxes(asked, "campaign_form"), "forms": first, "do": "merge"}
    assert browser_client.post(where, sent).status_code == 302
    campaign.refresh_from_db()
    assert (campaign.name, campaign.status) == ("Autumn webinar", "paused")
    assert campaign.forms.count() == 2
    assert campaign.links.get().channel == "Social"
    assert not campaign.contracts.get().active


def test_caps_that_a_colleague_set_meanwhile_stay(
    browser_client: Client, colleague: Client, campaign: Campaign
) -> None:
    contract = campaign.contracts.get()
    where = f"/admin/leads/campaign/{campaign.pk}/publishers/{contract.pk}/caps/"
    older = boxes(browser_client.get(where), "caps")
    assert colleague.post(where, {**boxes(colleague.get(where), "caps"), "cap_day": "50"}).status_code == 302
    asked = browser_client.post(where, {**older, "cap_month": "900"})
    assert "anna changed this on" in text(asked)
    contract.refresh_from_db()
    assert (contract.cap_day, contract.cap_month) == (50, None)
    assert browser_client.post(where, {**boxes(asked, "caps"), "do": "merge"}).status_code == 302
    contract.refresh_from_db()
    assert (contract.cap_day, contract.cap_month) == (50, 900)


def test_a_job_that_a_colleague_put_into_a_group_is_not_taken_out_by_an_older_page(
    browser_client: Client, colleague: Client, campaign: Campaign
) -> None:
    first, second, third = (
        Job.objects.create(campaign=campaign, kind="required_value", name=name, enabled=False)
        for name in ("German", "French", "Other")
    )
    group = JobGroup(campaign=campaign, name="By country", score=10)
    group_store(group)
    group_fill(group, [(first, "country", "Germany")])
    where = f"/admin/leads/campaign/{campaign.pk}/processr/groups/{group.pk}/"
    older = boxes(browser_client.get(where), "group")
    theirs = boxes(colleague.get(where), "group")
    theirs |= {f"in-{second.pk}": "on", f"field-{second.pk}": "country", f"values-{second.pk}": "France"}
    assert colleague.post(where, theirs).status_code == 302
    # A job that is newer than the page is not on it.
    newer = Job.objects.create(campaign=campaign, kind="required_value", name="New", enabled=False)
    asked = browser_client.post(where, {**older, "score": "25", f"in-{third.pk}": "on"})
    page = text(asked)
    assert "anna changed this on" in page
    assert "where country is France" in page
    group.refresh_from_db()
    assert group.score == 10
    assert browser_client.post(where, {**boxes(asked, "group"), "do": "merge"}).status_code == 302
    group.refresh_from_db()
    assert group.score == 25
    assert [(job.name, job.when_values) for job in group.jobs.order_by("position")] == [
        ("German", "Germany"), ("French", "France"), ("Other", "")
    ]  # fmt: skip
    newer.refresh_from_db()
    assert newer.group_id is None


def test_a_job_is_merged_setting_by_setting(browser_client: Client, colleague: Client, campaign: Campaign) -> None:
    job = Job.objects.create(
        campaign=campaign, kind="required_value", name="Needed", enabled=False, settings={"fields": ["zip"]}
    )
    where = f"/admin/integrations/job/{job.pk}/change/"
    older = {**boxes(browser_client.get(where)), "settings-s-fields": ["zip"]}
    theirs = {**boxes(colleague.get(where)), "settings-s-fields": ["zip", "country"]}
    assert colleague.post(where, {**theirs, "do": "save"}).status_code == 302
    asked = browser_client.post(where, {**older, "settings-score": "7", "do": "save"})
    assert "Zip code, Country" in text(asked)
    sent = {**boxes(asked), "settings-s-fields": ["zip"], "do": "merge"}
    assert browser_client.post(where, sent).status_code == 302
    job.refresh_from_db()
    assert (job.score, job.settings["fields"]) == (7, ["zip", "country"])


def test_a_webhook_of_a_colleagues_choice_stays(browser_client: Client, colleague: Client, campaign: Campaign) -> None:
    made, _ = subscription_add(
        name="CRM", url="https://crm.example.test/hook", events=["lead.judged"], publisher=None, campaign=campaign,
        personal_data=False, made_by="erin",
    )  # fmt: skip
    where = f"/admin/leads/subscription/{made.pk}/change/"
    older = {**boxes(browser_client.get(where), "subscription_form"), "events": ["lead.judged"]}
    theirs = {**boxes(colleague.get(where), "subscription_form"), "events": ["lead.judged", "lead.flagged"]}
    answer = colleague.post(where, theirs)
    assert answer.status_code == 302, text(answer)
    asked = browser_client.post(where, {**older, "name": "Their CRM"})
    assert "anna changed this on" in text(asked)
    sent = {**boxes(asked, "subscription_form"), "events": ["lead.judged"], "do": "merge"}
    assert browser_client.post(where, sent).status_code == 302
    made.refresh_from_db()
    assert (made.name, sorted(made.events)) == ("Their CRM", ["lead.flagged", "lead.judged"])


@pytest.mark.parametrize("page", ["form", "publisher", "advertiser", "campaign", "user", "partnerkey"])
def test_pages_that_nobody_else_saved_are_saved_without_a_question(
    page: str, browser_client: Client, campaign: Campaign, staff: User
) -> None:
    vera = User.objects.create_user("vera", password="a-long-password-1", is_staff=True)
    vera.groups.add(Group.objects.get(name="Viewer"))
    pk = {
        "form": campaign.forms.get().pk,
        "publisher": Publisher.objects.get().pk,
        "advertiser": campaign.advertiser_id,
        "campaign": campaign.pk,
        "user": vera.pk,
        "partnerkey": key_issue(name="CRM", scopes=["leads:write"], made_by="erin").row.pk,
    }[page]
    where = f"/admin/leads/{page}/{pk}/{'settings' if page == 'campaign' else 'change'}/"
    sent: dict[str, Any] = dict(boxes(browser_client.get(where), f"{page}_form"))
    assert sent["opened_with"]
    if page == "campaign":
        sent["forms"] = str(campaign.forms.get().pk)
    if page == "user":
        sent["groups"] = str(Group.objects.get(name="Viewer").pk)
    for _ in range(2):
        answer = browser_client.post(where, sent)
        assert answer.status_code == 302, text(answer)[:4000]
