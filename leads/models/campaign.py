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

    class LetsOut(models.TextChoices):
        VALID = "valid", "Valid leads only"
        CAUTION = "caution", "Valid leads and those in Caution"

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
    lets_out = models.CharField(
        "what goes out",
        max_length=10,
        choices=LetsOut.choices,
        default=LetsOut.VALID,
        db_default=LetsOut.VALID,
        help_text="A lead in Caution that does not go out by itself waits for a person.",
    )
    releases_held = models.BooleanField(
        "release held leads",
        default=True,
        db_default=True,
        help_text="What a publisher's cap of the day, week or month held goes out when the next one begins.",
    )
    # Grows with each change of what judges its leads (jobs, groups, caps): what is compiled of it is kept by this number.
    # 0: nothing ever did.
    processr_version = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    # Its leads wait to be judged while keys of the leads before are made for a new check: until then at most.
    judging_waits_until = models.DateTimeField(null=True, blank=True, editable=False)
    forms = models.ManyToManyField("leads.Form", related_name="campaigns", blank=True)
    publishers = models.ManyToManyField(Publisher, through="CampaignPublisher", related_name="campaigns")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["advertiser", "name"], name="campaign_name_in_advertiser")]

    def __str__(self) -> str:
        return self.name


class CampaignPublisher(models.Model):
    """That a publisher may send leads to a campaign, and how many are wanted from it (facts, section 10)."""

    class OverCap(models.TextChoices):
        HOLD = "hold", "Hold them"
        UNBILLED = "unbilled", "Accept them unbilled"

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="contracts")
    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="contracts")
    active = models.BooleanField(default=True)

    # How many leads are wanted from it, in days, weeks (from Monday) and months of the campaign's time zone; empty: no bound.
    cap_day = models.PositiveIntegerField("most in a day", null=True, blank=True)
    cap_week = models.PositiveIntegerField("most in a week", null=True, blank=True)
    cap_month = models.PositiveIntegerField("most in a month", null=True, blank=True)
    cap_total = models.PositiveIntegerField("most in all", null=True, blank=True)
    over_cap = models.CharField(
        "beyond that",
        max_length=10,
        choices=OverCap.choices,
        default=OverCap.HOLD,
        db_default=OverCap.HOLD,
        help_text="What becomes of leads that come when as many are there.",
    )
    # Whether CapCount has what it let out so far; if not, the next lead counts it.
    caps_counted = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        verbose_name = "publisher of a campaign"
        verbose_name_plural = "publishers of a campaign"
        constraints = [models.UniqueConstraint(fields=["campaign", "publisher"], name="publisher_once_in_campaign")]

    def __str__(self) -> str:
        return f"{self.publisher} in {self.campaign}"


class CapCount(models.Model):
    """How many leads of a contract went out on a day of the campaign's time zone. Kept for contracts that have a cap."""

    contract = models.ForeignKey(CampaignPublisher, models.CASCADE, related_name="cap_counts", db_index=False)
    day = models.DateField()
    leads = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["contract", "day"], name="cap_count_of_a_day")]


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
