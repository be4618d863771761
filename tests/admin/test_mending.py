"""A client's business no: shown with their words per field, never sent again by itself, mended and sent by a person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from integrations.models import Delivery, FieldMapping, Integration
from leads.models import Lead, LeadChange, User
from tests.admin.pages import said, text

MakeLead = Callable[..., Lead]
MakeDelivery = Callable[..., Delivery]


@pytest.fixture
def refused(integration: Integration, lead_make: MakeLead, delivery_make: MakeDelivery) -> Delivery:
    FieldMapping.objects.create(
        integration=integration, remote_key="form[workMail]", source="field", value="email", remote_label="Work e-mail"
    )
    return delivery_make(
        lead_make(values={"country": "Germany"}),
        state="refused",
        reason="The client's instance refused the lead.",
        problems=[["form[workMail]", "This address is not known."], ["", "Too few points."]],
    )


def mend(delivery: Delivery) -> str:
    return reverse("admin:integrations_delivery_mend", args=[delivery.pk])


def filled(client: Client, delivery: Delivery, **values: str) -> dict[str, str]:
    form: Any = client.get(mend(delivery)).context["form"]
    keys = {box.key: f"value-{place}" for place, box in enumerate(form.boxes)}
    return {keys[box.key]: values.get(box.key, box.value) for box in form.boxes}


def test_a_refused_lead_shows_the_client_s_words_at_the_value_they_are_about(
    browser_client: Client, refused: Delivery
) -> None:
    where = text(browser_client.get(reverse("admin:integrations_delivery_change", args=[refused.pk])))
    assert mend(refused) in where
    assert mend(refused) in text(browser_client.get(reverse("admin:leads_lead_change", args=[refused.lead_id])))
    shown = text(browser_client.get(mend(refused)))
    assert "The client says: This address is not known." in shown
    assert "Too few points." in shown.split("The client also says")[1]


def test_mended_values_stand_in_the_history_and_go_out_under_a_new_key_once(
    browser_client: Client, refused: Delivery
) -> None:
    posted = filled(browser_client, refused, email="ada@known.test")
    first = browser_client.post(mend(refused), posted, follow=True)
    assert "On its way to Acme EU again." in said(first)
    again = Delivery.objects.latest("pk")
    assert (again.state, again.resend, again.key != refused.key) == ("queued", True, True)
    refused.refresh_from_db()
    assert refused.state == "refused"
    lead = Lead.objects.get(deliveries=refused)
    assert (lead.values["email"], lead.email_key) == ("ada@known.test", "ada@known.test")
    change = LeadChange.objects.get(lead=lead, kind="appended")
    assert (change.data, change.by) == ({"email": "ada@known.test"}, "erin")

    second = browser_client.post(mend(refused), posted, follow=True)
    assert "sent there again since" in said(second)
    assert Delivery.objects.count() == 2


def test_a_value_that_does_not_fit_its_field_is_told_and_nothing_goes_out(
    browser_client: Client, refused: Delivery
) -> None:
    response = browser_client.post(mend(refused), filled(browser_client, refused, email="no address"), follow=True)
    assert "Nothing is saved or sent." in said(response)
    assert "no address" in text(response)
    assert Delivery.objects.count() == 1
    assert not LeadChange.objects.filter(kind="appended").exists()


def test_where_the_mapping_was_at_fault_it_is_sent_again_with_the_values_it_has(
    browser_client: Client, refused: Delivery
) -> None:
    browser_client.post(mend(refused), filled(browser_client, refused))
    assert Delivery.objects.latest("pk").state == "queued"
    assert not LeadChange.objects.filter(kind="appended").exists()


def test_what_waits_for_a_value_goes_out_itself_for_the_client_never_had_it(
    browser_client: Client, refused: Delivery
) -> None:
    Delivery.objects.update(state="held", next_try_at=None, problems=[["form[workMail]", "It has no value."]])
    browser_client.post(mend(refused), filled(browser_client, refused, email="ada@known.test"))
    refused.refresh_from_db()
    assert (refused.state, Delivery.objects.count()) == ("queued", 1)


@pytest.mark.parametrize("state", ["queued", "sending", "delivered", "unknown"])
def test_what_is_on_its_way_or_may_have_arrived_is_not_mended(
    browser_client: Client, refused: Delivery, state: str
) -> None:
    Delivery.objects.update(state=state)
    assert "can’t be mended" in said(browser_client.get(mend(refused), follow=True))


def test_who_may_not_see_personal_data_may_not_mend(client: Client, refused: Delivery) -> None:
    viewer = User.objects.create_user("vera", "vera@example.test", "a-long-password-1", is_staff=True)
    client.force_login(viewer)
    assert client.get(mend(refused)).status_code == 403
