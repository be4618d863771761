"""What every answer says beside itself: calls left, and what will go."""

from __future__ import annotations

import datetime as dt
from email.utils import parsedate_to_datetime
from typing import Any

from leads.api.deprecations import NOTICE, Deprecated, deprecation_headers
from tests.api.conftest import Instance, Partner
from tests.api.test_keys import problem
from tests.api.test_leads import ADA, leads_path


def test_async_handlers_and_views_count_a_keys_calls_together(
    reach: Partner, instance: Instance, settings: Any
) -> None:
    settings.RATE_LIMIT_PARTNER = 3
    first = reach.post(leads_path(instance), ADA)
    second = reach.get("leads")
    third = reach.get(f"leads/{first.json()['id']}")
    left = [answer.headers["RateLimit"].split(";")[1] for answer in (first, second, third)]
    assert left == ["r=2", "r=1", "r=0"]
    for refused in (reach.post(leads_path(instance), ADA), reach.get("leads")):
        problem(refused, 429, "too-many-requests")
        assert int(refused.headers["Retry-After"]) >= 1


def test_an_address_that_will_go_says_since_when_and_until_when() -> None:
    since = dt.date(2026, 3, 4)
    table = (Deprecated(frozenset({"GET"}), "/api/v1/old/{id}/things", since, "/api/v1/things"),)
    said = deprecation_headers("GET", "/api/v1/old/7/things", table)
    assert said["Deprecation"] == f"@{int(dt.datetime(2026, 3, 4, tzinfo=dt.UTC).timestamp())}"
    assert parsedate_to_datetime(said["Sunset"]).date() == since + NOTICE
    assert 'rel="deprecation"' in said["Link"]
    assert deprecation_headers("POST", "/api/v1/old/7/things", table) == {}
    assert deprecation_headers("GET", "/api/v1/old/7/things/1", table) == {}


def test_what_is_not_deprecated_says_nothing_of_it(reach: Partner) -> None:
    assert "Deprecation" not in reach.get("leads").headers
