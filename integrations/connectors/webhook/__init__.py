"""Webhook: leads and tracked events as signed JSON to any https address."""

from integrations.connectors.webhook.check import check
from integrations.connectors.webhook.deliver import deliver
from integrations.connectors.webhook.form import discover
from integrations.connectors.webhook.manifest import MANIFEST, takes
from integrations.connectors.webhook.message import host
from integrations.kit.contract import Connector

CONNECTOR = Connector(manifest=MANIFEST, host=host, check=check, discover=discover, deliver=deliver, takes=takes)
