"""What comes in: campaigns with their forms and publishers, the keys that open them, and leads."""

from leads.models.access import AccessToken, ApiKey, User
from leads.models.activity import Activity, ActivityItem, ActivityState, ItemState
from leads.models.campaign import Advertiser, Campaign, CampaignPublisher, Link, Publisher
from leads.models.form import Field, FieldType, Form
from leads.models.imports import ImportChunk, ImportFile, ImportMapping
from leads.models.lead import Flag, Lead, LeadChange, ReasonCode, Status

__all__ = [
    "AccessToken",
    "Activity",
    "ActivityItem",
    "ActivityState",
    "Advertiser",
    "ApiKey",
    "Campaign",
    "CampaignPublisher",
    "Field",
    "FieldType",
    "Flag",
    "Form",
    "ImportChunk",
    "ImportFile",
    "ImportMapping",
    "ItemState",
    "Lead",
    "LeadChange",
    "Link",
    "Publisher",
    "ReasonCode",
    "Status",
    "User",
]
