"""Leads and the history of what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models.functions import Now

from leads.models.campaign import Campaign, Link, Publisher
from leads.models.form import Form


class Status(models.TextChoices):
    """The first check: what the Processr made of a lead (facts, section 8)."""

    PENDING = "pending", "Pending"
    VALID = "valid", "Valid"
    CAUTION = "caution", "Caution"
    INVALID = "invalid", "Invalid"
    TEST = "test", "Test"


class Flag(models.TextChoices):
    """The second check: what a person or the client says of it later."""

    NONE = "", "Not flagged"
    VALID = "valid", "Valid"
    INVALID = "invalid", "Invalid"
    RETURNED = "returned", "Returned"
    TEST = "test", "Test"


class Held(models.TextChoices):
    """Why a judged lead has not gone out, where it waits for a person or for a time."""

    NO = "", "Not held"
    CAUTION = "caution", "In Caution: it waits for a person"
    CAP_DAY = "cap_day", "Its publisher has sent as many as are wanted in a day"
    CAP_WEEK = "cap_week", "Its publisher has sent as many as are wanted in a week"
    CAP_MONTH = "cap_month", "Its publisher has sent as many as are wanted in a month"
    CAP_TOTAL = "cap_total", "Its publisher has sent as many as are wanted in all"


class Via(models.TextChoices):
    """How a change came."""

    PROCESSR = "processr", "Processr"
    ADMIN = "admin", "Console"
    WEBHOOK = "webhook", "Webhook"
    CLIENT = "client", "The client's verdict"
    API = "api", "API"


def failed_words(failed_jobs: Iterable[Any]) -> list[str]:
    """The reasons of Lead.failed_jobs. Leads of old have the words alone."""
    return [entry["reason"] if isinstance(entry, dict) else str(entry) for entry in failed_jobs]


class Lead(models.Model):
    """One posted form. Written by intake in batches; its status and flag change through leads/status.py alone."""

    hash = models.UUIDField(unique=True, help_text="Its public id: 32 hexadecimal digits that nobody can guess.")
    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="leads", db_index=False)
    publisher = models.ForeignKey(Publisher, models.PROTECT, related_name="leads", db_index=False)
    form = models.ForeignKey(Form, models.PROTECT, related_name="leads", db_index=False)
    form_version = models.PositiveIntegerField()
    link = models.ForeignKey(Link, models.SET_NULL, null=True, blank=True, related_name="leads", db_index=False)
    values = models.JSONField(
        help_text="Input names to posted text; an opt-in has the keys name.terms and name.contactTypes."
    )
    # Indexed on PostgreSQL alone, by migration 0004: there it costs intake 3 %, on SQLite the insert took 1.8 times as
    # long, where a scan of 100,000 leads takes 20 ms.
    email_key = models.CharField(
        max_length=254,
        default="",
        db_default="",
        blank=True,
        editable=False,
        help_text="Its e-mail address in small letters.",
    )
    status = models.CharField(max_length=10, choices=Status.choices)
    created_at = models.DateTimeField(db_default=Now())
    processed_at = models.DateTimeField(null=True, blank=True, help_text="When the Processr judged it.")
    failed_jobs = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        blank=True,
        help_text='[{"job": id, "name": ..., "reason": ..., "field": ..., "hard": ..., "unjudged": ...}, ...]',
    )
    # What the judgement came to; empty where its campaign had no jobs.
    score = models.PositiveIntegerField(null=True, blank=True)
    max_score = models.PositiveIntegerField(null=True, blank=True)
    enriched = models.JSONField(
        null=True, blank=True, help_text="What enrichment added, by its own names; beside the values, never instead."
    )
    judgements = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="How often jobs or caps judged it: more than once when it was reprocessed."
    )
    held = models.CharField(max_length=10, choices=Held.choices, default=Held.NO, db_default="", blank=True)
    held_until = models.DateTimeField(null=True, blank=True, help_text="When it goes out by itself.")
    released_at = models.DateTimeField(null=True, blank=True, help_text="When it went out after it was held.")
    billable = models.BooleanField(
        null=True, blank=True, help_text="False: accepted beyond a cap, unbilled. Empty: as its status and flag say."
    )
    ip = models.GenericIPAddressField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True, help_text="When its personal data was erased.")

    flag = models.CharField(max_length=10, choices=Flag.choices, default=Flag.NONE, db_default="", blank=True)
    reason_code = models.CharField(max_length=200, default="", db_default="", blank=True)
    comment = models.TextField(default="", db_default="", blank=True)
    flagged_by = models.CharField(max_length=200, default="", db_default="", blank=True)
    flagged_at = models.DateTimeField(null=True, blank=True)

    idempotency_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001  absent is not empty
    body_digest = models.CharField(max_length=64, default="", db_default="", blank=True)
    # The instance it came from, which is told of each later flag. Empty: nobody asked.
    sync_subdomain = models.CharField(max_length=63, default="", db_default="", blank=True)
    sync_token = models.CharField(max_length=32, default="", db_default="", blank=True)
    visitor = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text="The userId and anonymousId that it was posted with: whose tracked events it belongs to.",
    )

    class Meta:
        ordering = ["-id"]
        permissions = [
            ("see_personal_data", "Can see personal data of leads"),
            ("export_lead", "Can export leads"),
            ("erase_lead", "Can erase personal data of leads"),
        ]
        indexes = [
            models.Index(fields=["campaign", "id"], name="lead_campaign"),
            models.Index(fields=["publisher", "id"], name="lead_publisher"),
            # What charts and figures count, without a look at the rows themselves.
            models.Index(fields=["campaign", "created_at", "status", "publisher"], name="lead_tally"),
            models.Index(fields=["id"], name="lead_received", condition=models.Q(processed_at__isnull=True)),
            # What waits for a person or for a time: a few of many.
            models.Index(fields=["campaign", "held", "id"], name="lead_held", condition=models.Q(held__gt="")),
            models.Index(fields=["held_until"], name="lead_held_until", condition=models.Q(held_until__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["publisher", "idempotency_key"],
                name="lead_idempotency_key",
                condition=models.Q(idempotency_key__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"Lead {self.pk}"

    @property
    def is_test(self) -> bool:
        return self.status == Status.TEST or self.flag == Flag.TEST

    @property
    def failed_words(self) -> list[str]:
        """Why it failed, as publishers and clients read it: one sentence for each failed job."""
        return failed_words(self.failed_jobs)

    @property
    def is_billable(self) -> bool:
        """Whether it went out, nobody turned it down since, and it was within its publisher's caps."""
        out = self.status in (Status.VALID, Status.CAUTION) and not self.held
        return out and self.flag in (Flag.NONE, Flag.VALID) and self.billable is not False


# Whose names are no colleagues': clients', and those of systems that have a key. A publisher reads no others.
OUTSIDE = (Via.CLIENT, Via.WEBHOOK, Via.API)


class LeadChange(models.Model):
    """One change of a lead: a judgement, a flag, appended data. Append-only."""

    class Kind(models.TextChoices):
        JUDGED = "judged", "Judged"
        FLAGGED = "flagged", "Flagged"
        APPENDED = "appended", "Data added"
        IMPORTED = "imported", "Imported"
        MARKED = "marked", "Delivery marked by hand"
        ERASED = "erased", "Personal data erased"
        RELEASED = "released", "Released"

    # Without a constraint in the database: it would look for, and lock, the lead's row for each change. Leads are never removed.
    lead = models.ForeignKey(Lead, models.CASCADE, related_name="changes", db_constraint=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    status = models.CharField(max_length=10, default="", db_default="", blank=True)
    flag = models.CharField(max_length=10, default="", db_default="", blank=True)
    reason_code = models.CharField(max_length=200, default="", db_default="", blank=True)
    comment = models.TextField(default="", db_default="", blank=True)
    data = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()), blank=True)
    by = models.CharField(max_length=200, default="", db_default="", blank=True)
    via = models.CharField(max_length=10, choices=Via.choices)
    event_id = models.UUIDField(unique=True, help_text="What the instance that the lead came from is told.")
    decided_at = models.DateTimeField(help_text="When it was decided, which may be before it was learned.")
    created_at = models.DateTimeField(db_default=Now())
    # Set while the instance that the lead came from has not been told: the next stage finds it by this.
    sync_due = models.BooleanField(default=False, db_default=False)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["id"], name="lead_change_sync_due", condition=models.Q(sync_due=True)),
            # By block ranges on PostgreSQL.
            models.Index(fields=["created_at"], name="lead_change_created"),
        ]


class ReasonCode(models.Model):
    """A reason that people may give with a flag."""

    flag = models.CharField(max_length=10, choices=[c for c in Flag.choices if c[0]])
    code = models.CharField(max_length=200)
    label = models.CharField(max_length=200, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        ordering = ["flag", "code"]
        constraints = [models.UniqueConstraint(fields=["flag", "code"], name="reason_code_in_flag")]

    def __str__(self) -> str:
        return self.label or self.code
