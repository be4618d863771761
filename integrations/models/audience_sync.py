"""Which destinations are told of an audience, how far that is, and what each was last told."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from integrations.models.delivery import Delivery
from integrations.models.integration import Integration
from leads.models import Audience
from leads.models.event import ID_CHARS


class AudienceSync(models.Model):
    """An audience or computed trait that an integration is told of."""

    audience = models.ForeignKey(Audience, models.CASCADE, related_name="syncs", db_index=False)
    integration = models.ForeignKey(Integration, models.CASCADE, related_name="audience_syncs")
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(db_default=Now())

    # Where it has read to, of which generation of members: everything after it is still to be told.
    generation = models.PositiveIntegerField(default=0, editable=False)
    turn = models.BigIntegerField(default=0, editable=False)
    person = models.BigIntegerField(default=0, editable=False)
    # A sync that is under way, and when it began.
    began_at = models.DateTimeField(null=True, editable=False)
    # Of the first one: how many are to be told and were, which is what it is spread by.
    first_total = models.PositiveIntegerField(default=0, editable=False)
    first_done = models.PositiveIntegerField(default=0, editable=False)
    first_done_at = models.DateTimeField(null=True, editable=False)
    last_at = models.DateTimeField(null=True, editable=False)
    last_told = models.PositiveIntegerField(default=0, editable=False)
    next_at = models.DateTimeField(default=None, null=True, editable=False)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["audience", "integration"], name="audience_sync_once")]
        indexes = [models.Index(fields=["next_at"], name="audience_sync_due", condition=models.Q(enabled=True))]

    def __str__(self) -> str:
        return f"{self.audience} to {self.integration}"


class AudienceTold(models.Model):
    """What an integration was last told of a user, on one device or on none. The user's id stands in no clear here."""

    sync = models.ForeignKey(AudienceSync, models.CASCADE, related_name="told", db_index=False)
    user_key = models.UUIDField()
    device_id = models.CharField(max_length=ID_CHARS, blank=True, default="", db_default="")
    value = models.JSONField(null=True)
    delivery = models.ForeignKey(Delivery, models.SET_NULL, null=True, related_name="+", db_constraint=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sync", "user_key", "device_id"], name="audience_told_once"),
        ]
        indexes = [models.Index(fields=["user_key"], name="audience_told_user")]
