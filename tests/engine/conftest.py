from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.conf import LazySettings
from django.utils import timezone

from integrations import flows
from integrations.delivery import integration_switch
from integrations.discovery import integration_discover
from integrations.mapping import mapping_compiled
from integrations.models import Integration
from leads.database import uuid7
from leads.models import Advertiser, Campaign, Field, Form, Lead, Publisher, Status
from tests.engine.client import Client


@pytest.fixture
def client(settings: LazySettings) -> Iterator[Client]:
    found = Client()
    settings.CONNECTOR_ENVIRONMENT = {
        **settings.CONNECTOR_ENVIRONMENT,
        "INSTANCE_SUBDOMAIN": "ours",
        "CONVERTR_INSTANCES": f"acme=http://{found.host}",
    }
    settings.INSTANCE_SUBDOMAIN = "ours"
    settings.CONNECTOR_PRIVATE_HOSTS = [found.host]
    yield found
    found.close()


@pytest.fixture(autouse=True)
def nothing_known_of_another_test() -> None:
    """Rolled back tests use the same ids again, and clients of tests the same ports; a portal never does."""
    mapping_compiled.cache_clear()
    flows._tokens.clear()


@pytest.fixture
def campaign(db: None) -> Campaign:
    campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring webinar")
    form = Form.objects.create(name="Sign-up")
    for position, name in enumerate(("firstName", "email", "company")):
        Field.objects.create(form=form, name=name, position=position)
    campaign.forms.add(form)
    campaign.contracts.create(publisher=Publisher.objects.create(name="Northbeam"))
    return campaign


@pytest.fixture
def integration(campaign: Campaign, client: Client) -> Integration:
    """Set up, pulled, mapped and switched on; what waited for it goes out all at once."""
    integration = Integration.objects.create(
        campaign=campaign,
        name="Acme EU",
        connector="convertr_connect",
        settings={"subdomain": "acme", "campaign_id": "204", "publisher_id": "31", "global_form": "75"},
        secrets={"api_key": client.good_key},
        release_per_minute=0,
    )
    integration_discover(integration)
    integration.refresh_from_db()
    integration_switch(integration, on=True)
    return integration


@pytest.fixture
def lead(campaign: Campaign) -> Callable[..., Lead]:
    """Makes received leads."""

    def make(status: Status = Status.PENDING, **values: str) -> Lead:
        form = campaign.forms.get()
        return Lead.objects.create(
            hash=uuid7(),
            campaign=campaign,
            publisher=campaign.publishers.get(),
            form=form,
            form_version=form.version,
            values={"firstName": "Ada", "email": "ada@example.test", **values},
            status=status,
            created_at=timezone.now(),
        )

    return make
