"""The admin of where leads go and what clients say of them; it extends the pages of leads/admin with both."""

from integrations.admin import (
    activity,
    audiences,
    campaigns,
    deliveries,
    integrations,
    leads,
    notice_targets,
    notices,
    reason_codes,
    sources,
    status_updates,
    webhooks,
)
from integrations.admin.judging import configure, lists

__all__ = [
    "activity",
    "audiences",
    "campaigns",
    "configure",
    "deliveries",
    "integrations",
    "leads",
    "lists",
    "notice_targets",
    "notices",
    "reason_codes",
    "sources",
    "status_updates",
    "webhooks",
]
