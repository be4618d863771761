"""Work on many rows that a person asked for: what, how far it has come, and what came of each row."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from leads.models.campaign import Campaign
from leads.models.lead import Lead


class ActivityState(models.TextChoices):
    PREPARING = "preparing", "Preparing"
    READY = "ready", "Waits for you"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    CANCELLED = "cancelled", "Cancelled"
    FAILED = "failed", "Failed"


class ItemState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Left out"


class Activity(models.Model):
    """One bulk action or import. Its rows are the truth: whoever works it may die at any moment."""

    kind = models.CharField(max_length=40)
    params = models.JSONField(
        default=dict, help_text="What was asked for; what was searched for only until it is found."
    )
    by = models.CharField(max_length=200, blank=True, default="")
    campaign = models.ForeignKey(Campaign, models.SET_NULL, null=True, blank=True, related_name="activities")
    # Two clicks on one page are one activity.
    token = models.CharField(max_length=64, unique=True)
    retry_of = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="retries")

    state = models.CharField(max_length=10, choices=ActivityState.choices, default=ActivityState.PREPARING)
    reason = models.TextField(blank=True, default="", help_text="In words: why it failed.")
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    to_do = models.PositiveIntegerField(
        default=0, help_text="How many waited when the work began: what its rate counts."
    )
    # Where the preparation has come to: everything up to here is an item.
    prepared_to = models.BigIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)

    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "activities"
        indexes = [
            models.Index(
                fields=["lease_until"],
                name="activity_at_work",
                condition=models.Q(state__in=["preparing", "running"]),
            )
        ]

    def __str__(self) -> str:
        return f"Activity {self.pk}"


class ActivityItem(models.Model):
    """One row of an activity and what came of it."""

    activity = models.ForeignKey(Activity, models.CASCADE, related_name="items", db_index=False)
    subject = models.BigIntegerField(help_text="What it is about, by the kind: a lead, a delivery, a row of a file.")
    lead = models.ForeignKey(Lead, models.SET_NULL, null=True, related_name="+", db_index=False)
    state = models.CharField(max_length=10, choices=ItemState.choices, default="waiting", db_default="waiting")
    # Never what was posted: erasing a lead does not look here.
    words = models.TextField(blank=True, default="", db_default="")
    # An import's row, until it is a lead: {"cells": [...], "problems": [[column, words], ...]}.
    data = models.JSONField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["activity", "subject"], name="subject_once_in_activity")]
        indexes = [
            models.Index(fields=["activity", "state", "subject"], name="activity_item_state"),
            models.Index(fields=["id"], name="activity_item_data", condition=models.Q(data__isnull=False)),
        ]
