"""Deliveries: why they wait, grouped; and work on all that match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from integrations.bulk import activity_work
from integrations.models import Delivery
from leads.models import Activity, Lead, User
from tests.admin.pages import boxes, text

LeadMake = Callable[..., Lead]
DeliveryMake = Callable[..., Delivery]
LIST = "/admin/integrations/delivery/"


def found(client: Client, **asked: Any) -> set[int]:
    answer = client.get(LIST, asked)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


def test_what_waits_is_grouped_by_its_cause_and_one_cause_is_released_as_a_whole(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    changed = [delivery_make(lead_make(), state="held", reason="Their form <b>changed</b>") for _ in range(3)]
    capped = delivery_make(lead_make(), state="held", reason="The cap of today is reached")
    delivery_make(lead_make(), state="delivered")
    answer = browser_client.get(LIST)
    causes = answer.context["causes"]
    assert [(cause["words"], cause["number"]) for cause in causes] == [
        ("Their form <b>changed</b>", 3),
        ("The cap of today is reached", 1),
    ]
    assert "Their form &lt;b&gt;changed" in text(answer)
    where = f"{LIST}?{causes[0]['query']}"
    only = browser_client.get(where)
    assert {row.pk for row in only.context["cl"].result_list} == {row.pk for row in changed}
    assert "Cause: Their form &lt;b&gt;changed" in text(only)

    page = browser_client.post(where, {"action": "release", "_selected_action": changed[0].pk, "select_across": "1"})[
        "Location"
    ]
    asked = browser_client.get(page)
    assert "3 deliveries would be sent." in text(asked)
    browser_client.post(page, {"token": boxes(asked, "ask")["token"]})
    activity_work(Activity.objects.get().pk)
    assert set(Delivery.objects.filter(state="queued").values_list("pk", flat=True)) == {row.pk for row in changed}
    capped.refresh_from_db()
    assert capped.state == "held"


def test_deliveries_are_found_by_state_verdict_number_lead_and_reference(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    one = delivery_make(lead_make(), state="refused", reference="ref-1")
    two = delivery_make(lead_make(), state="delivered", verdict="invalid", reference="ref-2")
    assert found(browser_client, state__exact="refused") == {one.pk}
    assert found(browser_client, verdict__exact="invalid") == {two.pk}
    assert found(browser_client, integration__id__exact=one.integration_id) == {one.pk, two.pk}
    assert found(browser_client, kind__exact="status") == set()
    assert found(browser_client, q="ref-2") == {two.pk}
    assert found(browser_client, q=str(one.pk)) == {one.pk}
    assert found(browser_client, created_at_to="2001-01-01") == set()


def test_who_may_not_see_personal_data_is_shown_no_words_of_clients_and_can_not_search_them(
    client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    delivery = delivery_make(lead_make(), state="held", reason="Ada Lovelace is known already")
    viewer = User.objects.create_user("vera", password="a-long-password-1", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(viewer)
    assert "Lovelace" not in text(client.get(LIST))
    assert found(client, cause="something else") == {delivery.pk}


def test_a_deliverys_page_offers_what_can_be_done_with_it(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    held, done = delivery_make(lead_make(), state="held"), delivery_make(lead_make(), state="delivered")
    shown = text(browser_client.get(f"{LIST}{held.pk}/change/"))
    assert f"bulk/release/?ids={held.pk}" in shown
    assert "bulk/replay/" not in shown
    shown = text(browser_client.get(f"{LIST}{done.pk}/change/"))
    assert f"bulk/replay/?ids={done.pk}" in shown
    assert "bulk/release/" not in shown
