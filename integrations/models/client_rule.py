"""What a client's instance checks leads by and shows its publishers, as far as we have copied it."""

from __future__ import annotations

from django.db import models

from integrations.models.integration import Integration
from integrations.models.job import ValueList


class ClientRule(models.Model):
    """A rule of the client, kept up to date where a job of ours uses it. Its last copy stays in use while they can't be reached."""

    class Kind(models.TextChoices):
        LIST = "list", "List"
        CONDITIONAL = "conditional", "Conditional"

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="client_rules")
    remote_id = models.CharField(max_length=40)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    name = models.CharField(max_length=200)
    remote_campaign = models.CharField(max_length=200, blank=True, default="")
    remote_field = models.CharField(max_length=200, blank=True, default="")
    about = models.JSONField(
        default=dict,
        help_text="Of a list: wanted, several, empty_fails. Of a conditional: operator, values.",
    )
    # What the copy is of: theirs as it was last seen, and the one that was copied whole.
    version = models.CharField(max_length=100, blank=True, default="")
    copied_version = models.CharField(max_length=100, blank=True, default="")
    value_list = models.OneToOneField(
        ValueList, models.SET_NULL, null=True, blank=True, editable=False, related_name="client_rule"
    )

    looked_at = models.DateTimeField(null=True, help_text="When the client was last asked and answered.")
    changed_at = models.DateTimeField(null=True, help_text="When the copy last became another one.")
    next_look_at = models.DateTimeField(
        null=True, help_text="When it is looked at again. None: at once, where it is used."
    )
    gone = models.BooleanField(default=False, help_text="The client has or shows it no more.")
    problem = models.TextField(blank=True, default="", help_text="Why the client could not be asked the last time.")

    class Meta:
        ordering = ["name", "id"]
        verbose_name = "client's rule"
        constraints = [models.UniqueConstraint(fields=["integration", "remote_id"], name="client_rule_once")]

    def __str__(self) -> str:
        return f"{self.name} ({self.remote_campaign})" if self.remote_campaign else self.name
