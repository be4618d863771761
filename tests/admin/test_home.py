"""Home: what needs a person, first; then figures and charts, each with its table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.models import Delivery, Integration, ReasonTranslation, StatusUpdate
from leads.models import Campaign, Lead, ReasonCode
from tests.admin.pages import text


def _needs(client: Client) -> list[str]:
    needs = client.get("/admin/").context["needs"]
    return [f"{need.subject}: {need.words} [{need.button}]" for need in needs]


def test_home_says_when_nothing_needs_a_person(browser_client: Client, campaign: Campaign) -> None:
    assert "Nothing needs you" in text(browser_client.get("/admin/"))


def test_deliveries_that_wait_are_sentences_by_integration_and_cause_with_a_button_to_them(
    browser_client: Client,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
    switched_on: Integration,
) -> None:
    for state, reason in (
        ("held", "Waiting: Postcode has no value."),
        ("held", "Waiting: Postcode has no value."),
        ("held", "Waiting: Country maps to none of theirs."),
        ("unknown", ""),
        ("exhausted", "Given up after 11 tries. acme.cvtr.io has not answered."),
        ("refused", "No."),
        ("delivered", ""),
        ("queued", ""),
    ):
        delivery_make(lead_make(), state=state, reason=reason)
    assert _needs(browser_client) == [
        "Acme EU (Spring webinar): 1 lead was given up: acme.cvtr.io has not answered. [Look]",
        "Acme EU (Spring webinar): 2 leads wait: Postcode has no value. [Look]",
        "Acme EU (Spring webinar): 1 lead waits: Country maps to none of theirs. [Look]",
        "Acme EU (Spring webinar): 1 lead is in doubt: sent, but no answer came [Look]",
    ]
    held = browser_client.get("/admin/").context["needs"][1].link
    assert browser_client.get(held).context["cl"].result_count == 3


def test_every_figure_leads_to_as_many_rows_as_it_says(
    browser_client: Client,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
    switched_on: Integration,
    campaign: Campaign,
) -> None:
    now = timezone.now()
    old = now - dt.timedelta(days=9)
    other = Campaign.objects.create(advertiser=campaign.advertiser, name="Autumn webinar")
    elsewhere = Integration.objects.create(campaign=other, name="Northwind", connector="convertr_connect", state="on")
    own = Integration.objects.create(campaign=campaign, name="Told", connector="webhook", managed=True)

    def made(
        verdict: str = "", at: dt.datetime = now, integration: Integration = switched_on, test: bool = False
    ) -> None:
        lead = lead_make(campaign=integration.campaign)
        delivery = delivery_make(lead, state="delivered", delivered_at=at, integration=integration, test=test)
        Delivery.objects.filter(pk=delivery.pk).update(verdict=verdict, decided_at=at if verdict else None)

    for verdict in ("valid", "valid", "invalid", ""):
        made(verdict)
    made("valid", at=old)
    made("valid", test=True)
    made("valid", integration=elsewhere)
    made("", integration=own)
    for state in ("queued", "held", "held"):
        delivery_make(lead_make(), state=state)
    for more in ({"status": "test"}, {"status": "invalid"}, {"created_at": old}):
        lead_make(**more)

    def rows(link: str) -> int:
        answer = browser_client.get(link)
        assert answer.status_code == 200, link
        return int(answer.context["cl"].result_count)

    pages = {f"/admin/leads/campaign/{campaign.pk}/change/": (10, 9, 4, 2), "/admin/": (11, 10, 5, 3)}
    for page, (leads, valid, delivered, valid_for_clients) in pages.items():
        context = browser_client.get(page).context
        found = {figure.label: (figure.number, rows(figure.link)) for figure in context["figures"]}
        assert found == {
            "Leads received": (f"{leads + 1}", leads + 1),
            "Judged valid": (f"{round(100 * (valid + 1) / (leads + 1))} %", valid + 1),
            "Delivered": (f"{delivered}", delivered),
            "Valid for the clients": (
                f"{round(100 * valid_for_clients / (valid_for_clients + 1))} %",
                valid_for_clients,
            ),
        }
        for share in context["shares"]:
            assert rows(share.link) == share.whole, share
    shown = text(browser_client.get(f"/admin/leads/campaign/{campaign.pk}/processr/"))
    for state, count in (("queued", 1), ("held", 2)):
        link = f"/admin/integrations/delivery/?integration__id__exact={switched_on.pk}&state__exact={state}"
        assert f'href="{link.replace("&", "&amp;")}">{count}</a>' in shown
        assert rows(link) == count


def test_integrations_that_stopped_drifted_fail_or_are_not_set_up_are_named_with_what_to_do(
    browser_client: Client,
    campaign: Campaign,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
) -> None:
    def make(name: str, **more: object) -> Integration:
        return Integration.objects.create(campaign=campaign, name=name, connector="convertr_connect", **more)

    stopped = make(
        "Northwind", state="needs_a_look", state_reason="Their form changed on 21 Nov.", pending_form={"a": 1}
    )
    make("Failing", state="on", failures=5, state_reason="The client's system does not answer.")
    make("New")
    paused = make("Paused", state="paused")
    make("Idle", state="paused")
    for number in range(3):
        delivery_make(lead_make(), integration=stopped if number else paused, state="held", reason="Waiting.")
    assert _needs(browser_client) == [
        "Northwind (Spring webinar): 2 leads wait. Their form changed on 21 Nov. [Review change]",
        "Failing (Spring webinar): The client's system does not answer. [Look]",
        "Paused (Spring webinar): is paused, and 1 lead waits [Open]",
        "New (Spring webinar): is not set up yet. Subdomain, API_Key, Campaign ID and 2 more are missing. [Configure]",
    ]
    # The campaign's own page says the same, without its name.
    shown = text(browser_client.get(f"/admin/leads/campaign/{campaign.pk}/change/"))
    assert "Northwind</span>: 2 leads wait. Their form changed on 21 Nov." in shown


def test_verdicts_that_contradict_and_codes_that_nobody_knows_need_a_person_too(
    browser_client: Client,
    switched_on: Integration,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
) -> None:
    ours = ReasonCode.objects.create(flag="invalid", code="DUPLICATE")
    ReasonTranslation.objects.create(connector="convertr_connect", theirs="Dupe", reason=ours)
    made = delivery_make(lead_make(), state="delivered")
    now = timezone.now()
    for place, (code, state) in enumerate(
        [("duplicate", "applied"), ("DUPE", "applied"), ("BAD_PHONE", "applied"), ("", "conflicting")]
    ):
        StatusUpdate.objects.create(
            key=f"{place}",
            delivery=made,
            verdict="invalid",
            reason_code=code,
            decided_at=now,
            via="pushed",
            state=state,
        )
    old = StatusUpdate.objects.create(
        key="old", delivery=made, verdict="invalid", decided_at=now, via="pushed", state="conflicting"
    )
    StatusUpdate.objects.filter(pk=old.pk).update(received_at=now - dt.timedelta(days=30))
    assert _needs(browser_client) == [
        "Clients say otherwise: 1 verdict contradicts what was decided here [Compare]",
        "Acme EU (Spring webinar): gives a reason that your list does not have: “BAD_PHONE” [Translate]",
    ]


def test_figures_compare_with_the_week_before_and_charts_say_the_same_as_their_tables(
    browser_client: Client,
    switched_on: Integration,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
) -> None:
    # Early in the day, so that what follows two hours later is of the same one.
    now = timezone.localtime().replace(hour=0, minute=0, second=1)
    last_week = now - dt.timedelta(days=8)
    for status, at in [("valid", now)] * 3 + [("invalid", now), ("test", now)] + [("valid", last_week)] * 2:
        lead = lead_make(status=status, created_at=at)
        if status == "valid":
            made = delivery_make(lead, state="delivered", delivered_at=at + dt.timedelta(seconds=4))
            verdict = "valid" if at == now else "invalid"
            Delivery.objects.filter(pk=made.pk).update(verdict=verdict, decided_at=at + dt.timedelta(hours=2))
    context = browser_client.get("/admin/").context
    received, judged, delivered, by_clients = context["figures"]
    assert (received.number, received.change) == ("4", "▲ 100 % (2 the week before)")
    assert (judged.number, judged.change) == ("75 %", "▼ 25 points (100 % the week before)")
    assert (delivered.number, delivered.change) == ("3", "▲ 50 % (2 the week before)")
    assert by_clients.number == "100 %"

    charts = {chart.key: chart for chart in context["charts"]}
    assert charts["leads"].rows[0][1] == ["3", "0", "1", "0"]
    assert charts["leads"].rows[8][1] == ["2", "0", "0", "0"]
    assert charts["leads"].totals == ["5", "0", "1", "0"]
    assert charts["waits"].rows[8][1] == ["4.0 s", "2 h"]
    assert "Valid 5" in charts["leads"].summary
    [share] = context["shares"]
    assert (share.name, share.note) == ("Acme EU", "Spring webinar")


def test_home_asks_as_often_for_many_campaigns_as_for_one(
    browser_client: Client,
    switched_on: Integration,
    lead_make: Callable[..., Lead],
    delivery_make: Callable[..., Delivery],
) -> None:
    def queries() -> int:
        browser_client.get("/admin/")
        with CaptureQueriesContext(connection) as caught:
            assert browser_client.get("/admin/").status_code == 200
        return len(caught)

    delivery_make(lead_make(), state="held", delivered_at=timezone.now())
    few = queries()
    for number in range(8):
        campaign = Campaign.objects.create(advertiser=switched_on.campaign.advertiser, name=f"Campaign {number}")
        made = Integration.objects.create(campaign=campaign, name="A", connector="convertr_connect", state="on")
        lead = lead_make(campaign=campaign, form=switched_on.campaign.forms.get())
        delivery_make(lead, integration=made, state="exhausted", delivered_at=timezone.now())
    assert queries() == few


def test_who_may_see_no_leads_gets_no_figures(client: Client, campaign: Campaign, django_user_model: type) -> None:
    client.force_login(django_user_model.objects.create_user("new", is_staff=True))  # type: ignore[attr-defined]
    context = client.get("/admin/").context
    assert context["needs"] == []
    assert "figures" not in context
