"""What clients say of delivered leads: one row for each message, append-only but for what was made of it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class VerdictState(models.TextChoices):
    NONE = "", "Nothing yet"
    PENDING = "pending", "Pending"
    VALID = "valid", "Valid"
    INVALID = "invalid", "Invalid"
    RETURNED = "returned", "Returned"
    TEST = "test", "Test"


class StatusUpdate(models.Model):
    """One message that carried a verdict, however it came."""

    class Via(models.TextChoices):
        PUSHED = "pushed", "Pushed"
        POLLED = "polled", "Polled"

    class State(models.TextChoices):
        RECEIVED = "received", "Received"
        APPLIED = "applied", "Applied"
        STALE = "stale", "Older than what was known"
        REPEATED = "repeated", "Said before"
        CONFLICTING = "conflicting", "Conflicting"
        UNMATCHED = "unmatched", "No such delivery"

    # What makes a repeat harmless: the client's event id, or a digest of what was said.
    key = models.CharField(max_length=128, unique=True)
    delivery = models.ForeignKey("integrations.Delivery", models.CASCADE, null=True, related_name="status_updates")
    verdict = models.CharField(max_length=10, choices=VerdictState.choices)
    reason_code = models.CharField(max_length=200, default="", db_default="", blank=True)
    comment = models.TextField(default="", db_default="", blank=True)
    by = models.CharField(max_length=200, default="", db_default="", blank=True)
    decided_at = models.DateTimeField(help_text="When the client decided; when it was received, if they did not say.")
    via = models.CharField(max_length=10, choices=Via.choices)
    raw = models.TextField(default="", db_default="", blank=True)
    received_at = models.DateTimeField(db_default=Now())
    about = models.TextField(
        default="",
        db_default="",
        blank=True,
        help_text="The delivery that it waits for: its key, or the client's reference.",
    )
    state = models.CharField(max_length=12, choices=State.choices, default="received", db_default="received")

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["id"], name="status_update_received", condition=models.Q(state="received")),
            models.Index(
                fields=["received_at"], name="status_update_conflict", condition=models.Q(state="conflicting")
            ),
            models.Index(
                fields=["id"], name="status_update_early", condition=models.Q(state="unmatched", about__gt="")
            ),
        ]

    def __str__(self) -> str:
        return f"Status update {self.pk}"
