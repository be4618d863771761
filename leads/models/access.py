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
