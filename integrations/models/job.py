"""Jobs of the Processr that judge leads or add values to them, the lists they look things up in, and what they came to."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models

from integrations.kit.lists import LIST_KINDS
from leads.models import Campaign, Publisher

MOST_SCORE = 1_000
REASON_CHARS = 300


class JobGroup(models.Model):
    """Jobs of which exactly one runs for a lead: the first whose condition holds. It counts with the group's score."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="job_groups")
    name = models.CharField(max_length=200)
    score = models.PositiveSmallIntegerField(default=10, validators=[MaxValueValidator(MOST_SCORE)])
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["campaign", "position", "id"]
        verbose_name = "group of jobs"
        verbose_name_plural = "groups of jobs"
        constraints = [models.UniqueConstraint(fields=["campaign", "name"], name="job_group_name_in_campaign")]

    def __str__(self) -> str:
        return self.name


class Job(models.Model):
    """One configured job of a campaign: its kind (integrations/jobs/) with settings. Quality jobs have a score."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=64, help_text="The slug of its kind.")
    name = models.CharField(max_length=200)
    settings = models.JSONField(default=dict, blank=True)
    enabled = models.BooleanField("on", default=True, help_text="Without this tick it judges nothing.")
    score = models.PositiveSmallIntegerField(
        default=10, validators=[MaxValueValidator(MOST_SCORE)], help_text="What a lead gets that passes."
    )
    hard_fail = models.BooleanField(default=False, help_text="A lead that fails here is invalid, whatever its score.")
    position = models.PositiveIntegerField(default=0)
    shown_to_publishers = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Publishers of the campaign can read what it checks, and check their leads by it before they send them.",
    )

    group = models.ForeignKey(JobGroup, models.SET_NULL, null=True, blank=True, related_name="jobs")
    # In a group: it runs for leads with one of these values in this input; without an input, for all others.
    when_field = models.CharField("field", max_length=200, blank=True, default="")
    when_values = models.TextField("values", blank=True, default="", help_text="Separated by semicolons: GB; IE.")

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["campaign", "position", "id"]
        constraints = [models.UniqueConstraint(fields=["campaign", "name"], name="job_name_in_campaign")]

    def __str__(self) -> str:
        return self.name


class KeyBuild(models.Model):
    """Of a job that compares leads: what it compares, and how far keys of the leads before it have been made."""

    job = models.OneToOneField(Job, models.CASCADE, related_name="key_build")
    reach = models.JSONField(
        default=list,
        help_text='[{"scope": ..., "fields": [...], "campaigns": [...], "region": ...}]: another one starts anew.',
    )
    wide = models.BooleanField(default=False, help_text="Whether leads of other campaigns have keys for it.")
    done_to = models.BigIntegerField(default=0, help_text="Leads up to this id have their keys.")
    up_to = models.BigIntegerField(
        help_text="The last lead that there was; later ones get their keys as they are judged."
    )
    # Leads from here on may have been at judgement when it began, without a key of this job: they are looked at once more.
    again_from = models.BigIntegerField(null=True)
    again_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["id"],
                name="key_build_due",
                condition=models.Q(finished_at__isnull=True) | models.Q(again_at__isnull=False),
            ),
        ]


class JobTally(models.Model):
    """What a job made of a publisher's leads on a day of the campaign's time zone. Each judgement counts once."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="tallies", db_index=False)
    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    passed = models.PositiveIntegerField(default=0, db_default=0)
    failed = models.PositiveIntegerField(default=0, db_default=0)
    unjudged = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Leads that it could not judge: they are in Caution."
    )

    class Meta:
        verbose_name_plural = "job tallies"
        constraints = [models.UniqueConstraint(fields=["job", "day", "publisher"], name="job_tally_of_a_day")]


class JobReason(models.Model):
    """How often a job gave a reason on a day, without what was posted. Beyond a number of them they are one: others."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="reasons", db_index=False)
    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    reason = models.CharField(max_length=REASON_CHARS)
    times = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "day", "publisher", "reason"], name="job_reason_of_a_day")
        ]


class ValueList(models.Model):
    """A list that jobs look values up in. Its items are those of its generation: a new one is filled, then put in force."""

    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=20, choices=[(kind.name, kind.label) for kind in LIST_KINDS.values()])
    help = models.CharField("what it is for", max_length=500, blank=True, default="")
    generation = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    last_begun = models.PositiveIntegerField(
        default=1, db_default=1, editable=False, help_text="The last generation that somebody began to fill."
    )
    count = models.PositiveIntegerField("values", default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "list of values"
        verbose_name_plural = "lists of values"

    def __str__(self) -> str:
        return self.name


class ValueListItem(models.Model):
    """One entry: its key in the normal form of the list's kind, and what a look-up table has for it."""

    list = models.ForeignKey(ValueList, models.CASCADE, related_name="items", db_index=False)
    generation = models.PositiveIntegerField(default=1, db_default=1)
    key = models.CharField(max_length=500)
    value = models.CharField(max_length=1000, default="", db_default="", blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["list", "generation", "key"], name="key_in_generation_of_list")]
