"""Who may come in: log-ins, tokens, keys."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import requests
from django.conf import settings
from django.utils import timezone

from leads.access import api_key_issue, api_key_rotate, digest
from leads.models import AccessToken, ApiKey, User
from tests.receiving.conftest import Client, Instance

CLIENT_PAIR = {"client_id": settings.OAUTH_CLIENT_ID, "client_secret": settings.OAUTH_CLIENT_SECRET}
GRANT = "https://convertr.cvtr.io/grants/api_key"


def ask(server: str, method: str = "GET", **given: str) -> requests.Response:
    given = {**CLIENT_PAIR, **given}
    url = f"{server}/oauth/v2/token"
    if method == "GET":
        return requests.get(url, params=given, timeout=20)
    return requests.post(url, data=given, timeout=20)


def opens(server: str, instance: Instance, token: str) -> int:
    url = f"{server}/api/v2.4/publisher/fields/{instance.campaign.pk}"
    return requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=20).status_code


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("grant", [GRANT, GRANT.replace("https:", "http:")])
def test_an_api_key_gets_a_token_for_an_hour(server: str, instance: Instance, method: str, grant: str) -> None:
    answer = ask(server, method, grant_type=grant, api_key=instance.api_key)
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"access_token", "expires_in", "token_type", "scope", "refresh_token"}
    assert (body["expires_in"], body["token_type"], body["scope"]) == (3600, "bearer", None)
    assert opens(server, instance, body["access_token"]) == 200


def test_a_publishers_user_gets_a_token_by_password(server: str, instance: Instance) -> None:
    for username in ("pat", "pat@reach.example", "PAT@reach.example"):
        answer = ask(server, "POST", grant_type="password", username=username, password="publish-it")
        assert answer.status_code == 200, answer.text
        assert opens(server, instance, answer.json()["access_token"]) == 200


def test_a_login_says_who_the_user_is(server: str, instance: Instance) -> None:
    form = {"username": "pat@reach.example", "password": "publish-it"}
    answer = requests.post(f"{server}/api/login", data=form, timeout=20)
    body = answer.json()
    assert answer.status_code == 200
    assert body["user_id"] == User.objects.get(username="pat").pk
    assert body["password_expired"] is False
    assert (body["client_id"], body["client_secret"]) == tuple(CLIENT_PAIR.values())
    assert opens(server, instance, body["access_token"]) == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refresh_token_gets_a_new_access_token_as_often_as_needed(
    server: str, instance: Instance, method: str
) -> None:
    first = ask(server, grant_type=GRANT, api_key=instance.api_key).json()
    for _ in range(2):
        answer = ask(server, method, grant_type="refresh_token", refresh_token=first["refresh_token"])
        assert answer.status_code == 200
        assert answer.json()["refresh_token"] == first["refresh_token"]
        assert answer.json()["access_token"] != first["access_token"]
        assert opens(server, instance, answer.json()["access_token"]) == 200


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"api_key": "x"}, "invalid_request"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        ({"grant_type": GRANT}, "invalid_request"),
        ({"grant_type": "password", "username": "pat"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": GRANT, "api_key": "wrong"}, "invalid_grant"),
        ({"grant_type": "password", "username": "pat", "password": "wrong"}, "invalid_grant"),
        ({"grant_type": "password", "username": "nobody", "password": "publish-it"}, "invalid_grant"),
        ({"grant_type": "password", "username": "a\x00", "password": "\x00"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, "invalid_grant"),
        ({"grant_type": GRANT, "api_key": "x", "client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": GRANT, "api_key": "x", "client_id": ""}, "invalid_request"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_wrong_with_a_log_in_is_said(
    server: str, instance: Instance, method: str, given: dict[str, str], error: str
) -> None:
    answer = ask(server, method, **given)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert answer.json()["error_description"]


@pytest.mark.parametrize("form", [{}, {"username": "pat"}, {"username": "pat", "password": "no"}])
def test_a_bad_login_is_a_400(server: str, instance: Instance, form: dict[str, str]) -> None:
    answer = requests.post(f"{server}/api/login", data=form, timeout=20)
    assert answer.status_code == 400
    assert answer.json()["error"] == ("invalid_grant" if len(form) == 2 else "invalid_request")


def test_a_token_is_taken_from_the_header_or_the_query(client: Client) -> None:
    fields = f"/api/v2.4/publisher/fields/{client.instance.campaign.pk}"
    token = client.instance.token
    del client.session.headers["Authorization"]
    assert client.get(fields, params={"access_token": token}).status_code == 200
    assert client.get(fields, headers={"Authorization": f"bearer {token}"}).status_code == 200
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {token}"},
        {"Authorization": "Bearer x"},
    ):
        answer = client.get(fields, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "Access denied."})


def test_a_token_ends_after_its_hour(client: Client) -> None:
    fields = f"/api/v2.4/publisher/fields/{client.instance.campaign.pk}"
    assert client.get(fields).status_code == 200
    AccessToken.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    answer = client.get(fields)
    assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "Access denied."})


def _publisher_off(instance: Instance) -> None:
    instance.publisher.active = False
    instance.publisher.save()


def _key_deleted(instance: Instance) -> None:
    instance.publisher.api_keys.all().delete()


def _key_ended(instance: Instance) -> None:
    instance.publisher.api_keys.update(expires_at=timezone.now())


@pytest.mark.parametrize("shut_out", [_publisher_off, _key_deleted, _key_ended])
def test_who_is_shut_out_is_out_at_once(client: Client, shut_out: Any) -> None:
    logged_in = ask(client.server, grant_type=GRANT, api_key=client.instance.api_key).json()
    shut_out(client.instance)
    assert opens(client.server, client.instance, logged_in["access_token"]) == 401
    for given in (
        {"grant_type": GRANT, "api_key": client.instance.api_key},
        {"grant_type": "refresh_token", "refresh_token": logged_in["refresh_token"]},
    ):
        assert ask(client.server, **given).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("change", [{"is_active": False}, {"publisher": None}])
def test_a_user_who_left_is_out_at_once(server: str, instance: Instance, change: dict[str, Any]) -> None:
    given = {"grant_type": "password", "username": "pat", "password": "publish-it"}
    token = ask(server, "POST", **given).json()["access_token"]
    User.objects.filter(username="pat").update(**change)
    assert opens(server, instance, token) == 401
    assert ask(server, "POST", **given).json()["error"] == "invalid_grant"


def test_an_own_user_is_no_publisher(server: str, instance: Instance) -> None:
    token = ask(server, "POST", grant_type="password", username="sam", password="manage-it").json()["access_token"]
    assert opens(server, instance, token) == 403


def test_a_rotated_key_goes_on_for_the_overlap(server: str, instance: Instance) -> None:
    new = api_key_rotate(instance.publisher)
    for key in (new, instance.api_key):
        assert ask(server, grant_type=GRANT, api_key=key).status_code == 200
    api_key_rotate(instance.publisher, overlap_hours=0)
    for key in (new, instance.api_key):
        assert ask(server, grant_type=GRANT, api_key=key).json()["error"] == "invalid_grant"


def test_no_key_or_token_is_kept_in_clear(server: str, instance: Instance) -> None:
    body = ask(server, grant_type=GRANT, api_key=instance.api_key).json()
    kept = {*ApiKey.objects.values_list("digest", flat=True), *AccessToken.objects.values_list("digest", flat=True)}
    secrets = {instance.api_key, body["access_token"], body["refresh_token"]}
    assert not secrets & kept
    assert {digest(secret) for secret in secrets} <= kept


def test_a_given_key_is_taken_once_and_never_for_two_owners(instance: Instance) -> None:
    key = "demo-key-of-reach"
    assert api_key_issue(publisher=instance.publisher, key=key) == key
    assert api_key_issue(publisher=instance.publisher, key=key) == key
    assert instance.publisher.api_keys.count() == 2
    with pytest.raises(ValueError, match="another owner"):
        api_key_issue(publisher=instance.other_publisher, key=key)
    with pytest.raises(ValueError, match="one owner"):
        api_key_issue(publisher=instance.publisher, campaign=instance.campaign)
