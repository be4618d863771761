from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.conf import LazySettings

from integrations.dispatch import integration_deliver
from integrations.models import Delivery, Integration
from integrations.webhooks.routing import outbox_route
from integrations.webhooks.subscriptions import subscription_add
from leads.models import Campaign, Happening, Subscription
from leads.outbox import outbox_forget
from tests.engine.client import Client
from tests.engine.conftest import campaign, client, integration, lead, nothing_known_of_another_test
from tests.engine.test_webhooks import Receiver

__all__ = ["campaign", "client", "integration", "lead", "nothing_known_of_another_test"]


@pytest.fixture(autouse=True)
def nobody_of_another_test() -> Iterator[None]:
    """What a process knows of subscriptions does not outlive a test."""
    outbox_forget()
    yield
    outbox_forget()


@pytest.fixture
def receiver(settings: LazySettings, client: Client) -> Iterator[Receiver]:
    """A partner's own system, which refuses whatever is not signed with its secret."""
    found = Receiver()
    settings.CONNECTOR_PRIVATE_HOSTS = [*settings.CONNECTOR_PRIVATE_HOSTS, found.host]
    yield found
    found.close()


@pytest.fixture
def webhook(campaign: Campaign, receiver: Receiver) -> Subscription:
    """Told of everything, of whoever's leads."""
    made, receiver.secret = subscription_add(
        name="Acme's CRM", url=f"http://{receiver.host}/events", events=Happening.values
    )
    return made


@pytest.fixture
def tell(db: None) -> Callable[..., list[Delivery]]:
    """What the portal does by itself: makes messages and sends them. Returns all messages of a subscription, oldest first."""

    def told(*subscriptions: Subscription) -> list[Delivery]:
        outbox_route()
        for subscription in subscriptions:
            Integration.objects.filter(subscription=subscription).update(open_until=None)
            integration_deliver(subscription.integration.pk)
        return list(Delivery.objects.filter(integration__subscription__in=subscriptions).order_by("pk"))

    return told
