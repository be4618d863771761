"""Who may come in, what they may do, keys, and the small pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from integrations.models import Integration, StatusUpdate
from leads.access import tokens_for_api_key
from leads.models import Campaign, Field, Form, Lead, Publisher, User
from tests.admin.pages import boxes, said, text


def test_the_first_address_leads_to_the_console_and_its_sign_in_carries_the_instances_name(
    client: Client, db: None
) -> None:
    response = client.get("/", follow=True)
    assert response.redirect_chain[-1][0].startswith("/admin/login/")
    assert "Connect Portal" in text(response)


def sign_in(client: Client, name: str, password: str = "a-guess", address: str = "203.0.113.7") -> Any:
    return client.post("/admin/login/", {"username": name, "password": password}, REMOTE_ADDR=address)


def test_after_so_many_tries_of_a_name_even_its_password_has_to_wait(
    client: Client, staff: User, settings: Any
) -> None:
    settings.RATE_LIMIT_SIGN_INS = 3
    # The same name however it is written, and from wherever it is tried.
    for place, name in enumerate(("erin", "ERIN", " erin ")):
        response = sign_in(client, name, address=f"203.0.113.{place}")
        assert response.status_code == 200
        assert "Too many tries" not in text(response)
    response = sign_in(client, "erin", "a-long-password-1")
    assert response.status_code == 429
    assert 240 < int(response.headers["Retry-After"]) <= 300
    assert "Too many tries to sign in. Wait 5 minutes, then try again." in text(response)
    assert "_auth_user_id" not in client.session
    # Nobody else has to.
    User.objects.create_superuser("olga", "olga@example.test", "a-long-password-1")
    assert sign_in(client, "olga", "a-long-password-1").status_code == 302


def test_an_address_can_not_try_name_after_name(client: Client, staff: User, settings: Any) -> None:
    settings.RATE_LIMIT_PASSWORDS = 3
    for number in range(3):
        assert sign_in(client, f"name-{number}").status_code == 200
    response = sign_in(client, "erin", "a-long-password-1")
    assert response.status_code == 429
    assert "Too many tries to sign in. Wait 5 minutes" in text(response)
    assert sign_in(client, "erin", "a-long-password-1", address="203.0.113.8").status_code == 302


def test_no_password_is_looked_at_beyond_the_limit(
    client: Client, staff: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RATE_LIMIT_SIGN_INS = 1
    sign_in(client, "erin")
    looked: list[str] = []
    monkeypatch.setattr(User, "check_password", lambda _self, raw: looked.append(raw))
    sign_in(client, "erin", "a-long-password-1")
    assert looked == []


def test_health_answers_while_the_database_does(client: Client, db: None) -> None:
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert client.post("/health").status_code == 405


def test_staff_see_and_do_what_their_permissions_say(
    client: Client, integration: Integration, lead_make: Callable[..., Lead]
) -> None:
    lead = lead_make()
    viewer = User.objects.create_user("viewer", password="a-long-password-1", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_lead"))
    client.force_login(viewer)
    shown = text(client.get("/admin/"))
    assert "/admin/leads/lead/" in shown
    assert "Users" not in shown
    assert "Flag invalid" not in text(client.get(f"/admin/leads/lead/{lead.pk}/change/"))
    client.post("/admin/leads/lead/", {"action": "flag_invalid", "_selected_action": [lead.pk], "confirmed": "1"})
    lead.refresh_from_db()
    assert lead.flag == ""
    assert client.get(f"/admin/integrations/integration/{integration.pk}/change/").status_code == 403
    assert client.get("/admin/integrations/integration/add/").status_code == 403
    assert client.get("/admin/leads/publisher/1/keys/").status_code == 403


def test_a_publishers_key_is_shown_once_and_afterwards_only_its_ending(
    browser_client: Client, campaign: Campaign
) -> None:
    publisher = Publisher.objects.get()
    where = f"/admin/leads/publisher/{publisher.pk}/keys/"
    assert "No key yet" in text(browser_client.get(where))

    response = browser_client.post(where, {"action": "issue"}, follow=True)
    key = response.context["secret"].value
    assert key in text(response)
    assert tokens_for_api_key(key) is not None

    for page in (
        where,
        f"/admin/leads/publisher/{publisher.pk}/change/",
        f"/admin/leads/publisher/{publisher.pk}/history/",
    ):
        shown = text(browser_client.get(page))
        assert key not in shown
        assert key[-4:] in shown


def new_key(browser_client: Client, where: str, action: str) -> str:
    """The key that the page shows after an action."""
    value: str = browser_client.post(where, {"action": action}, follow=True).context["secret"].value
    return value


def test_a_rotated_key_works_on_for_a_day_and_one_taken_away_opens_nothing(
    browser_client: Client, campaign: Campaign
) -> None:
    publisher = Publisher.objects.get()
    where = f"/admin/leads/publisher/{publisher.pk}/keys/"
    old = new_key(browser_client, where, "issue")
    new = new_key(browser_client, where, "rotate")
    assert tokens_for_api_key(old)
    assert tokens_for_api_key(new)
    assert "works until" in text(browser_client.get(where))

    browser_client.post(where, {"action": "revoke", "key": publisher.api_keys.get(ending=new[-4:]).pk})
    assert tokens_for_api_key(new) is None


def test_a_key_that_was_shown_is_not_made_again_by_loading_the_page_anew(
    browser_client: Client, campaign: Campaign
) -> None:
    publisher = Publisher.objects.get()
    where = f"/admin/leads/publisher/{publisher.pk}/keys/"
    response = browser_client.post(where, {"action": "issue"})
    assert response.status_code == 302
    kept = str(dict(browser_client.session))
    assert f"new-secret-of-leads.publisher-{publisher.pk}" in kept
    key = browser_client.get(where).context["secret"].value
    assert key not in kept
    assert browser_client.get(where).context["secret"] is None
    assert publisher.api_keys.count() == 1
    assert browser_client.post(where, {"action": "take"}).status_code == 404


def test_whether_a_key_is_taken_away_is_asked_with_when_it_was_last_used(
    browser_client: Client, campaign: Campaign
) -> None:
    publisher = Publisher.objects.get()
    where = f"/admin/leads/publisher/{publisher.pk}/keys/"
    key = new_key(browser_client, where, "issue")
    row = publisher.api_keys.get()
    ask = f"{where}?take_away={row.pk}"
    assert f"take_away={row.pk}" in text(browser_client.get(where))
    assert "No use of it is known" in text(browser_client.get(ask))
    assert tokens_for_api_key(key) is not None
    asked = browser_client.get(ask)
    page = text(asked)
    assert f"Take away the key of {publisher.name} that ends in {key[-4:]}?" in page
    assert "It was last used on" in page
    assert publisher.api_keys.exists()
    browser_client.post(where, boxes(asked, "ask"))
    assert not publisher.api_keys.exists()


def test_a_campaigns_webhook_has_keys_of_its_own(browser_client: Client, campaign: Campaign) -> None:
    where = f"/admin/leads/campaign/{campaign.pk}/keys/"
    key = new_key(browser_client, where, "issue")
    assert campaign.api_keys.get().ending == key[-4:]
    assert f"ends in {key[-4:]}" in text(browser_client.get(f"/admin/leads/campaign/{campaign.pk}/settings/"))


def test_changing_a_forms_fields_makes_a_new_version_and_a_rename_is_pointed_out(
    browser_client: Client, campaign: Campaign
) -> None:
    form = Form.objects.get()
    where = f"/admin/leads/form/{form.pk}/change/"
    as_it_was = boxes(browser_client.get(where), "form_form")
    assert "Germany" in as_it_was["fields-3-choices"]
    browser_client.post(where, as_it_was)
    form.refresh_from_db()
    assert form.version == 1

    changed = {**as_it_was, "fields-0-name": "givenName", "fields-3-choices": "DE = Germany\nFrance", "_continue": "1"}
    response = browser_client.post(where, changed, follow=True)
    form.refresh_from_db()
    assert form.version == 2
    assert "“firstName” is called “givenName” now: publishers must post form[givenName]." in said(response)
    assert Field.objects.get(name="country").choices == [
        {"value": "DE", "label": "Germany"},
        {"value": "France", "label": "France"},
    ]


@pytest.mark.parametrize(
    "page",
    [
        *(
            f"/admin/leads/{model}/"
            for model in ("advertiser", "campaign", "form", "publisher", "user", "reasoncode", "lead")
        ),
        *(f"/admin/integrations/{model}/" for model in ("integration", "delivery", "statusupdate")),
        *(
            f"/admin/leads/{model}/add/"
            for model in ("advertiser", "campaign", "form", "publisher", "user", "reasoncode")
        ),
        "/admin/auth/group/",
        "/admin/auth/group/add/",
        "/admin/leads/lead/?q=x&o=1",
    ],
)
def test_every_page_opens(page: str, browser_client: Client, integration: Integration) -> None:
    assert browser_client.get(page).status_code == 200


def test_a_status_update_that_nobody_can_place_is_shown_as_such(browser_client: Client, db: None) -> None:
    update = StatusUpdate.objects.create(
        key="x", verdict="invalid", decided_at="2026-01-01T00:00Z", via="pushed", state="unmatched"
    )
    assert "Nobody knows what it is about" in text(browser_client.get("/admin/integrations/statusupdate/"))
    assert "No such delivery" in text(browser_client.get(f"/admin/integrations/statusupdate/{update.pk}/change/"))
