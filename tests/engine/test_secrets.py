"""Secrets at rest."""

from __future__ import annotations

from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connection

from integrations.models import Integration


def stored(integration: Integration) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT secrets FROM integrations_integration WHERE id = %s", [integration.pk])
        return str(cursor.fetchone()[0])


def test_a_secret_is_never_stored_in_clear(integration: Integration) -> None:
    assert integration.secrets["api_key"] not in stored(integration)


def test_after_a_rotation_the_old_key_is_not_needed(integration: Integration, settings: LazySettings) -> None:
    clear, old = integration.secrets["api_key"], list(settings.ENCRYPTION_KEYS)
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *old]
    call_command("rotate_secrets")
    settings.ENCRYPTION_KEYS = [new]
    assert Integration.objects.get(pk=integration.pk).secrets["api_key"] == clear
