"""Tracked calls: where they come from, what they say, and whom they are about.

An event row is written once and never changed while it waits or is handed on: rewriting rows and their indexes would cost more
than taking them in. What waits for the next stage is an Arrival, one row for all events of a commit; what the next stage finds
out (whose event it was) stands in slim rows of their own.
"""

from __future__ import annotations

import secrets
import string
from typing import Any

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from leads.models.campaign import Campaign

NAME_CHARS = 200
ID_CHARS = 255
WRITE_KEY_CHARS = 32
_KEY_LETTERS = string.ascii_letters + string.digits


def new_write_key() -> str:
    """A write key that nobody can guess; letters and digits alone, as it stands in addresses and scripts."""
    return "".join(secrets.choice(_KEY_LETTERS) for _ in range(WRITE_KEY_CHARS))


class EventType(models.TextChoices):
    """The calls of the tracking API (facts on Segment, section 1)."""

    IDENTIFY = "identify", "Identify"
    TRACK = "track", "Track"
    PAGE = "page", "Page"
    SCREEN = "screen", "Screen"
    GROUP = "group", "Group"
    ALIAS = "alias", "Alias"


class Source(models.Model):
    """A write key of a campaign: a site, an app or a server whose calls are tracked. A campaign may have several."""

    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="sources")
    name = models.CharField(max_length=200)
    write_key = models.CharField(max_length=64, unique=True, default=new_write_key, editable=False)
    # The key before the last change works on until then: pages with the old snippet are still out there.
    previous_key = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    previous_until = models.DateTimeField(null=True, blank=True, editable=False)
    enabled = models.BooleanField("takes events", default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["campaign", "name"], name="source_name_in_campaign")]

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """One tracked call. `data` is the whole message in Segment's shape, as destinations are handed it."""

    # Of source and messageId: what makes a repeat harmless.
    key = models.UUIDField(unique=True, editable=False)
    source = models.ForeignKey(Source, models.PROTECT, related_name="events", db_index=False, db_constraint=False)
    type = models.CharField(max_length=10, choices=EventType.choices)
    name = models.CharField(
        max_length=NAME_CHARS, blank=True, default="", help_text="Of a track, page or screen call; cut where long."
    )
    timestamp = models.DateTimeField(help_text="When it happened, the sender's clock set right by ours.")
    received_at = models.DateTimeField()
    data = models.JSONField(default=dict)
    problem = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text="Why it was not taken; such a one goes nowhere.",
    )

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["source", "id"], name="event_source")]

    def __str__(self) -> str:
        return f"Event {self.pk}"

    @property
    def user_id(self) -> str:
        return said_id(self.data, "userId")

    @property
    def anonymous_id(self) -> str:
        return said_id(self.data, "anonymousId")

    @property
    def message_id(self) -> str:
        return said_id(self.data, "messageId")


def said_id(message: dict[str, Any], name: str) -> str:
    """An id that a message gives, as text: numbers are taken for what they are written as; "" where there is none."""
    value = message.get(name)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


class Arrival(models.Model):
    """Events that were committed together and wait to be routed. Deleted by the stage that routes them."""

    event_ids = models.JSONField(help_text="Ids of events, in the order in which they came.")


class Person(models.Model):
    """Whom events of a campaign are about: one user, or one visitor who has not said who they are."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="persons", db_constraint=False)
    user_id = models.TextField(blank=True, default="", help_text="Empty for a visitor without one.")
    traits = models.JSONField(default=dict, blank=True, help_text="What identify calls said, the latest of each.")
    traits_at = models.DateTimeField(null=True, blank=True, help_text="When the latest of them was said.")
    first_seen_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.user_id or f"Visitor {self.pk}"


class Identity(models.Model):
    """What a person is known by. It belongs to one person at a time; alias and identify calls move it.

    Calls name persons by user id and anonymous id; by the e-mail address that an identify call gave, in small letters, leads
    find theirs.
    """

    class Kind(models.TextChoices):
        USER = "user", "User id"
        ANONYMOUS = "anonymous", "Anonymous id"
        EMAIL = "email", "E-mail address"

    # Of campaign, kind and value, whatever their length.
    key = models.UUIDField(primary_key=True, editable=False)
    person = models.ForeignKey(Person, models.CASCADE, related_name="identities", db_constraint=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    value = models.TextField()

    class Meta:
        verbose_name_plural = "identities"

    def __str__(self) -> str:
        return self.value


class Device(models.Model):
    """A device that a person's calls came from (context.device.id), and when the last of them did."""

    person = models.ForeignKey(Person, models.CASCADE, related_name="devices", db_index=False, db_constraint=False)
    device_id = models.CharField(max_length=ID_CHARS)
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-seen_at"]
        constraints = [models.UniqueConstraint(fields=["person", "device_id"], name="device_of_person")]

    def __str__(self) -> str:
        return self.device_id


class PersonEvent(models.Model):
    """Whose an event was: what audiences count by. Written when the event is routed; there is one for each routed event."""

    event = models.OneToOneField(Event, models.CASCADE, primary_key=True, related_name="of_person", db_constraint=False)
    person = models.ForeignKey(Person, models.CASCADE, related_name="events", db_index=False, db_constraint=False)
    type = models.CharField(max_length=10, choices=EventType.choices)
    name = models.CharField(max_length=NAME_CHARS, blank=True, default="")
    timestamp = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["person", "name", "timestamp"], name="event_of_person")]


class EventName(models.Model):
    """A name that events of a campaign had: what people choose from. Not all are kept where there are very many."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="event_names", db_index=False)
    type = models.CharField(max_length=10, choices=EventType.choices)
    name = models.CharField(max_length=NAME_CHARS)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["campaign", "type", "name"], name="event_name_in_campaign")]

    def __str__(self) -> str:
        return self.name


class LeadEvents(models.Model):
    """Which changes of a campaign's leads are tracked as events, and of which source. Where there is no row: none."""

    campaign = models.OneToOneField(Campaign, models.CASCADE, related_name="lead_events")
    source = models.ForeignKey(Source, models.CASCADE, related_name="+")
    received = models.BooleanField("Lead Received", default=False)
    valid = models.BooleanField("Lead Validated", default=False)
    invalid = models.BooleanField("Lead Invalidated", default=False)
    returned = models.BooleanField("Lead Returned", default=False)
    revenue = models.DecimalField(
        "worth of a valid lead",
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="Goes along with Lead Validated as its revenue.",
    )
    currency = models.CharField(
        max_length=3,
        blank=True,
        default="",
        validators=[RegexValidator(r"^[A-Z]{3}$", "Write a currency as EUR or USD.")],
    )

    class Meta:
        default_permissions = ()
        verbose_name_plural = "lead events"

    def __str__(self) -> str:
        return f"Leads as events of {self.source}"
