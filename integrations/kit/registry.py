"""Finds connectors: every folder in integrations/connectors that has a CONNECTOR."""
