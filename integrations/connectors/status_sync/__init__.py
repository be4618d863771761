"""Status sync: tells the instance that a lead came from what became of it here. The engine makes its integrations."""

from integrations.connectors.status_sync.deliver import deliver, host
from integrations.connectors.status_sync.manifest import MANIFEST
from integrations.kit.contract import Connector

CONNECTOR = Connector(manifest=MANIFEST, host=host, deliver=deliver)
