"""The table that turns a client's reason codes into ours."""

from __future__ import annotations

from django.db import models

from integrations.models.integration import Integration
from leads.models import ReasonCode


class ReasonTranslation(models.Model):
    """One code of a client's and what we call it: for one integration, or for all of a connector where it names none."""

    connector = models.CharField(max_length=64, help_text="The connector's slug.")
    integration = models.ForeignKey(
        Integration, models.CASCADE, null=True, blank=True, related_name="reason_translations"
    )
    theirs = models.CharField("the client’s code", max_length=200, help_text="Upper and lower case are the same.")
    reason = models.ForeignKey(ReasonCode, models.CASCADE, verbose_name="your reason code", related_name="translations")

    class Meta:
        ordering = ["connector", "integration", "theirs"]
        constraints = [
            models.UniqueConstraint(
                fields=["integration", "theirs"],
                name="translation_in_integration",
                condition=models.Q(integration__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["connector", "theirs"],
                name="translation_in_connector",
                condition=models.Q(integration__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.theirs} → {self.reason}"
