"""Convertro: tracked users, orders and events, from web pages by its own script and from servers by its API."""

from integrations.connectors.convertro.deliver import deliver, host
from integrations.connectors.convertro.manifest import MANIFEST
from integrations.connectors.convertro.page import browser
from integrations.connectors.convertro.wants import wants
from integrations.kit.contract import Connector

CONNECTOR = Connector(manifest=MANIFEST, host=host, deliver=deliver, wants=wants, browser=browser)
