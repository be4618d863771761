"""Comparing both sides from the console: asked for once, found again under Activity."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from integrations.bulk import activity_work
from integrations.models import Delivery, Integration
from leads.models import Activity, Campaign, Lead, User
from tests.admin.pages import boxes, text


def page(integration: Integration) -> str:
    return reverse("admin:integrations_integration_compare", args=[integration.pk])


@pytest.fixture
def integration(campaign: Campaign) -> Integration:
    return Integration.objects.create(campaign=campaign, name="Acme EU", connector="convertr_connect", state="on")


def test_a_comparison_is_begun_from_the_integration_s_menu_and_shows_what_is_left(
    browser_client: Client, integration: Integration, lead_make: Callable[..., Lead]
) -> None:
    campaign = reverse("admin:leads_campaign_jobs", args=[integration.campaign_id, "integrations"])
    assert page(integration) in browser_client.get(campaign).content.decode()
    lead = lead_make()
    Delivery.objects.create(key=lead.hash, integration=integration, kind="lead", lead=lead, state="delivered")
    form = boxes(browser_client.get(page(integration)), "ask")
    assert str(integration.pk) in form["integrations"]
    asked = {"token": form["token"], "integrations": [integration.pk], "days": "7"}
    answers = [browser_client.post(page(integration), asked) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 302]
    activity = Activity.objects.get()
    activity_work(activity.pk)
    shown = text(browser_client.get(answers[0]["Location"]))
    assert "Compare with Acme EU" in shown
    assert "To look at" in shown
    assert "Failed" not in shown
    assert "1 compared: 0 equal, 0 changed, 0 differ and are left for a person, 1 not answered." in shown
    assert "Delivered, but the client gave no id: it can’t be asked about." in shown


def test_one_that_chooses_no_integration_is_told_so(browser_client: Client, integration: Integration) -> None:
    token = boxes(browser_client.get(page(integration)), "ask")["token"]
    answer = browser_client.post(page(integration), {"token": token, "days": "7"})
    assert "Choose at least one integration." in text(answer)
    assert not Activity.objects.exists()


def test_a_viewer_can_not_begin_one(client: Client, integration: Integration) -> None:
    viewer = User.objects.create_user("vi", "vi@example.test", "a-long-password-1", is_staff=True)
    viewer.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(viewer)
    assert client.get(page(integration)).status_code == 403
