"""By what a lead is found again: digests of some of its values in normal form, and of where it was sent from."""

from __future__ import annotations

from django.db import models

from leads.models.lead import Lead


class KeyKind(models.Model):
    """What keys are made of: which inputs, and among which leads they are compared. Nothing of a lead is in it."""

    id = models.SmallAutoField(primary_key=True)
    scope = models.CharField(max_length=20, help_text="As a question of a job names it: campaign, instance, ...")
    fields = models.CharField(
        max_length=1000, help_text="Input keys in their order as a JSON list; nothing: the address it was sent from."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "fields"], name="key_kind_once")]


class LeadKey(models.Model):
    """One key of one lead. The scope (whose campaign, which publisher) is part of the digest, so that one range of the index
    answers a question, however many leads are kept."""

    pk = models.CompositePrimaryKey("kind", "digest", "received_at", "lead")
    # Without a constraint: each key would lock the one row. A kind is removed behind its keys.
    kind = models.ForeignKey(KeyKind, models.CASCADE, db_index=False, db_constraint=False, related_name="+")
    digest = models.BigIntegerField()
    received_at = models.DateTimeField()
    lead = models.ForeignKey(Lead, models.CASCADE, related_name="+")
    # That it was valid, and may be still: whoever asks for valid leads alone looks at these, and then at the lead.
    good = models.BooleanField(default=False, db_default=False)

    class Meta:
        indexes = [
            models.Index(
                fields=["kind", "digest", "received_at", "lead"], name="lead_key_good", condition=models.Q(good=True)
            )
        ]
