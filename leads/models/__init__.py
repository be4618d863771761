"""What comes in: campaigns with their forms and publishers, the keys that open them, and leads."""

from leads.models.access import AccessToken, ApiKey, User
from leads.models.campaign import Advertiser, Campaign, CampaignPublisher, Link, Publisher
from leads.models.form import Field, FieldType, Form
from leads.models.lead import Flag, Lead, LeadChange, ReasonCode, Status

__all__ = [
    "AccessToken",
    "Advertiser",
    "ApiKey",
    "Campaign",
    "CampaignPublisher",
    "Field",
    "FieldType",
    "Flag",
    "Form",
    "Lead",
    "LeadChange",
    "Link",
    "Publisher",
    "ReasonCode",
    "Status",
    "User",
]
