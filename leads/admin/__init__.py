"""The admin of what comes in. What its pages show of deliveries is put together above, in integrations/admin."""

from leads.admin import audiences, campaigns, forms, leads, partner_keys, publishers, sources, users

__all__ = ["audiences", "campaigns", "forms", "leads", "partner_keys", "publishers", "sources", "users"]
