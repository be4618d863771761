"""Leads: what became of them, flags and deliveries for many at once, and the page of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from integrations.models import Attempt, Delivery, Integration, StatusUpdate
from leads.database import uuid7
from leads.models import Flag, Lead, LeadChange
from leads.models.lead import Via
from leads.status import FlagChange, leads_flag
from tests.admin.pages import text

LeadMake = Callable[..., Lead]
DeliveryMake = Callable[..., Delivery]
LIST = "/admin/leads/lead/"


def lead_page(client: Client, lead: Lead) -> str:
    return text(client.get(reverse("admin:leads_lead_change", args=[lead.pk])))


def test_the_list_runs_no_query_per_row(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as run:
            assert browser_client.get(LIST).status_code == 200
        return len(run)

    def more(count: int) -> None:
        for _ in range(count):
            delivery_make(lead_make(), state="delivered", verdict="valid")

    more(5)
    queries()
    few = queries()
    more(45)
    assert queries() == few


@pytest.mark.parametrize("where", ["/admin/integrations/delivery/", "/admin/integrations/statusupdate/", "/admin/"])
def test_no_other_list_runs_a_query_per_row_either(
    where: str, browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    def more(count: int) -> None:
        for _ in range(count):
            delivery = delivery_make(lead_make(), state="refused", reason="No.")
            StatusUpdate.objects.create(
                key=uuid7().hex, delivery=delivery, verdict="valid", decided_at=timezone.now(), via="pushed"
            )

    def queries() -> int:
        with CaptureQueriesContext(connection) as run:
            assert browser_client.get(where).status_code == 200
        return len(run)

    more(5)
    queries()
    few = queries()
    more(25)
    assert queries() == few


def test_leads_are_found_by_id_hash_e_mail_and_names_in_any_script(browser_client: Client, lead_make: LeadMake) -> None:
    ada = lead_make()
    hanako = lead_make(values={"firstName": "花子", "email": "hanako@example.test"}, email_key="hanako@example.test")

    def found(term: str) -> list[int]:
        return [lead.pk for lead in browser_client.get(LIST, {"q": term}).context["cl"].result_list]

    assert found(str(ada.pk)) == [ada.pk]
    assert found(hanako.hash.hex) == [hanako.pk]
    assert found("HANAKO@example.test") == [hanako.pk]
    assert found("花子") == [hanako.pk]
    assert found("nobody") == []
    assert found("99999999999999999999999") == []


def test_leads_are_filtered_by_what_became_of_them(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake, switched_on: Integration
) -> None:
    held, judged, alone = lead_make(), lead_make(), lead_make(status="invalid")
    delivery_make(held, state="held")
    delivery_make(judged, state="delivered", verdict="invalid")
    leads_flag({judged.pk: FlagChange(Flag.RETURNED)})

    def found(**filters: Any) -> set[int]:
        return {lead.pk for lead in browser_client.get(LIST, filters).context["cl"].result_list}

    today = timezone.localdate()
    assert found(delivery="held") == {held.pk}
    assert found(delivery="none") == {alone.pk}
    assert found(verdict="invalid") == {judged.pk}
    assert found(integration=switched_on.pk) == {held.pk, judged.pk}
    assert found(status__exact="invalid") == {alone.pk}
    assert found(flag__exact="returned") == {judged.pk}
    assert found(campaign__id__exact=held.campaign_id) == {held.pk, judged.pk, alone.pk}
    assert found(created_at_from=f"{today:%Y-%m-%d}", created_at_to=f"{today:%Y-%m-%d}") == {
        held.pk,
        judged.pk,
        alone.pk,
    }
    assert found(created_at_to="2001-01-01") == set()
    assert found(created_at_to="9999-12-31") == found()


def test_a_leads_page_tells_its_way_from_received_to_the_last_verdict(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    lead = lead_make(processed_at=timezone.now())
    LeadChange.objects.create(
        lead=lead, kind="judged", status="valid", via="processr", event_id=uuid7(), decided_at=timezone.now()
    )
    delivery = delivery_make(
        lead, state="delivered", reference="ref-77", delivered_at=timezone.now(), verdict="invalid"
    )
    Attempt.objects.create(
        delivery=delivery,
        number=1,
        started_at=timezone.now(),
        took_ms=184,
        outcome="delivered",
        exchanges=[
            {
                "request": {"method": "POST", "url": "https://acme.cvtr.io/x", "form": [["form[email]", "a•••"]]},
                "response": {"status": 201, "body": '{"data": "ref-77"}'},
            }
        ],
    )
    StatusUpdate.objects.create(
        key="1", delivery=delivery, verdict="invalid", reason_code="bad-phone", comment="Nobody there", by="kim",
        decided_at=timezone.now(), via="pushed", state="applied",
    )  # fmt: skip
    StatusUpdate.objects.create(
        key="2", delivery=delivery, verdict="valid", decided_at=timezone.now(), via="polled", state="stale"
    )
    leads_flag({lead.pk: FlagChange(Flag.INVALID, reason_code="bad-phone", by="kim", via=Via.CLIENT)})

    shown = lead_page(browser_client, lead)
    in_order = [
        "Received from Northbeam",
        "Judged Valid",
        "To Acme EU: Delivered",
        "Try 1: delivered",
        "form[email] = a•••",
        "Status 201",
        "Acme EU says: Invalid",
        "Reason: bad-phone",
        "Told by the client, by kim",
        "Acme EU says: Valid",
        "Not applied: the client has said something newer",
        "Flagged Invalid by the client’s verdict",
    ]
    places = [shown.index(words) for words in in_order]
    assert places == sorted(places)


def test_hostile_words_of_ten_thousand_characters_show_as_text(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    evil = "<script>alert(1)</script>" + "x" * 10_000
    lead = lead_make(values={"firstName": evil, "<b>key</b>": evil})
    delivery = delivery_make(
        lead, state="refused", reason=evil, problems=[[evil, evil]], verdict="invalid", comment=evil
    )
    Attempt.objects.create(
        delivery=delivery, number=1, started_at=timezone.now(), outcome="refused", message=evil,
        exchanges=[{"request": {"method": evil}, "response": {"status": evil, "body": evil}}, "odd", {}],
    )  # fmt: skip
    StatusUpdate.objects.create(
        key="e", delivery=delivery, verdict="invalid", reason_code=evil[:200], comment=evil, by=evil[:200],
        decided_at=timezone.now(), via="pushed", raw=evil,
    )  # fmt: skip
    leads_flag({lead.pk: FlagChange(Flag.INVALID, reason_code=evil, comment=evil, by=evil)})
    update = StatusUpdate.objects.get()
    pages = [
        LIST,
        f"{LIST}{lead.pk}/change/",
        "/admin/integrations/delivery/",
        f"/admin/integrations/delivery/{delivery.pk}/change/",
        "/admin/integrations/statusupdate/",
        f"/admin/integrations/statusupdate/{update.pk}/change/",
        "/admin/",
    ]
    for page in pages:
        shown = text(browser_client.get(page))
        assert "<script>alert(1)" not in shown, page
        assert "<b>key</b>" not in shown, page


def test_nobody_adds_edits_or_removes_a_lead_or_a_delivery_by_hand(
    browser_client: Client, lead_make: LeadMake, delivery_make: DeliveryMake
) -> None:
    lead = lead_make()
    delivery = delivery_make(lead, state="delivered")
    for page, key in ((LIST, lead.pk), ("/admin/integrations/delivery/", delivery.pk)):
        assert browser_client.get(f"{page}add/").status_code == 403
        assert browser_client.post(f"{page}{key}/change/", {"status": "invalid"}).status_code == 405
        assert browser_client.post(f"{page}{key}/delete/", {"post": "yes"}).status_code == 403
    assert browser_client.get("/admin/integrations/statusupdate/add/").status_code == 403
