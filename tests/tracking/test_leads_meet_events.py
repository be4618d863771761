"""Leads as events: whose they are, what is told of them, once and never more, and nothing where it is not wanted."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from integrations.bulk import activity_work, bulk_start
from integrations.dispatch import integration_deliver
from integrations.judging.held import leads_push_on
from integrations.models import Attempt, Delivery
from integrations.processr import leads_process
from integrations.selections import LeadSelection
from integrations.tracked_events.kept import person_erase
from integrations.tracked_events.routing import events_route
from leads import status
from leads.forms import email_key
from leads.models import (
    Arrival,
    Campaign,
    CampaignPublisher,
    Event,
    Flag,
    Form,
    Held,
    Lead,
    LeadChange,
    LeadEvents,
    PersonEvent,
    Publisher,
    Source,
    Status,
    User,
)
from leads.models.lead import Via
from leads.status import FlagChange, leads_flag
from leads.tracking.lead_events import leads_changed
from tests.receiving.conftest import GOOD, Instance
from tests.receiving.conftest import Client as Publishing
from tests.receiving.conftest import instance as instance
from tests.tracking.conftest import said
from tests.tracking.destinations import Destination
from tests.tracking.test_routing import convertro, destination

pytestmark = pytest.mark.django_db


@pytest.fixture
def on(source: Source) -> LeadEvents:
    """The campaign tracks all that its leads come to."""
    return LeadEvents.objects.create(
        campaign=source.campaign, source=source, received=True, valid=True, invalid=True, returned=True
    )


def make_lead(campaign: Campaign, **given: Any) -> Lead:
    form, _ = Form.objects.get_or_create(name="Whitepaper")
    publisher, _ = Publisher.objects.get_or_create(name="Reach")
    CampaignPublisher.objects.get_or_create(campaign=campaign, publisher=publisher)
    values = {"email": "Ada@Example.test", "firstName": "Augusta"}
    row = {"values": values, "status": Status.PENDING, "email_key": email_key(["email"], values), **given}
    return Lead.objects.create(
        hash=uuid.uuid4(), campaign=campaign, publisher=publisher, form=form, form_version=1, **row
    )


def flag(lead: Lead, flag: Flag, reason_code: str = "", **given: Any) -> None:
    leads_flag({lead.pk: FlagChange(flag=flag, reason_code=reason_code, via=Via.CLIENT, **given)})


def tracked() -> list[Event]:
    """The leads' events, in their order."""
    return list(Event.objects.filter(name__startswith="Lead ").order_by("pk"))


def names() -> list[str]:
    return [event.name for event in tracked()]


# --- whose it is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identify", "posted", "ids"),
    [
        ({"userId": "u1"}, {"userId": "u1"}, {"userId": "u1"}),
        ({"userId": "u1"}, {"userId": "new"}, {"userId": "new"}),
        ({"userId": "u1", "anonymousId": "a1"}, {"anonymousId": "a1"}, {"userId": "u1", "anonymousId": "a1"}),
        ({"anonymousId": "a1"}, {"anonymousId": "a1"}, {"anonymousId": "a1"}),
        ({"userId": "u1", "traits": {"email": "ADA@example.test"}}, None, {"userId": "u1"}),
        ({"anonymousId": "a1", "traits": {"email": "ada@example.test"}}, None, {"anonymousId": "a1"}),
        ({"userId": "ada@example.test"}, None, {"userId": "ada@example.test"}),
        ({"userId": "Ada@Example.test"}, None, {"userId": "Ada@Example.test"}),
    ],
)
def test_a_lead_is_tied_to_its_user_by_posted_ids_or_by_its_e_mail_address(
    source: Source, on: LeadEvents, identify: dict[str, Any], posted: dict[str, str] | None, ids: dict[str, str]
) -> None:
    (of_user,) = said(source, {"type": "identify", **identify})
    lead = make_lead(source.campaign, visitor=posted)
    leads_process()
    flag(lead, Flag.VALID)
    events_route()
    validated = tracked()[-1]
    assert validated.name == "Lead Validated"
    assert {name: validated.data[name] for name in ("userId", "anonymousId") if name in validated.data} == ids
    if posted != {"userId": "new"}:
        persons = {PersonEvent.objects.get(event=event).person_id for event in (of_user, validated)}
        assert len(persons) == 1


def test_who_posts_another_persons_e_mail_address_does_not_become_that_person(source: Source, on: LeadEvents) -> None:
    said(source, {"type": "identify", "userId": "u1", "traits": {"email": "ada@example.test"}})
    make_lead(source.campaign, visitor={"anonymousId": "somebody"})
    leads_process()
    assert "userId" not in tracked()[0].data


def test_a_lead_of_nobody_known_is_not_sent_and_its_page_says_why(
    source: Source, on: LeadEvents, client: Client
) -> None:
    destination(source.campaign)
    lead = make_lead(source.campaign)
    leads_process()
    flag(lead, Flag.VALID)
    events_route()
    assert names() == ["Lead Received", "Lead Validated"]
    assert not Delivery.objects.filter(kind="event").exists()
    client.force_login(User.objects.create_superuser("sam"))
    page = client.get(f"/admin/leads/lead/{lead.pk}/change/").content.decode()
    assert "Not tracked as Lead Validated" in page
    assert "No userId, anonymousId or known e-mail address came with the lead." in page
    shown = client.get(f"/admin/leads/source/{source.pk}/events/").json()["events"][0]
    assert shown["became"][0]["word"] == "Nobody known"
    assert f"/admin/leads/lead/{lead.pk}/change/" in client.get(shown["address"]).content.decode()


def test_a_form_posts_the_visitors_ids_and_stays_as_strict_as_it_was(
    server: str, instance: Instance, live_events: LeadEvents
) -> None:
    publisher = Publishing(server, instance)
    ids = {"anonymousId": " a1 ", "userId": "u1"}
    lead_id = publisher.send({**GOOD, **ids}).json()["data"]
    assert Lead.objects.get(pk=lead_id).visitor == {"anonymousId": "a1", "userId": "u1"}
    assert "anonymousId" not in Lead.objects.get(pk=lead_id).values
    # What is no id is left out; the lead is taken all the same.
    for bad in ("", "x" * 300, "a\0b"):
        answer = publisher.send({**GOOD, "anonymousId": bad})
        assert answer.status_code == 201
        assert Lead.objects.get(pk=answer.json()["data"]).visitor is None
    # In form[…] these are names as any other.
    assert publisher.send({**GOOD, "form[anonymousId]": "a1"}).status_code == 400
    assert publisher.send({**GOOD, "anonymous_id": "a1"}).status_code == 400
    leads_process()
    events_route()
    assert [event.data["userId"] for event in tracked() if not event.problem] == ["u1"]


@pytest.fixture
def live_events(instance: Instance) -> LeadEvents:
    source = Source.objects.create(campaign=instance.campaign, name="Site")
    return LeadEvents.objects.create(campaign=instance.campaign, source=source, received=True)


# --- what is told ---------------------------------------------------------------------------------------------


def test_each_change_is_an_event_a_flip_is_a_new_one_and_a_repeat_is_none(source: Source, on: LeadEvents) -> None:
    lead = make_lead(source.campaign, visitor={"userId": "u1"})
    leads_process()
    flag(lead, Flag.VALID)
    flag(lead, Flag.VALID)
    flag(lead, Flag.VALID, "Meeting booked")
    flag(lead, Flag.INVALID, "Wrong details")
    flag(lead, Flag.VALID)
    flag(lead, Flag.RETURNED, "Duplicate")
    assert names() == ["Lead Received", "Lead Validated", "Lead Invalidated", "Lead Validated", "Lead Returned"]
    assert len({event.message_id for event in tracked()}) == 5
    assert [event.data["properties"].get("reason_code") for event in tracked()] == [
        None, None, "Wrong details", None, "Duplicate",
    ]  # fmt: skip


def test_what_the_processr_makes_invalid_is_told_and_a_flag_that_says_the_same_is_not(
    source: Source, on: LeadEvents
) -> None:
    lead = make_lead(source.campaign, visitor={"userId": "u1"})
    failed = [{"job": None, "name": "Telephone", "reason": "Telephone check"}]
    status.leads_judge({lead.pk: status.Judgement(Status.INVALID, failed)}, tell={lead.pk: False})
    flag(lead, Flag.INVALID, "Wrong details")
    assert names() == ["Lead Received", "Lead Invalidated"]
    assert tracked()[1].data["properties"]["decided_by"] == "processr"
    flag(lead, Flag.VALID)
    assert names()[2:] == ["Lead Validated"]


def test_who_accepts_a_lead_out_of_caution_says_that_it_is_valid_and_a_flag_says_nothing_new(
    source: Source, on: LeadEvents, client: Client
) -> None:
    lead, capped = make_lead(source.campaign, visitor={"userId": "u1"}), make_lead(source.campaign)
    waits = {
        lead.pk: status.Judgement(Status.CAUTION, held=Held.CAUTION, score=9, max_score=10),
        capped.pk: status.Judgement(Status.VALID, held=Held.CAP_DAY),
    }
    status.leads_judge(waits, tell={lead.pk: False, capped.pk: False})
    assert leads_push_on([lead.pk, capped.pk], by="sam") == {lead.pk, capped.pk}
    assert names() == ["Lead Received", "Lead Received", "Lead Validated"]
    validated = tracked()[-1].data
    assert (validated["userId"], validated["properties"]["decided_by"]) == ("u1", "admin")
    client.force_login(User.objects.create_superuser("sam"))
    page = client.get(f"/admin/leads/lead/{lead.pk}/change/").content.decode()
    assert "Tracked as Lead Validated" in page
    flag(lead, Flag.VALID)
    assert names()[3:] == []
    flag(lead, Flag.RETURNED)
    flag(lead, Flag.VALID)
    assert names()[3:] == ["Lead Returned", "Lead Validated"]


def test_of_what_was_posted_nothing_goes_along(source: Source, on: LeadEvents) -> None:
    on.revenue, on.currency = "25.50", "EUR"
    on.save()
    lead = make_lead(source.campaign, visitor={"userId": "u1"}, ip="203.0.113.9")
    leads_process()
    flag(lead, Flag.VALID, "Spoke with Augusta, ada@example.test")
    received, validated = tracked()
    properties = validated.data["properties"]
    assert properties == {
        "lead_id": lead.pk,
        "lead_hash": lead.hash.hex,
        "campaign_id": source.campaign_id,
        "campaign": "Spring",
        "publisher": "Reach",
        "reason_code": "Spoke with •••, •••",
        "decided_by": "client",
        "revenue": 25.5,
        "currency": "EUR",
    }
    assert "revenue" not in received.data["properties"]
    assert validated.timestamp == LeadChange.objects.get(kind="flagged").decided_at.replace(
        microsecond=validated.timestamp.microsecond
    )


def test_a_conversion_that_the_client_confirms_reaches_convertro_with_the_device_last_seen(
    source: Source, on: LeadEvents, settings: Any
) -> None:
    theirs = Destination()
    settings.CONNECTOR_ENVIRONMENT = {"CONVERTRO_API_URL": f"http://{theirs.host}"}
    settings.CONNECTOR_PRIVATE_HOSTS = [theirs.host]
    try:
        integration = convertro(source.campaign)
        integration.settings = {**integration.settings, "events": {"Lead Validated": "lead"}}
        integration.save()
        on.received, on.revenue = False, "40"
        on.save()
        for device in ("d-old", "d-new"):
            said(source, {"type": "identify", "userId": "u1", "context": {"device": {"id": device}}})
        lead = make_lead(source.campaign, visitor={"userId": "u1"})
        leads_process()
        flag(lead, Flag.VALID)
        events_route()
        integration_deliver(integration.pk)
        hits = [query for query in theirs.queries if "event_type" in query]
        assert [(hit["event_type"], hit["sid"], hit["event_value"]) for hit in hits] == [("lead", "d-new", "40")]
        request = Attempt.objects.filter(delivery__event=tracked()[0].pk).get().exchanges[0]["request"]
        assert parse_qs(urlsplit(str(request["url"])).query).get("email") is None
    finally:
        theirs.close()


# --- when nothing is told ------------------------------------------------------------------------------------


def test_nothing_is_sent_until_it_is_switched_on_and_only_what_is_ticked(source: Source) -> None:
    first = make_lead(source.campaign, visitor={"userId": "u1"})
    leads_process()
    flag(first, Flag.VALID)
    assert names() == []
    rule = LeadEvents.objects.create(campaign=source.campaign, source=source, valid=True)
    flag(first, Flag.INVALID)
    assert names() == []
    flag(first, Flag.VALID)
    assert names() == ["Lead Validated"]
    source.enabled = False
    source.save()
    flag(first, Flag.INVALID)
    flag(first, Flag.VALID)
    assert names() == ["Lead Validated"]
    rule.delete()


def test_another_campaigns_leads_are_not_counted_to_this_one(source: Source, on: LeadEvents) -> None:
    other = Campaign.objects.create(advertiser=source.campaign.advertiser, name="Autumn")
    make_lead(other, visitor={"userId": "u1"})
    leads_process()
    assert names() == []


def test_test_leads_are_never_told_of(source: Source, on: LeadEvents) -> None:
    test = make_lead(source.campaign, visitor={"userId": "u1"}, status=Status.TEST)
    lead = make_lead(source.campaign, visitor={"userId": "u1"})
    leads_process()
    flag(test, Flag.VALID)
    flag(lead, Flag.TEST)
    assert names() == ["Lead Received"]
    assert tracked()[0].data["properties"]["lead_id"] == lead.pk


# --- once, whatever happens ----------------------------------------------------------------------------------


def test_a_kill_before_the_commit_leaves_neither_change_nor_event_and_again_makes_both_once(
    source: Source, on: LeadEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead = make_lead(source.campaign, visitor={"userId": "u1"})
    leads_process()
    change = FlagChange(flag=Flag.VALID, event_id=uuid.uuid4())
    really = leads_changed

    def killed(changes: Any) -> int:
        really(changes)
        raise SystemExit

    monkeypatch.setattr(status, "leads_changed", killed)
    with pytest.raises(SystemExit):
        leads_flag({lead.pk: change})
    assert names() == ["Lead Received"]
    assert not LeadChange.objects.filter(kind="flagged").exists()
    monkeypatch.setattr(status, "leads_changed", really)
    leads_flag({lead.pk: change})
    leads_flag({lead.pk: change})
    assert names() == ["Lead Received", "Lead Validated"]


def test_an_event_whose_wake_up_was_lost_is_found_and_routed_once(source: Source, on: LeadEvents) -> None:
    destination(source.campaign)
    make_lead(source.campaign, visitor={"userId": "u1"})
    leads_process()
    assert Arrival.objects.count() == 1
    assert events_route() == 1
    assert events_route() == 0
    assert Delivery.objects.filter(kind="event").count() == 1


# --- what people see, and what is erased ---------------------------------------------------------------------


@pytest.fixture
def manager(client: Client) -> Client:
    user = User.objects.create_user("erin", "erin@example.test", "a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name="Account manager"))
    client.force_login(user)
    return client


def test_the_leads_way_shows_its_events_and_an_event_shows_its_lead(
    source: Source, on: LeadEvents, manager: Client
) -> None:
    convertro(source.campaign)
    lead = make_lead(source.campaign, visitor={"userId": "u1"})
    leads_process()
    events_route()
    page = manager.get(f"/admin/leads/lead/{lead.pk}/change/").content.decode()
    assert "Tracked as Lead Received" in page
    assert "Convertro: Not sent. No device id" in page
    (event,) = tracked()
    shown = manager.get(f"/admin/leads/source/{source.pk}/events/{event.pk}/").content.decode()
    assert f"/admin/leads/lead/{lead.pk}/change/" in shown
    # Who only says so in a call of their own is shown no lead.
    (forged,) = said(source, {"userId": "u1", "properties": event.data["properties"]})
    shown = manager.get(f"/admin/leads/source/{source.pk}/events/{forged.pk}/").content.decode()
    assert f"/admin/leads/lead/{lead.pk}/change/" not in shown


def test_it_is_switched_on_in_the_campaigns_sources_and_stands_in_its_history(source: Source, manager: Client) -> None:
    tab = f"/admin/leads/campaign/{source.campaign_id}/sources/"
    assert "Leads as events" in manager.get(tab).content.decode()
    chosen = {"action": "lead_events", "source": source.pk, "valid": "on", "revenue": "12.5", "currency": "eur"}
    page = manager.post(tab, chosen, follow=True).content.decode()
    assert "Leads as events: Lead Validated, of Shop." in page
    rule = LeadEvents.objects.get()
    assert (rule.valid, rule.invalid, str(rule.revenue), rule.currency) == (True, False, "12.50", "EUR")
    assert "Leads as events" in manager.get(f"/admin/leads/campaign/{source.campaign_id}/history/").content.decode()
    assert "currency" in manager.post(tab, {**chosen, "currency": "money"}, follow=True).content.decode()
    elsewhere = Source.objects.create(
        campaign=Campaign.objects.create(advertiser=source.campaign.advertiser, name="Autumn"), name="Other"
    )
    manager.post(tab, {**chosen, "source": elsewhere.pk})
    assert LeadEvents.objects.get().source == source


def test_who_may_only_look_changes_nothing(source: Source, client: Client) -> None:
    user = User.objects.create_user("vic", "vic@example.test", "a-long-password-1", is_staff=True)
    user.groups.add(Group.objects.get(name="Viewer"))
    client.force_login(user)
    tab = f"/admin/leads/campaign/{source.campaign_id}/sources/"
    assert client.get(tab).status_code == 200
    assert client.post(tab, {"action": "lead_events", "source": source.pk, "valid": "on"}).status_code == 403
    assert not LeadEvents.objects.exists()
    lead = make_lead(source.campaign, visitor={"userId": "u-secret-77"})
    assert "u-secret-77" not in client.get(f"/admin/leads/lead/{lead.pk}/change/").content.decode()


@pytest.mark.parametrize("routed", [True, False])
def test_erasing_a_lead_erases_what_its_events_say_of_the_person(source: Source, on: LeadEvents, routed: bool) -> None:
    destination(source.campaign)
    lead = make_lead(source.campaign, visitor={"userId": "u-secret-77"})
    leads_process()
    (event,) = tracked()
    if routed:
        events_route()
    activity = bulk_start("erase", LeadSelection(ids=(lead.pk,)), {}, by="grace", token="")
    activity_work(activity.pk)
    events_route()
    event.refresh_from_db()
    assert event.data == {}
    assert not PersonEvent.objects.filter(event=event).exists()
    lead.refresh_from_db()
    assert lead.visitor is None
    (delivery,) = Delivery.objects.filter(event=event.pk)
    assert (delivery.state, delivery.data) == ("exhausted", {})
    # What is decided later is not tracked any more.
    flag(lead, Flag.VALID)
    assert names() == ["Lead Received"]


def test_erasing_a_person_erases_the_events_of_their_leads_too(source: Source, on: LeadEvents) -> None:
    lead = make_lead(source.campaign, visitor={"userId": "u-secret-77"})
    other = make_lead(source.campaign, visitor={"userId": "u-other"})
    leads_process()
    assert person_erase("u-secret-77").events == 1
    assert [event.data == {} for event in tracked()] == [True, False]
    lead.refresh_from_db()
    other.refresh_from_db()
    assert (lead.visitor, other.visitor) == (None, {"userId": "u-other"})
