"""Work on many leads: asked for once, with what would happen; watched, cancelled, retried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse

from integrations.bulk import activity_work
from integrations.models import Delivery, Integration
from leads.models import Activity, ActivityItem, Lead, LeadChange, ReasonCode, User
from tests.admin.pages import boxes, text

LeadMake = Callable[..., Lead]
DeliveryMake = Callable[..., Delivery]
LIST = "/admin/leads/lead/"
HTMX = {"HX-Request": "true"}


def ids(leads: list[Any]) -> str:
    return ",".join(str(row.pk) for row in leads)


def begin(client: Client, where: str, **said: Any) -> Activity:
    """Ask for an action on its page; the activity that its answer leads to."""
    token = boxes(client.get(where), "ask")["token"]
    answer = client.post(where, {"token": token, **said})
    assert answer.status_code == 302, text(answer)
    assert answer["Location"].startswith("/admin/leads/activity/")
    return Activity.objects.get(pk=int(answer["Location"].split("/")[4]))


def content_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def page(client: Client, activity: Activity) -> str:
    return text(client.get(f"/admin/leads/activity/{activity.pk}/change/"))


def test_flagging_many_asks_once_says_what_would_happen_and_shows_what_did(
    browser_client: Client, lead_make: LeadMake
) -> None:
    leads = [lead_make() for _ in range(3)]
    ReasonCode.objects.create(flag="invalid", code="wrong-country", label="Outside the target countries")
    where = f"{LIST}bulk/flag/?ids={ids(leads)}&flag=invalid"
    asked = text(browser_client.get(where))
    assert "Flag: 3 leads" in asked
    assert "3 leads would be flagged." in asked
    assert "wrong-country – Outside the target countries" in asked
    assert not LeadChange.objects.exists()

    activity = begin(browser_client, where, flag="invalid", reason_code="wrong-country", comment="Not ours")
    assert not LeadChange.objects.exists()
    shown = page(browser_client, activity)
    assert "Flag invalid (wrong-country)" in shown
    assert 'hx-trigger="every 1s"' in shown
    activity_work(activity.pk)
    shown = page(browser_client, activity)
    assert "Of 3 leads: 3 done." in shown
    assert "every 1s" not in shown
    assert set(Lead.objects.values_list("flag", "reason_code", "flagged_by")) == {("invalid", "wrong-country", "erin")}


def test_the_list_leads_from_ticked_leads_or_all_that_match_to_the_page_that_asks(
    browser_client: Client, lead_make: LeadMake
) -> None:
    some = [lead_make(), lead_make()]
    ticked = {"action": "flag", "_selected_action": [lead.pk for lead in some], "select_across": "0"}
    answer = browser_client.post(LIST, ticked)
    assert answer["Location"] == f"{LIST}bulk/flag/?ids={ids(some)}"

    for _ in range(58):
        lead_make()
    other = lead_make(status="invalid")
    where = browser_client.post(
        f"{LIST}?status__exact=valid", {"action": "flag", "_selected_action": some[0].pk, "select_across": "1"}
    )["Location"]
    assert "Flag: 60 leads" in text(browser_client.get(where))
    activity = begin(browser_client, where, flag="test")
    late = lead_make()
    activity_work(activity.pk)
    assert Lead.objects.filter(flag="test").count() == 60
    assert set(Lead.objects.filter(flag="").values_list("pk", flat=True)) == {other.pk, late.pk}


def test_two_clicks_on_one_page_are_one_activity(browser_client: Client, lead_make: LeadMake) -> None:
    where = f"{LIST}bulk/flag/?ids={lead_make().pk}"
    said = {"token": boxes(browser_client.get(where), "ask")["token"], "flag": "valid"}
    first, second = browser_client.post(where, said), browser_client.post(where, said)
    assert first["Location"] == second["Location"]
    assert Activity.objects.count() == 1


def test_an_error_keeps_what_was_typed_and_changes_nothing(browser_client: Client, lead_make: LeadMake) -> None:
    where = f"{LIST}bulk/flag/?ids={lead_make().pk}"
    answer = browser_client.post(where, {"token": "t", "comment": "Typed with care", "own_reason": "x" * 201})
    shown = text(answer)
    assert answer.status_code == 200
    assert "Typed with care" in shown
    assert "Choose one." in shown
    assert 'value="t"' in shown
    assert not Activity.objects.exists()


def test_a_reason_in_own_words_takes_the_codes_place_and_a_code_of_another_flag_is_left_out(
    browser_client: Client, lead_make: LeadMake
) -> None:
    ReasonCode.objects.create(flag="invalid", code="wrong-country")
    where = f"{LIST}bulk/flag/?ids={lead_make().pk}"
    own = begin(browser_client, where, flag="invalid", reason_code="wrong-country", own_reason="Asked us to stop")
    assert own.params["reason_code"] == "Asked us to stop"
    other = begin(browser_client, where, flag="returned", reason_code="wrong-country")
    assert other.params["reason_code"] == ""


def test_delivering_tells_before_it_sends_what_can_not_be_sent_and_why(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake, switched_on: Integration
) -> None:
    fresh, pending, sent = lead_make(), lead_make(status="pending"), lead_make()
    delivery_make(sent, state="delivered")
    where = f"{LIST}bulk/deliver/?ids={ids([fresh, pending, sent])}"
    asked = text(browser_client.get(where))
    assert "Acme EU (Spring webinar)" in asked
    assert "1 lead would be sent." in asked
    assert "2</span> can’t:" in asked
    assert "already handed to Acme EU" in asked
    assert "still pending" in asked

    activity = begin(browser_client, where, integrations=[switched_on.pk])
    activity_work(activity.pk)
    assert fresh.deliveries.get().state == "queued"
    shown = page(browser_client, activity)
    assert "Deliver to Acme EU" in shown
    assert "1 done, 2 left out" in shown


def test_what_would_happen_is_told_anew_as_the_page_is_filled_in(
    browser_client: Client, lead_make: LeadMake, switched_on: Integration
) -> None:
    other = Integration.objects.create(
        campaign=switched_on.campaign, name="Northwind", connector="convertr_connect", state="on"
    )
    where = f"{LIST}bulk/deliver/?ids={lead_make().pk}"
    assert "Choose at least one integration." in text(browser_client.get(where))
    told = browser_client.post(where, {"integrations": [other.pk]}, headers=HTMX)
    assert "1 lead would be sent." in text(told)
    assert "<html" not in text(told)
    assert not Activity.objects.exists()


def test_without_an_integration_delivering_says_what_to_do_first(browser_client: Client, lead_make: LeadMake) -> None:
    shown = text(browser_client.get(f"{LIST}bulk/deliver/?ids={lead_make().pk}"))
    assert "Add one, configure it, and switch it on first." in shown


def test_one_that_runs_is_cancelled_and_says_what_is_left(browser_client: Client, lead_make: LeadMake) -> None:
    activity = begin(browser_client, f"{LIST}bulk/flag/?ids={ids([lead_make(), lead_make()])}", flag="valid")
    where = f"/admin/leads/activity/{activity.pk}"
    assert f"{where}/cancel/" in page(browser_client, activity)
    assert browser_client.get(f"{where}/cancel/").status_code == 405
    browser_client.post(f"{where}/cancel/")
    activity_work(activity.pk)
    shown = page(browser_client, activity)
    assert "Cancelled" in shown
    assert not LeadChange.objects.exists()


def failed_activity(leads: list[Lead]) -> Activity:
    activity = Activity.objects.create(
        kind="flag", params={"flag": "valid"}, by="erin", token="f", state="done", total=2, done=1, failed=1
    )
    for lead, state in zip(leads, ("done", "failed"), strict=True):
        ActivityItem.objects.create(
            activity=activity, subject=lead.pk, lead=lead, state=state, words=f"It {state} <b>here</b>."
        )
    return activity


def test_what_failed_comes_first_can_be_downloaded_and_is_retried_once(
    browser_client: Client, lead_make: LeadMake
) -> None:
    good, bad = lead_make(), lead_make()
    activity = failed_activity([good, bad])
    shown = page(browser_client, activity)
    assert shown.index("It failed &lt;b&gt;here") < shown.index("It done &lt;b&gt;here")
    assert "Done, 1 failed" in shown
    where = f"/admin/leads/activity/{activity.pk}"
    only = text(browser_client.get(f"{where}/change/?state=failed"))
    assert "It done" not in only
    file = content_of(browser_client.get(f"{where}/failed.csv/")).decode()
    assert f"{bad.pk},{bad.hash.hex},It failed" in file
    assert str(good.hash.hex) not in file

    retry = {"token": "again"}
    first, second = browser_client.post(f"{where}/retry/", retry), browser_client.post(f"{where}/retry/", retry)
    assert first["Location"] == second["Location"]
    again = Activity.objects.exclude(pk=activity.pk).get()
    activity_work(again.pk)
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (good.flag, bad.flag) == ("", "valid")


def test_the_part_that_is_asked_for_each_second_stops_asking_and_renews_the_buttons_when_it_ends(
    browser_client: Client, lead_make: LeadMake
) -> None:
    activity = begin(browser_client, f"{LIST}bulk/flag/?ids={lead_make().pk}", flag="valid")
    where = f"/admin/leads/activity/{activity.pk}/progress/?was=preparing"
    waiting = text(browser_client.get(where))
    assert "every 1s" in waiting
    assert "activity-buttons" not in waiting
    activity_work(activity.pk)
    ended = text(browser_client.get(where))
    assert "every 1s" not in ended
    assert "activity-buttons" in ended
    assert "Of 1 lead: 1 done." in ended


def test_activities_are_found_again_in_their_list_without_a_query_per_row(
    browser_client: Client, lead_make: LeadMake, django_assert_max_num_queries: Any, switched_on: Integration
) -> None:
    for number in range(30):
        Activity.objects.create(
            kind="deliver", params={"integrations": [switched_on.pk]}, by="erin", token=str(number), state="done"
        )
    with django_assert_max_num_queries(12):
        shown = text(browser_client.get("/admin/leads/activity/"))
    assert "Deliver to Acme EU" in shown
    assert "Activity" in shown


@pytest.fixture
def person(client: Client, db: None) -> Callable[..., Client]:
    """Signs somebody in who is of a group and has some rights besides."""

    def make(group: str, *rights: str) -> Client:
        user = User.objects.create_user(f"{group} {len(rights)}", password="a-long-password-1", is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        for right in rights:
            user.user_permissions.add(Permission.objects.get(codename=right))
        client.force_login(user)
        return client

    return make


def test_each_address_asks_for_its_right(person: Callable[..., Client], lead_make: LeadMake) -> None:
    lead = lead_make()
    activity = failed_activity([lead, lead_make()])
    viewer = person("Viewer")
    for name in ("flag", "deliver", "resend", "mark_delivered", "mark_undelivered", "export", "erase"):
        assert viewer.get(f"{LIST}bulk/{name}/?ids={lead.pk}").status_code == 403, name
    for name in ("release", "replay"):
        assert viewer.get(f"/admin/integrations/delivery/bulk/{name}/?ids=1").status_code == 403, name
    for name in ("cancel", "retry", "take"):
        assert viewer.post(f"/admin/leads/activity/{activity.pk}/{name}/").status_code == 403, name
    assert "bulk/" not in text(viewer.get(f"{LIST}{lead.pk}/change/"))

    manager = person("Account manager")
    assert manager.get(f"{LIST}bulk/flag/?ids={lead.pk}").status_code == 200
    assert manager.get(f"{LIST}bulk/export/?ids={lead.pk}").status_code == 403
    assert manager.get(f"{LIST}bulk/erase/?ids={lead.pk}").status_code == 403
    assert manager.get(f"{LIST}bulk/nonsense/?ids={lead.pk}").status_code == 404
    with_both = person("Account manager", "export_lead", "erase_lead")
    assert with_both.get(f"{LIST}bulk/export/?ids={lead.pk}").status_code == 200
    assert with_both.get(f"{LIST}bulk/erase/?ids={lead.pk}").status_code == 200


def test_who_may_not_see_personal_data_sees_an_activity_without_it_and_exports_masked(
    person: Callable[..., Client], lead_make: LeadMake
) -> None:
    lead = lead_make(values={"firstName": "Adelheid", "email": "adelheid@example.test"})
    activity = failed_activity([lead, lead_make()])
    viewer = person("Viewer", "export_lead", "view_activity")
    shown = page(viewer, activity)
    assert "It failed" in shown
    assert "Adelheid" not in shown
    assert "adelheid@" not in shown
    content = content_of(taken(viewer, f"{LIST}bulk/export/?ids={lead.pk}", "csv")).decode()
    assert lead.hash.hex in content
    assert "adelheid@" not in content


def taken(client: Client, where: str, kind: str) -> Any:
    """The file of an export, once it has been worked."""
    activity = begin(client, where, format=kind)
    assert client.get(reverse("admin:leads_activity_file", args=[activity.pk])).status_code == 404
    activity_work(activity.pk)
    return client.get(reverse("admin:leads_activity_file", args=[activity.pk]))


def test_what_was_erased_since_is_not_in_the_file_of_an_export(browser_client: Client, lead_make: LeadMake) -> None:
    lead = lead_make(values={"email": "adelheid@example.test"}, processed_at="2026-01-01T00:00:00Z")
    activity = begin(browser_client, f"{LIST}bulk/export/?ids={lead.pk}", format="csv")
    activity_work(activity.pk)
    activity_work(begin(browser_client, f"{LIST}bulk/erase/?ids={lead.pk}", sure="on").pk)
    content = content_of(browser_client.get(reverse("admin:leads_activity_file", args=[activity.pk])))
    assert lead.hash.hex in content.decode()
    assert "adelheid@" not in content.decode()


def test_an_export_is_a_file_of_what_the_list_shows_and_stands_in_the_history(
    browser_client: Client, lead_make: LeadMake
) -> None:
    lead, other = lead_make(), lead_make(status="invalid")
    for kind, start in (("csv", b"\xef\xbb\xbfid"), ("xlsx", b"PK")):
        answer = taken(browser_client, f"{LIST}bulk/export/?all=1&status__exact=valid", kind)
        content = content_of(answer)
        assert content.startswith(start)
        assert f".{kind}" in answer["Content-Disposition"]
        if kind == "csv":
            assert lead.hash.hex in content.decode()
            assert other.hash.hex not in content.decode()
    assert list(LogEntry.objects.values_list("object_repr", flat=True)) == ["1 lead", "1 lead"]


def test_erasing_is_done_only_after_a_tick(browser_client: Client, lead_make: LeadMake) -> None:
    lead = lead_make(processed_at="2026-01-01T00:00:00Z")
    where = f"{LIST}bulk/erase/?ids={lead.pk}"
    refused = text(browser_client.post(where, {"token": "t"}))
    assert "Tick that you are sure." in refused
    activity_work(begin(browser_client, where, sure="on").pk)
    lead.refresh_from_db()
    assert lead.values == {}


def test_what_waits_is_released_and_what_was_given_up_is_sent_again(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    held, done = delivery_make(lead_make(), state="held"), delivery_make(lead_make(), state="delivered")
    where = "/admin/integrations/delivery/bulk"
    asked = text(browser_client.get(f"{where}/release/?ids={ids([held, done])}"))
    assert "1 delivery would be sent." in asked
    assert "it does not wait: delivered" in asked
    activity_work(begin(browser_client, f"{where}/release/?ids={ids([held, done])}").pk)
    held.refresh_from_db()
    assert held.state == "queued"
    assert "1 delivery would be replayed." in text(browser_client.get(f"{where}/replay/?ids={done.pk}"))
    then = text(browser_client.post(f"{where}/replay/?ids={done.pk}", {"token": "t", "mapping": "then"}))
    assert "There is nothing to do" in then
    assert "the mapping that it went out with is not kept" in then
    activity_work(begin(browser_client, f"{where}/replay/?ids={done.pk}", mapping="now").pk)
    assert Delivery.objects.filter(lead=done.lead, resend=True).count() == 1


def test_a_leads_page_leads_to_the_actions_and_back_and_tells_of_those_that_it_was_part_of(
    browser_client: Client, lead_make: LeadMake
) -> None:
    lead = lead_make()
    shown = text(browser_client.get(f"{LIST}{lead.pk}/change/"))
    assert f"{LIST}bulk/flag/?ids={lead.pk}&amp;from=page&amp;flag=invalid" in shown
    asked = browser_client.get(f"{LIST}bulk/flag/?ids={lead.pk}&from=page&flag=invalid")
    assert asked.context["back"] == f"{LIST}{lead.pk}/change/"
    activity_work(begin(browser_client, f"{LIST}bulk/flag/?ids={lead.pk}", flag="invalid").pk)
    shown = text(browser_client.get(f"{LIST}{lead.pk}/change/"))
    assert "Part of a bulk action by erin: Flag invalid" in shown


def test_odd_addresses_are_no_error_of_ours(browser_client: Client, lead_make: LeadMake) -> None:
    lead = lead_make()
    for where, status in {
        f"{LIST}bulk/flag/?ids=": 200,
        f"{LIST}bulk/flag/?ids=x,²,{lead.pk}": 200,
        f"{LIST}bulk/flag/": 200,
        f"{LIST}bulk/deliver/?ids={'9' * 18}": 200,
        f"{LIST}?campaign__id__exact=x&integration=²&delivery=nonsense&created_at_from=yesterday": 200,
        "/admin/leads/activity/1/change/": 404,
        "/admin/leads/activity/x/change/": 404,
        f"/admin/leads/activity/{'9' * 30}/progress/": 404,
        f"{LIST}import/{'9' * 30}/": 404,
        f"/admin/integrations/reasontranslation/of/{'9' * 30}/": 404,
        "/admin/integrations/delivery/bulk/flag/?ids=1": 404,
    }.items():
        assert browser_client.get(where).status_code == status, where


def test_a_viewer_looks_at_every_list_and_is_offered_nothing_that_changes(
    person: Callable[..., Client], lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    delivery = delivery_make(lead_make(), state="held", reason="Ada is known")
    viewer = person("Viewer")
    for where in (
        LIST,
        f"{LIST}{delivery.lead_id}/change/",
        "/admin/integrations/delivery/",
        f"/admin/integrations/delivery/{delivery.pk}/change/",
        "/admin/leads/reasoncode/",
    ):
        shown = text(viewer.get(where))
        assert "ada@example.test" not in shown, where
        assert "Ada is known" not in shown, where
        assert "/bulk/" not in shown, where
        assert 'name="action"' not in shown, where
