"""Who may come in, and with what. Keys and tokens are kept as SHA-256 digests: a stolen table opens nothing."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from leads.models.campaign import Campaign, Publisher


class User(AbstractUser):
    """A person. One that belongs to a publisher sees that publisher's campaigns only and never the admin."""

    publisher = models.ForeignKey(
        Publisher,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="users",
        help_text="For a publisher's own users.",
    )

    class Meta:
        verbose_name = "user"
        verbose_name_plural = "users"


class ApiKey(models.Model):
    """A publisher's API key, or a campaign's key for its webhook. Several may be good at once while one is rotated."""

    publisher = models.ForeignKey(Publisher, models.CASCADE, null=True, blank=True, related_name="api_keys")
    campaign = models.ForeignKey(Campaign, models.CASCADE, null=True, blank=True, related_name="api_keys")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    ending = models.CharField(max_length=4, editable=False, help_text="Its last characters, to tell keys apart.")
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="To the minute.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(publisher__isnull=True) ^ models.Q(campaign__isnull=True),
                name="api_key_has_one_owner",
            )
        ]

    def __str__(self) -> str:
        return f"…{self.ending}"


class AccessToken(models.Model):
    """A bearer token that was handed out, or the refresh token beside it (facts, section 1)."""

    class Kind(models.TextChoices):
        ACCESS = "access", "Access"
        REFRESH = "refresh", "Refresh"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    digest = models.CharField(max_length=64, unique=True)
    publisher = models.ForeignKey(Publisher, models.CASCADE, null=True, related_name="+")
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="+")
    api_key = models.ForeignKey(ApiKey, models.CASCADE, null=True, related_name="+")
    expires_at = models.DateTimeField(db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)


class PartnerKey(models.Model):
    """A key of the partner API: what it may do (scopes), and whose rows it sees.

    One row has its secret and, while that is being replaced, the one before: its id and what hangs on it stay the same.
    """

    name = models.CharField(max_length=200, help_text="What it is for, in words: “Acme’s CRM”.")
    prefix = models.CharField(
        max_length=24, unique=True, editable=False, help_text="How it begins, to tell keys apart."
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    earlier_prefix = models.CharField(max_length=24, default="", blank=True, editable=False)
    earlier_digest = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    earlier_until = models.DateTimeField(null=True, blank=True, editable=False)
    scopes = models.JSONField(default=list, help_text="What it may do, as in leads/partner_keys.py.")
    publisher = models.ForeignKey(
        Publisher,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="partner_keys",
        help_text="It sees this publisher’s leads only. Empty: those of all.",
    )
    campaign = models.ForeignKey(
        Campaign,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="partner_keys",
        help_text="It sees this campaign only. Empty: all of them.",
    )
    made_by = models.CharField(max_length=200, editable=False, help_text="The person, or the key, that made it.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField("works until", null=True, blank=True, help_text="Empty: until it is taken away.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="To the minute.")

    class Meta:
        ordering = ["-id"]
        verbose_name = "partner key"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class AnsweredCall(models.Model):
    """A call of the partner API that came with an Idempotency-Key, and how it was answered: said again for a day."""

    key = models.ForeignKey(PartnerKey, models.CASCADE, related_name="+", db_index=False)
    idempotency_key = models.CharField(max_length=200)
    digest = models.CharField(
        max_length=64, help_text="Of method, address and body: the same key for another call is refused."
    )
    # Null while it is being worked; whoever works it says so again and again, or another may take it over.
    status = models.PositiveSmallIntegerField(null=True)
    alive_at = models.DateTimeField()
    content_type = models.CharField(max_length=100, default="", db_default="")
    location = models.CharField(max_length=200, default="", db_default="", help_text="Its header Location.")
    body = models.BinaryField(null=True, help_text="Packed by zlib.")
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "idempotency_key"], name="answered_once_for_key")]
