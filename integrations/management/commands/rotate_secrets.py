"""`manage.py rotate_secrets`: what is stored encrypted is written anew with the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from integrations.models import Integration, RemoteToken


class Command(BaseCommand):
    help = "Encrypt all stored secrets with the first of ENCRYPTION_KEYS."

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        for model, column in ((Integration, "secrets"), (RemoteToken, "token")):
            for pk in model._default_manager.values_list("pk", flat=True):
                with transaction.atomic():
                    # Read and written under a lock: a secret that is replaced meanwhile is not put back.
                    row = model._default_manager.select_for_update().get(pk=pk)
                    row.save(update_fields=[column])
                count += 1
        self.stdout.write(
            f"{count} secrets are encrypted with the first key now. "
            "Take the other keys out when nobody calls back any more by what was sent while they were in use."
        )
