"""Who is told by webhook: a webhook of the portal's own for each, so that its messages go out as all deliveries do."""

from __future__ import annotations

from django.db import transaction

from integrations.models import Integration, NoticeTarget
from integrations.webhooks import managed as webhooks
from integrations.webhooks.managed import webhook_problem as webhook_problem


def webhook_add(target: NoticeTarget, url: str) -> str:
    """Give a target that is not saved yet its webhook, and save both; the signing secret, which is never shown again."""
    with transaction.atomic():
        target.integration, secret = webhooks.webhook_make(_name(target), url)
        target.save()
    return secret


def webhook_change(target: NoticeTarget, url: str) -> None:
    """Send to another address from now on; what stopped the old one is tried anew."""
    webhooks.webhook_readdress(_integration(target), url, name=_name(target))


def webhook_resume(target: NoticeTarget) -> None:
    """Let go out what waits for it; ConnectorError where it can't."""
    webhooks.webhook_resume(_integration(target))


def secret_rotate(target: NoticeTarget) -> str:
    """A new signing secret; messages are signed with the old one as well until `secret_rotated`. SecretOverlap until then."""
    return webhooks.secret_rotate(_integration(target))


def secret_rotated(target: NoticeTarget) -> None:
    """The receiver has the new secret: the old one signs nothing any more."""
    webhooks.secret_rotated(_integration(target))


def _integration(target: NoticeTarget) -> Integration:
    assert target.integration_id is not None
    return Integration.objects.get(pk=target.integration_id)


def _name(target: NoticeTarget) -> str:
    return f"Notices to {target.name}"
