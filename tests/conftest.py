"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.signals import post_migrate


@pytest.fixture(scope="session", autouse=True)
def roles_after_a_flush() -> Iterator[None]:
    """A test with real transactions empties the tables behind it: also those that a migration has filled."""

    def write(app_config: Any, **_: Any) -> None:
        from portal.roles import roles_write

        if app_config.label == "integrations":  # the last that has models
            roles_write()

    post_migrate.connect(write, dispatch_uid="roles of tests")
    yield
    post_migrate.disconnect(dispatch_uid="roles of tests")
