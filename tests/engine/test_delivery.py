"""What becomes of a lead between the Processr and the client."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.utils import timezone

from integrations.claims import leases_expire
from integrations.delivery import deliveries_queue, deliveries_release, integration_switch
from integrations.dispatch import integration_deliver
from integrations.kit.contract import ConnectorError
from integrations.models import Delivery, Integration, IntegrationState
from integrations.processr import leads_process
from leads.models import Lead, Status
from tests.engine.client import Answer, Client

pytestmark = pytest.mark.django_db

MakeLead = Callable[..., Lead]


def deliver(integration: Integration, lead: Lead) -> Delivery:
    leads_process()
    integration_deliver(integration.pk)
    return Delivery.objects.get(lead=lead)


def test_a_valid_lead_reaches_the_client_once_and_keeps_the_client_s_id(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    posted = lead(company="Analytical Engines")
    delivery = deliver(integration, posted)
    posted.refresh_from_db()
    assert (posted.status, delivery.state, delivery.reference) == ("valid", "delivered", "1")
    assert client.leads == [
        {
            "form[firstName]": "Ada",
            "form[email]": "ada@example.test",
            "form[company]": "Analytical Engines",
            "form[syncToken]": delivery.key.hex,
            "form[syncSubdomain]": "ours",
        }
    ]
    assert client.posts()[0].headers["idempotency-key"] == delivery.key.hex


def test_attempts_keep_what_was_said_but_no_personal_data_and_no_secret(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    delivery = deliver(integration, lead())
    attempt = delivery.attempts.get()
    kept = str(attempt.exchanges)
    assert attempt.outcome == "delivered"
    assert "form[email]" in kept
    assert "201" in kept
    for secret in ("ada@example.test", client.good_key, "token-1"):
        assert secret not in kept


def test_a_busy_client_gets_the_lead_when_it_asked_for_it(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    client.say.append(Answer(429, b"Too Many Requests", {"Retry-After": "30"}))
    delivery = deliver(integration, lead())
    wait = (delivery.next_try_at - timezone.now()).total_seconds()
    assert delivery.state == "queued"
    assert 25 < wait <= 30
    Delivery.objects.update(next_try_at=timezone.now())
    integration_deliver(integration.pk)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, len(client.leads)) == ("delivered", 2, 1)


def test_a_refused_lead_shows_the_client_s_words_per_field_and_is_not_sent_again(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    words = {"fieldName": "form[email]", "message": "This address is not known."}
    client.say.append(Answer(400, {"code": 400, "message": "Validation failed", "data": [words]}))
    delivery = deliver(integration, lead())
    assert (delivery.state, delivery.problems) == ("refused", [["form[email]", "This address is not known."]])
    integration_deliver(integration.pk)
    assert len(client.posts()) == 1


def test_the_end_of_the_schedule_is_said_and_nothing_is_dropped(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    lead()
    leads_process()
    Delivery.objects.update(tries=11)
    client.say.append(Answer(500, {"code": 500, "message": ""}))
    integration_deliver(integration.pk)
    delivery = Delivery.objects.get()
    assert delivery.state == "exhausted"
    assert "12 tries" in delivery.reason
    assert deliveries_release([delivery.pk]) == 1
    integration_deliver(integration.pk)
    delivery.refresh_from_db()
    assert delivery.state == "delivered"


def test_an_answer_that_got_lost_is_made_up_for_without_a_second_lead(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    client.say.append(Answer(201, cut=True))
    delivery = deliver(integration, lead())
    assert delivery.state == "queued"
    Delivery.objects.update(next_try_at=timezone.now())
    integration_deliver(integration.pk)
    delivery.refresh_from_db()
    assert (delivery.state, len(client.posts()), len(client.leads)) == ("delivered", 2, 1)


def test_where_the_client_honours_no_keys_a_lost_answer_is_a_doubt_for_a_person(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    Integration.objects.update(honours_keys=False)
    client.say.append(Answer(201, cut=True))
    delivery = deliver(integration, lead())
    assert delivery.state == "unknown"
    integration_deliver(integration.pk)
    assert len(client.posts()) == 1


def test_a_refused_token_is_renewed_once_and_the_lead_goes_out(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    client.refuse_tokens.add("token-1")
    delivery = deliver(integration, lead())
    assert (delivery.state, client.tokens) == ("delivered", 2)


def test_a_withdrawn_key_holds_everything_until_a_person_puts_it_right(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    client.refuse_tokens.add("token-1")
    good, client.good_key = client.good_key, "another"
    posted = [lead(), lead()]
    leads_process()
    integration_deliver(integration.pk)
    integration.refresh_from_db()
    assert integration.state == IntegrationState.NEEDS_A_LOOK
    assert "API_Key" in integration.state_reason
    assert set(Delivery.objects.values_list("state", flat=True)) == {"held"}
    client.good_key = good
    integration_switch(integration, on=True)
    integration_deliver(integration.pk)
    assert Delivery.objects.filter(lead__in=posted, state="delivered").count() == 2


def test_one_log_in_serves_many_batches(integration: Integration, client: Client, lead: MakeLead) -> None:
    for _ in range(3):
        deliver(integration, lead())
    assert client.tokens == 1


def test_what_is_paused_is_parked_and_goes_out_when_switched_on(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    early = lead()
    leads_process()
    integration_switch(integration, on=False)
    late = lead()
    leads_process()
    integration_deliver(integration.pk)
    assert client.leads == []
    assert set(Delivery.objects.values_list("state", flat=True)) == {"held"}
    integration_switch(integration, on=True)
    integration_deliver(integration.pk)
    assert Delivery.objects.filter(state="delivered", lead__in=[early, late]).count() == 2


def test_a_lead_that_can_t_be_mapped_waits_and_names_the_field(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    good, bad = lead(), lead(firstName="")
    leads_process()
    integration_deliver(integration.pk)
    held = Delivery.objects.get(lead=bad)
    assert held.state == "held"
    assert "First name" in held.reason
    assert Delivery.objects.get(lead=good).state == "delivered"
    assert len(client.leads) == 1


def test_an_integration_with_a_required_field_unmapped_can_t_be_switched_on(integration: Integration) -> None:
    integration_switch(integration, on=False)
    integration.mappings.filter(remote_key="form[email]").update(source="", value="")
    with pytest.raises(ConnectorError, match="1 required field of the client has no value yet: E-mail"):
        integration_switch(integration, on=True)


def test_a_dead_worker_s_leads_go_out_again_under_the_same_key(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    lead()
    leads_process()
    Delivery.objects.update(
        state="sending", fence=1, tries=1, lease_until=timezone.now() - dt.timedelta(seconds=1), next_try_at=None
    )
    assert leases_expire() == 1
    integration_deliver(integration.pk)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.fence) == ("delivered", 2)


def test_a_dead_worker_s_leads_wait_where_the_integration_stopped_meanwhile(
    integration: Integration, lead: MakeLead
) -> None:
    lead()
    leads_process()
    Delivery.objects.update(state="sending", lease_until=timezone.now() - dt.timedelta(seconds=1))
    Integration.objects.update(state="needs_a_look", state_reason="The API_Key was refused.")
    assert leases_expire() == 1
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.reason) == ("held", "Waiting: The API_Key was refused.")


def test_a_dead_worker_s_leads_are_in_doubt_where_the_client_honours_no_keys(
    integration: Integration, lead: MakeLead
) -> None:
    Integration.objects.update(honours_keys=False)
    lead()
    leads_process()
    Delivery.objects.update(state="sending", lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert leases_expire() == 1
    assert Delivery.objects.get().state == "unknown"


def test_a_run_of_failures_opens_the_breaker_and_one_good_answer_closes_it(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    for _ in range(8):
        lead()
        client.say.append(Answer(500))
    leads_process()
    integration_deliver(integration.pk)
    integration.refresh_from_db()
    assert integration.open_until > timezone.now()
    Delivery.objects.update(next_try_at=timezone.now())
    assert integration_deliver(integration.pk) == 0
    Integration.objects.update(open_until=timezone.now())
    client.say.append(Answer(500))
    assert integration_deliver(integration.pk) == 1, "one probe, and no more while it fails"
    Delivery.objects.update(next_try_at=timezone.now())
    Integration.objects.update(open_until=timezone.now())
    assert integration_deliver(integration.pk) == 8
    integration.refresh_from_db()
    assert (integration.failures, integration.open_until) == (0, None)
    assert Delivery.objects.filter(state="delivered").count() == 8


def test_resending_on_purpose_is_a_new_delivery_with_a_new_key(
    integration: Integration, client: Client, lead: MakeLead
) -> None:
    posted = lead()
    deliver(integration, posted)
    again = deliveries_queue([posted.pk])
    assert (again.queued, again.skipped) == (0, {"already handed to Acme EU": 1})
    assert deliveries_queue([posted.pk], resend=True).queued == 1
    integration_deliver(integration.pk)
    assert len(client.leads) == 2
    assert len(set(Delivery.objects.values_list("key", flat=True))) == 2


def test_a_test_lead_is_delivered_marked_as_a_test(integration: Integration, client: Client, lead: MakeLead) -> None:
    posted = lead(status=Status.TEST)
    delivery = deliver(integration, posted)
    posted.refresh_from_db()
    assert (posted.status, delivery.test) == ("test", True)
    assert client.posts()[0].query["test"] == "1"


def test_a_pull_keeps_choices_marks_what_vanished_and_adds_what_is_new(
    integration: Integration, client: Client
) -> None:
    from integrations.discovery import integration_discover

    integration.mappings.filter(remote_key="form[company]").update(source="fixed", value="Acme Ltd")
    client.remove("form[email]")
    client.add("form[jobTitle]", "Job title")
    report = integration_discover(integration)
    rows = {row.remote_key: row for row in integration.mappings.all()}
    assert (report.added, report.vanished) == (["form[jobTitle]"], ["form[email]"])
    assert (rows["form[company]"].source, rows["form[company]"].value) == ("fixed", "Acme Ltd")
    assert (rows["form[email]"].state, rows["form[jobTitle]"].state) == ("vanished", "new")
