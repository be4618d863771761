"""The admin of what comes in. What its pages show of deliveries is put together above, in integrations/admin."""

from leads.admin import campaigns, forms, leads, publishers, sources, users

__all__ = ["campaigns", "forms", "leads", "publishers", "sources", "users"]
