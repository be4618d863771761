"""Who wants to be told of what happens, and what they are yet to be told of."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from leads.models.access import PartnerKey
from leads.models.campaign import Campaign, Publisher
from leads.models.lead import Lead


class Happening(models.TextChoices):
    """What a webhook can be told of."""

    LEAD_CREATED = "lead.created", "A lead came in"
    LEAD_JUDGED = "lead.judged", "A lead was judged"
    LEAD_FLAGGED = "lead.flagged", "A lead was flagged"
    DELIVERY_DELIVERED = "delivery.delivered", "A lead was delivered"
    DELIVERY_REFUSED = "delivery.refused", "A client refused a lead"
    DELIVERY_HELD = "delivery.held", "A lead waits before it is sent"
    INTEGRATION_FAILING = "integration.failing", "An integration fails"
    INTEGRATION_RECOVERED = "integration.recovered", "An integration works again"


class Subscription(models.Model):
    """A partner's webhook: what it is told of, and of whose leads. Where and how it is told is its integration's (above)."""

    name = models.CharField(max_length=200, help_text="For you and your colleagues.")
    events = models.JSONField("of what", help_text="Of what it is told: names of happenings.")
    publisher = models.ForeignKey(
        Publisher,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="subscriptions",
        verbose_name="only this publisher’s leads",
    )
    campaign = models.ForeignKey(
        Campaign,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="subscriptions",
        verbose_name="only this campaign",
    )
    personal_data = models.BooleanField(
        default=False,
        help_text="Messages about a lead have its values and comments. Without this tick: ids and reasons.",
    )
    # The partner key that made it: once that has ended, nothing is told any more.
    key = models.ForeignKey(
        PartnerKey, models.CASCADE, null=True, blank=True, editable=False, related_name="subscriptions"
    )
    made_by = models.CharField(max_length=200, blank=True, default="", editable=False)
    created_at = models.DateTimeField(db_default=Now())
    rotated_until = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Until when the old secret signs too."
    )
    # Its messages are removed in the background; then it goes.
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = "webhook"

    def __str__(self) -> str:
        return self.name


class OutboxEvent(models.Model):
    """Something that happened and that a webhook wants to be told of. Written in the transaction of its cause; gone once
    it has become messages.
    """

    event = models.CharField(max_length=30, choices=Happening.choices)
    # Without constraints in the database: rows live for moments, and each would be a lock on another table's row.
    campaign = models.ForeignKey(
        Campaign, models.CASCADE, null=True, db_index=False, db_constraint=False, related_name="+"
    )
    publisher = models.ForeignKey(
        Publisher, models.CASCADE, null=True, db_index=False, db_constraint=False, related_name="+"
    )
    lead = models.ForeignKey(Lead, models.CASCADE, null=True, db_index=False, db_constraint=False, related_name="+")
    data = models.JSONField(default=dict)
    test = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
