"""One configured connection of a campaign, and its mapping."""

from __future__ import annotations

from typing import Any

from django.db import models

from integrations.models.encryption import EncryptedJSONField
from leads.models import Campaign, Subscription


class IntegrationState(models.TextChoices):
    NEEDS_SETUP = "needs_setup", "Needs setup"
    ON = "on", "On"
    PAUSED = "paused", "Paused"
    NEEDS_A_LOOK = "needs_a_look", "Needs a look"


class InDoubt(models.TextChoices):
    HOLD = "hold", "Wait for a person"
    AGAIN = "again", "Send again, marked as a possible repeat"


class Integration(models.Model):
    """A job of a campaign's Processr that hands leads (or events, or status changes) to one outside system."""

    # Managed ones that serve the whole instance (notices) have none; what a person adds always has one.
    campaign: models.ForeignKey[Campaign, Campaign] = models.ForeignKey(  # type: ignore[misc]
        Campaign, models.CASCADE, related_name="integrations", null=True
    )
    name = models.CharField(max_length=200)
    connector = models.CharField(max_length=64, help_text="The connector's slug.")
    settings = models.JSONField(default=dict, blank=True)
    secrets = EncryptedJSONField(default=dict, blank=True, editable=False)
    state = models.CharField(max_length=20, choices=IntegrationState.choices, default=IntegrationState.NEEDS_SETUP)
    state_reason = models.TextField(blank=True, default="", help_text="In words, for the account manager.")
    position = models.PositiveIntegerField(default=0)
    # A partner's webhook is a managed one.
    subscription = models.OneToOneField(
        Subscription, models.CASCADE, null=True, blank=True, editable=False, related_name="integration"
    )
    managed = models.BooleanField(default=False, editable=False, help_text="Made by the engine, not by a person.")

    # What is known of the client's side.
    remote_form = models.CharField(max_length=200, blank=True, default="", editable=False)
    honours_keys = models.BooleanField(default=False, editable=False)
    sync_keys = models.JSONField(
        default=dict, blank=True, editable=False, help_text="token and subdomain to their keys."
    )
    discovered_at = models.DateTimeField(null=True, blank=True, editable=False)
    mapping_version = models.PositiveIntegerField(default=0, editable=False)

    # Their form as it is now, where it is not the one that was mapped and a person has to decide (drift.py).
    pending_form = models.JSONField(null=True, blank=True, editable=False)
    next_pull_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When their form is looked at."
    )
    pulled_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When it was, by itself.")

    # What goes out when, as the account manager wishes (gate.py); empty boxes are no bounds.
    cap_day = models.PositiveIntegerField("most in a day", null=True, blank=True)
    cap_week = models.PositiveIntegerField("most in a week", null=True, blank=True)
    cap_total = models.PositiveIntegerField("most in all", null=True, blank=True)
    weekdays = models.JSONField(default=list, blank=True, db_default=models.Value([], models.JSONField()))
    hours_from = models.TimeField("from", null=True, blank=True)
    hours_to = models.TimeField("to", null=True, blank=True)
    release_per_minute = models.PositiveIntegerField(
        "release rate",
        default=600,
        db_default=600,
        help_text="How many a minute of what waited go out; 0: all at once.",
    )
    in_doubt = models.CharField(
        "sent, but no answer came",
        max_length=10,
        choices=InDoubt.choices,
        default=InDoubt.HOLD,
        db_default=InDoubt.HOLD,
        help_text="For clients that can't tell a repeat.",
    )
    # Nothing goes out before this, and why: a cap is reached, or it is out of hours.
    closed_until = models.DateTimeField(null=True, blank=True, editable=False)
    closed_reason = models.TextField(default="", db_default="", blank=True, editable=False)
    # While it is open: how many more may go out before it is counted again, and until when that holds.
    room = models.PositiveIntegerField(null=True, blank=True, editable=False)
    room_until = models.DateTimeField(null=True, blank=True, editable=False)

    # The breaker: a run of failed calls opens it, and one probe after `open_until` closes it again. One host that does not
    # answer opens those of all integrations that call it.
    failures = models.PositiveIntegerField(default=0, editable=False)
    open_until = models.DateTimeField(null=True, blank=True, editable=False)
    remote_host = models.CharField(max_length=260, default="", db_default="", blank=True, editable=False)
    # Since when every call has failed, and how much of the way to being switched off people have been told of (percent).
    failing_since = models.DateTimeField(null=True, blank=True, editable=False)
    # The client is asked for no verdicts before this: its budget is spent, or it gave no answer.
    polls_wait_until = models.DateTimeField(null=True, blank=True, editable=False)
    failing_told = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["campaign", "position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "name"], name="integration_name_in_campaign"),
            models.CheckConstraint(
                condition=models.Q(managed=True) | models.Q(campaign__isnull=False), name="integration_has_campaign"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_pull_at"], name="integration_pull", condition=models.Q(next_pull_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def all_settings(self) -> dict[str, Any]:
        """Settings and secrets together, as a connector sees them."""
        return {**self.settings, **self.secrets}


class FieldMapping(models.Model):
    """One field of the client's form, and where its value comes from."""

    class Source(models.TextChoices):
        NOTHING = "", "Nothing yet"
        FIELD = "field", "Your field"
        FACT = "fact", "Fact of the lead"
        FIXED = "fixed", "Fixed value"
        TEMPLATE = "template", "Template"

    class State(models.TextChoices):
        CURRENT = "current", "Current"
        NEW = "new", "New"
        VANISHED = "vanished", "No longer on their form"
        EXTRA = "extra", "Added by hand"

    integration = models.ForeignKey(Integration, models.CASCADE, related_name="mappings")
    remote_key = models.CharField(max_length=200, help_text="As it is posted: form[firstName].")
    remote_label = models.CharField(max_length=500, blank=True, default="")
    remote_type = models.CharField(max_length=30, blank=True, default="text")
    remote_required = models.BooleanField(default=False)
    remote_hidden = models.BooleanField(default=False)
    remote_choices = models.JSONField(default=list, blank=True, help_text='[{"value": ..., "label": ...}, ...]')
    state = models.CharField(max_length=10, choices=State.choices, default=State.CURRENT)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.NOTHING, blank=True)
    value = models.TextField(blank=True, default="", help_text="The field, the fact, the fixed value or the template.")
    value_map = models.JSONField(default=dict, blank=True, help_text="Your value to the client's.")
    transforms = models.JSONField(default=list, blank=True, help_text='[{"name": "trim"}, ...] in their order')
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["integration", "remote_key"], name="remote_key_in_integration")]

    def __str__(self) -> str:
        return self.remote_label or self.remote_key


class RemoteToken(models.Model):
    """A token that a client's system gave us, shared by all workers and integrations with the same credential."""

    credential = models.CharField(max_length=64, unique=True, help_text="Digest of connector, host and secrets.")
    token = EncryptedJSONField(default=dict)
    expires_at = models.DateTimeField()
