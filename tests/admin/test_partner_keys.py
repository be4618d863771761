"""Keys of the partner API in the console."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from leads.models import Campaign, PartnerKey, Publisher, User
from leads.partner_keys import key_end, key_issue, partner
from tests.admin.pages import boxes, text

ADD = "/admin/leads/partnerkey/add/"


def act(client: Client, row: PartnerKey, action: str) -> Any:
    return client.post(f"/admin/leads/partnerkey/{row.pk}/act/", {"action": action}, follow=True)


def test_a_key_is_made_shown_once_and_listed_by_how_it_begins(browser_client: Client, campaign: Campaign) -> None:
    publisher = Publisher.objects.get()
    response = browser_client.post(
        ADD,
        {"name": "Acme’s CRM", "scopes": ["leads:read", "leads:write"], "publisher": publisher.pk, "campaign": ""},
        follow=True,
    )
    secret = response.context["secret"].value
    assert secret in text(response)
    found = partner(secret)
    assert found is not None
    assert (found.publisher_id, found.scopes) == (publisher.pk, frozenset(["leads:read", "leads:write"]))
    row = PartnerKey.objects.get()
    for page in (
        "/admin/leads/partnerkey/",
        f"/admin/leads/partnerkey/{row.pk}/change/",
        f"/admin/leads/partnerkey/{row.pk}/history/",
    ):
        shown = text(browser_client.get(page))
        assert secret not in shown
        assert row.prefix in shown or page.endswith("history/")
    assert "made" in text(browser_client.get(f"/admin/leads/partnerkey/{row.pk}/history/"))


def test_a_rotated_key_has_two_secrets_for_a_day_and_one_taken_away_opens_nothing(
    browser_client: Client, campaign: Campaign
) -> None:
    given = {"name": "CRM", "scopes": ["leads:read"]}
    first = browser_client.post(ADD, given, follow=True).context["secret"].value
    row = PartnerKey.objects.get()
    second = act(browser_client, row, "rotate").context["secret"].value
    assert partner(first)
    assert partner(second)
    asked = browser_client.get(f"/admin/leads/partnerkey/{row.pk}/end/")
    assert "It was last used on" in text(asked)
    assert partner(second)
    browser_client.post(f"/admin/leads/partnerkey/{row.pk}/act/", boxes(asked, "ask"))
    assert partner(first) is None
    assert partner(second) is None
    history = text(browser_client.get(f"/admin/leads/partnerkey/{row.pk}/history/"))
    assert "Secret changed" in history
    assert "Taken away" in history


def test_nobody_lets_a_key_do_what_they_may_not_do_themselves(client: Client, campaign: Campaign) -> None:
    person = User.objects.create_user("kim", password="a-long-password-1", is_staff=True)
    person.groups.add(Group.objects.get(name="Account manager"))
    client.force_login(person)
    response = client.post(ADD, {"name": "All", "scopes": ["leads:read", "exports:read"]})
    assert "can’t let a key: Take leads along as files" in text(response)
    assert client.post(ADD, {"name": "Some", "scopes": ["leads:read"]}, follow=True).context["secret"]


def test_nobody_is_shown_a_new_secret_of_a_key_that_may_do_what_they_may_not(
    client: Client, campaign: Campaign
) -> None:
    row = key_issue(name="Reports", scopes=["leads:read", "exports:read"], made_by="sam").row
    person = User.objects.create_user("kim", password="a-long-password-1", is_staff=True)
    person.groups.add(Group.objects.get(name="Account manager"))
    client.force_login(person)
    response = act(client, row, "rotate")
    assert "isn’t yours to have: Take leads along as files" in text(response)
    assert PartnerKey.objects.get(pk=row.pk).digest == row.digest
    assert 'value="rotate"' not in text(response)


def test_a_key_that_would_have_ended_already_is_refused_at_its_box(browser_client: Client, campaign: Campaign) -> None:
    past = {"expires_at_0": "2020-01-01", "expires_at_1": "12:00"}
    response = browser_client.post(ADD, {"name": "CRM", "scopes": ["leads:read"], **past})
    assert "passed already" in str(response.context["adminform"].form.errors["expires_at"])
    row = key_issue(name="CRM", scopes=["leads:read"], made_by="sam").row
    key_end(row)
    where = f"/admin/leads/partnerkey/{row.pk}/change/"
    browser_client.post(where, {**boxes(browser_client.get(where), "partnerkey_form"), "name": "Old CRM"})
    ended = PartnerKey.objects.get()
    assert (ended.name, ended.scopes) == ("Old CRM", ["leads:read"])
    assert ended.expires_at is not None
    for later in ({"expires_at_0": "2099-01-01", "expires_at_1": "12:00"}, {"expires_at_0": "", "expires_at_1": ""}):
        revived = browser_client.post(where, {**boxes(browser_client.get(where), "partnerkey_form"), **later})
        assert "This key has ended" in str(revived.context["adminform"].form.errors["expires_at"])
    assert PartnerKey.objects.get().expires_at == ended.expires_at


def test_a_viewer_sees_no_keys(client: Client, campaign: Campaign) -> None:
    viewer = User.objects.create_user("viewer", password="a-long-password-1", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(viewer)
    assert client.get("/admin/leads/partnerkey/").status_code == 403
    assert client.get(ADD).status_code == 403
