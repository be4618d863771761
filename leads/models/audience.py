"""Audiences and computed traits: what their rules are, who is in them, and what waits to be looked at anew."""

from __future__ import annotations

import secrets
from typing import Any

from django.db import models

from leads.models.campaign import Campaign
from leads.models.event import Person

KEY_CHARS = 120


def new_public_id() -> str:
    """What destinations know a computation by, without the letters for what it is."""
    return secrets.token_hex(12)


class Audience(models.Model):
    """A rule over people's events and traits: who is in (an audience), or which value each has (a computed trait).

    A changed rule is a new generation of members: it is built beside the one in force, which goes on being kept up, and takes
    its place when everybody was looked at.
    """

    class Kind(models.TextChoices):
        AUDIENCE = "audience", "Audience"
        TRAIT = "trait", "Computed trait"

    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="audiences")
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.AUDIENCE)
    name = models.CharField(max_length=KEY_CHARS)
    # The property that destinations are told. It stays as it is when the name changes: they know it by it.
    key = models.CharField(max_length=KEY_CHARS, editable=False)
    public_id = models.CharField(max_length=40, unique=True, default=new_public_id, editable=False)
    rule = models.JSONField(default=dict, help_text="leads/audience_rules.py says what stands in it.")
    enabled = models.BooleanField("kept up to date", default=True)
    first_sync_minutes = models.PositiveIntegerField(
        "first sync spread over (minutes)", default=360, help_text="Everyone is told once, evenly over this time."
    )
    sync_minutes = models.PositiveIntegerField(
        "later syncs every (minutes)", default=150, help_text="Only those who changed since are told."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    # The members in force: their generation (0: none yet) and the rule that they are by.
    generation = models.PositiveIntegerField(default=0, editable=False)
    rule_in_force = models.JSONField(default=dict, editable=False)
    computed_at = models.DateTimeField(null=True, editable=False)
    # Each transaction that changes members has a number; a reader that has come to one misses nothing after it.
    turn = models.BigIntegerField(default=0, editable=False)
    # The generation that is being built, and how far: persons up to this id were looked at, of those up to that one. Whoever
    # came later is touched by what they did.
    building = models.PositiveIntegerField(null=True, editable=False)
    built_to = models.BigIntegerField(default=0, editable=False)
    build_until = models.BigIntegerField(default=0, db_default=0, editable=False)
    built = models.PositiveIntegerField(default=0, editable=False)
    to_build = models.PositiveIntegerField(default=0, editable=False)
    # Rows of generations that nobody needs wait to be removed.
    leftovers = models.BooleanField(default=False, editable=False)
    counted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["campaign", "key"], name="audience_key_in_campaign")]
        indexes = [
            models.Index(
                fields=["id"],
                name="audience_at_work",
                condition=models.Q(enabled=True, building__isnull=False) | models.Q(leftovers=True),
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_trait(self) -> bool:
        return self.kind == Audience.Kind.TRAIT

    @property
    def computation_id(self) -> str:
        return f"{'tra' if self.is_trait else 'aud'}_{self.public_id}"

    def generations(self) -> list[tuple[int, dict[str, Any]]]:
        """The generations that are kept up, each with its rule."""
        found = [(self.generation, self.rule_in_force)] if self.generation else []
        return [*found, (self.building, self.rule)] if self.building is not None else found


class Membership(models.Model):
    """What a rule came to for a person. None of those who are not in, never were, and can't come in by time alone."""

    audience = models.ForeignKey(Audience, models.CASCADE, related_name="memberships", db_index=False)
    generation = models.PositiveIntegerField()
    # Persons go without a look at who keeps rows about them; a row that outlives its person is removed when it is found.
    person = models.ForeignKey(Person, models.CASCADE, related_name="memberships", db_constraint=False)
    member = models.BooleanField(help_text="In the audience; of a trait, whether there is a value.")
    value = models.JSONField(null=True)
    # Both as they were when the row was written: a change of either is news for destinations.
    user_id = models.TextField(blank=True, default="", db_default="")
    devices = models.PositiveIntegerField(default=0, db_default=0)
    since = models.DateTimeField(help_text="When they came in or went out, or when the value changed.")
    next_change_at = models.DateTimeField(null=True, help_text="When it may change though nothing happens.")
    turn = models.BigIntegerField(help_text="The audience's turn of the last change.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["audience", "generation", "person"], name="membership_of_person")
        ]
        indexes = [
            models.Index(
                fields=["next_change_at"], name="membership_due", condition=models.Q(next_change_at__isnull=False)
            ),
            models.Index(fields=["audience", "generation", "turn", "person"], name="membership_turn"),
            models.Index(
                fields=["audience", "generation", "person"], name="membership_in", condition=models.Q(member=True)
            ),
        ]


class AudienceCount(models.Model):
    """How many were in an audience on a day, at the last look."""

    audience = models.ForeignKey(Audience, models.CASCADE, related_name="counts", db_index=False)
    day = models.DateField()
    members = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["audience", "day"], name="audience_count_of_day")]


class Touched(models.Model):
    """Persons to whom something happened, and who wait to be looked at by audiences: one row for all of a transaction."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="+", db_index=False, db_constraint=False)
    person_ids = models.JSONField()
