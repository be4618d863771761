"""Links that open a publisher's own page for people who have no account."""

from __future__ import annotations

import uuid

from django.db import models

from leads.models.campaign import Publisher


class PublisherLink(models.Model):
    """One link, signed in its address; it ends by itself, or when somebody takes it back."""

    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="links")
    number = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200, help_text="Who gets it.")
    made_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, help_text="To the minute.")

    class Meta:
        ordering = ["-id"]
        verbose_name = "link to a publisher’s page"
        verbose_name_plural = "links to publishers’ pages"

    def __str__(self) -> str:
        return self.name
