"""Leads from a file: its columns, the rows that fail before anything is taken in, and the way back for those."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from integrations.bulk import activity_work
from leads.models import Activity, Campaign, ImportFile, Lead, Publisher, User
from tests.admin.pages import boxes, said, text

START = "/admin/leads/lead/import/"
FILE = "First name,Business e-mail,Country\nAda,ada@example.test,Germany\nGrace,nonsense,Germany\nLin,lin@example.test,Atlantis\n"


def upload(client: Client, campaign: Campaign, content: str = FILE, name: str = "june.csv") -> Any:
    return client.post(START, {"campaign": campaign.pk, "file": SimpleUploadedFile(name, content.encode())})


def columns(client: Client, campaign: Campaign, content: str = FILE) -> str:
    answer = upload(client, campaign, content)
    assert answer.status_code == 302, text(answer)
    return str(answer["Location"])


def checked(client: Client, where: str, **more: str) -> Activity:
    """The activity of the check, worked."""
    posted = {**boxes(client.get(where), "columns"), **more}
    answer = client.post(where, posted)
    assert answer.status_code == 302, text(answer)
    activity = Activity.objects.get(pk=int(answer["Location"].split("/")[4]))
    activity_work(activity.pk)
    activity.refresh_from_db()
    return activity


def address(activity: Activity) -> str:
    return f"/admin/leads/activity/{activity.pk}"


def test_a_file_shows_its_columns_with_what_stands_in_them_and_what_they_may_be(
    browser_client: Client, campaign: Campaign
) -> None:
    shown = browser_client.get(columns(browser_client, campaign))
    assert "ada@example.test · nonsense · lin@example.test" in text(shown)
    assert boxes(shown, "columns")["column-0"] == "firstName"
    assert boxes(shown, "columns")["column-1"] == ""
    assert boxes(shown, "columns")["publisher"] == str(Publisher.objects.get().pk)


def test_rows_that_fail_are_shown_before_anything_is_taken_in_and_only_they_are_downloaded(
    browser_client: Client, campaign: Campaign
) -> None:
    activity = checked(browser_client, columns(browser_client, campaign), **{"column-1": "email"})
    shown = text(browser_client.get(f"{address(activity)}/change/"))
    assert "1 row can be taken in, 2 can’t. Nothing is taken in yet." in shown
    assert "Row 3" in shown
    assert "Column B (E-mail): This is not an e-mail address." in shown
    assert ">nonsense<" in shown
    assert not Lead.objects.exists()
    file = b"".join(browser_client.get(f"{address(activity)}/failed.csv/").streaming_content).decode()  # type: ignore[attr-defined]
    assert "Grace,nonsense,Germany,3," in file
    assert "Ada" not in file


def test_nothing_is_taken_in_without_the_tick_and_then_the_good_rows_alone(
    browser_client: Client, campaign: Campaign
) -> None:
    activity = checked(browser_client, columns(browser_client, campaign), **{"column-1": "email"})
    refused = browser_client.post(f"{address(activity)}/take/", follow=True)
    assert "Tick that there is a lawful basis" in said(refused)
    browser_client.post(f"{address(activity)}/take/", {"lawful_basis": "on"})
    activity_work(activity.pk)
    lead = Lead.objects.get()
    assert lead.values["email"] == "ada@example.test"
    page = text(browser_client.get(f"/admin/leads/lead/{lead.pk}/change/"))
    assert "Imported by erin" in page
    assert "Row 2 of “june.csv”" in page
    assert f"{address(activity)}/change/" in page


def test_the_mapping_of_last_time_is_offered_for_the_mended_rows(browser_client: Client, campaign: Campaign) -> None:
    checked(browser_client, columns(browser_client, campaign), **{"column-1": "email"})
    again = "First name,Business e-mail,Country\nGrace,grace@example.test,Germany\n"
    shown = boxes(browser_client.get(columns(browser_client, campaign, again)), "columns")
    assert shown["column-1"] == "email"


def test_an_error_keeps_the_columns_that_were_chosen(browser_client: Client, campaign: Campaign) -> None:
    where = columns(browser_client, campaign)
    posted = {**boxes(browser_client.get(where), "columns"), "column-1": "email", "column-0": "email"}
    answer = browser_client.post(where, posted)
    assert answer.status_code == 200
    assert "filled from two columns" in text(answer)
    assert boxes(answer, "columns")["column-0"] == "email"
    assert boxes(answer, "columns")["token"] == posted["token"]
    assert not Activity.objects.exists()


@pytest.mark.parametrize(("content", "words"), [("", "empty"), ("PK\x03\x04 not a workbook", "damaged")])
def test_a_file_that_can_not_be_read_says_why_and_keeps_the_campaign(
    browser_client: Client, campaign: Campaign, content: str, words: str
) -> None:
    answer = upload(browser_client, campaign, content)
    assert answer.status_code == 200
    assert words in text(answer)
    assert f'value="{campaign.pk}" selected' in text(answer)


def test_hostile_column_names_and_cells_show_as_text(browser_client: Client, campaign: Campaign) -> None:
    evil = "<script>alert(1)</script>"
    where = columns(browser_client, campaign, f"{evil},E-mail\n{evil},{evil}\n")
    assert "<script>alert(1)" not in text(browser_client.get(where))
    activity = checked(browser_client, where)
    assert "<script>alert(1)" not in text(browser_client.get(f"{address(activity)}/change/"))


def test_a_viewer_neither_imports_nor_takes_in(client: Client, browser_client: Client, campaign: Campaign) -> None:
    activity = checked(browser_client, columns(browser_client, campaign), **{"column-1": "email"})
    viewer = User.objects.create_user("vera", password="a-long-password-1", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(viewer)
    assert client.get(START).status_code == 403
    assert client.get(f"{START}{ImportFile.objects.get().pk}/").status_code == 403
    assert client.post(f"{address(activity)}/take/", {"lawful_basis": "on"}).status_code == 403
    assert client.get(f"{address(activity)}/failed.csv/").status_code == 403
    assert "Import…" not in text(client.get("/admin/leads/lead/"))
