"""Where it goes, and what they say."""

from integrations.models.audience_sync import AudienceSync, AudienceTold
from integrations.models.client_rule import ClientRule
from integrations.models.delivery import Attempt, Delivery, DeliveryState
from integrations.models.integration import FieldMapping, InDoubt, Integration, IntegrationState, RemoteToken
from integrations.models.job import Job, JobGroup, JobReason, JobTally, KeyBuild, ValueList, ValueListItem
from integrations.models.mapping_version import MappingVersion
from integrations.models.notice import Notice, NoticeKind, NoticeMessage, NoticeStep, NoticeTarget
from integrations.models.reasons import ReasonTranslation
from integrations.models.verdict import StatusUpdate, VerdictState

__all__ = [
    "Attempt",
    "AudienceSync",
    "AudienceTold",
    "ClientRule",
    "Delivery",
    "DeliveryState",
    "FieldMapping",
    "InDoubt",
    "Integration",
    "IntegrationState",
    "Job",
    "JobGroup",
    "JobReason",
    "JobTally",
    "KeyBuild",
    "MappingVersion",
    "Notice",
    "NoticeKind",
    "NoticeMessage",
    "NoticeStep",
    "NoticeTarget",
    "ReasonTranslation",
    "RemoteToken",
    "StatusUpdate",
    "ValueList",
    "ValueListItem",
    "VerdictState",
]
