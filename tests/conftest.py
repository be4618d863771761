"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db.models.signals import post_migrate

from leads import limits


@pytest.fixture(autouse=True)
def every_test_is_counted_anew() -> None:
    """Tests sign in by the same name and from the same address, more often than anybody may."""
    limits.forget()


@pytest.fixture(scope="session", autouse=True)
def what_migrations_filled_is_there_after_a_flush() -> Iterator[None]:
    """A test with real transactions empties the tables behind it: also those that a migration has filled."""

    def write(app_config: Any, **_: Any) -> None:
        from portal.roles import roles_write

        if app_config.label == "integrations":  # the last that has models
            roles_write()
            import_module("integrations.migrations.0018_starting_lists").fill(apps, None)

    post_migrate.connect(write, dispatch_uid="filled by migrations")
    yield
    post_migrate.disconnect(dispatch_uid="filled by migrations")
