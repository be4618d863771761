"""Whose leads they are, for which piece of work, and who supplies them."""

from __future__ import annotations

import zoneinfo

from django.core.exceptions import ValidationError
from django.db import models


def _known_time_zone(value: str) -> None:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValidationError(f"“{value}” is no time zone. Write it as Europe/London.") from None


class Advertiser(models.Model):
    """The client whose leads these are."""

    name = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Publisher(models.Model):
    """Who supplies leads. Its id is the Publisher ID that it is told."""

    name = models.CharField(max_length=200, unique=True)
    active = models.BooleanField(default=True, help_text="Without this tick its keys and users are refused.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Campaign(models.Model):
    """One piece of work for an advertiser: which forms it takes leads with, and from whom."""

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        INACTIVE = "inactive", "Inactive (before its start)"
        PAUSED = "paused", "Paused"
        ENDED = "ended", "Ended"
        SETUP_REQUIRED = "setup_required", "Setup required"

    advertiser = models.ForeignKey(Advertiser, models.PROTECT, related_name="campaigns")
    name = models.CharField(max_length=200)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.ACTIVE)
    status_reason = models.CharField(max_length=200, blank=True, help_text="Why it is not active, for colleagues.")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[_known_time_zone])
    verdict_days = models.PositiveSmallIntegerField(
        default=90, help_text="For how many days after delivery the client's verdict on a lead is asked for."
    )
    silence_times = models.PositiveSmallIntegerField(
        "tell of silence",
        default=6,
        db_default=6,
        help_text="A notice is sent when no lead has come for so many times the usual gap at that hour; 0: never.",
    )
    forms = models.ManyToManyField("leads.Form", related_name="campaigns", blank=True)
    publishers = models.ManyToManyField(Publisher, through="CampaignPublisher", related_name="campaigns")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["advertiser", "name"], name="campaign_name_in_advertiser")]

    def __str__(self) -> str:
        return self.name


class CampaignPublisher(models.Model):
    """That a publisher may send leads to a campaign."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="contracts")
    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="contracts")
    active = models.BooleanField(default=True)

    class Meta:
        verbose_name = "publisher of a campaign"
        verbose_name_plural = "publishers of a campaign"
        constraints = [models.UniqueConstraint(fields=["campaign", "publisher"], name="publisher_once_in_campaign")]

    def __str__(self) -> str:
        return f"{self.publisher} in {self.campaign}"


class Link(models.Model):
    """An optional tracking link: the channel through which a lead came (facts, section 3)."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="links")
    name = models.CharField(max_length=200)
    channel = models.CharField(max_length=100, blank=True)
    destination = models.URLField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["campaign", "name"], name="link_name_in_campaign")]

    def __str__(self) -> str:
        return self.name
