"""Forms: reused by campaigns, posted as form[name]."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

# Facts, section 2: names that a form may not use. `optin` stays usable for a field of the opt-in type, whose posts
# the facts show under that name (section 13).
RESERVED_NAMES = frozenset(
    name.lower()
    for name in [
        "advertiserioid",
        "advertiserpayout",
        "basecurrencyadvertiserpayout",
        "basecurrencypublisherpayout",
        "campaignformid",
        "campaignid",
        "campaignlinkid",
        "campaignpayoutbandid",
        "campaignpublisherbandid",
        "campaignpublisherid",
        "channel",
        "channelid",
        "clickid",
        "createdDate",
        "createdts",
        "dob",
        "doubleoptin",
        "doubleOptinConfirmation",
        "doubleOptinConfirmed",
        "emailDomain",
        "emailHash",
        "entrypoint",
        "fingerprint",
        "firstdeliveredts",
        "formhash",
        "formOptin",
        "imported",
        "integration",
        "ip",
        "landingpageurl",
        "leadflagid",
        "leadHash",
        "leadstatus",
        "leadstatusid",
        "maxscore",
        "optin",
        "overallocation",
        "photo",
        "processingcounter",
        "processrnode",
        "processrstatus",
        "publisher",
        "publisherid",
        "publisherpayout",
        "publishersubid",
        "qaresult",
        "salevalue",
        "score",
        "sex",
        "suppressionlist",
        "updatedts",
    ]
)
FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")

# Hidden inputs that every form takes beside its own fields: with them another instance asks to be told what becomes of
# its lead. They are offered to those who ask for the fields as objects.
SYNC_TOKEN_NAME = "syncToken"  # noqa: S105  the name of an input
SYNC_SUBDOMAIN_NAME = "syncSubdomain"


class FieldType(models.TextChoices):
    TEXT = "text", "Text"
    EMAIL = "email", "E-mail"
    TELEPHONE = "telephone", "Telephone"
    NUMBER = "number", "Number"
    DATE = "date", "Date"
    CHOICE = "choice", "Choice"
    CHECKBOX = "checkbox", "Checkbox"
    OPTIN = "optin", "Opt-in (terms and contact types)"
    HIDDEN = "hidden", "Hidden"


class Form(models.Model):
    """A global form. Its version grows with each change to its fields; compiled validators are kept by it."""

    name = models.CharField(max_length=200, unique=True)
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Field(models.Model):
    """One field of a form."""

    form = models.ForeignKey(Form, models.CASCADE, related_name="fields")
    name = models.CharField(max_length=64, help_text="Posted as form[name]. Changing it breaks partners' mappings.")
    label = models.CharField(max_length=200, blank=True)
    type = models.CharField(max_length=20, choices=FieldType.choices, default=FieldType.TEXT)
    required = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)
    choices = models.JSONField(
        default=list, blank=True, help_text='For a choice: [{"value": "DE", "label": "Germany"}, ...]'
    )
    multiple = models.BooleanField(default=False, help_text="A choice of several, comma-joined when posted.")
    min_length = models.PositiveIntegerField(null=True, blank=True)
    max_length = models.PositiveIntegerField(null=True, blank=True)
    position = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["form", "name"], name="field_name_in_form")]

    def __str__(self) -> str:
        return self.label or self.name

    def clean(self) -> None:
        problems: dict[str, str] = {}
        if not FIELD_NAME.match(self.name or ""):
            problems["name"] = "Start with a letter; then letters, digits and _ only."
        elif self.name.lower() in RESERVED_NAMES and not (
            self.name.lower() == "optin" and self.type == FieldType.OPTIN
        ):
            problems["name"] = f"“{self.name}” is a reserved name. Take another one."
        elif self.name in (SYNC_TOKEN_NAME, SYNC_SUBDOMAIN_NAME):
            problems["name"] = f"“{self.name}” is kept for instances that send leads on. Take another one."
        if (problem := _choices_problem(self.choices)) or (self.type == FieldType.CHOICE and not self.choices):
            problems["choices"] = problem or "A choice needs at least one value."
        if self.min_length and self.max_length and self.min_length > self.max_length:
            problems["max_length"] = "The longest is shorter than the shortest."
        if problems:
            raise ValidationError(problems)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The keys under which its values are kept on a lead: its name, or both inputs of an opt-in as name.input."""
        if self.type == FieldType.OPTIN:
            return (f"{self.name}.terms", f"{self.name}.contactTypes")
        return (self.name,)


def _choices_problem(choices: Any) -> str:
    if not isinstance(choices, list):
        return 'Write a list: [{"value": "DE", "label": "Germany"}, ...]'
    seen = set()
    for place, choice in enumerate(choices, 1):
        if not isinstance(choice, dict) or not isinstance(choice.get("value"), str):
            return f"Choice {place} has no value in quotation marks."
        if choice["value"] in seen:
            return f"Choice {place}: “{choice['value']}” is there twice."
        seen.add(choice["value"])
    return ""
