"""What Status sync says of itself."""

from __future__ import annotations

from integrations.kit.contract import Manifest, SettingField

MANIFEST = Manifest(
    slug="status_sync",
    name="Status sync",
    summary="Tells the instance that a lead came from what became of it here.",
    accepts=frozenset({"status"}),
    environment=("INSTANCE_SUBDOMAIN", "CONVERTR_URL", "CONVERTR_INSTANCES"),
    settings=(
        SettingField(
            "subdomain", "Subdomain", help="Of the instance that the leads came from; it came with the leads."
        ),
    ),
    concurrency=9,
    offered=False,
)
