"""What Convertr Connect says of itself: its settings in the order of the product's page, its limits, its words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from integrations.kit.contract import Budget, Choice, Manifest, SettingField, VerdictState

API_VERSIONS = ("2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "3.0")
DEFAULT_API_VERSION = "2.4"
# Facts, section 7: a rolling window over the whole platform.
WINDOW_S = 300.0

MANIFEST = Manifest(
    slug="convertr_connect",
    name="Convertr Connect",
    summary="Send leads straight into your client's own instance, and get their verdicts back by themselves.",
    accepts=frozenset({"lead"}),
    former_names=("Enterprise to Enterprise", "E2E"),
    environment=(
        "INSTANCE_SUBDOMAIN",
        "CONVERTR_URL",
        "CONVERTR_INSTANCES",
        "CONVERTR_CLIENT_ID",
        "CONVERTR_CLIENT_SECRET",
    ),
    # A little below what is allowed, for the calls of a person beside ours.
    budgets=(
        Budget("call", 3_800, WINDOW_S),
        Budget("result", 1_400, WINDOW_S),
        Budget("login", 100, WINDOW_S),
    ),
    concurrency=9,
    settings=(
        SettingField(
            "subdomain",
            "Subdomain",
            help="The first part of the address of your client's instance: for https://acme.cvtr.io it is acme.",
        ),
        SettingField(
            "api_key",
            "API_Key",
            type="secret",
            help="Your publisher's key on the client's instance. There: the campaign, Tracking, API Credentials.",
        ),
        SettingField(
            "campaign_id",
            "Campaign ID",
            type="integer",
            help="The number of the client's campaign, from the same place as the key.",
        ),
        SettingField(
            "publisher_id",
            "Publisher ID",
            type="integer",
            help="Your number as a publisher of the client, from the same place as the key.",
        ),
        SettingField(
            "global_form",
            "Global Form",
            type="choice",
            help="The client's form that the leads go into. The list comes from the client once the boxes above are right.",
        ),
        SettingField(
            "link",
            "Link",
            type="choice",
            required=False,
            help="Only if your client asks for one: the link that the leads are counted under.",
        ),
        SettingField(
            "api_version",
            "API version",
            required=False,
            advanced=True,
            default=DEFAULT_API_VERSION,
            choices=tuple(Choice(version, f"v{version}") for version in API_VERSIONS),
            help="Leave it as it is unless the client's instance is known to need another one.",
        ),
    ),
    help="You need publisher access to your client's instance: it shows the key and both numbers under Tracking, "
    "API Credentials. The client's verdicts come back by themselves; there is nothing to place.",
)

# Their words for what became of a lead. A word that is not here is kept as it came and shown, and decides nothing.
VERDICT_WORDS: Mapping[str, VerdictState] = MappingProxyType(
    {
        "valid": "valid",
        "validate": "valid",
        "validated": "valid",
        "accepted": "valid",
        "confirmed": "valid",
        "invalid": "invalid",
        "invalidate": "invalid",
        "invalidated": "invalid",
        "rejected": "invalid",
        "returned": "returned",
        "test": "test",
        "pending": "pending",
        "caution": "pending",
        "on hold": "pending",
    }
)
