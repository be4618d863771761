"""Keys of the partner API: what they open, what they give on, how they are replaced."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from django.test import Client
from django.urls import URLResolver
from django.utils import timezone
from rest_framework.views import APIView

from leads.api.calls import ScopePermission
from leads.models import AnsweredCall, Campaign, PartnerKey
from leads.partner_keys import SCOPES, key_rotate
from portal.urls import urlpatterns
from tests.api.conftest import Instance, Partner, key_for


def problem(response: requests.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem of an answer, which has to be of this status and type."""
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json"), (
        response.text
    )
    said: dict[str, Any] = response.json()
    assert (said["status"], said["type"]) == (status, f"/api/v1/problems/{slug}")
    assert said["title"]
    assert said["help"]
    return said


def test_a_key_is_shown_once_and_kept_as_a_digest_with_a_readable_beginning(partner: Partner) -> None:
    made = partner.post("keys", {"name": "Acme’s CRM", "scopes": ["leads:read"]})
    assert made.status_code == 201
    secret = made.json()["secret"]
    assert secret.startswith(made.json()["prefix"])
    assert secret.startswith("cp_live_")
    row = PartnerKey.objects.get(pk=made.json()["id"])
    assert secret not in str(row.__dict__)
    again = partner.get(f"keys/{row.pk}")
    assert again.status_code == 200
    assert secret not in again.text
    assert secret not in partner.get("keys").text


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer nonsense", "Bearer cp_live_nonsense", "Basic Og==", "Bearer \xff"]
)
def test_without_a_good_key_nothing_is_said_but_how_to_send_one(server: str, instance: Instance, header: str) -> None:
    answer = requests.get(f"{server}/api/v1/keys/own", headers={"Authorization": header.encode("latin-1")}, timeout=20)
    problem(answer, 401, "key-missing")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_does_what_its_scopes_say_and_names_the_one_that_it_lacks(server: str, instance: Instance) -> None:
    reader = Partner(server, key_for("leads:read"))
    said = problem(reader.get("keys"), 403, "scope-missing")
    assert "keys:write" in said["detail"]
    assert reader.get("keys/own").json()["scopes"] == ["leads:read"]


def _views() -> Iterator[tuple[str, type[APIView]]]:
    """Every view of the partner API that wants a key, and an address of it."""
    places = {"row": "1", "lead": "1", "message": "0" * 32}
    resolvers = [each for each in urlpatterns if isinstance(each, URLResolver) and str(each.pattern) == "api/v1/"]
    for resolver in resolvers:
        for each in resolver.url_patterns:
            view = each.callback.view_class
            if ScopePermission in view.permission_classes:
                yield re.sub(r"<(\w+):\w+>", lambda place: places[place[1]], str(each.pattern)), view


@pytest.mark.parametrize(("address", "view"), list(_views()))
def test_every_method_of_every_view_names_its_scope_and_is_refused_to_a_key_without_it(
    instance: Instance, address: str, view: Any
) -> None:
    methods = {name.upper() for name in view.http_method_names if name != "options" and hasattr(view, name)}
    assert set(view.scopes) == methods
    bearer = {"Authorization": f"Bearer {key_for('forms:read')}"}
    other = {"Authorization": f"Bearer {key_for('leads:write')}"}
    for method in (*methods, *(["HEAD"] if "GET" in methods else [])):
        scope = view.scopes["GET" if method == "HEAD" else method]
        if scope:
            headers = other if scope == "forms:read" else bearer
            assert Client().generic(method, f"/api/v1/{address}?q=a", headers=headers).status_code == 403
    for method in {"HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "SEARCH"} - methods:
        if method != "HEAD" or "GET" not in methods:
            assert Client().generic(method, f"/api/v1/{address}", headers=bearer).status_code == 405


def test_a_key_gives_no_more_than_it_has(server: str, instance: Instance) -> None:
    soon = timezone.now() + dt.timedelta(hours=2)
    secret = key_for("keys:write", "leads:read", publisher=instance.publisher)
    PartnerKey.objects.filter(publisher=instance.publisher).update(expires_at=soon)
    maker = Partner(server, secret)
    asked = {"name": "more", "scopes": ["leads:read"], "expires_at": soon.isoformat()}
    more: list[tuple[dict[str, Any], str]] = [
        ({"scopes": ["leads:read", "leads:write"]}, "scopes"),
        ({"publisher": instance.other_publisher.pk}, "publisher"),
        ({"campaign": 999_999}, "campaign"),
        ({"expires_at": (soon + dt.timedelta(hours=1)).isoformat()}, "expires_at"),
    ]
    for change, field in more:
        said = problem(maker.post("keys", {**asked, **change}), 422, "invalid")
        assert [error["field"] for error in said["errors"]] == [field]
    made = maker.post("keys", asked).json()
    assert (made["publisher"], made["scopes"], made["made_by"]) == (
        instance.publisher.pk,
        ["leads:read"],
        "The key A system",
    )


def test_keys_of_others_are_not_found_by_any_method(server: str, instance: Instance) -> None:
    theirs = PartnerKey.objects.get(prefix=key_for(publisher=instance.other_publisher)[:16])
    wider = PartnerKey.objects.get(prefix=key_for(name="whole instance")[:16])
    mine = Partner(server, key_for(publisher=instance.publisher))
    for row in (theirs, wider):
        problem(mine.get(f"keys/{row.pk}"), 404, "not-found")
        problem(mine.call("DELETE", f"keys/{row.pk}"), 404, "not-found")
        problem(mine.post(f"keys/{row.pk}/rotate"), 404, "not-found")
    assert [row["name"] for row in mine.get("keys").json()["data"]] == ["A system"]


def test_a_rotated_key_works_for_another_day_beside_the_new_one(partner: Partner, server: str) -> None:
    key_id = partner.get("keys/own").json()["id"]
    rotated = partner.post(f"keys/{key_id}/rotate").json()
    new = Partner(server, rotated["secret"])
    assert new.get("keys/own").json()["id"] == key_id
    assert partner.get("keys/own").status_code == 200
    assert partner.get("keys/own").json()["earlier_prefix"] == partner.key[:16]
    PartnerKey.objects.update(earlier_until=timezone.now())
    problem(partner.get("keys/own"), 401, "key-missing")
    assert new.get("keys/own").status_code == 200


def test_a_key_that_was_rotated_twice_has_two_secrets_at_the_most(partner: Partner, server: str) -> None:
    row = PartnerKey.objects.get()
    second, third = key_rotate(row).secret, key_rotate(row).secret
    assert [Partner(server, each).get("keys/own").status_code for each in (partner.key, second, third)] == [
        401,
        200,
        200,
    ]


def test_a_secret_that_is_being_replaced_rotates_nothing_so_the_owner_s_new_one_stays_good(
    partner: Partner, server: str
) -> None:
    own = partner.get("keys/own").json()["id"]
    until = (timezone.now() + dt.timedelta(hours=2)).isoformat()
    short = partner.post("keys", {"name": "short", "scopes": ["leads:read"], "expires_at": until}).json()["id"]
    new = Partner(server, partner.post(f"keys/{own}/rotate").json()["secret"])
    for key_id in (own, short):
        assert "new one" in problem(partner.post(f"keys/{key_id}/rotate"), 409, "conflict")["detail"]
        assert "new one" in problem(partner.call("DELETE", f"keys/{key_id}"), 409, "conflict")["detail"]
    assert PartnerKey.objects.get(pk=own).earlier_prefix == partner.key[:16]
    assert new.post(f"keys/{own}/rotate").status_code == 200


def test_a_key_that_ends_rotates_none_that_works_for_longer(server: str, instance: Instance) -> None:
    soon = timezone.now() + dt.timedelta(hours=2)
    maker = Partner(server, key_for())
    own = maker.get("keys/own").json()["id"]
    PartnerKey.objects.filter(pk=own).update(expires_at=soon)
    for end, status in ((None, 409), (soon + dt.timedelta(hours=1), 409), (soon - dt.timedelta(hours=1), 200)):
        other = PartnerKey.objects.get(prefix=key_for("leads:read")[:16])
        PartnerKey.objects.filter(pk=other.pk).update(expires_at=end)
        assert maker.post(f"keys/{other.pk}/rotate").status_code == status
    assert maker.post(f"keys/{own}/rotate").status_code == 200


def test_a_key_that_was_ended_has_expired_or_whose_publisher_was_switched_off_opens_nothing(
    partner: Partner, server: str, instance: Instance
) -> None:
    for change in ("end", "expire", "publisher"):
        secret = key_for(publisher=instance.publisher)
        system = Partner(server, secret)
        own = system.get("keys/own").json()
        if change == "end":
            assert system.call("DELETE", f"keys/{own['id']}").status_code == 204
        elif change == "expire":
            PartnerKey.objects.filter(pk=own["id"]).update(expires_at=timezone.now())
        else:
            instance.publisher.active = False
            instance.publisher.save()
        problem(system.get("keys/own"), 401, "key-missing")


def test_a_campaigns_key_makes_keys_of_that_campaign_only(server: str, instance: Instance) -> None:
    other = Campaign.objects.create(advertiser=instance.campaign.advertiser, name="Autumn")
    maker = Partner(server, key_for(campaign=instance.campaign))
    problem(maker.post("keys", {"name": "x", "scopes": ["leads:read"], "campaign": other.pk}), 422, "invalid")
    assert maker.post("keys", {"name": "x", "scopes": ["leads:read"]}).json()["campaign"] == instance.campaign.pk


def test_when_a_key_was_last_used_is_known_to_the_minute_and_written_once_a_minute(partner: Partner) -> None:
    partner.get("keys/own")
    first = PartnerKey.objects.get().last_used_at
    assert first is not None
    partner.get("keys/own")
    assert PartnerKey.objects.get().last_used_at == first
    PartnerKey.objects.update(last_used_at=first - dt.timedelta(minutes=2))
    partner.get("keys/own")
    assert PartnerKey.objects.get().last_used_at >= first


def test_calls_are_limited_for_each_key_and_say_how_many_are_left(
    partner: Partner, reach: Partner, settings: Any
) -> None:
    settings.RATE_LIMIT_PARTNER = 2
    first, second, third = (partner.get("keys/own") for _ in range(3))
    assert first.headers["RateLimit-Policy"] == '"key";q=2;w=300'
    assert [each.headers["RateLimit"].split(";")[1] for each in (first, second, third)] == ["r=1", "r=0", "r=0"]
    problem(third, 429, "too-many-requests")
    assert 1 <= int(third.headers["Retry-After"]) <= 300
    assert reach.get("keys/own").status_code == 200


def test_every_mistake_in_a_body_is_named_with_its_place(partner: Partner) -> None:
    said = problem(partner.post("keys", {"name": "", "scopes": ["leads:read", "fly"]}), 422, "invalid")
    assert {error["pointer"] for error in said["errors"]} == {"/name", "/scopes/1"}
    problem(partner.call("POST", "keys", data=b"{", headers={"Content-Type": "application/json"}), 400, "unreadable")
    problem(partner.call("POST", "keys", data={"name": "x"}), 415, "wrong-media-type")
    problem(partner.get("keys", limit="many"), 422, "invalid")
    problem(partner.get("keys", cursor="??"), 422, "invalid")


def test_keys_are_listed_page_by_page(partner: Partner) -> None:
    for name in ("a", "b", "c"):
        partner.post("keys", {"name": name, "scopes": ["leads:read"]})
    first = partner.get("keys", limit=2).json()
    rest = partner.call("GET", first["next"].removeprefix("/api/v1/")).json()
    assert [row["name"] for row in first["data"] + rest["data"]] == ["c", "b", "a", "A system"]
    assert rest["next"] is None


def test_what_is_not_there_is_a_problem_too_and_other_methods_are_refused(partner: Partner) -> None:
    problem(partner.get("nothing/here"), 404, "not-found")
    problem(partner.get("keys/999999999999999999"), 404, "not-found")
    problem(partner.get("keys/9999999999999999999999"), 404, "not-found")
    answer = partner.call("PUT", "keys")
    problem(answer, 405, "method-not-allowed")
    assert "POST" in answer.headers["Allow"]


def test_each_type_of_problem_can_be_looked_up_and_has_its_heading_in_the_documentation(server: str, db: None) -> None:
    documentation = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    for kind in requests.get(f"{server}/api/v1/problems", timeout=20).json():
        said = requests.get(server + kind["type"], timeout=20).json()
        assert said == kind
        assert f"\n### {said['type'].rpartition('/')[2]}\n" in documentation


def test_all_scopes_have_words(db: None) -> None:
    assert all(SCOPES.values())


def test_a_call_that_writes_is_done_once_under_its_key_and_its_secret_is_said_once(partner: Partner) -> None:
    asked = {"name": "once", "scopes": ["leads:read"]}
    headers = {"Idempotency-Key": "make-it"}
    first = partner.post("keys", asked, headers=headers)
    again = partner.post("keys", asked, headers=headers)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert again.json() == {**first.json(), "secret": None}
    assert PartnerKey.objects.filter(name="once").count() == 1
    problem(partner.post("keys", {**asked, "name": "other"}, headers=headers), 422, "idempotency-key-reused")


def test_calls_at_once_with_one_key_are_done_once(partner: Partner) -> None:
    def make(_: int) -> requests.Response:
        return partner.post("keys", {"name": "once", "scopes": ["leads:read"]}, headers={"Idempotency-Key": "k"})

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(make, range(30)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert PartnerKey.objects.filter(name="once").count() == 1


def test_a_call_that_failed_may_be_mended_under_its_key(partner: Partner) -> None:
    headers = {"Idempotency-Key": "mend"}
    problem(partner.post("keys", {"name": "x", "scopes": []}, headers=headers), 422, "invalid")
    assert partner.post("keys", {"name": "x", "scopes": ["leads:read"]}, headers=headers).status_code == 201


def test_a_call_whose_worker_died_is_taken_up_by_the_next_one(partner: Partner) -> None:
    headers = {"Idempotency-Key": "died"}
    partner.post("keys", {"name": "x", "scopes": ["leads:read"]}, headers=headers)
    AnsweredCall.objects.update(status=None)
    problem(partner.post("keys", {"name": "x", "scopes": ["leads:read"]}, headers=headers), 409, "still-running")
    AnsweredCall.objects.update(alive_at=timezone.now() - dt.timedelta(minutes=5))
    assert partner.post("keys", {"name": "x", "scopes": ["leads:read"]}, headers=headers).status_code == 201
