"""Webhooks of the portal's own: a managed integration of the whole instance, so that its messages go out as all deliveries do."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from integrations.delivery import integration_switch
from integrations.discovery import settings_problems
from integrations.kit.addresses import destination
from integrations.kit.contract import NotCalled
from integrations.kit.registry import connector as find_connector
from integrations.kit.signing import secret_new
from integrations.models import Integration, IntegrationState
from leads.models import Subscription

CONNECTOR = "webhook"
NAME_CHARS = 200


class SecretOverlap(ValueError):
    """A secret is being changed already: another would push out the one that the receiver has. Its words are for people."""

    def __init__(self) -> None:
        super().__init__(
            "Its secret is being changed already. Say first that the receiver has the new secret: until then it may know "
            "the old one alone, which another change would end."
        )


def webhook_problem(url: str, private_hosts: list[str] | None = None) -> str:
    """Why this is no address to send to, in words; empty when it is one.

    With `private_hosts` (those that the deployment allows) also why it would not be called.
    """
    given = {"url": url, "signing_secret": secret_new()}
    problem = settings_problems(find_connector(CONNECTOR), given).get("url", "")
    if not problem and private_hosts is not None:
        try:
            destination(url, private_hosts)
        except NotCalled as why:
            return str(why)
    return problem


def webhook_make(
    name: str, url: str, *, subscription: Subscription | None = None, **settings: Any
) -> tuple[Integration, str]:
    """A webhook that is on, and its signing secret, which is never shown again. In the caller's transaction."""
    secret = secret_new()
    integration = Integration.objects.create(
        name=name[:NAME_CHARS],
        connector=CONNECTOR,
        # Whoever is told knows repeats by their id: a message that may have arrived is sent again.
        settings={"url": url, "knows_repeats": True, **settings},
        secrets={"signing_secret": secret},
        state=IntegrationState.ON,
        managed=True,
        honours_keys=True,
        discovered_at=timezone.now(),
        subscription=subscription,
    )
    return integration, secret


def webhook_readdress(integration: Integration, url: str, *, name: str) -> None:
    """Send to another address from now on; what stopped the old one is tried anew."""
    before = integration.settings.get("url")
    integration.settings = {**integration.settings, "url": url}
    integration.name = name[:NAME_CHARS]
    integration.save(update_fields=["settings", "name", "updated_at"])
    if before != url and integration.state != IntegrationState.PAUSED:
        webhook_resume(integration)


def webhook_resume(integration: Integration) -> None:
    """Let go out what waits for it; ConnectorError where it can't."""
    if integration.state != IntegrationState.ON:
        integration_switch(integration, on=True)


def secret_rotate(integration: Integration, *, overlap: bool = True) -> str:
    """A new signing secret; messages are signed with the old one as well until `secret_rotated`.

    Without an overlap what was there before signs nothing any more. With one, SecretOverlap while two secrets are there.
    """
    secret = secret_new()
    with transaction.atomic():
        # Asked for twice at once, the second finds what the first did.
        locked = Integration.objects.select_for_update().get(pk=integration.pk)
        if overlap and "previous_secret" in locked.secrets:
            raise SecretOverlap
        before = {"previous_secret": locked.secrets["signing_secret"]} if overlap else {}
        integration.secrets = {"signing_secret": secret, **before}
        integration.save(update_fields=["secrets", "updated_at"])
    return secret


def secret_rotated(integration: Integration) -> None:
    """The receiver has the new secret: the old one signs nothing any more."""
    integration.secrets = {"signing_secret": integration.secrets["signing_secret"]}
    integration.save(update_fields=["secrets", "updated_at"])
