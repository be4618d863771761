"""What Webhook says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrations.kit.contract import Choice, Manifest, SettingField

_SECRET = r"whsec_[A-Za-z0-9+/]{32,86}={0,2}"  # noqa: S105
_SECRET_HELP = "A signing secret starts with whsec_. Copy the whole of it."  # noqa: S105

MANIFEST = Manifest(
    slug="webhook",
    name="Webhook",
    summary="Send leads, or tracked events, as signed JSON to any https address.",
    accepts=frozenset({"lead", "event"}),
    integrations_name="Webhook",
    settings=(
        SettingField(
            "url",
            "URL",
            help="The whole address that takes them, as in https://example.com/leads.",
            pattern=r"(?i:https?)://[^\s/?#@\\]+(?:[/?][^\s#\\]*)?",
            pattern_help="Write the whole address, as in https://example.com/leads, without a user, a password or a #.",
        ),
        SettingField(
            "signing_secret",
            "Signing secret",
            type="secret",
            help="The receiver gives it to you, or you to them: both sides have the same one. It starts with whsec_.",
            pattern=_SECRET,
            pattern_help=_SECRET_HELP,
        ),
        SettingField(
            "sends",
            "What it sends",
            type="choice",
            required=False,
            default="leads",
            choices=(
                Choice("leads", "The campaign’s leads"),
                Choice("events", "The campaign’s tracked events"),
                Choice("both", "Leads and tracked events"),
            ),
            help="Events go out as they were tracked: they have no mapping.",
        ),
        SettingField(
            "fields",
            "Fields",
            required=False,
            help="The names that the receiver reads, with commas between them: firstName, email*, address.city. "
            "A * makes one required, a full stop puts one inside another. More can be added to the mapping by hand.",
        ),
        SettingField(
            "knows_repeats",
            "The receiver knows repeats",
            type="boolean",
            required=False,
            help="Switch it on if the receiver takes a second call with the same webhook-id for the same lead. Then a lead "
            "whose answer got lost is sent again by itself; otherwise it waits for you to look.",
        ),
        SettingField(
            "previous_secret",
            "Previous secret",
            type="secret",
            required=False,
            advanced=True,
            help="While the signing secret is changed: the old one. Leads are signed with both until the receiver has the new "
            "one. To end that, write the new one here too.",
            pattern=_SECRET,
            pattern_help=_SECRET_HELP,
        ),
    ),
    help="The receiver gets each lead as JSON, signed as Standard Webhooks describe it. Agree on an address, on the names of "
    "the fields and on a signing secret. What the receiver has to check is written up at www.standardwebhooks.com.",
)

_TAKEN = {"events": frozenset({"event"}), "both": frozenset({"lead", "event"})}


def takes(settings: Mapping[str, Any]) -> frozenset[str]:
    """Leads, events or both, as the settings say."""
    return _TAKEN.get(str(settings.get("sends") or ""), frozenset({"lead"}))
