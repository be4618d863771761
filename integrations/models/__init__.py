"""Where it goes, and what they say."""

from integrations.models.delivery import Attempt, Delivery, DeliveryState
from integrations.models.integration import FieldMapping, Integration, IntegrationState, RemoteToken
from integrations.models.verdict import StatusUpdate, VerdictState

__all__ = [
    "Attempt",
    "Delivery",
    "DeliveryState",
    "FieldMapping",
    "Integration",
    "IntegrationState",
    "RemoteToken",
    "StatusUpdate",
    "VerdictState",
]
