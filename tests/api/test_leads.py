"""Leads over the partner API: sent one by one, waited for, read, listed, followed."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leads.api import waiting
from leads.models import Campaign, CampaignPublisher, Field, Flag, Lead, Status
from leads.status import FlagChange, Judgement, leads_flag, leads_judge
from tests.api.conftest import Instance, Partner, key_for
from tests.api.test_keys import problem

ADA = {"firstName": "Ada", "email": "ada@example.test"}


def leads_path(instance: Instance) -> str:
    return f"campaigns/{instance.campaign.pk}/forms/{instance.form.pk}/leads"


@pytest.fixture
def send(reach: Partner, instance: Instance) -> Any:
    """Sends a lead as the publisher."""

    def sent(values: Any = ADA, *, key: str = "", **params: Any) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        return reach.post(leads_path(instance), values, params=params, headers=headers)

    return sent


def test_a_lead_is_stored_when_it_is_answered(send: Any, instance: Instance) -> None:
    values = {**ADA, "topics": ["a", "b, c"], "optin": {"terms": True}, "$visitor": {"anonymousId": "v1"}}
    answer = send(values, link=instance.link.pk)
    assert answer.status_code == 201
    lead = Lead.objects.get()
    said = answer.json()
    assert (said["id"], said["hash"], said["status"], said["judged"]) == (lead.pk, lead.hash.hex, "pending", False)
    assert answer.headers["Location"] == said["links"]["self"] == f"/api/v1/leads/{lead.hash.hex}"
    assert lead.values == {**ADA, "topics": "a,b, c", "optin.terms": "1"}
    assert (lead.publisher, lead.link, lead.visitor) == (instance.publisher, instance.link, {"anonymousId": "v1"})
    assert lead.email_key == "ada@example.test"


def test_a_test_lead_is_marked_as_one(send: Any) -> None:
    assert send(test="true").json()["status"] == "test"
    assert Lead.objects.get().status == Status.TEST


def test_all_that_is_wrong_with_a_lead_is_said_field_by_field_and_nothing_is_kept(send: Any) -> None:
    values = {
        "firstName": 7,
        "email": "nobody",
        "industry": "x",
        "topics": ["z"],
        "former": "1",
        "optin": {"terms": "maybe"},
    }
    said = problem(send(values), 422, "invalid")
    assert {error["field"]: error["message"] for error in said["errors"]} == {
        "firstName": "Write it as text, in quotation marks.",
        "email": "This is not an e-mail address.",
        "industry": "This is not one of the choices.",
        "topics": "This is not among the choices.",
        "former": "This form has no such field.",
        "optin.terms": "Post 1 or 0 here.",
    }
    assert {error["pointer"] for error in said["errors"]} >= {"/optin/terms", "/email"}
    assert Lead.objects.count() == 0


def test_bodies_that_are_no_lead_are_refused_in_words(reach: Partner, instance: Instance) -> None:
    path = leads_path(instance)

    def post(body: bytes, kind: str = "application/json", **headers: str) -> Any:
        return reach.call("POST", path, data=body, headers={"Content-Type": kind, **headers})

    assert "line 1" in problem(post(b'{"a": '), 400, "unreadable")["detail"]
    problem(post(b""), 400, "unreadable")
    problem(post(b'{"firstName": "\xff"}'), 400, "unreadable")
    problem(post(b"[]"), 422, "invalid")
    problem(post(b"firstName=Ada", "application/x-www-form-urlencoded"), 415, "wrong-media-type")
    problem(post(b"{}", **{"Content-Encoding": "gzip"}), 415, "wrong-media-type")
    problem(post(b'{"firstName": "' + b"x" * 1024 * 1024 + b'"}'), 413, "too-large")
    assert Lead.objects.count() == 0


def test_where_a_lead_goes_is_checked(partner: Partner, reach: Partner, instance: Instance) -> None:
    path = leads_path(instance)
    said = problem(partner.post(path, ADA), 422, "invalid")
    assert said["errors"][0]["field"] == "publisher"
    assert partner.post(path, ADA, params={"publisher": instance.publisher.pk}).status_code == 201
    problem(partner.post(path, ADA, params={"publisher": 999}), 404, "not-found")
    problem(reach.post(path, ADA, params={"publisher": instance.other_publisher.pk}), 404, "not-found")
    problem(reach.post(path, ADA, params={"link": "999"}), 422, "invalid")
    problem(reach.post(path, ADA, params={"test": "perhaps"}), 422, "invalid")
    problem(reach.post(path, ADA, params={"wait": "21"}), 422, "invalid")
    problem(reach.post(f"campaigns/{instance.campaign.pk}/forms/999/leads", ADA), 404, "not-found")
    problem(reach.post(f"campaigns/999/forms/{instance.form.pk}/leads", ADA), 404, "not-found")
    Campaign.objects.update(status=Campaign.Status.PAUSED)
    problem(reach.post(path, ADA), 403, "campaign-inactive")
    CampaignPublisher.objects.filter(publisher=instance.publisher).update(active=False)
    problem(reach.post(path, ADA), 404, "not-found")


def test_a_repeated_post_with_its_key_is_answered_as_it_was_whatever_became_of_the_form(
    send: Any, instance: Instance
) -> None:
    first = send(key="k-1")
    Field.objects.filter(name="email").update(enabled=False)
    again = send(key="k-1")
    assert again.json() == first.json()
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert "Idempotency-Replayed" not in first.headers
    problem(send({**ADA, "firstName": "Bob"}, key="k-1"), 422, "idempotency-key-reused")
    problem(send(key="k-1", test="1"), 422, "idempotency-key-reused")
    problem(send(key="k" * 201), 422, "invalid")
    assert Lead.objects.count() == 1


def test_a_post_that_made_nothing_may_be_mended_and_sent_with_the_same_key(send: Any) -> None:
    problem(send({"firstName": "Ada"}, key="k-2"), 422, "invalid")
    assert send(key="k-2").status_code == 201


def test_fifty_posts_at_once_with_one_key_make_one_lead_and_get_one_answer(send: Any) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: send(key="same"), range(50)))
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.json()["id"] for answer in answers} == {Lead.objects.get().pk}


def test_keys_of_two_partners_are_never_the_same(server: str, instance: Instance) -> None:
    publisher = instance.publisher
    answers = [
        Partner(server, key_for(publisher=publisher)).post(leads_path(instance), ADA, headers={"Idempotency-Key": "1"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert Lead.objects.count() == 2


def judge_soon(status: Status) -> threading.Thread:
    """The Processr, in another thread: it judges the first lead that comes."""

    def work() -> None:
        try:
            until = time.monotonic() + 10
            while time.monotonic() < until:
                found = Lead.objects.filter(processed_at=None).first()
                if found is not None:
                    leads_judge(
                        {found.pk: Judgement(status, [{"reason": "No"}] if status == Status.INVALID else [])},
                        tell={found.pk: False},
                    )
                    return
        finally:
            connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_whoever_waits_gets_the_judgement_with_the_answer(send: Any, reach: Partner) -> None:
    thread = judge_soon(Status.INVALID)
    said = send(wait=10).json()
    thread.join()
    assert (said["status"], said["judged"]) == ("invalid", True)
    lead = reach.get(f"leads/{said['id']}", wait=10).json()
    assert (lead["status"], lead["failed_jobs"]) == ("invalid", ["No"])


def test_who_waits_in_vain_is_answered_when_the_time_is_over(send: Any, reach: Partner) -> None:
    began = time.monotonic()
    said = send(wait=0.3).json()
    assert (said["status"], said["judged"]) == ("pending", False)
    assert reach.get(f"leads/{said['hash']}", wait="0.3").json()["processed_at"] is None
    assert 0.6 <= time.monotonic() - began < 10


def test_a_lead_that_is_stored_is_said_to_be_so_though_its_judgement_can_not_be_read(
    send: Any, reach: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_database(_ids: Any) -> Any:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(waiting, "_judged", no_database)
    answer = send(wait=10)
    assert (answer.status_code, answer.json()["judged"], answer.json()["status"]) == (201, False, "pending")
    assert reach.get(f"leads/{answer.json()['id']}").json()["hash"] == answer.json()["hash"]


def test_many_who_wait_hold_no_thread_and_get_their_answers(send: Any, reach: Partner) -> None:
    ids = [send({**ADA, "email": f"l{n}@example.test"}).json()["id"] for n in range(40)]
    with ThreadPoolExecutor(40) as pool:
        waiting = [pool.submit(reach.get, f"leads/{lead_id}", wait=15) for lead_id in ids]
        assert send().status_code == 201  # nobody is in the way of others
        leads_judge({lead_id: Judgement(Status.VALID) for lead_id in ids}, tell=dict.fromkeys(ids, False))
        assert {each.result().json()["status"] for each in waiting} == {"valid"}


def test_a_lead_is_found_by_its_id_and_by_its_hash_and_by_others_not_at_all(
    send: Any, reach: Partner, server: str, instance: Instance
) -> None:
    made = send().json()
    leads_flag({made["id"]: FlagChange(Flag.RETURNED, "DUP", "seen before", "Kim")})
    said = reach.get(f"leads/{made['hash']}").json()
    assert said == reach.get(f"leads/{made['id']}").json()
    assert (said["flag"], said["reason_code"], said["comment"], said["flagged_by"]) == (
        "returned",
        "DUP",
        "seen before",
        "",
    ), "a publisher reads no colleague's name"
    assert said["values"] == ADA
    ours = {**said, "flagged_by": "Kim"}
    account_manager = Partner(server, key_for())
    assert account_manager.get(f"leads/{made['id']}").json() == ours
    assert account_manager.get("leads").json()["data"] == [ours]
    assert reach.get("leads").json()["data"] == [said]
    other_campaign = Campaign.objects.create(advertiser=instance.campaign.advertiser, name="Autumn")
    for other in (
        key_for(publisher=instance.other_publisher),
        key_for(campaign=other_campaign),
        key_for(publisher=instance.publisher, campaign=other_campaign),
    ):
        stranger = Partner(server, other)
        problem(stranger.get(f"leads/{made['id']}"), 404, "not-found")
        problem(stranger.get(f"leads/{made['hash']}", wait=1), 404, "not-found")
        assert stranger.get("leads").json()["data"] == []
    problem(reach.get("leads/999999999999999999"), 404, "not-found")
    problem(reach.get("leads/abc"), 404, "not-found")
    problem(reach.call("PUT", f"leads/{made['id']}"), 405, "method-not-allowed")


def test_leads_are_filtered_as_in_the_console(send: Any, reach: Partner, partner: Partner, instance: Instance) -> None:
    ada, bob = (
        send().json(),
        send({"firstName": "Bob", "email": "bob@example.test", "telephone": "0171 2345678"}).json(),
    )
    send(test=1)
    leads_judge({ada["id"]: Judgement(Status.VALID)}, tell={ada["id"]: False})
    leads_flag({bob["id"]: FlagChange(Flag.INVALID, "DUP")})

    def found(**filters: Any) -> list[int]:
        answer = reach.get("leads", order="oldest", **filters)
        assert answer.status_code == 200, answer.text
        return [lead["id"] for lead in answer.json()["data"]]

    assert found(q="ADA@example.test", status="valid") == [ada["id"]]
    assert found(q="bob") == found(q="+44 171 2345678") == found(q=bob["hash"]) == [bob["id"]]
    assert found(flag="invalid") == found(reason_code="DUP") == [bob["id"]]
    assert found(flag="none", status="valid") == [ada["id"]]
    assert len(found(status="test")) == 1
    assert len(found(campaign=instance.campaign.pk, form=instance.form.pk, publisher=instance.publisher.pk)) == 3
    assert found(until="2020-01-01T00:00:00Z") == []
    problem(reach.get("leads", publisher=instance.other_publisher.pk), 404, "not-found")
    for wrong in ({"status": "odd"}, {"since": "yesterday"}, {"campaign": "x"}, {"q": "a\x00b"}, {"q": "x" * 201}):
        problem(reach.get("leads", **wrong), 422, "invalid")


def test_pages_stay_right_while_leads_arrive(send: Any, reach: Partner) -> None:
    ids = [send({**ADA, "email": f"l{n}@example.test"}).json()["id"] for n in range(7)]
    page = reach.get("leads", limit=3).json()
    seen = [lead["id"] for lead in page["data"]]
    while page["next"]:
        send()
        page = reach.call("GET", page["next"].removeprefix("/api/v1/")).json()
        seen += [lead["id"] for lead in page["data"]]
    assert seen == ids[::-1]


def test_whoever_follows_from_the_oldest_on_misses_none_and_gets_none_twice(send: Any, reach: Partner) -> None:
    ids, seen, cursor = [], [], ""
    for round_ in range(4):
        ids += [send({**ADA, "email": f"l{round_}-{n}@example.test"}).json()["id"] for n in range(3)]
        page = reach.get("leads", limit=2, **({"cursor": cursor} if cursor else {"order": "oldest"})).json()
        seen += [lead["id"] for lead in page["data"]]
        cursor = page["cursor"]
    while page["data"]:
        page = reach.get("leads", cursor=cursor).json()
        seen += [lead["id"] for lead in page["data"]]
        cursor = page["cursor"]
    assert seen == ids


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
            max_leaves=8,
        ),
    )
)
def test_no_body_makes_the_portal_fail(reach: Partner, instance: Instance, body: Any) -> None:
    import json

    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = reach.call("POST", leads_path(instance), data=data, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
