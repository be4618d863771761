"""Files that people bring, kept until their rows are leads, and how their columns were mapped."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from leads.models.campaign import Campaign
from leads.models.form import Form


class ImportFile(models.Model):
    """An uploaded file and what was seen at its start. Its bytes lie in the database, where every worker reaches them."""

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        XLSX = "xlsx", "XLSX"

    campaign = models.ForeignKey(
        Campaign,
        models.CASCADE,
        null=True,
        related_name="import_files",
        help_text="Whose leads these are. None: values for a list.",
    )
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of its bytes: the same file twice makes no lead twice.")
    format = models.CharField(max_length=4, choices=Format.choices)
    encoding = models.CharField(max_length=20, blank=True, default="")
    delimiter = models.CharField(max_length=1, blank=True, default="")
    columns = models.JSONField(default=list)
    by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class ImportChunk(models.Model):
    """A piece of an uploaded file."""

    file = models.ForeignKey(ImportFile, models.CASCADE, related_name="chunks", db_index=False)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["file", "number"], name="chunk_once_in_file")]


class ImportMapping(models.Model):
    """How a file with these columns was mapped for a campaign's form the last time: offered the next time."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="import_mappings")
    form = models.ForeignKey(Form, models.CASCADE, related_name="+")
    columns = models.CharField(max_length=64, help_text="Digest of the column names, in any order and letter case.")
    mapping = models.JSONField(default=dict, help_text="Column name to input key.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["campaign", "form", "columns"], name="mapping_once_for_columns")]
