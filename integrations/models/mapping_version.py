"""What a mapping was: each saved one is a version that can be compared and restored, and that deliveries name."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from integrations.models.integration import Integration


class MappingVersion(models.Model):
    """One version of an integration's mapping. Never changed once it is written."""

    class Why(models.TextChoices):
        SAVED = "saved", "Saved"
        PULLED = "pulled", "Taken from the client’s form"
        RESTORED = "restored", "Restored"
        ACCEPTED = "accepted", "Their change accepted"

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="versions", db_index=False)
    number = models.PositiveIntegerField(help_text="Integration.mapping_version while it is in force.")
    rows = models.JSONField(default=list, help_text="The columns of each mapping row, in the rows' order.")
    form = models.JSONField(default=dict, help_text="The client's form beside its fields: its name and sync_keys.")
    why = models.CharField(max_length=10, choices=Why.choices, default=Why.SAVED)
    by = models.CharField(max_length=200, blank=True, default="", help_text="Whose doing; empty: the portal's own.")
    note = models.TextField(blank=True, default="", help_text="What was different, in words.")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["integration", "number"], name="mapping_version_number")]

    def __str__(self) -> str:
        return f"Version {self.number}"
