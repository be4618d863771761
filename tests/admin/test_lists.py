"""Lists of values and look-up tables in the console: made, filled from files, searched, given out, and who uses them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from integrations.bulk import activity_work
from integrations.judging.arranging import job_add, job_store
from integrations.models import ValueList
from integrations.value_lists.lists import list_add, list_items
from leads.models import Activity, ActivityState, Campaign, User
from portal.roles import VIEWER
from tests.admin.pages import boxes, said, text

LISTS = "/admin/integrations/valuelist/"


def _page(row: ValueList) -> str:
    return f"{LISTS}{row.pk}/change/"


def _values(row: ValueList) -> list[str]:
    row.refresh_from_db()
    return list(list_items(row).order_by("key").values_list("key", flat=True))


def _upload(client: Client, row: ValueList, content: bytes, **more: Any) -> Any:
    sent = {**boxes(client.get(_page(row)), "fill"), "how": "add", **more}
    sent["file"] = SimpleUploadedFile("regions.csv", content)
    return client.post(_page(row), sent)


@pytest.fixture
def regions(db: None) -> ValueList:
    return ValueList.objects.create(name="Regions", kind="values")


def test_a_list_is_made_and_filled_one_value_at_a_time(browser_client: Client) -> None:
    response = browser_client.post(f"{LISTS}add/", {"name": "Postcodes", "kind": "look_up", "help": ""}, follow=True)
    row = ValueList.objects.get(name="Postcodes")
    assert "Nothing is on it yet." in text(response)
    response = browser_client.post(_page(row), {"action": "add", "text": "LS1", "value": "North"}, follow=True)
    assert "“LS1” is on the list now." in said(response)
    assert "North" in text(response)
    assert "Say what it stands for." in said(
        browser_client.post(_page(row), {"action": "add", "text": "LS2"}, follow=True)
    )
    assert "LS1" in text(browser_client.get(f"{LISTS}{row.pk}/history/"))
    assert "This field is required." in text(browser_client.post(f"{LISTS}add/", {"name": "", "kind": "look_up"}))


def test_a_file_is_read_in_the_background_and_rows_that_are_wrong_are_said_by_their_line(
    browser_client: Client, regions: ValueList
) -> None:
    list_add(regions, "West")
    response = _upload(browser_client, regions, 'value\nNorth\nSüd\n"East, far"\nA,B\n'.encode("cp1252"))
    activity = Activity.objects.get()
    assert response["Location"] == f"/admin/leads/activity/{activity.pk}/change/"
    activity_work(activity.pk)
    activity.refresh_from_db()
    assert (activity.state, activity.failed) == (ActivityState.DONE, 1)
    assert _values(regions) == ["east, far", "north", "süd", "west"]
    shown = text(browser_client.get(response["Location"]))
    assert "It has more than one column" in shown
    _upload(browser_client, regions, b"Only\n", how="replace")
    activity_work(Activity.objects.latest("pk").pk)
    assert _values(regions) == ["only"]
    history = text(browser_client.get(f"{LISTS}{regions.pk}/history/"))
    assert "Replaced by the file “regions.csv”." in history


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "This file is empty."),
        (b"PK\x03\x04 no workbook", "workbook"),
        (b"a,b\n1,2\n3,4\n", "columns"),
    ],
)
def test_a_file_that_can_not_be_read_is_refused_where_it_was_chosen_and_changes_nothing(
    content: bytes, words: str, browser_client: Client, regions: ValueList
) -> None:
    list_add(regions, "West")
    response = _upload(browser_client, regions, content)
    assert response.status_code == 200
    [error] = response.context["files"].errors["file"]
    assert words in error
    assert not Activity.objects.exists()
    assert _values(regions) == ["west"]


def test_values_are_found_taken_off_and_given_out(browser_client: Client, regions: ValueList) -> None:
    for name in ("North", "North-east", "South"):
        list_add(regions, name)
    response = browser_client.get(_page(regions), {"q": "NORTH"})
    items = response.context["items"]
    assert [item.key for item in items] == ["north", "north-east"]
    assert "is not on it" in text(browser_client.get(_page(regions), {"q": "west"}))
    response = browser_client.post(_page(regions), {"action": "remove", "item": [items[0].pk]}, follow=True)
    assert "1 value removed." in said(response)
    assert "Tick the values" in said(browser_client.post(_page(regions), {"action": "remove"}, follow=True))
    answer = browser_client.get(f"{LISTS}{regions.pk}/export/")
    lines = b"".join(answer.streaming_content).decode().split()  # type: ignore[attr-defined]
    assert lines == ["value", "north-east", "south"]
    assert 'filename="regions.csv"' in answer["Content-Disposition"]


def test_nothing_of_a_suppression_list_is_shown_or_written_down_in_clear(browser_client: Client) -> None:
    row = ValueList.objects.create(name="Do not contact", kind="suppression")
    browser_client.post(_page(row), {"action": "add", "text": "ada@example.test"})
    shown = text(browser_client.get(_page(row)))
    history = text(browser_client.get(f"{LISTS}{row.pk}/history/"))
    assert "ada@" not in shown + history
    assert len(browser_client.get(_page(row), {"q": "Ada@example.test "}).context["items"]) == 1
    assert not browser_client.get(_page(row), {"q": "ada"}).context["items"]


def test_a_list_says_which_jobs_use_it_and_one_in_use_is_not_removed(
    browser_client: Client, campaign: Campaign, regions: ValueList
) -> None:
    job = job_add(campaign, "value_list")
    job.settings |= {"field": "zip", "list": regions.pk}
    job_store(job)
    shown = text(browser_client.get(_page(regions)))
    assert f"/admin/integrations/job/{job.pk}/change/" in shown
    assert "Remove…" not in shown
    assert browser_client.post(f"{LISTS}{regions.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "1 job" in text(browser_client.get(LISTS))
    job.delete()
    browser_client.post(f"{LISTS}{regions.pk}/delete/", {"post": "yes"})
    assert not ValueList.objects.filter(pk=regions.pk).exists()


def test_a_list_is_renamed_with_its_history(browser_client: Client, regions: ValueList) -> None:
    browser_client.post(_page(regions), {"action": "rename", "name": "Areas", "help": "From sales"})
    history = text(browser_client.get(f"{LISTS}{regions.pk}/history/"))
    assert "Areas" in history
    assert "From sales" in history
    ValueList.objects.create(name="Taken", kind="values")
    response = browser_client.post(_page(regions), {"action": "rename", "name": "Taken"})
    assert "already exists" in text(response)


def test_a_viewer_reads_lists_and_fills_none(client: Client, regions: ValueList) -> None:
    user = User.objects.create_user("vera", password="a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name=VIEWER))
    client.force_login(user)
    list_add(regions, "North")
    shown = text(client.get(_page(regions)))
    assert "north" in shown
    assert "Fill it from a file" not in shown
    assert client.post(_page(regions), {"action": "add", "text": "x"}).status_code == 403
    assert client.get(f"{LISTS}add/").status_code == 403


def test_a_viewer_reads_no_address_and_no_telephone_number_of_a_plain_list(
    browser_client: Client, client: Client
) -> None:
    blocked = ValueList.objects.create(name="Blocked", kind="values")
    for value in ("ada@example.test", "+44 7123 456789", "Germany"):
        list_add(blocked, value)
    page, export = f"{LISTS}{blocked.pk}/change/", f"{LISTS}{blocked.pk}/export/"
    assert "ada@example.test" in text(browser_client.get(page))
    vera = User.objects.create_user("vera", password="a-long-password-1", is_staff=True)
    vera.groups.add(Group.objects.get(name="Viewer"))
    viewer = Client()
    viewer.force_login(vera)
    taken = b"".join(viewer.get(export).streaming_content).decode()  # type: ignore[attr-defined]
    for shown in (text(viewer.get(page)), taken):
        assert "ada@" not in shown
        assert "7123" not in shown
        assert "germany" in shown.lower()
        assert "a•••@e•••.test" in shown
    assert "a•••@e•••.test" not in text(viewer.get(page, {"q": "ada@ex"})), "letter by letter it can’t be guessed"
    assert "a•••@e•••.test" in text(viewer.get(page, {"q": "ada@example.test"}))
