"""Who is told by webhook: a managed integration of the whole instance, so that its messages go out as all deliveries do."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from integrations.delivery import integration_switch
from integrations.discovery import settings_problems
from integrations.kit.registry import connector as find_connector
from integrations.kit.signing import secret_new
from integrations.models import Integration, IntegrationState, NoticeTarget

CONNECTOR = "webhook"


def webhook_problem(url: str) -> str:
    """Why this is no address to send to, in words; empty when it is one."""
    given = {"url": url, "signing_secret": secret_new()}
    return settings_problems(find_connector(CONNECTOR), given).get("url", "")


def webhook_add(target: NoticeTarget, url: str) -> str:
    """Give a target that is not saved yet its webhook, and save both; the signing secret, which is never shown again."""
    secret = secret_new()
    with transaction.atomic():
        target.integration = Integration.objects.create(
            name=_name(target),
            connector=CONNECTOR,
            # Who is told knows repeats by their id: a message that may have arrived is sent again.
            settings={"url": url, "knows_repeats": True},
            secrets={"signing_secret": secret},
            state=IntegrationState.ON,
            managed=True,
            honours_keys=True,
            discovered_at=timezone.now(),
        )
        target.save()
    return secret


def webhook_change(target: NoticeTarget, url: str) -> None:
    """Send to another address from now on; what stopped the old one is tried anew."""
    integration = _integration(target)
    before = integration.settings.get("url")
    integration.settings = {**integration.settings, "url": url}
    integration.name = _name(target)
    integration.save(update_fields=["settings", "name", "updated_at"])
    if before != url:
        webhook_resume(target)


def webhook_resume(target: NoticeTarget) -> None:
    """Let go out what waits for it; ConnectorError where it can't."""
    integration = _integration(target)
    if integration.state != IntegrationState.ON:
        integration_switch(integration, on=True)


def secret_rotate(target: NoticeTarget) -> str:
    """A new signing secret; messages are signed with the old one as well until `secret_rotated`."""
    integration = _integration(target)
    secret = secret_new()
    integration.secrets = {"signing_secret": secret, "previous_secret": integration.secrets["signing_secret"]}
    integration.save(update_fields=["secrets", "updated_at"])
    return secret


def secret_rotated(target: NoticeTarget) -> None:
    """The receiver has the new secret: the old one signs nothing any more."""
    integration = _integration(target)
    integration.secrets = {"signing_secret": integration.secrets["signing_secret"]}
    integration.save(update_fields=["secrets", "updated_at"])


def _integration(target: NoticeTarget) -> Integration:
    assert target.integration_id is not None
    return Integration.objects.get(pk=target.integration_id)


def _name(target: NoticeTarget) -> str:
    return f"Notices to {target.name}"[:200]
