"""What people are told of: incidents, what is said of each, to whom, and whether it arrived."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from integrations.models.delivery import Delivery
from integrations.models.integration import Integration
from leads.models import Campaign


class NoticeKind(models.TextChoices):
    FAILING = "failing", "Does not answer"
    STOPPED = "stopped", "Stopped"
    CHANGED = "changed", "Their form changed"
    SWITCHED_OFF = "switched_off", "Switched off"
    DOUBT = "doubt", "In doubt"
    REASONS = "reasons", "More refused leads"
    SILENCE = "silence", "No leads"


class Notice(models.Model):
    """One incident of one integration or one campaign, from its start to its end."""

    kind = models.CharField(max_length=20, choices=NoticeKind.choices)
    about = models.CharField(max_length=40, help_text="Whose incident it is: integration:12, campaign:3.")
    integration = models.ForeignKey(Integration, models.CASCADE, null=True, related_name="notices")
    campaign = models.ForeignKey(Campaign, models.CASCADE, null=True, related_name="notices")
    words = models.TextField(help_text="The cause.")
    percent = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How much of the way to being switched off was told of."
    )
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, help_text="Empty while it lasts.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            # Workers that find the same thing at once raise it once.
            models.UniqueConstraint(
                fields=["about", "kind"], name="notice_open_once", condition=models.Q(ended_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"Notice {self.pk}"


class NoticeStep(models.Model):
    """Something that is told of an incident: that it started, that it goes on, that it ended. Append-only but for `due`."""

    class What(models.TextChoices):
        START = "start", "Started"
        STILL = "still", "Goes on"
        END = "end", "Ended"

    notice = models.ForeignKey(Notice, models.CASCADE, related_name="steps")
    what = models.CharField(max_length=10, choices=What.choices)
    words = models.TextField(default="", db_default="", blank=True)
    at = models.DateTimeField(db_default=Now())
    # Set until the messages about it are written: the next stage finds it by this.
    due = models.BooleanField(default=True, db_default=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["id"], name="notice_step_due", condition=models.Q(due=True))]


class NoticeTarget(models.Model):
    """Who is told, and of what: an e-mail address, or a webhook, which is a managed integration of the whole instance."""

    name = models.CharField(max_length=200, unique=True, help_text="For you and your colleagues.")
    email = models.EmailField("e-mail address", blank=True, default="", db_default="")
    integration = models.OneToOneField(
        Integration, models.CASCADE, null=True, blank=True, editable=False, related_name="notice_target"
    )
    only_campaign = models.ForeignKey(
        Campaign,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="notice_targets",
        verbose_name="only this campaign",
    )
    only_integration = models.ForeignKey(
        Integration,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="notice_targets",
        verbose_name="only this integration",
    )
    kinds = models.JSONField("of what", default=list, blank=True, help_text="Empty: of everything.")
    active = models.BooleanField(default=True, help_text="Without this tick nothing is sent.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "person or webhook that is told"
        verbose_name_plural = "who is told"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email="") ^ models.Q(integration__isnull=True), name="notice_target_has_one_way"
            )
        ]

    def __str__(self) -> str:
        return self.name


class NoticeMessage(models.Model):
    """What one target is told of one step; a webhook's goes out as a delivery, an e-mail from here."""

    step = models.ForeignKey(NoticeStep, models.CASCADE, null=True, related_name="messages", help_text="Empty: a test.")
    target = models.ForeignKey(NoticeTarget, models.CASCADE, related_name="messages")
    delivery = models.OneToOneField(Delivery, models.CASCADE, null=True, related_name="notice_message")
    created_at = models.DateTimeField(db_default=Now())

    to = models.EmailField(blank=True, default="", db_default="")
    subject = models.CharField(max_length=300, blank=True, default="", db_default="")
    text = models.TextField(blank=True, default="", db_default="")
    html = models.TextField(blank=True, default="", db_default="")
    # An e-mail's next try, or how long a worker has it; empty when there is nothing to send any more.
    due_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0, db_default=0)
    sent_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="", db_default="", help_text="Why it did not go out, in words.")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["due_at"], name="notice_message_due", condition=models.Q(due_at__isnull=False))]
        constraints = [
            models.UniqueConstraint(
                fields=["step", "target"], name="notice_message_once", condition=models.Q(step__isnull=False)
            )
        ]
