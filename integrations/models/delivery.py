"""Deliveries and their attempts."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from integrations.models.integration import Integration
from integrations.models.verdict import VerdictState
from leads.models import Event, Lead


class DeliveryState(models.TextChoices):
    QUEUED = "queued", "Queued"
    SENDING = "sending", "Sending"
    DELIVERED = "delivered", "Delivered"
    REFUSED = "refused", "Refused"
    HELD = "held", "Waiting"
    UNKNOWN = "unknown", "In doubt"
    EXHAUSTED = "exhausted", "Given up"
    NOT_SENT = "not_sent", "Not sent"  # by the connector's own rules there was nothing to send: the reason says which


class Delivery(models.Model):
    """One thing (lead, event, status change) to hand to one integration."""

    class Kind(models.TextChoices):
        LEAD = "lead", "Lead"
        STATUS = "status", "Status change"
        EVENT = "event", "Event"

    # One key over all its tries: the idempotency key, and the sync token by which the client calls back.
    key = models.UUIDField(unique=True)
    integration = models.ForeignKey(Integration, models.CASCADE, related_name="deliveries", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    # Lead and event without a constraint in the database: it would look for, and lock, their row for each delivery. Leads are
    # never removed, only erased; events by the purge alone, which removes their deliveries first.
    lead = models.ForeignKey(
        Lead, models.CASCADE, null=True, related_name="deliveries", db_index=False, db_constraint=False
    )
    event = models.ForeignKey(
        Event, models.CASCADE, null=True, related_name="deliveries", db_index=False, db_constraint=False
    )
    data = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), blank=True)
    test = models.BooleanField(default=False, db_default=False)
    resend = models.BooleanField(default=False, db_default=False, help_text="Sent again on purpose.")
    maybe_repeat = models.BooleanField(
        default=False, db_default=False, help_text="An earlier try may have arrived: the client may have it twice."
    )

    state = models.CharField(max_length=10, choices=DeliveryState.choices, default="queued", db_default="queued")
    reason = models.TextField(default="", db_default="", blank=True, help_text="In words: why it waits or failed.")
    problems = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), blank=True)
    next_try_at = models.DateTimeField(null=True, db_default=Now())
    tries = models.PositiveIntegerField(default=0, db_default=0)
    fence = models.PositiveIntegerField(default=0, db_default=0)
    lease_until = models.DateTimeField(null=True)
    mapping_version = models.PositiveIntegerField(default=0, db_default=0)

    reference = models.CharField(max_length=200, default="", db_default="", blank=True, help_text="The client's id.")
    created_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True)

    verdict = models.CharField(max_length=10, choices=VerdictState.choices, default="", db_default="", blank=True)
    reason_code = models.CharField(max_length=200, default="", db_default="", blank=True)
    comment = models.TextField(default="", db_default="", blank=True)
    decided_at = models.DateTimeField(null=True)
    next_poll_at = models.DateTimeField(null=True)
    polls = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        indexes = [
            models.Index(fields=["integration", "id"], name="delivery_integration"),
            # Where a lead stands at an integration: its latest delivery there.
            models.Index(fields=["lead", "integration", "id"], name="delivery_lead"),
            # Which delivery a client means by its own id of a lead.
            models.Index(
                fields=["reference", "integration"], name="delivery_reference", condition=models.Q(reference__gt="")
            ),
            models.Index(fields=["event"], name="delivery_event", condition=models.Q(event__isnull=False)),
            models.Index(
                fields=["integration", "next_try_at"], name="delivery_due", condition=models.Q(state="queued")
            ),
            # Test leads that are due, which pass a gate that others wait at.
            models.Index(
                fields=["integration", "next_try_at"],
                name="delivery_due_tests",
                condition=models.Q(state="queued", test=True),
            ),
            models.Index(fields=["lease_until"], name="delivery_leased", condition=models.Q(state="sending")),
            models.Index(fields=["integration", "id"], name="delivery_held", condition=models.Q(state="held")),
            # What waits for a time that is known.
            models.Index(
                fields=["next_try_at"],
                name="delivery_held_until",
                condition=models.Q(state="held", next_try_at__isnull=False),
            ),
            models.Index(fields=["next_poll_at"], name="delivery_poll", condition=models.Q(next_poll_at__isnull=False)),
            # What people are told of, and what charts count, without a look at the rows themselves.
            models.Index(
                fields=["integration", "state"],
                name="delivery_trouble",
                condition=models.Q(state__in=["held", "unknown", "exhausted"]),
            ),
            models.Index(
                fields=["integration", "delivered_at", "test"],
                name="delivery_delivered",
                condition=models.Q(delivered_at__isnull=False),
            ),
            models.Index(
                fields=["integration", "decided_at", "verdict", "test"],
                name="delivery_decided",
                condition=models.Q(decided_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Delivery {self.pk}"


class Attempt(models.Model):
    """One try of a delivery: what was sent and what came back, redacted as it is written."""

    # Without a constraint in the database, see Delivery.lead. Whoever removes deliveries locks them first, then removes these.
    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempts", db_constraint=False)
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    took_ms = models.PositiveIntegerField(default=0, db_default=0)
    outcome = models.CharField(max_length=20)
    message = models.TextField(default="", db_default="", blank=True)
    exchanges = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        help_text='[{"request": {...}, "response": {...} or null}, ...], redacted',
    )

    class Meta:
        ordering = ["id"]
