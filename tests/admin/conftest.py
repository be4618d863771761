"""A portal with a campaign, an account manager who is signed in, and a client's instance to connect to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from integrations.models import Delivery, Integration, IntegrationState
from leads.database import uuid7
from leads.models import Advertiser, Campaign, CampaignPublisher, Field, Form, Lead, Publisher, User
from tests.admin.client_instance import ClientInstance, client_instance, remote_field


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_superuser("erin", "erin@example.test", "a-long-password-1")


@pytest.fixture
def browser_client(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


@pytest.fixture
def campaign(db: None) -> Campaign:
    form = Form.objects.create(name="Our webinar form")
    for position, (name, label, kind) in enumerate(
        [
            ("firstName", "First name", "text"),
            ("email", "E-mail", "email"),
            ("zip", "Zip code", "text"),
            ("country", "Country", "choice"),
        ]
    ):
        choices = [{"value": "Germany", "label": "Germany"}, {"value": "France", "label": "France"}]
        Field.objects.create(
            form=form,
            name=name,
            label=label,
            type=kind,
            position=position,
            choices=choices if kind == "choice" else [],
        )
    made = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring webinar")
    made.forms.add(form)
    CampaignPublisher.objects.create(campaign=made, publisher=Publisher.objects.create(name="Northbeam"))
    return made


@pytest.fixture
def lead_make(campaign: Campaign) -> Callable[..., Lead]:
    def make(**more: Any) -> Lead:
        values = {"firstName": "Ada", "email": "ada@example.test", **more.pop("values", {})}
        return Lead.objects.create(
            **{
                "hash": uuid7(),
                "campaign": campaign,
                "publisher": Publisher.objects.get(name="Northbeam"),
                "form": campaign.forms.get(),
                "form_version": 1,
                "values": values,
                "status": "valid",
                **more,
            }
        )

    return make


@pytest.fixture
def integration(campaign: Campaign) -> Integration:
    return Integration.objects.create(campaign=campaign, name="Acme EU", connector="convertr_connect")


@pytest.fixture
def switched_on(integration: Integration) -> Integration:
    Integration.objects.filter(pk=integration.pk).update(state=IntegrationState.ON)
    integration.refresh_from_db()
    return integration


@pytest.fixture
def delivery_make(switched_on: Integration) -> Callable[..., Delivery]:
    def make(lead: Lead, **more: Any) -> Delivery:
        return Delivery.objects.create(
            **{"key": uuid7(), "integration": switched_on, "kind": "lead", "lead": lead, **more}
        )

    return make


@pytest.fixture
def their_instance(settings: Any) -> Iterator[ClientInstance]:
    with client_instance() as instance:
        instance.fields = [
            remote_field("form[firstName]", "First name", required=True),
            remote_field("form[email]", "Business e-mail", type="email", required=True),
            remote_field("form[postcode]", "Postcode", required=True),
            remote_field(
                "form[country]",
                "Country",
                type="choice",
                choices=[{"value": "DE", "label": "Germany"}, {"value": "France", "label": "France"}],
            ),
        ]
        settings.CONNECTOR_ENVIRONMENT = {
            **settings.CONNECTOR_ENVIRONMENT,
            "CONVERTR_INSTANCES": f"acme=http://127.0.0.1:{instance.port}",
        }
        settings.CONNECTOR_PRIVATE_HOSTS = [f"127.0.0.1:{instance.port}"]
        yield instance
