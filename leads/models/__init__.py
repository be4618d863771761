"""What comes in: campaigns with their forms and publishers, the keys that open them, and leads."""

from leads.models.access import AccessToken, AnsweredCall, ApiKey, PartnerKey, User
from leads.models.activity import Activity, ActivityItem, ActivityState, ItemState
from leads.models.audience import Audience, AudienceCount, Membership, Touched
from leads.models.campaign import Advertiser, Campaign, CampaignPublisher, CapCount, Link, Publisher
from leads.models.event import (
    Arrival,
    Device,
    Event,
    EventName,
    EventType,
    Identity,
    LeadEvents,
    Person,
    PersonEvent,
    Source,
)
from leads.models.form import Field, FieldType, Form
from leads.models.imports import ImportChunk, ImportFile, ImportMapping
from leads.models.lead import Flag, Held, Lead, LeadChange, ReasonCode, Status
from leads.models.lead_key import KeyKind, LeadKey
from leads.models.publisher_link import PublisherLink
from leads.models.subscription import Happening, OutboxEvent, Subscription

__all__ = [
    "AccessToken",
    "Activity",
    "ActivityItem",
    "ActivityState",
    "Advertiser",
    "AnsweredCall",
    "ApiKey",
    "Arrival",
    "Audience",
    "AudienceCount",
    "Campaign",
    "CampaignPublisher",
    "CapCount",
    "Device",
    "Event",
    "EventName",
    "EventType",
    "Field",
    "FieldType",
    "Flag",
    "Form",
    "Happening",
    "Held",
    "Identity",
    "ImportChunk",
    "ImportFile",
    "ImportMapping",
    "ItemState",
    "KeyKind",
    "Lead",
    "LeadChange",
    "LeadEvents",
    "LeadKey",
    "Link",
    "Membership",
    "OutboxEvent",
    "PartnerKey",
    "Person",
    "PersonEvent",
    "Publisher",
    "PublisherLink",
    "ReasonCode",
    "Source",
    "Status",
    "Subscription",
    "Touched",
    "User",
]
