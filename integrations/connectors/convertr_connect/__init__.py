"""Convertr Connect: leads straight into the client's own instance, and their verdicts back."""

from integrations.connectors.convertr_connect.check import check
from integrations.connectors.convertr_connect.deliver import deliver
from integrations.connectors.convertr_connect.discover import discover, options
from integrations.connectors.convertr_connect.instance import authenticate, host
from integrations.connectors.convertr_connect.manifest import MANIFEST
from integrations.connectors.convertr_connect.rules import rule_values, rules
from integrations.connectors.convertr_connect.verdict import poll, receive
from integrations.kit.contract import Connector

CONNECTOR = Connector(
    manifest=MANIFEST,
    host=host,
    authenticate=authenticate,
    check=check,
    options=options,
    discover=discover,
    deliver=deliver,
    rules=rules,
    rule_values=rule_values,
    poll=poll,
    receive=receive,
)
