"""The history: who changed what, when, from which value to which; secrets excepted."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client

from integrations.models import Integration
from leads.history import Entry, read
from leads.models import Advertiser, Campaign, Form, Link, Publisher, User
from tests.admin.pages import boxes, text


def _history(client: Client, address: str) -> list[Entry]:
    found: list[Entry] = client.get(address).context["entries"]
    return found


def _values(entry: Entry) -> list[tuple[str, str, str]]:
    return [(change.label, change.old, change.new) for line in entry.lines for change in line.changes]


def test_a_campaigns_changes_are_kept_with_old_and_new_values_links_and_publishers_too(
    browser_client: Client, campaign: Campaign
) -> None:
    Link.objects.create(campaign=campaign, name="Old link", channel="Email")
    Advertiser.objects.create(name="Northwind")
    where = f"/admin/leads/campaign/{campaign.pk}/settings/"
    sent = boxes(browser_client.get(where), "campaign_form") | {"forms": str(campaign.forms.get().pk)}
    sent |= {
        "name": "Autumn webinar",
        "status": "paused",
        "advertiser": str(Advertiser.objects.get(name="Northwind").pk),
        "links-0-channel": "Social",
        "links-TOTAL_FORMS": "2",
        "links-1-name": "New link",
        "links-1-channel": "Push",
        "contracts-0-DELETE": "on",
    }
    assert browser_client.post(where, sent).status_code == 302
    [entry] = _history(browser_client, f"/admin/leads/campaign/{campaign.pk}/history/")
    assert entry.who == "erin"
    own, *rows = entry.lines
    assert sorted(_values(Entry(entry.at, "", "", [own]))) == [
        ("Advertiser", "Acme", "Northwind"),
        ("Name", "Spring webinar", "Autumn webinar"),
        ("Status", "Active", "Paused"),
    ]
    said = {(line.done, line.subject) for line in rows}
    assert said == {
        ("removed", "publisher of a campaign “Northbeam in Autumn webinar”"),
        ("changed", "link “Old link”"),
        ("added", "link “New link”"),
    }
    changed = next(line for line in rows if line.done == "changed")
    assert [(each.label, each.old, each.new) for each in changed.changes] == [("Channel", "Email", "Social")]
    shown = text(browser_client.get(f"/admin/leads/campaign/{campaign.pk}/history/"))
    assert "from <del>Active</del> to <ins>Paused</ins>" in shown


def test_a_forms_fields_are_in_its_history_choices_as_people_read_them(
    browser_client: Client, campaign: Campaign
) -> None:
    form = Form.objects.get()
    where = f"/admin/leads/form/{form.pk}/change/"
    sent = boxes(browser_client.get(where), "form_form")
    changed = {
        **sent,
        "fields-0-name": "givenName",
        "fields-1-required": "on",
        "fields-3-choices": "DE = Germany\nFrance",
    }
    browser_client.post(where, changed)
    [entry] = _history(browser_client, f"/admin/leads/form/{form.pk}/history/")
    assert sorted(_values(entry)) == [
        ("Choices", "Germany, France", "DE = Germany, France"),
        ("Name", "firstName", "givenName"),
        ("Required", "no", "yes"),
    ]


def test_what_a_new_publisher_was_made_with_stands_in_its_history(browser_client: Client, campaign: Campaign) -> None:
    where = "/admin/leads/publisher/add/"
    browser_client.post(
        where, {**boxes(browser_client.get(where), "publisher_form"), "name": "Harbour", "active": "on"}
    )
    made = Publisher.objects.get(name="Harbour")
    [entry] = _history(browser_client, f"/admin/leads/publisher/{made.pk}/history/")
    assert entry.lines[0].done == "made"
    assert ("Name", "–", "Harbour") in _values(entry)


def test_an_integrations_states_and_names_are_in_its_history_and_its_campaigns(
    browser_client: Client, switched_on: Integration
) -> None:
    job = f"/admin/leads/campaign/{switched_on.campaign_id}/processr/integrations/{switched_on.pk}"
    browser_client.post(f"{job}/pause/")
    browser_client.post(f"{job}/pause/")
    browser_client.post(f"{job}/rename/", {"name": "Acme UK"})
    for address in (
        f"/admin/integrations/integration/{switched_on.pk}/history/",
        f"/admin/leads/campaign/{switched_on.campaign_id}/history/",
    ):
        entries = _history(browser_client, address)
        assert [_values(entry) for entry in entries] == [[("Name", "Acme EU", "Acme UK")], [("State", "On", "Paused")]]
    assert entries[0].about == "integration “Acme UK”"


def test_who_switches_integrations_from_their_list_or_on_configure_is_in_the_history_too(
    browser_client: Client, switched_on: Integration
) -> None:
    where = "/admin/integrations/integration/"
    browser_client.post(where, {"action": "pause", "_selected_action": [switched_on.pk]})
    Integration.objects.filter(pk=switched_on.pk).update(state="on")
    page = f"{where}{switched_on.pk}/change/"
    browser_client.post(page, {**boxes(browser_client.get(page)), "do": "pause"})
    entries = _history(browser_client, f"{where}{switched_on.pk}/history/")
    assert [found for entry in entries if (found := _values(entry))] == [[("State", "On", "Paused")]] * 2


def test_a_password_is_said_to_be_changed_and_is_kept_nowhere(browser_client: Client, staff: User) -> None:
    where = f"/admin/leads/user/{staff.pk}/password/"
    browser_client.post(
        where, {"password1": "another-long-one-2", "password2": "another-long-one-2", "usable_password": "true"}
    )
    browser_client.force_login(User.objects.get(pk=staff.pk))
    [entry] = _history(browser_client, f"/admin/leads/user/{staff.pk}/history/")
    assert "assword" in text(browser_client.get(f"/admin/leads/user/{staff.pk}/history/"))
    assert not any("another-long-one" in row.change_message for row in LogEntry.objects.all())
    assert entry.who == "erin"


def test_a_persons_groups_and_rights_are_in_the_history(browser_client: Client, staff: User) -> None:
    vera = User.objects.create_user("vera", password="a-long-password-1", is_staff=True)
    where = f"/admin/leads/user/{vera.pk}/change/"
    sent = boxes(browser_client.get(where), "user_form")
    browser_client.post(where, {**sent, "groups": str(Group.objects.get(name="Viewer").pk), "may_export": "on"})
    [entry] = _history(browser_client, f"/admin/leads/user/{vera.pk}/history/")
    assert sorted(_values(entry)) == [("Groups", "–", "Viewer"), ("May export leads", "no", "yes")]
    assert User.objects.get(pk=vera.pk).has_perm("leads.export_lead")
    sent = boxes(browser_client.get(where), "user_form")
    assert sent["may_export"]
    sent.pop("may_export")
    browser_client.post(where, {**sent, "groups": str(Group.objects.get(name="Viewer").pk)})
    assert not User.objects.get(pk=vera.pk).has_perm("leads.export_lead")


def test_who_changed_something_is_switched_off_not_removed(browser_client: Client, staff: User) -> None:
    unused = User.objects.create_user("unused", password="a-long-password-1", is_staff=True)
    browser_client.post(f"/admin/leads/user/{unused.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(pk=unused.pk).exists()
    assert browser_client.get(f"/admin/leads/user/{staff.pk}/delete/").status_code == 403


def test_saving_without_a_change_says_so_and_hostile_words_stay_text(
    browser_client: Client, campaign: Campaign
) -> None:
    where = f"/admin/leads/advertiser/{campaign.advertiser_id}/change/"
    evil = "<script>alert(1)</script>"
    browser_client.post(where, {"name": evil})
    browser_client.post(where, {"name": evil})
    address = f"/admin/leads/advertiser/{campaign.advertiser_id}/history/"
    assert [entry.lines[0].done for entry in _history(browser_client, address)] == ["saved, nothing changed", "changed"]
    shown = text(browser_client.get(address))
    assert evil not in shown
    assert "&lt;script&gt;" in shown


def test_the_history_of_long_ago_is_on_further_pages(browser_client: Client, campaign: Campaign) -> None:
    where = f"/admin/leads/advertiser/{campaign.advertiser_id}/change/"
    for number in range(52):
        browser_client.post(where, {"name": f"Name {number}"})
    address = f"/admin/leads/advertiser/{campaign.advertiser_id}/history/"
    assert len(_history(browser_client, address)) == 50
    assert "Page 1 of 2" in text(browser_client.get(address))
    assert len(_history(browser_client, f"{address}?p=2")) == 2
    assert len(_history(browser_client, f"{address}?p=zzz")) == 50


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[",
        "[]",
        "Changed by a script.",
        '[{"added": {}}]',
        '[{"changed": {"fields": ["Name"]}}]',
        '[{"deleted": {"name": "link", "object": "x"}}]',
    ],
)
def test_entries_that_were_written_otherwise_are_read_too(message: str, staff: User) -> None:
    entry = LogEntry(user=staff, action_flag=2, change_message=message)
    found: Any = read(entry)
    assert found.who == "erin"
    assert found.lines
