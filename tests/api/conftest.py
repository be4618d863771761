"""A receiving instance behind its real server, and partners with keys of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from leads.models import Campaign, Publisher
from leads.partner_keys import SCOPES, key_issue
from tests.receiving.conftest import Instance, _fresh_limits_and_catalog, instance, server

__all__ = ["Instance", "_fresh_limits_and_catalog", "instance", "server"]


class Partner:
    """A partner's system: it knows the addresses and has a key."""

    def __init__(self, server: str, key: str) -> None:
        self.server = server
        self.key = key
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def call(self, method: str, path: str, **given: Any) -> requests.Response:
        return self.session.request(method, f"{self.server}/api/v1/{path}", timeout=60, **given)

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.call("GET", path, params=params)

    def post(self, path: str, json: Any = None, **given: Any) -> requests.Response:
        return self.call("POST", path, json=json, **given)


def key_for(
    *scopes: str, publisher: Publisher | None = None, campaign: Campaign | None = None, name: str = "A system"
) -> str:
    """A key with these scopes, or all."""
    issued = key_issue(name=name, scopes=scopes or SCOPES, made_by="sam", publisher=publisher, campaign=campaign)
    return issued.secret


@pytest.fixture
def partner(server: str, instance: Instance) -> Iterator[Partner]:
    """The account manager's own system: a key for the whole instance."""
    made = Partner(server, key_for())
    yield made
    made.session.close()


@pytest.fixture
def reach(server: str, instance: Instance) -> Iterator[Partner]:
    """The publisher's system."""
    made = Partner(server, key_for(publisher=instance.publisher))
    yield made
    made.session.close()
