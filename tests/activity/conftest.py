"""A campaign with leads, two integrations that are on, and a worker that is asked to work when a test says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from integrations.bulk import activity_work
from integrations.models import Delivery, Integration
from leads.database import uuid7
from leads.models import Activity, Advertiser, Campaign, Field, FieldType, Form, Lead, Publisher, Status

MakeLead = Callable[..., Lead]
MakeDelivery = Callable[..., Delivery]


@pytest.fixture
def campaign(db: None) -> Campaign:
    campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring webinar")
    form = Form.objects.create(name="Sign-up")
    fields = [
        ("firstName", FieldType.TEXT, "First name"),
        ("email", FieldType.EMAIL, "E-mail"),
        ("phone", FieldType.TELEPHONE, "Telephone"),
        ("country", FieldType.CHOICE, "Country"),
    ]
    for position, (name, kind, label) in enumerate(fields):
        choices = [{"value": "DE", "label": "Germany"}] if kind == FieldType.CHOICE else []
        Field.objects.create(
            form=form, name=name, type=kind, label=label, position=position, required=name == "email", choices=choices
        )
    campaign.forms.add(form)
    campaign.contracts.create(publisher=Publisher.objects.create(name="Northbeam"))
    return campaign


@pytest.fixture
def acme(campaign: Campaign) -> Integration:
    return Integration.objects.create(
        campaign=campaign, name="Acme EU", connector="convertr_connect", state="on", honours_keys=True
    )


@pytest.fixture
def northwind(campaign: Campaign) -> Integration:
    return Integration.objects.create(
        campaign=campaign, name="Northwind", connector="convertr_connect", state="paused", position=1
    )


@pytest.fixture
def lead(campaign: Campaign) -> MakeLead:
    """Makes judged leads, each with an address of its own if none is given."""

    def make(status: Status = Status.VALID, **values: str) -> Lead:
        form = campaign.forms.get()
        email = values.setdefault("email", f"ada{Lead.objects.count()}@example.test")
        return Lead.objects.create(
            hash=uuid7(),
            campaign=campaign,
            publisher=campaign.publishers.get(),
            form=form,
            form_version=form.version,
            values={"firstName": "Ada", **values},
            email_key=email.lower(),
            status=status,
            created_at=timezone.now(),
            processed_at=None if status == Status.PENDING else timezone.now(),
        )

    return make


@pytest.fixture
def delivery() -> MakeDelivery:
    """Makes deliveries of leads."""

    def make(lead: Lead, integration: Integration, state: str = "delivered", **columns: object) -> Delivery:
        columns = {"kind": "lead", "next_try_at": None, "created_at": timezone.now(), **columns}
        return Delivery.objects.create(key=uuid7(), integration=integration, lead=lead, state=state, **columns)

    return make


def worked(activity: Activity) -> Activity:
    """The activity after a worker had it."""
    activity_work(activity.pk)
    activity.refresh_from_db()
    return activity
